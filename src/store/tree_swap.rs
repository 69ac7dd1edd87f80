//! Folders of a project are exchanged for new ones, whole: at every moment, and after every crash,
//! there is the old content or the new one.
//!
//! New folders are written beside the old ones and synced, under a name that no other folder ever has.
//! A journal in the project's folder says what is to be exchanged; the folders are told apart by inode,
//! which renames keep. Then each pair changes names in one step, and in the end the old folders go to
//! their parking place and the journal goes. [`ProjectLock::recover`] ends or undoes what a killed run has
//! begun.

use super::durable;
use super::project_files::{self, ProjectFile};
use crate::error::{Error, Result};
use crate::model::name::enumerate;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

mod added;
mod files;
mod journal;
mod lock;
mod parking;
mod undo;

pub use added::Added;
use files::{
    aside_path, below, failed, inode, make_folder, make_folders, part_path, remove_compiled,
    remove_tree, sha256, staged_path, swap_names, sync_folders, write_anew, write_file,
};

use journal::{Entry, Journal};
pub use journal::{pending, pending_archive};
pub use lock::{ProjectLock, Recovered};
pub use parking::check_parking;
pub use undo::named;

/// A folder and what it is to hold.
pub struct NewTree {
    /// Relative to the project.
    pub folder: String,
    /// Its files, with paths relative to the project.
    pub files: Vec<ProjectFile>,
    /// Where the old folder goes, relative to the project.
    pub parked: String,
    /// A file that the old folder gets when it is parked: its path below it, its text and its mode.
    pub companion: Option<(String, String, u32)>,
}

/// New folders that wait beside the old ones. Dropped, they are removed.
pub struct Staged {
    root: PathBuf,
    trees: Vec<NewTree>,
    armed: bool,
}

impl Staged {
    fn place(&self, tree: &NewTree) -> PathBuf {
        part_path(&self.root.join(&tree.folder))
    }

    fn write(&self) -> Result<()> {
        for tree in &self.trees {
            let (old, new) = (self.root.join(&tree.folder), self.place(tree));
            // What a run was writing that was killed.
            remove_tree(&new)?;
            make_folder(&new, &old)?;
            for file in &tree.files {
                let Some(below) = below(&file.path, &tree.folder) else { continue };
                let place = new.join(below);
                let above = place.parent().unwrap_or(&new);
                make_folders(above, &new, &old)?;
                write_file(&place, file, &old)?;
            }
            sync_folders(&new)?;
            durable::sync_folder_of(&new)?;
        }
        Ok(())
    }

    /// Fails when what waits is not what was written; compiled Python is swept away.
    fn check(&self) -> Result<()> {
        for tree in &self.trees {
            let new = self.place(tree);
            remove_compiled(&new)?;
            let mut expected: Vec<(&str, &[u8])> = tree
                .files
                .iter()
                .filter_map(|file| {
                    Some((below(&file.path, &tree.folder)?, file.content.as_slice()))
                })
                .collect();
            expected.sort();
            let paths = project_files::list(&new, "", true)?;
            let same = paths.len() == expected.len()
                && paths.iter().zip(&expected).all(|(path, (wanted, content))| {
                    path == wanted
                        && project_files::read(&new, path)
                            .is_ok_and(|file| file.content == *content)
                });
            if !same {
                return Err(Error::failed(format!("somebody has changed {}", new.display())));
            }
        }
        Ok(())
    }

    /// Exchanges the folders. The journal names the archive of before the consolidation, which no
    /// file may do afterwards.
    ///
    /// # Errors
    /// Whatever fails, the project is as it was.
    pub fn exchange(mut self, archive: &str) -> Result<Exchange> {
        self.check()?;
        let mut entries = Vec::new();
        for tree in &self.trees {
            let staged = tree.files.iter().filter_map(|file| {
                let below = below(&file.path, &tree.folder)?;
                Some((below.to_owned(), sha256(&file.content)))
            });
            entries.push(Entry {
                folder: tree.folder.clone(),
                parked: tree.parked.clone(),
                companion: tree.companion.clone(),
                old: inode(&self.root.join(&tree.folder))?,
                new: inode(&self.place(tree))?,
                staged: staged.collect(),
            });
        }
        Journal::new(archive, &entries).write(&self.root)?;
        // From here on the journal knows the folders that wait.
        self.armed = false;
        let exchange = Exchange { root: self.root.clone(), entries };
        match exchange.begin() {
            Ok(()) => Ok(exchange),
            Err(error) => Err(exchange.undone(error)),
        }
    }

