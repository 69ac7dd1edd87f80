//! A folder of files that appears whole or not at all.

use super::durable;
use crate::error::{Error, Kind, Result};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A folder in the making, beside its place. Dropped unpublished, it is removed.
///
/// It is locked as long as it is written: what a run that was killed has left is begun anew.
pub struct StagedFolder {
    staged: PathBuf,
    _lock: File,
    place: PathBuf,
    folders: BTreeSet<PathBuf>,
    published: bool,
}

impl StagedFolder {
    /// Begins the folder that is to become `place`, which is nothing yet or an empty folder.
    ///
    /// # Errors
    /// [`Kind::Refused`] when something is there.
    pub fn create(place: &Path) -> Result<Self> {
        if place.file_name().is_none() {
            return Err(Error::new(
                Kind::Usage,
                format!("{} is no name for a new folder", place.display()),
            ));
        }
        let empty = match std::fs::read_dir(place) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if !empty {
            return Err(Error::refused(format!("{} exists already", place.display()))
                .hint("name a new folder, or an empty one"));
        }
        let staged = durable::staged_path(place);
        if staged.symlink_metadata().is_ok() {
            remove_abandoned(&staged)?;
        }
        make(&staged).map_err(|error| match error.kind() {
            Kind::NotFound => durable::no_folder(place),
            _ => error,
        })?;
        let lock = open(&staged).map_err(|error| failed("open", &staged, error))?;
        // A file system without locks keeps nobody from writing.
        if durable::flock(&lock) == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(durable::left_over(&staged));
        }
        let folders = BTreeSet::from([staged.clone()]);
        Ok(Self { staged, _lock: lock, place: place.to_owned(), folders, published: false })
    }

    /// Adds a file at `path`, which is relative and `/`-separated, with these permission bits.
    ///
    /// # Errors
    /// [`Kind::Refused`] for a path that leads out of the folder, or to a file that is there.
    pub fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('\0')) {
            return Err(Error::refused(format!("the path {path:?} leads out of its folder")));
        }
        let mut folder = self.staged.clone();
        for part in &parts[..parts.len() - 1] {
            folder.push(part);
            if self.folders.insert(folder.clone()) {
                make(&folder)?;
            }
        }
        let full = self.staged.join(path);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = rustix::fs::open(&full, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| failed("create", &full, error.into()))?;
        file.write_all(content).map_err(|error| failed("write", &full, error))?;
        // Whatever the umask is.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777))
            .map_err(|error| failed("set the permissions of", &full, error.into()))?;
        file.sync_all().map_err(|error| failed("sync", &full, error))
    }

    /// Makes everything durable, and gives the folder its name.
    ///
    /// # Errors
    /// Also when something has come to its place meanwhile, which stays as it is.
    pub fn publish(mut self) -> Result<()> {
        for folder in &self.folders {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| failed("sync", folder, error))?;
        }
        // In the place of a folder only if that is empty.
        rustix::fs::rename(&self.staged, &self.place)
            .map_err(|error| failed("publish", &self.place, error.into()))?;
        self.published = true;
        durable::sync_folder_of(&self.place)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed is begun anew when somebody wants the place again.
            drop(std::fs::remove_dir_all(&self.staged));
        }
    }
}

fn open(folder: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(folder, flags, Mode::empty())?))
}

/// Removes a folder that nobody writes any more: the lock of whoever began it is gone with the process.
/// It must be this user's own, and nobody else's to write in.
fn remove_abandoned(staged: &Path) -> Result<()> {
    let left_over = || durable::left_over(staged);
    let folder = open(staged).map_err(|_| left_over())?;
    let opened = folder.metadata().map_err(|error| failed("look at", staged, error))?;
    let own = opened.uid() == rustix::process::geteuid().as_raw() && opened.mode() & 0o077 == 0;
    if !own || durable::flock(&folder).is_err() {
        return Err(left_over());
    }
    // Between opening and locking it may have been published, and another one begun.
    let named = staged.symlink_metadata();
    if !named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
        return Err(left_over());
    }
    std::fs::remove_dir_all(staged).map_err(|error| failed("remove", staged, error))
}

fn make(folder: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => durable::left_over(folder),
        _ => failed("make", folder, error),
    })
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot {what} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_appears_whole_with_its_modes() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("out");
        let mut staged = StagedFolder::create(&place).unwrap();
        staged.add("a/b/x.py", 0o751, b"x").unwrap();
        staged.add("a/y.py", 0o604, b"y").unwrap();
        assert!(!place.exists());
        staged.publish().unwrap();
        assert_eq!(std::fs::read(place.join("a/b/x.py")).unwrap(), b"x");
        let mode = |path: &str| place.join(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a/b/x.py"), mode("a/y.py"), mode("")), (0o751, 0o604, 0o700));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("out");
        let mut staged = StagedFolder::create(&place).unwrap();
        for path in ["../x", "/x", "a//x", "a/../../x", "", ".", "a/."] {
            assert_eq!(staged.add(path, 0o600, b"").unwrap_err().kind(), Kind::Refused, "{path}");
        }
        staged.add("x", 0o600, b"").unwrap();
        assert!(staged.add("x", 0o600, b"").is_err());
        assert!(staged.add("x/y", 0o600, b"").is_err());
        assert_eq!(StagedFolder::create(&place).err().unwrap().kind(), Kind::Locked);
        drop(staged);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let abandoned = durable::staged_path(&place);
        DirBuilder::new().mode(0o700).create(&abandoned).unwrap();
        std::fs::create_dir(abandoned.join("deep")).unwrap();
        let staged = StagedFolder::create(&place).unwrap();
        assert!(!abandoned.join("deep").exists(), "begun anew");
        drop(staged);
        DirBuilder::new().mode(0o777).create(&abandoned).unwrap();
        std::fs::set_permissions(&abandoned, PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(StagedFolder::create(&place).err().unwrap().kind(), Kind::Locked);
        std::fs::remove_dir(&abandoned).unwrap();
        std::fs::create_dir_all(place.join("mine")).unwrap();
        assert_eq!(StagedFolder::create(&place).err().unwrap().kind(), Kind::Refused);
    }
}
