//! Whose turn it is to exchange folders of a project, and what it begins with.

use super::files::{aside_path, failed, free_name, make_folders, staged_path};
use super::journal::{self, Journal};
use super::{Exchange, NewTree, Staged};
use crate::error::{Error, Kind, Result};
use crate::store::durable;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A project whose folders are to be exchanged, and which other runs of pgark are kept out of.
pub struct ProjectLock {
    pub(super) root: PathBuf,
    /// None where only a look is wanted.
    _folder: Option<File>,
}

/// What [`recover`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The new folders stay; the old ones are parked.
    Finished,
    /// The old folders stay. With what others had put into the new ones.
    Undone(Vec<PathBuf>),
}

impl ProjectLock {
    /// Locks a project, unless only a look is wanted.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another run holds it.
    pub fn take(root: &Path, look_only: bool) -> Result<Self> {
        let folder = match look_only {
            true => None,
            false => Some(lock(root, FlockOperation::NonBlockingLockExclusive)?),
        };
        Ok(Self { root: root.to_owned(), _folder: folder })
    }

    /// Fails while another run holds a project's lock; those that only look are not in each other's way.
    ///
    /// # Errors
    /// [`Kind::Locked`] then.
    pub fn check_free(root: &Path) -> Result<()> {
        lock(root, FlockOperation::NonBlockingLockShared).map(drop)
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Ends or undoes what a run that was killed has begun in this project.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the folders are no longer those that the journal speaks of.
    pub fn recover(&self) -> Result<Option<Recovered>> {
        let Some(journal) = Journal::read(&self.root)? else { return Ok(None) };
        let exchange = Exchange { root: self.root.clone(), entries: journal.swaps };
        let all = exchange.entries.iter().all(|entry| exchange.is_exchanged(entry));
        let known = exchange.entries.iter().all(|entry| exchange.old_place(entry).is_some());
        if !known {
            return Err(Error::refused(format!(
                "{} speaks of folders that are no longer there",
                journal::place(&self.root).display()
            ))
            .hint(journal::BY_HAND));
        }
        match all {
            true => exchange.park().map(|_| Some(Recovered::Finished)),
            false => exchange.undo().map(|others| Some(Recovered::Undone(others))),
        }
    }

    /// Makes an empty folder where somebody has removed one that is to be exchanged.
    pub fn ensure_folder(&self, folder: &str) -> Result<()> {
        make_folders(&self.root.join(folder), &self.root, &self.root)
    }

    /// Writes the new folders beside the old ones. `kept` hears, whatever fails later, where folders are
    /// now that may be old ones: they waited to be parked, and no journal spoke of them.
    ///
    /// # Errors
    /// Whatever fails, the project is as it was.
    pub fn stage(&self, trees: Vec<NewTree>, kept: &mut dyn FnMut(&Path)) -> Result<Staged> {
        for tree in &trees {
            let place = self.root.join(&tree.parked);
            if place.exists() {
                return Err(Error::refused(format!("{} exists already", place.display()))
                    .hint("name another place for the old migrations with --park DIR"));
            }
        }
        for folder in trees.iter().map(|tree| self.root.join(&tree.folder)) {
            for waiting in [staged_path(&folder), aside_path(&folder)] {
                set_aside(&waiting, &folder, kept)?;
            }
        }
        let mut staged = Staged { root: self.root.clone(), trees, armed: true };
        match staged.write() {
            Ok(()) => Ok(staged),
            Err(error) => {
                staged.remove();
                staged.armed = false;
                Err(error)
            }
        }
    }
}

fn lock(root: &Path, operation: FlockOperation) -> Result<File> {
    let folder = File::open(root).map_err(|error| failed("open", root, error))?;
    rustix::fs::flock(&folder, operation).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => Error::new(
            Kind::Locked,
            format!("another pgark is using the migrations in {}", root.display()),
        )
        .hint("wait until it has ended"),
        _ => failed("lock", root, error.into()),
    })?;
    Ok(folder)
}

/// Makes way for what is to wait beside a folder. What waits there may be an old one whose journal
/// somebody has removed: it gets a name under which nobody removes it unseen, which `kept` hears.
fn set_aside(waiting: &Path, folder: &Path, kept: &mut dyn FnMut(&Path)) -> Result<()> {
    if waiting.symlink_metadata().is_err() || std::fs::remove_dir(waiting).is_ok() {
        return Ok(());
    }
    let place = free_name(folder, "left", |_| false);
    durable::rename_without_replacing_folder(waiting, &place)
        .map_err(|error| failed("keep", waiting, error))?;
    kept(&place);
    durable::sync_folder_of(&place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_not_in_each_others_way_and_a_change_is_in_everybodys() {
        let root = tempfile::tempdir().unwrap();
        let look = lock(root.path(), FlockOperation::NonBlockingLockShared).unwrap();
        ProjectLock::check_free(root.path()).unwrap();
        drop(look);
        let _change = ProjectLock::take(root.path(), false).unwrap();
        let error = ProjectLock::check_free(root.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Locked);
    }
}