    fn remove(&self) {
        for tree in &self.trees {
            // The next run removes what cannot be removed now.
            drop(remove_tree(&self.place(tree)));
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.armed {
            self.remove();
        }
    }
}

/// Folders that have been exchanged; the old ones are not parked yet.
pub struct Exchange {
    root: PathBuf,
    entries: Vec<Entry>,
}

impl Exchange {
    fn begin(&self) -> Result<()> {
        let folders = self.entries.iter().map(|entry| self.root.join(&entry.folder));
        let folders: Vec<PathBuf> = folders.collect();
        for folder in &folders {
            let new = part_path(folder);
            durable::rename_without_replacing_folder(&new, &staged_path(folder))
                .map_err(|error| failed("rename", &new, error))?;
        }
        folders.iter().try_for_each(|folder| {
            swap_names(folder).map_err(|error| failed("exchange", folder, error))
        })
    }

    /// Whether the new folder has the name.
    fn is_exchanged(&self, entry: &Entry) -> bool {
        inode(&self.root.join(&entry.folder)).is_ok_and(|found| found.is(&entry.new))
    }

    /// Where the old folder is.
    fn old_place(&self, entry: &Entry) -> Option<PathBuf> {
        let folder = self.root.join(&entry.folder);
        let places = [
            folder.clone(),
            staged_path(&folder),
            aside_path(&folder),
            self.root.join(&entry.parked),
        ];
        places.into_iter().find(|place| inode(place).is_ok_and(|found| found.is(&entry.old)))
    }

    /// Fails where the old folders hold other files than these, compiled Python aside: somebody was at
    /// work there until they lost their names.
    ///
    /// # Errors
    /// [`Kind::Refused`], with the files.
    pub fn check_old(&self, files: &[ProjectFile]) -> Result<()> {
        let mut others = Vec::new();
        for entry in &self.entries {
            let Some(old) = self.old_place(entry) else {
                return Err(Error::failed(format!("the old {} is not there", entry.folder)));
            };
            let known: BTreeMap<&str, &[u8]> = files
                .iter()
                .filter(|file| !project_files::is_compiled(&file.path))
                .filter_map(|file| Some((below(&file.path, &entry.folder)?, &*file.content)))
                .collect();
            let there = project_files::list(&old, "", false)?;
            let gone = known.keys().filter(|path| there.iter().all(|other| other != *path));
            others.extend(gone.map(|path| format!("{}/{path}", entry.folder)));
            for path in &there {
                let now = project_files::read(&old, path)?;
                if known.get(path.as_str()) != Some(&&*now.content) {
                    others.push(format!("{}/{path}", entry.folder));
                }
            }
        }
        match others.is_empty() {
            true => Ok(()),
            false => Err(Error::refused(format!(
                "files of the migrations were changed meanwhile: {}",
                enumerate(&others)
            ))),
        }
    }

    /// Parks the old folders, without compiled Python, and gives their places.
    ///
    /// # Errors
    /// The new folders stay. The journal stays too, and the next run tries again.
    pub fn park(self) -> Result<Vec<PathBuf>> {
        self.park_all().map_err(|error| {
            error
                .while_doing("the new folders are in place, and the old ones are not parked yet")
                .hint("run the same command again, which parks them")
        })
    }

