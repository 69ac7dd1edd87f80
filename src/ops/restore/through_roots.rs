//! Rows of partitions that the server itself puts where they belong there.

use super::Options;
use crate::archive::manifest::Manifest;
use crate::error::Result;
use crate::pg::partitions;
use crate::pg::session::Session;
use std::borrow::Cow;

/// What is loaded through what: as the manifest says, or, where that was asked for, all partitions through
/// the partitioned tables that are there.
///
/// # Errors
/// The server's.
pub fn chosen<'a>(
    session: &mut Session,
    manifest: &'a Manifest,
    options: &Options,
) -> Result<Cow<'a, Manifest>> {
    if !options.through_roots {
        return Ok(Cow::Borrowed(manifest));
    }
    let roots = partitions::roots(&mut session.client)?;
    let mut manifest = manifest.clone();
    for table in manifest.tables.iter_mut().filter(|table| table.extension.is_none()) {
        if let Some(root) = roots.get(&table.name) {
            table.load_through = Some(root.clone());
        }
    }
    Ok(Cow::Owned(manifest))
}
