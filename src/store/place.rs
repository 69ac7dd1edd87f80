//! Where a folder lies: its file system, how much room there is, whether it can be written to.

use crate::error::{Error, Result};
use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is known of a folder's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, without symbolic links.
    pub folder: PathBuf,
    /// `ext4`, `nfs4` …, where the system tells.
    pub file_system: Option<String>,
    /// Where that is mounted.
    pub mounted_at: Option<String>,
    /// Bytes that this user may still write.
    pub free: u64,
    /// Whether files can be made in it.
    pub writable: bool,
    /// Whether the whole file system is for reading alone.
    pub read_only: bool,
}

/// Looks at a folder, and changes nothing.
///
/// # Errors
/// The system's.
pub fn survey(folder: &Path) -> Result<Place> {
    let failed = |error| Error::io(format!("cannot look at {}", folder.display()), error);
    let full = folder.canonicalize().map_err(failed)?;
    let room = rustix::fs::statvfs(&full).map_err(|error| failed(error.into()))?;
    let device = full.metadata().map_err(failed)?.dev();
    let mount =
        mount_of(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), device);
    let read_only = room.f_flag.contains(StatVfsMountFlags::RDONLY);
    // By the effective user, who makes the files.
    let may =
        rustix::fs::accessat(CWD, &full, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    Ok(Place {
        file_system: mount.as_ref().map(|mount| mount.1.clone()),
        mounted_at: mount.map(|mount| mount.0),
        free: room.f_bavail.saturating_mul(room.f_frsize),
        writable: may.is_ok() && !read_only,
        read_only,
        folder: full,
    })
}

impl Place {
    /// When what is written there will be gone, if that is sure: memory, or the layer that a
    /// container writes over its image, which is known by being the root.
    pub fn gone_when(&self) -> Option<&'static str> {
        let mounted_at = self.mounted_at.as_deref();
        match (self.file_system.as_deref()?, mounted_at) {
            ("tmpfs" | "ramfs", _) => Some("the machine restarts"),
            ("overlay" | "aufs" | "fuse.fuse-overlayfs", Some("/")) => {
                Some("this container is replaced")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.folder.display())?;
        match (&self.file_system, &self.mounted_at) {
            (Some(file_system), Some(place)) => write!(out, ", {file_system} at {place}"),
            _ => Ok(()),
        }
    }
}

/// Mount point and file system of a device (proc(5), `/proc/pid/mountinfo`): the last mount of it
/// counts.
fn mount_of(mountinfo: &str, device: u64) -> Option<(String, String)> {
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let fields: Vec<&str> = mount.split(' ').collect();
            let (device, place) = (fields.get(2)?, fields.get(4)?);
            let file_system = kind.split(' ').next()?;
            (*device == wanted).then(|| (place.replace("\\040", " "), file_system.to_owned()))
        })
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_a_device_is_found() {
        let text = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                    30 21 0:42 / /var/my\\040backups rw - nfs4 server:/x rw\nnonsense\n";
        let found = mount_of(text, rustix::fs::makedev(0, 42)).unwrap();
        assert_eq!(found, ("/var/my backups".to_owned(), "nfs4".to_owned()));
        assert_eq!(mount_of(text, rustix::fs::makedev(8, 2)), None);
    }

    #[test]
    fn memory_and_the_layer_of_a_container_do_not_last() {
        let place = |file_system: &str, mounted_at: &str| Place {
            folder: PathBuf::from("/data"),
            file_system: Some(file_system.to_owned()),
            mounted_at: Some(mounted_at.to_owned()),
            free: 0,
            writable: true,
            read_only: false,
        };
        assert_eq!(place("tmpfs", "/data").gone_when(), Some("the machine restarts"));
        assert_eq!(place("overlay", "/").gone_when(), Some("this container is replaced"));
        assert_eq!(place("overlay", "/data").gone_when(), None);
        assert_eq!(place("ext4", "/").gone_when(), None);
    }

    #[test]
    fn a_folder_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let place = survey(folder.path()).unwrap();
        assert!(place.writable && !place.read_only && place.free > 0, "{place:?}");
        assert!(survey(&folder.path().join("nowhere")).is_err());
    }
}
