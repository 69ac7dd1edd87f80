//! Rows of extensions' tables that are not the extensions' own. Which those are, the server's own
//! catalog says: an archive's word for it is compared with that, and never run.

use crate::archive::manifest::{Manifest, TableEntry};
use crate::error::{Error, Result};
use crate::model::condition::Condition;
use crate::model::name::Printable;
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::session::Session;

/// What keeps `there` from being taken for the archive's table, if it is an extension's table.
pub fn mismatch(entry: &TableEntry, there: &CatalogTable) -> Option<String> {
    let extension = entry.extension.as_ref()?;
    if there.extension.as_ref() != Some(extension) {
        return Some(format!("{} does not belong to the extension {extension}", entry.name));
    }
    let is_here = |name: &str| there.columns.iter().any(|column| column.name == name);
    if let Some(column) = entry.columns.iter().find(|column| !is_here(&column.name)) {
        return Some(format!(
            "{}, as extension {extension} makes it, has no column {}",
            entry.name,
            Printable(&column.name)
        ));
    }
    if there.condition == entry.condition {
        return None;
    }
    let words = |condition: Option<&Condition>| {
        condition.map_or_else(|| String::from("all rows"), Condition::to_string)
    };
    Some(format!(
        "of {}, the extension {extension} leaves to others \"{}\", and \"{}\" in the archive",
        entry.name,
        words(there.condition.as_ref()),
        words(entry.condition.as_ref())
    ))
}

/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) where the extensions that the database has mean
/// other rows than those that the archive holds.
pub fn check(session: &mut Session, manifest: &Manifest) -> Result<()> {
    if manifest.tables.iter().all(|table| table.extension.is_none()) {
        return Ok(());
    }
    let there = catalog::tables(&mut session.client)?;
    let found: Vec<String> = manifest
        .tables
        .iter()
        .filter_map(|entry| Some((entry, there.iter().find(|table| table.name == entry.name)?)))
        .filter_map(|(entry, table)| mismatch(entry, table))
        .collect();
    if found.is_empty() { Ok(()) } else { Err(refused(&found)) }
}

/// The refusal for what [`mismatch`] has found.
pub fn refused(found: &[String]) -> Error {
    Error::refused(format!(
        "the archive's rows of extensions' tables are others than the server's: {}",
        found.join("; ")
    ))
    .hint(
        "use the version of the extension that the archive was made with; where a table was altered, create \
         the extension in the target and alter it there first",
    )
}
