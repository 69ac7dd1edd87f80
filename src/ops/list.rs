//! `pgark list`: what is in a repository.

use crate::archive::manifest::Manifest;
use crate::error::Result;
use crate::store::repository::Repository;
use std::path::Path;

/// One archive of a repository.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<Manifest, String>,
    /// Bytes of its file, if that is there.
    pub size: Option<u64>,
}

/// The archives of a repository, the oldest first.
pub fn run(repository: &Path) -> Result<Vec<Listed>> {
    let repository = Repository::at(repository)?;
    let mut listed = Vec::new();
    for name in repository.names()? {
        let Some(json) = repository.manifest(&name)? else { continue };
        let size = repository.archive_size(&name);
        let manifest = Manifest::from_json(&json).map_err(|error| error.to_string());
        listed.push(Listed { name, manifest, size });
    }
    listed.sort_by_key(|archive| {
        archive.manifest.as_ref().map(|manifest| manifest.started).unwrap_or_default()
    });
    Ok(listed)
}
