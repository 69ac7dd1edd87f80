//! Files that survive a power cut: written beside their place, synced, renamed without replacing,
//! and the folder synced.

use crate::error::{Error, Kind, Result};
use rustix::fs::{Advice, FlockOperation, Mode, OFlags, RenameFlags};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Marks a file that is being written. Only files with such names are ever removed unasked.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// A file that is being written. Dropped unpublished, it is removed.
pub struct StagedFile {
    staged: PathBuf,
    place: PathBuf,
    file: File,
    published: bool,
}

impl StagedFile {
    /// Begins the file that is to become `place`; only its owner may read it. What a run that was
    /// killed has left of it is begun anew.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another run is writing it, [`Kind::NotFound`] when there is no folder
    /// for it.
    pub fn create(place: &Path) -> Result<Self> {
        Self::create_with(place, Mode::RUSR | Mode::WUSR)
    }

    fn create_with(place: &Path, mode: Mode) -> Result<Self> {
        let staged = staged_path(place);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&staged, flags, mode) {
            Ok(file) => {
                let file = File::from(file);
                // A file system without locks keeps nobody from writing.
                if flock(&file) == Err(rustix::io::Errno::WOULDBLOCK) {
                    return Err(left_over(&staged));
                }
                file
            }
            Err(rustix::io::Errno::EXIST) => abandoned(&staged)?,
            Err(rustix::io::Errno::NOENT) => return Err(no_folder(place)),
            Err(error) => return Err(failed("create", &staged, error.into())),
        };
        Ok(Self { staged, place: place.to_owned(), file, published: false })
    }

    /// A buffered writer to the file.
    pub fn writer(&self) -> Result<BufWriter<File>> {
        let file = self.file.try_clone().map_err(|error| failed("write", &self.staged, error))?;
        Ok(BufWriter::with_capacity(256 * 1024, file))
    }

    /// Forces the file to the disk and its pages out of the cache, so that who reads it next
    /// reads what the disk holds.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| failed("sync", &self.staged, error))?;
        rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)
            .map_err(|error| failed("sync", &self.staged, error.into()))
    }

    /// Where the file is until it is published.
    pub fn path(&self) -> &Path {
        &self.staged
    }

    /// Gives the file its name, which nothing may have yet, and makes that durable. Call
    /// [`StagedFile::sync`] before.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the name is taken. Whatever fails, the file does not keep the name.
    pub fn publish(mut self) -> Result<()> {
        rename_without_replacing(&self.staged, &self.place).map_err(|error| {
            match error.kind() {
                io::ErrorKind::AlreadyExists => Error::new(
                    Kind::Refused,
                    format!("{} exists already; nothing was overwritten", self.place.display()),
                ),
                _ => failed("publish", &self.place, error),
            }
        })?;
        self.published = true;
        sync_folder_of(&self.place).inspect_err(|_| withdraw(&self.place))
    }

    /// Gives the file its name in the stead of the file that has it, and makes that durable. Never
    /// for archives and manifests: see [`super::output::check_place`]. Call [`StagedFile::sync`] before.
    pub fn replace(mut self) -> Result<()> {
        rustix::fs::rename(&self.staged, &self.place)
            .map_err(|error| failed("replace", &self.place, error.into()))?;
        self.published = true;
        sync_folder_of(&self.place)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published {
            // The next run sweeps what cannot be removed now.
            drop(std::fs::remove_file(&self.staged));
        }
    }
}

/// Writes a whole small file, and syncs it; it awaits its publication.
pub fn stage_whole(place: &Path, content: &[u8]) -> Result<StagedFile> {
    fill(StagedFile::create(place)?, content)
}

/// The same for a file that holds no secrets: whoever the umask allows may read it.
pub fn stage_public(place: &Path, content: &[u8]) -> Result<StagedFile> {
    let all = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    fill(StagedFile::create_with(place, all)?, content)
}

fn fill(staged: StagedFile, content: &[u8]) -> Result<StagedFile> {
    let mut writer = staged.writer()?;
    writer
        .write_all(content)
        .and_then(|()| writer.flush())
        .map_err(|error| failed("write", &staged.place, error))?;
    staged.sync()?;
    Ok(staged)
}

/// The lock of whoever writes a staged file or folder.
pub fn flock(file: &File) -> rustix::io::Result<()> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// A staged file that nobody writes any more, emptied: the lock of whoever began it is gone with
/// the process. It must be this user's own, or others could have it open.
fn abandoned(staged: &Path) -> Result<File> {
    let look = |error: io::Error| failed("look at", staged, error);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(staged, flags, Mode::empty()).map(File::from) else {
        return Err(left_over(staged));
    };
    let opened = file.metadata().map_err(look)?;
    let sound = opened.is_file()
        && opened.nlink() == 1
        && opened.uid() == rustix::process::geteuid().as_raw()
        && opened.mode() & 0o077 == 0;
    if !sound || flock(&file).is_err() {
        return Err(left_over(staged));
    }
    // Between opening and locking it may have been published or removed.
    let named = staged.symlink_metadata();
    if !named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
        return Err(left_over(staged));
    }
    file.set_len(0).map_err(|error| failed("empty", staged, error))?;
    Ok(file)
}

/// The failure to begin what has no folder.
pub fn no_folder(place: &Path) -> Error {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let text = format!("cannot create {}", place.display());
    Error::new(Kind::NotFound, text)
        .caused_by(format!("there is no folder {}", folder.display()))
        .hint("make the folder first, or name another")
}

/// The failure to begin what another run has begun.
pub fn left_over(staged: &Path) -> Error {
    Error::new(Kind::Locked, format!("{} exists already", staged.display()))
        .hint("another run is writing it, or was killed at it: if none is running, remove it")
}

/// Takes back a file that this run has just published, because a later step failed. What cannot
/// be taken back is reported by that step's failure.
pub fn withdraw(place: &Path) {
    drop(std::fs::remove_file(place));
}

/// Where the file that is to become `place` is written.
pub fn staged_path(place: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(PARTIAL_SUFFIX);
    place.with_file_name(name)
}

/// `renameat2(RENAME_NOREPLACE)`, and where the file system does not know it, a hard link, which
/// does not replace either.
pub fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    let here = rustix::fs::CWD;
    match rustix::fs::renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from).inspect_err(|_| withdraw(to))
        }
        result => Ok(result?),
    }
}

/// The same for a folder, which can have no hard link: where the file system does not know it, a
/// rename after a look, which replaces nothing but an empty folder.
pub fn rename_without_replacing_folder(from: &Path, to: &Path) -> io::Result<()> {
    let here = rustix::fs::CWD;
    match rustix::fs::renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Ok(rustix::fs::rename(from, to)?)
        }
        result => Ok(result?),
    }
}

/// Makes the names in `path`'s folder durable.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    // The folder of a bare name is the current one.
    let named = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = named.unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("sync folder", folder, error))
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot {what} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x.tar");
        stage_whole(&place, b"first").unwrap().publish().unwrap();
        let error = stage_whole(&place, b"second").unwrap().publish().unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert_eq!(std::fs::read(&place).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn an_unpublished_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        drop(StagedFile::create(&folder.path().join("x")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
