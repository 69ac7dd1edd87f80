//! Files that a project lacks, brought back one by one beside an exchange of folders.

use super::files::{failed, give_like, make_folder};
use super::{ProjectFile, ProjectLock};
use crate::error::Result;
use crate::store::durable;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files that were not there before. Dropped, they are removed again.
#[derive(Default)]
pub struct Added {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl ProjectLock {
    /// Writes files that are not there, each whole and durable, with their folders.
    ///
    /// # Errors
    /// A name that is taken. Whatever fails, the project is as it was.
    pub fn add(&self, files: &[ProjectFile]) -> Result<Added> {
        let mut added = Added::default();
        for file in files {
            let place = self.root.join(&file.path);
            added.make_folders(place.parent().unwrap_or(&self.root), &self.root)?;
            added.write(&place, file, &self.root)?;
        }
        Ok(added)
    }
}

impl Added {
    /// They stay.
    pub fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }

    fn make_folders(&mut self, folder: &Path, root: &Path) -> Result<()> {
        if folder == root || folder.is_dir() {
            return Ok(());
        }
        self.make_folders(folder.parent().unwrap_or(root), root)?;
        make_folder(folder, root)?;
        self.folders.push(folder.to_owned());
        durable::sync_folder_of(folder)
    }

    fn write(&mut self, place: &Path, file: &ProjectFile, like: &Path) -> Result<()> {
        let failed = |error| failed("write", place, error);
        // What a run that was killed has left of it.
        drop(std::fs::remove_file(durable::staged_path(place)));
        let staged = durable::stage_whole(place, &file.content)?;
        give_like(staged.path(), &std::fs::metadata(like).map_err(failed)?);
        let mode = PermissionsExt::from_mode(file.mode & 0o777);
        std::fs::set_permissions(staged.path(), mode).map_err(failed)?;
        staged.publish()?;
        self.files.push(place.to_owned());
        Ok(())
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        // What cannot be removed now is the archive's own file, and no harm.
        for file in self.files.drain(..) {
            drop(std::fs::remove_file(file));
        }
        for folder in self.folders.drain(..).rev() {
            drop(std::fs::remove_dir(folder));
        }
    }
}
