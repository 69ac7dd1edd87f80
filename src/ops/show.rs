//! `pgark show`: what one archive's manifest says.

use super::locate;
use super::observer::Observer;
use crate::archive::manifest::Manifest;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// What was found of an archive.
#[derive(Debug)]
pub struct Shown {
    /// Its file.
    pub path: PathBuf,
    /// Bytes of the file, if it is there.
    pub size: Option<u64>,
    /// The manifest's bytes.
    pub json: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// Why the manifest had to be taken from `manifests/`: the archive is damaged or gone.
    pub problem: Option<Error>,
}

/// Reads the manifest inside the archive; all headers of the file are looked at for that.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::Damaged`] when there is no copy of the manifest either.
pub fn run(wanted: &str, repository: &Path, observer: &dyn Observer) -> Result<Shown> {
    let path = locate::archive(wanted, repository, observer)?;
    let size = std::fs::metadata(&path).ok().map(|metadata| metadata.len());
    let problem = match ArchiveReader::open(&path) {
        Ok(reader) => {
            let (json, manifest) = (reader.manifest_json()?, reader.into_manifest());
            return Ok(Shown { path, size, json, manifest, problem: None });
        }
        Err(error) if !matches!(error.kind(), Kind::Damaged | Kind::NotFound) => return Err(error),
        Err(error) => error,
    };
    let Some((repository, name)) = locate::place(&path) else { return Err(problem) };
    let Some(json) = repository.manifest(&name)? else { return Err(problem) };
    match Manifest::from_json(&json) {
        Ok(manifest) => Ok(Shown { path, size, json, manifest, problem: Some(problem) }),
        Err(_) => Err(problem),
    }
}
