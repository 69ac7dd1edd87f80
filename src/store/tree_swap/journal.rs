//! What an exchange of folders writes down before it begins, so that the next run can end or undo it.

use super::files::{Inode, failed, write_anew};
use crate::error::{Error, Result};
use crate::store::durable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Its name in the project's folder.
const NAME: &str = ".pgark-swap.json";

const FORMAT: u32 = 4;

/// What a person does whom nothing else helps.
pub(super) const BY_HAND: &str = "bring the migrations into order by hand, from the parked folder or from the archive, and remove that file";

/// What is under way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    format: u32,
    /// The archive that holds the files of before a consolidation: the one that is under way, or the
    /// one that is rolled back.
    archive: String,
    pub(super) swaps: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) folder: String,
    pub(super) parked: String,
    pub(super) companion: Option<(String, String, u32)>,
    pub(super) old: Inode,
    pub(super) new: Inode,
    /// SHA-256 of what the new folder was given, by paths below it.
    pub(super) staged: BTreeMap<String, String>,
}

/// All formats say which they are.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Whether an exchange in this project was begun and has not ended.
pub fn pending(root: &Path) -> bool {
    place(root).exists()
}

/// The name of the archive that it is about.
///
/// # Errors
/// A journal that cannot be read.
pub fn pending_archive(root: &Path) -> Result<Option<String>> {
    Ok(Journal::read(root)?.map(|journal| journal.archive))
}

pub(super) fn place(root: &Path) -> PathBuf {
    root.join(NAME)
}

impl Journal {
    pub(super) fn new(archive: &str, swaps: &[Entry]) -> Self {
        Self { format: FORMAT, archive: archive.to_owned(), swaps: swaps.to_vec() }
    }

    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::failed("cannot write the journal").caused_by(error))?;
        write_anew(&place(root), &json)
    }

    /// None where nothing is under way.
    pub(super) fn read(root: &Path) -> Result<Option<Self>> {
        let place = place(root);
        let json = match std::fs::read(&place) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &place, error)),
        };
        let unreadable = |error| {
            Error::damaged(format!("{} cannot be read", place.display()))
                .caused_by(error)
                .hint(BY_HAND)
        };
        let Format { format } = serde_json::from_slice(&json).map_err(unreadable)?;
        if format != FORMAT {
            return Err(Error::refused(format!(
                "{} is of format {format}, and this pgark knows format {FORMAT}",
                place.display()
            ))
            .hint(format!(
                "run the pgark that wrote it again, which ends what it began; or {BY_HAND}"
            )));
        }
        serde_json::from_slice(&json).map(Some).map_err(unreadable)
    }

    pub(super) fn remove(root: &Path) -> Result<()> {
        let place = place(root);
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &place, error))
            }
            _ => durable::sync_folder_of(&place),
        }
    }
}
