//! The files of the migration project, as they were.

use super::Summary;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::store::folder::StagedFolder;
use std::path::Path;

/// Writes them into a new or empty folder, with their permission bits; it appears when all of them
/// are there and durable.
pub fn unpack(reader: &ArchiveReader, place: &Path) -> Result<Summary> {
    let Some(bundle) = &reader.manifest().migrations else {
        return Err(Error::new(Kind::NotFound, "the archive holds no migration project"));
    };
    let mut folder = StagedFolder::create(place)?;
    let mut bytes = 0;
    for file in &bundle.files {
        // The manifest was checked: the member has this file's size and SHA-256.
        let content = reader.file(&format!("migrations/{}", file.path))?;
        bytes += content.len() as u64;
        folder.add(&file.path, file.mode, &content)?;
    }
    folder.publish()?;
    Ok(Summary {
        what: format!("the {} project", bundle.tool),
        rows: None,
        files: Some(bundle.files.len()),
        bytes,
    })
}
