//! What a file that the user names may take the place of.

use crate::error::{Error, Kind, Result};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Fails unless something new may be put at `place`: what is there is a regular file and may be
/// replaced, or there is nothing; and it is no part of a repository, nor `source`, which is being
/// read.
///
/// # Errors
/// [`Kind::Refused`], and the system's.
pub fn check_place(place: &Path, source: &Path, replace: bool) -> Result<()> {
    let failed =
        |path: &Path, error| Error::io(format!("cannot look at {}", path.display()), error);
    let there = match place.symlink_metadata() {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(place, error)),
    };
    if let Some(there) = &there
        && !there.is_dir()
        && !there.is_file()
    {
        return Err(Error::refused(format!("{} is not a regular file", place.display()))
            .hint("name the file itself, or leave --output away: the content then goes to standard output"));
    }
    check_outside(place)?;
    let Some(there) = there else { return Ok(()) };
    let read = source.metadata().map_err(|error| failed(source, error))?;
    if (there.dev(), there.ino()) == (read.dev(), read.ino()) {
        let text = format!("{} is the archive that is read", place.display());
        return Err(Error::refused(text).hint("name another file"));
    }
    let taken = format!("{} exists already", place.display());
    match (there.is_dir(), replace) {
        (true, _) => Err(Error::new(Kind::Refused, format!("{taken}, and is a folder"))
            .hint("name a file in it")),
        (false, true) => Ok(()),
        (false, false) => {
            Err(Error::refused(taken).hint("name another file, or replace it with --force"))
        }
    }
}

/// Fails where `place` lies among the archives or manifests of a repository.
///
/// # Errors
/// [`Kind::Refused`].
pub fn check_outside(place: &Path) -> Result<()> {
    match repository_around(place) {
        Some(repository) => Err(Error::refused(format!(
            "{} lies in the repository {}, where only backups are written",
            place.display(),
            repository.display()
        ))
        .hint("name a place outside it")),
        None => Ok(()),
    }
}

/// The repository whose archives or manifests `place` would lie among. A place whose folder cannot
/// be looked at is none that can be written to.
fn repository_around(place: &Path) -> Option<PathBuf> {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    let is_part = |folder: &&Path| {
        let name = folder.file_name().unwrap_or_default();
        let beside = |other: &str| folder.with_file_name(other).is_dir();
        (name == "backups" && beside("manifests")) || (name == "manifests" && beside("backups"))
    };
    folder.ancestors().find(is_part)?.parent().map(Path::to_owned)
}
