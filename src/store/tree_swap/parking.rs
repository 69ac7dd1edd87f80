//! Whether old folders can go where they are to be parked: seen before anything is done.

use super::files::failed;
use crate::error::{Error, Result};
use rustix::fs::{Access, AtFlags, CWD};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Looks whether `folders` can be exchanged and then parked at `place`, which must lie in none of
/// `locations`, where Alembic looks for revisions; all are relative to `root`. Changes nothing. A rename
/// leads no further than a file system.
///
/// # Errors
/// [`Refused`](crate::error::Kind::Refused), with what is in the way; without a hint where another
/// place would help.
pub fn check_parking(
    root: &Path,
    place: &str,
    folders: &[String],
    locations: &[String],
) -> Result<()> {
    let root = resolved(root)?;
    let place = root.join(place);
    if place.symlink_metadata().is_ok() {
        return Err(Error::refused(format!("{} exists already", place.display())));
    }
    let above = place.ancestors().skip(1).find(|above| above.symlink_metadata().is_ok());
    let above = resolved(above.unwrap_or(&root))?;
    if !above.is_dir() {
        return Err(Error::refused(format!("{} is not a folder", above.display())));
    }
    if !above.starts_with(&root) {
        return Err(Error::refused(format!(
            "{} lies outside of the project, in {}",
            place.display(),
            above.display()
        )));
    }
    check_writable(&above)?;
    for location in locations {
        let location = resolved(&root.join(location))?;
        if above.starts_with(&location) {
            return Err(Error::refused(format!(
                "{} lies in {}, where Alembic looks for revisions",
                place.display(),
                location.display()
            )));
        }
    }
    for folder in folders {
        let named = root.join(folder);
        if named.is_symlink() {
            return Err(Error::refused(format!(
                "{} is a symbolic link, which cannot be exchanged",
                named.display()
            ))
            .hint("put the folder itself in its place"));
        }
        let folder = resolved(&root.join(folder))?;
        let beside = folder.parent().unwrap_or(&root);
        if device(&folder)? != device(beside)? {
            return Err(Error::refused(format!(
                "{} is a file system of its own, which cannot be exchanged",
                folder.display()
            ))
            .hint("run where the project's folder is mounted as a whole"));
        }
        if device(beside)? != device(&above)? {
            return Err(Error::refused(format!(
                "{} lies on another file system than {}",
                place.display(),
                folder.display()
            )));
        }
        check_writable(beside)?;
    }
    Ok(())
}

fn resolved(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| failed("find", path, error))
}

fn device(path: &Path) -> Result<u64> {
    path.metadata().map(|found| found.dev()).map_err(|error| failed("find", path, error))
}

fn check_writable(folder: &Path) -> Result<()> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, folder, access, AtFlags::EACCESS).map_err(|error| {
        Error::refused(format!("{} cannot be written to", folder.display()))
            .caused_by(std::io::Error::from(error))
            .hint("run as the user that the project belongs to")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_not_parked_on_another_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let is_other = |place: &Path| {
            let there = place.is_dir() && check_writable(place).is_ok();
            there && device(place).unwrap() != device(folder.path()).unwrap()
        };
        let other = ["/dev/shm", "/dev", "/run", "/var/tmp"]
            .map(Path::new)
            .into_iter()
            .find(|place| is_other(place));
        let other = other.expect("a folder on another file system than that of temporary files");
        let inside = folder.path().join("versions");
        crate::store::tree_swap::files::make_folder(&inside, folder.path()).unwrap();
        let inside = inside.strip_prefix("/").unwrap().to_str().unwrap().to_owned();
        let inside = [inside];
        let park = |place: &str| check_parking(Path::new("/"), place, &inside, &inside);
        let beside = folder.path().strip_prefix("/").unwrap().join("old");
        park(beside.to_str().unwrap()).unwrap();
        let elsewhere = other.strip_prefix("/").unwrap().join("pgark-nobody-has-this");
        let error = park(elsewhere.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("another file system"), "{error}");
    }
}
