//! Reads the files of a migration project, as they are.

use crate::error::{Error, Kind, Result};
use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Ends the name of a folder that pgark is writing beside another, which begins with a full stop: it is
/// of no project.
pub const UNFINISHED: &str = ".pgark-part";

/// Largest file of a migration project; they are texts.
const LARGEST: u64 = 64 << 20;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct ProjectFile {
    /// Path relative to the project, `/`-separated.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Reads one regular file; symbolic links and everything else are refused.
pub fn read(root: &Path, path: &str) -> Result<ProjectFile> {
    let full = root.join(path);
    let failed =
        |error: std::io::Error| Error::io(format!("cannot read {}", full.display()), error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(&full, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| failed(error.into()))?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::refused(format!("{} is not a regular file", full.display())));
    }
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > LARGEST {
        return Err(Error::refused(format!(
            "{} is larger than {} MiB, too large for a migration's file",
            full.display(),
            LARGEST >> 20
        )));
    }
    Ok(ProjectFile { path: path.to_owned(), mode: metadata.permissions().mode() & 0o777, content })
}

/// Paths of all files below `folder` (relative to `root`), sorted; compiled Python is left out
/// unless `with_compiled`, and so is what a run that was killed has left unfinished.
///
/// # Errors
/// A name that is not UTF-8, a symbolic link, or anything that is neither file nor folder.
pub fn list(root: &Path, folder: &str, with_compiled: bool) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let failed = |error: std::io::Error| {
            Error::io(format!("cannot read folder {}", full.display()), error)
        };
        for entry in std::fs::read_dir(&full).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().into_string().map_err(|name| {
                Error::new(
                    Kind::Refused,
                    format!("the name of {} is not UTF-8", full.join(name).display()),
                )
            })?;
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type().map_err(failed)?;
            let is_unfinished =
                kind.is_dir() && name.starts_with('.') && name.ends_with(UNFINISHED);
            if is_compiled(&name) && !with_compiled || is_unfinished {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            } else {
                return Err(Error::refused(format!(
                    "{} is a symbolic link or a special file; the migrations must be plain files",
                    root.join(path).display()
                )));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a path is one of compiled Python.
pub fn is_compiled(path: &str) -> bool {
    path.split('/').any(|name| name == "__pycache__")
        || path.ends_with(".pyc")
        || path.ends_with(".pyo")
}

/// Whether there is a regular file.
pub fn has_file(root: &Path, path: &str) -> bool {
    rustix::fs::stat(root.join(path))
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile)
}

/// Whether there is anything of this name, a link that leads nowhere too.
pub fn exists(root: &Path, path: &str) -> bool {
    root.join(path).symlink_metadata().is_ok()
}

/// Whether there is a folder.
pub fn has_folder(root: &Path, path: &str) -> bool {
    root.join(path).is_dir()
}
