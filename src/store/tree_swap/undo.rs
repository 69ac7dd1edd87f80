//! The way back: old folders get their names again. Of the new ones, nothing goes that others have put
//! into them meanwhile.

use super::files::{
    aside_path, exchange_names, failed, free_name, inode, part_path, remove_compiled, remove_tree,
    sha256, staged_path,
};
use super::journal::{Entry, Journal};
use super::{Exchange, durable, project_files};
use crate::error::{Error, Result};
use crate::model::name::enumerate;
use std::path::{Path, PathBuf};

impl Exchange {
    /// Gives the old folders their names back, and removes the new ones. One that holds anything
    /// but what was written is kept beside the old one; the answer is what that is.
    ///
    /// # Errors
    /// The journal stays, and the next run tries again.
    pub fn undo(self) -> Result<Vec<PathBuf>> {
        let mut others = Vec::new();
        for entry in &self.entries {
            self.put_back(entry)?;
            others.extend(self.put_away(entry)?);
        }
        Journal::remove(&self.root)?;
        Ok(others)
    }

    /// The reason for which the exchange is undone, and what became of that.
    pub fn undone(self, error: Error) -> Error {
        match self.undo() {
            Ok(others) if others.is_empty() => error,
            Ok(others) => error.while_doing(format!(
                "the old migrations are back; what others have put into the new ones meanwhile is kept: {}",
                named(&others)
            )),
            Err(second) => error
                .while_doing(format!("the old migrations could not be put back ({second})"))
                .hint(
                    "run pgark migrations consolidate or rollback again: it puts them back first",
                ),
        }
    }

    fn put_back(&self, entry: &Entry) -> Result<()> {
        let folder = self.root.join(&entry.folder);
        let failed = |error| failed("put back", &folder, error);
        let Some(old) = self.old_place(entry) else {
            return Err(Error::failed(format!("the old {} is not there", folder.display())));
        };
        if old == folder {
            return Ok(());
        }
        // Of three renames, the last is missing: what has the name makes way.
        if old == aside_path(&folder) && folder.exists() {
            durable::rename_without_replacing_folder(&folder, &staged_path(&folder))
                .map_err(failed)?;
        }
        match folder.exists() {
            true => exchange_names(&folder, &old).map_err(failed)?,
            false => {
                durable::rename_without_replacing_folder(&old, &folder).map_err(failed)?;
            }
        }
        durable::sync_folder_of(&folder)
    }

    /// Removes the new folder, or keeps it: the answer is what others have put into it.
    fn put_away(&self, entry: &Entry) -> Result<Vec<PathBuf>> {
        let folder = self.root.join(&entry.folder);
        let is_new = |place: &Path| inode(place).is_ok_and(|found| found.is(&entry.new));
        let kept = free_name(&folder, "undone", is_new);
        let places = [
            part_path(&folder),
            staged_path(&folder),
            aside_path(&folder),
            self.root.join(&entry.parked),
            kept.clone(),
        ];
        let Some(new) = places.into_iter().find(|place| is_new(place)) else {
            return Ok(Vec::new());
        };
        remove_compiled(&new)?;
        let others = others(&new, entry);
        if others.is_empty() {
            return remove_tree(&new).map(|()| others);
        }
        if new != kept {
            durable::rename_without_replacing_folder(&new, &kept)
                .map_err(|error| failed("keep", &new, error))?;
            durable::sync_folder_of(&kept)?;
        }
        Ok(others.iter().map(|path| kept.join(path)).collect())
    }
}

/// The files of a new folder that are not byte for byte what was staged; the folder itself where it
/// holds what is no file.
fn others(new: &Path, entry: &Entry) -> Vec<PathBuf> {
    let Ok(paths) = project_files::list(new, "", true) else { return vec![PathBuf::new()] };
    let is_staged = |path: &String| {
        let content = project_files::read(new, path).map(|file| sha256(&file.content));
        content.is_ok_and(|content| entry.staged.get(path) == Some(&content))
    };
    paths.into_iter().filter(|path| !is_staged(path)).map(PathBuf::from).collect()
}

/// Paths, for people.
pub fn named(paths: &[PathBuf]) -> String {
    enumerate(&paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())
}
