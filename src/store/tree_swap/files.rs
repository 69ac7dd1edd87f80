//! What an exchange does to single files and folders: names, modes, syncing, removing.

use crate::error::{Error, Result};
use crate::store::durable;
use crate::store::project_files::{ProjectFile, UNFINISHED};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Ends the name of a new folder that waits to be exchanged, and then of the old one until it is parked.
const STAGED: &str = ".pgark-new";

/// Ends the name of an old folder while two renames stand for an exchange.
const ASIDE: &str = ".pgark-old";

/// What a folder is known by, whatever its name: its inode and, where the file system knows, when
/// that was made. Not the device: its number may be another one after a mount or a boot, and renames
/// do not leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inode {
    number: u64,
    /// Nanoseconds since 1970.
    born: Option<u64>,
}

impl Inode {
    /// Whether both are one folder's.
    pub fn is(&self, other: &Self) -> bool {
        let born = self.born.zip(other.born);
        self.number == other.number && born.is_none_or(|(one, other)| one == other)
    }
}

/// The folder and the one that waits beside it change names.
pub fn swap_names(folder: &Path) -> io::Result<()> {
    exchange_names(folder, &staged_path(folder))?;
    durable::sync_folder_of(folder).map_err(io::Error::other)
}

/// One step where the file system knows it; else three renames, of which the journal tells after a
/// crash how far they came.
pub fn exchange_names(folder: &Path, other: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, folder, CWD, other, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = aside_path(folder);
            rustix::fs::rename(folder, &aside)?;
            if let Err(error) = rustix::fs::rename(other, folder) {
                rustix::fs::rename(&aside, folder)?;
                return Err(error.into());
            }
            rustix::fs::rename(&aside, other)?;
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Writes a file durably, whatever a run that was killed has left of it.
pub fn write_anew(place: &Path, content: &[u8]) -> Result<()> {
    drop(std::fs::remove_file(durable::staged_path(place)));
    durable::stage_whole(place, content)?.publish()
}

/// What `path` is below `folder`; empty for the folder itself.
pub fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    match path.strip_prefix(folder)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// Where a new folder is written. No other has such a name, so it can always go.
pub fn part_path(folder: &Path) -> PathBuf {
    beside(folder, UNFINISHED)
}

pub fn staged_path(folder: &Path) -> PathBuf {
    beside(folder, STAGED)
}

pub fn aside_path(folder: &Path) -> PathBuf {
    beside(folder, ASIDE)
}

pub fn beside(folder: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(folder.file_name().unwrap_or_default());
    name.push(ending);
    folder.with_file_name(name)
}

/// The first name beside a folder that nothing has, or that has what is wanted.
pub fn free_name(folder: &Path, ending: &str, is_wanted: impl Fn(&Path) -> bool) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut place = folder.with_file_name(format!("{name}-{ending}"));
    for number in 2.. {
        if place.symlink_metadata().is_err() || is_wanted(&place) {
            break;
        }
        place = folder.with_file_name(format!("{name}-{ending}-{number}"));
    }
    place
}

pub fn inode(path: &Path) -> Result<Inode> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| failed("find", path, error))?;
    if !metadata.is_dir() {
        return Err(Error::refused(format!("{} is not a folder", path.display())));
    }
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born = born.and_then(|since| u64::try_from(since.as_nanos()).ok());
    Ok(Inode { number: metadata.ino(), born })
}

/// Makes a folder with the permissions and, where that is allowed, the owner of another.
pub fn make_folder(folder: &Path, like: &Path) -> Result<()> {
    let metadata = std::fs::metadata(like).map_err(|error| failed("find", like, error))?;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed("make", folder, error))?;
    give_like(folder, &metadata);
    let mode = PermissionsExt::from_mode(metadata.mode() & 0o7777);
    std::fs::set_permissions(folder, mode).map_err(|error| failed("make", folder, error))
}

/// Makes the folders that are missing from `root` down to `folder`.
pub fn make_folders(folder: &Path, root: &Path, like: &Path) -> Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    make_folders(folder.parent().unwrap_or(root), root, like)?;
    make_folder(folder, like)
}

/// Only root may give files away, and only then is it of use.
pub fn give_like(path: &Path, metadata: &std::fs::Metadata) {
    if rustix::process::geteuid().is_root() {
        let (user, group) = (Some(metadata.uid()), Some(metadata.gid()));
        drop(std::os::unix::fs::chown(path, user, group));
    }
}

pub fn write_file(place: &Path, file: &ProjectFile, like: &Path) -> Result<()> {
    let failed = |error| failed("write", place, error);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut out = rustix::fs::open(place, flags, Mode::RUSR | Mode::WUSR)
        .map(File::from)
        .map_err(|error| failed(error.into()))?;
    out.write_all(&file.content).map_err(failed)?;
    if let Ok(metadata) = std::fs::metadata(like) {
        give_like(place, &metadata);
    }
    let mode = PermissionsExt::from_mode(file.mode & 0o777);
    out.set_permissions(mode).and_then(|()| out.sync_all()).map_err(failed)
}

pub fn sync_folders(folder: &Path) -> Result<()> {
    let failed = |error| failed("sync", folder, error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() && !path.is_symlink() {
            sync_folders(&path)?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

pub fn remove_tree(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", folder, error))
        }
        _ => Ok(()),
    }
}

/// Removes `__pycache__` everywhere below a folder: with `sourceless`, what was compiled of
/// revisions that are gone would come back to life.
pub fn remove_compiled(folder: &Path) -> Result<()> {
    let failed = |error| failed("read", folder, error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if !entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        match entry.file_name() == "__pycache__" {
            true => remove_tree(&path)?,
            false => remove_compiled(&path)?,
        }
    }
    Ok(())
}

pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

pub fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let crosses = error.kind() == io::ErrorKind::CrossesDevices;
    let error = Error::io(format!("cannot {what} {}", path.display()), error);
    match crosses {
        true => error.hint("folders of an image, under a container's own layer, cannot be renamed: run in a checkout on a writable file system"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_its_inode_and_by_its_birth_where_there_is_one() {
        let of = |number, born| Inode { number, born };
        assert!(of(1, Some(5)).is(&of(1, Some(5))));
        assert!(of(1, None).is(&of(1, Some(5))));
        assert!(!of(1, Some(6)).is(&of(1, Some(5))));
        assert!(!of(2, None).is(&of(1, None)));
        let folder = tempfile::tempdir().unwrap();
        let (there, moved) = (folder.path().join("a"), folder.path().join("b"));
        make_folder(&there, folder.path()).unwrap();
        let before = inode(&there).unwrap();
        rustix::fs::rename(&there, &moved).unwrap();
        assert!(inode(&moved).unwrap().is(&before));
    }
}
