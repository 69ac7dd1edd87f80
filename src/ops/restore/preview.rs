//! What a restore of rows alone would replace: everything is looked at, and nothing is written.

use super::references::Arrangement;
use super::{Options, full, preflight, targets};
use crate::archive::reader::ArchiveReader;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::rows;
use crate::pg::session::Session;

/// A table whose rows would be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The table.
    pub table: QualifiedName,
    /// How many rows it has.
    pub now: u64,
    /// How many it has in the archive.
    pub archived: u64,
}

/// The tables whose rows `--data-only --on-existing truncate` would replace. The session is in
/// no transaction: whoever alters a table waits for no other table's rows to be counted.
///
/// # Errors
/// What would keep the rows from coming back, as far as that shows without a write.
pub fn replaced(
    session: &mut Session,
    reader: &ArchiveReader,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<Replaced>> {
    observer.phase("counting the rows", None);
    full::bound(session, options)?;
    preflight::check_roles(session, reader.manifest(), &[], options)?;
    session.execute("BEGIN READ ONLY")?;
    let targets = targets::find(session, reader.manifest(), options, observer)?;
    Arrangement::choose(session, &targets)?;
    session.execute("COMMIT")?;
    let mut found = Vec::new();
    for entry in targets.iter().map(|target| target.entry) {
        interrupt.check()?;
        let now = rows::count(session, &entry.name, entry.extension_rows())?;
        let archived = entry.content.rows;
        found.push(Replaced { table: entry.name.clone(), now, archived });
    }
    Ok(found)
}