    fn park_all(&self) -> Result<Vec<PathBuf>> {
        let mut places = Vec::new();
        for entry in &self.entries {
            let parked = self.root.join(&entry.parked);
            let Some(old) = self.old_place(entry) else {
                return Err(Error::failed(format!("the old {} is not there", entry.folder)));
            };
            if old != parked {
                remove_compiled(&old)?;
                if let Some((name, text, mode)) = &entry.companion {
                    let place = old.join(name);
                    if !place.exists() {
                        write_anew(&place, text.as_bytes())?;
                    }
                    std::fs::metadata(&old)
                        .map(|folder| files::give_like(&place, &folder))
                        .and_then(|()| {
                            std::fs::set_permissions(&place, PermissionsExt::from_mode(*mode))
                        })
                        .map_err(|error| failed("write", &place, error))?;
                }
                let above = parked.parent().unwrap_or(&self.root);
                make_folders(above, &self.root, &self.root)?;
                durable::rename_without_replacing_folder(&old, &parked)
                    .map_err(|error| failed("park", &old, error))?;
                durable::sync_folder_of(&parked)?;
                durable::sync_folder_of(&old)?;
            }
            places.push(parked);
        }
        Journal::remove(&self.root)?;
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::files::exchange_names;
    use super::*;
    use crate::error::Kind;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    fn project() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        make_folder(&root.join("m"), &root).unwrap();
        make_folder(&root.join("m/versions"), &root).unwrap();
        let file = ProjectFile { path: String::new(), mode: 0o640, content: b"old".to_vec() };
        write_file(&root.join("m/versions/a.py"), &file, &root).unwrap();
        (folder, root)
    }

    fn new_tree() -> Vec<NewTree> {
        let path = String::from("m/versions/b.py");
        vec![NewTree {
            folder: String::from("m/versions"),
            files: vec![ProjectFile { path, mode: 0o640, content: b"new".to_vec() }],
            parked: String::from("m/legacy"),
            companion: Some((String::from("alembic.ini"), String::from("[alembic]\n"), 0o600)),
        }]
    }

    fn stage(lock: &ProjectLock, trees: Vec<NewTree>) -> Result<Staged> {
        lock.stage(trees, &mut |kept| panic!("{} was in the way", kept.display()))
    }

    fn paths(root: &Path) -> Vec<String> {
        project_files::list(root, "", true).unwrap()
    }

    #[test]
    fn the_old_folder_is_parked_and_the_new_one_has_its_name() {
        let (_folder, root) = project();
        let lock = ProjectLock::take(&root, false).unwrap();
        let staged = stage(&lock, new_tree()).unwrap();
        // What is not whole yet is no part of the project.
        assert_eq!(paths(&root), ["m/versions/a.py"]);
        assert!(root.join("m/.versions.pgark-part/b.py").exists());
        let exchange = staged.exchange("a").unwrap();
        assert!(pending(&root));
        assert_eq!(pending_archive(&root).unwrap().as_deref(), Some("a"));
        exchange.park().unwrap();
        assert!(!pending(&root));
        assert_eq!(paths(&root), ["m/legacy/a.py", "m/legacy/alembic.ini", "m/versions/b.py"]);
        let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().mode() & 0o777;
        assert_eq!((mode("m/versions/b.py"), mode("m/legacy/alembic.ini")), (0o640, 0o600));
    }

    #[test]
    fn what_is_undone_or_never_exchanged_leaves_no_trace() {
        let (_folder, root) = project();
        let lock = ProjectLock::take(&root, false).unwrap();
        drop(stage(&lock, new_tree()).unwrap());
        assert_eq!(paths(&root), ["m/versions/a.py"]);
        assert!(!root.join("m/.versions.pgark-part").exists());
        stage(&lock, new_tree()).unwrap().exchange("a").unwrap().undo().unwrap();
        assert_eq!(paths(&root), ["m/versions/a.py"]);
        assert_eq!(lock.recover().unwrap(), None);
    }

    #[test]
    fn a_run_that_was_killed_is_ended_or_undone_by_the_next() {
        let (_folder, root) = project();
        let lock = ProjectLock::take(&root, false).unwrap();
        // Killed after the exchange.
        drop(stage(&lock, new_tree()).unwrap().exchange("a").unwrap());
        assert_eq!(lock.recover().unwrap(), Some(Recovered::Finished));
        assert_eq!(paths(&root), ["m/legacy/a.py", "m/legacy/alembic.ini", "m/versions/b.py"]);
        // Killed between two renames that stand for an exchange.
        let mut again = new_tree();
        again[0].parked = String::from("m/again");
        drop(stage(&lock, again).unwrap().exchange("a").unwrap());
        let folder = root.join("m/versions");
        exchange_names(&folder, &staged_path(&folder)).unwrap();
        rustix::fs::rename(&folder, aside_path(&folder)).unwrap();
        assert_eq!(lock.recover().unwrap(), Some(Recovered::Undone(Vec::new())));
        assert_eq!(paths(&root), ["m/legacy/a.py", "m/legacy/alembic.ini", "m/versions/b.py"]);
    }

