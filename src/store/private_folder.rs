//! A folder for what a run needs for a while: only its owner may look into it, and it is removed in
//! the end.

use super::durable;
use crate::error::{Error, Result};
use rustix::fs::{Gid, Uid};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The folder.
pub struct PrivateFolder {
    folder: tempfile::TempDir,
}

impl PrivateFolder {
    /// Makes one among the system's temporary files.
    pub fn create() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("pgark-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|error| Error::io("cannot make a temporary folder", error))?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into it, with the folders above it, which nobody else may read, and gives its
    /// path.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let place = self.path().join(name);
        let above = place.parent().unwrap_or(self.path());
        std::fs::create_dir_all(above)
            .map_err(|error| Error::io(format!("cannot make {}", above.display()), error))?;
        durable::stage_whole(&place, content)?.publish()?;
        Ok(place)
    }

    /// Gives the folder, and what it holds directly, to another user.
    pub fn give_to(&self, user: u32, group: u32) -> Result<()> {
        let give = |path: &Path| {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            rustix::fs::chown(path, Some(user), Some(group)).map_err(|error| {
                Error::io(format!("cannot give {} away", path.display()), error.into())
            })
        };
        let failed = |error| Error::io("cannot read a temporary folder", error);
        for entry in std::fs::read_dir(self.path()).map_err(failed)? {
            give(&entry.map_err(failed)?.path())?;
        }
        give(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_may_look_into_it_and_it_goes() {
        let folder = PrivateFolder::create().unwrap();
        let file = folder.write("secret", b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&file)), (0o700, 0o600));
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