    #[test]
    fn what_others_have_put_into_the_new_folder_is_kept_whole() {
        let (_folder, root) = project();
        let lock = ProjectLock::take(&root, false).unwrap();
        let write = |path: &str, text: &str| write_anew(&root.join(path), text.as_bytes()).unwrap();
        make_folder(&root.join("m/versions-undone"), &root).unwrap();
        let exchange = stage(&lock, new_tree()).unwrap().exchange("a").unwrap();
        write("m/versions/mine.py", "mine");
        make_folder(&root.join("m/versions/__pycache__"), &root).unwrap();
        write("m/versions/__pycache__/b.pyc", "compiled");
        let mine = root.join("m/versions-undone-2/mine.py");
        let error = exchange.undone(Error::failed("why"));
        assert!(error.in_full().contains(mine.to_str().unwrap()), "{}", error.in_full());
        assert!(error.in_full().ends_with("why"));
        let kept = ["m/versions-undone-2/b.py", "m/versions-undone-2/mine.py", "m/versions/a.py"];
        assert_eq!(paths(&root), kept);
        // One of those that were written, changed; and the run that undoes it is killed at the end.
        drop(stage(&lock, new_tree()).unwrap().exchange("a").unwrap());
        std::fs::remove_file(root.join("m/versions/b.py")).unwrap();
        write("m/versions/b.py", "better");
        exchange_names(&root.join("m/versions"), &root.join("m/.versions.pgark-new")).unwrap();
        let journal = std::fs::read(root.join(".pgark-swap.json")).unwrap();
        let better = root.join("m/versions-undone-3/b.py");
        for _ in 0..2 {
            drop(write_anew(&root.join(".pgark-swap.json"), &journal));
            let undone = Recovered::Undone(vec![better.clone()]);
            assert_eq!(lock.recover().unwrap(), Some(undone));
            assert_eq!(std::fs::read(&better).unwrap(), b"better");
        }
        assert_eq!(lock.recover().unwrap(), None);
    }

    #[test]
    fn an_old_folder_that_no_journal_speaks_of_is_never_removed() {
        let (_folder, root) = project();
        let lock = ProjectLock::take(&root, false).unwrap();
        drop(stage(&lock, new_tree()).unwrap().exchange("a").unwrap());
        std::fs::remove_file(root.join(".pgark-swap.json")).unwrap();
        // What a run was writing that was killed is of no use to anybody.
        make_folder(&root.join("m/.versions.pgark-part"), &root).unwrap();
        write_anew(&root.join("m/.versions.pgark-part/c.py"), b"half").unwrap();
        // The other name under which an old one may wait.
        make_folder(&root.join("m/.versions.pgark-old"), &root).unwrap();
        write_anew(&root.join("m/.versions.pgark-old/d.py"), b"older").unwrap();
        // Told although the new folder cannot be written.
        let mut broken = new_tree();
        let path = String::from("m/versions/b.py/c.py");
        broken[0].files.push(ProjectFile { path, mode: 0o640, content: Vec::new() });
        let mut kept = Vec::new();
        assert!(lock.stage(broken, &mut |place| kept.push(place.to_owned())).is_err());
        assert_eq!(kept, [root.join("m/versions-left"), root.join("m/versions-left-2")]);
        stage(&lock, new_tree()).unwrap().exchange("a").unwrap().undo().unwrap();
        let all = ["m/versions-left-2/d.py", "m/versions-left/a.py", "m/versions/b.py"];
        assert_eq!(paths(&root), all);
        // Nothing is in an empty one.
        make_folder(&root.join("m/.versions.pgark-new"), &root).unwrap();
        drop(stage(&lock, new_tree()).unwrap());
        assert!(!root.join("m/.versions.pgark-new").exists());
    }

    #[test]
    fn folders_that_are_no_longer_there_are_left_to_a_person() {
        let (_folder, root) = project();
        let lock = ProjectLock::take(&root, false).unwrap();
        drop(stage(&lock, new_tree()).unwrap().exchange("a").unwrap());
        remove_tree(&root.join("m/.versions.pgark-new")).unwrap();
        assert_eq!(lock.recover().unwrap_err().kind(), Kind::Refused);
        assert_eq!(paths(&root), [".pgark-swap.json", "m/versions/b.py"]);
    }
}
