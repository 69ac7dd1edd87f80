//! What a restore of rows alone would replace: everything is looked at, and nothing is written.

use super::references::Arrangement;
use super::{Options, data_only, full, preflight, targets};
use crate::archive::reader::ArchiveReader;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::model::table::SequenceState;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::Session;
use crate::pg::{catalog, large_objects, rows};

/// What would be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The tables.
    pub tables: Vec<Replaced>,
    /// The sequences that would be set to something else: as they are, and as they are archived.
    pub sequences: Vec<(SequenceState, SequenceState)>,
    /// How many large objects the archive has.
    pub large_objects: u64,
    /// How many of these are there, and would be replaced.
    pub large_objects_there: u64,
}

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

/// What `--data-only --on-existing truncate` of everything would replace. The session is in no
/// transaction: whoever alters a table waits for no other table's rows to be counted.
///
/// # Errors
/// What would keep the rows from coming back, as far as that shows without a write.
pub fn replaced(
    session: &mut Session,
    reader: &ArchiveReader,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Replacement> {
    observer.phase("counting the rows", None);
    full::bound(session, options)?;
    preflight::check_roles(session, reader.manifest(), &[], options)?;
    session.execute("BEGIN READ ONLY")?;
    let targets = targets::find(session, reader.manifest(), options, observer)?;
    Arrangement::choose(session, &targets)?;
    session.execute("COMMIT")?;
    let mut tables = Vec::new();
    for entry in targets.iter().map(|target| target.entry) {
        interrupt.check()?;
        let now = rows::count(session, &entry.name, entry.extension_rows())?;
        let archived = entry.content.rows;
        tables.push(Replaced { table: entry.name.clone(), now, archived });
    }
    let manifest = reader.manifest();
    let sequences = data_only::sequences_of(manifest, &reader.schema()?, &targets, options);
    let there = catalog::sequences(&mut session.client)?;
    let at = |sequence: &SequenceState| (sequence.last_value, sequence.is_called);
    let sequences = data_only::with_their_own(&sequences, &there, observer)
        .into_iter()
        .filter(|(archived, now)| at(archived) != at(now))
        .map(|(archived, now)| (now.clone(), archived.clone()))
        .collect();
    let oids: Vec<u32> = manifest.large_objects.objects.iter().map(|object| object.oid).collect();
    Ok(Replacement {
        tables,
        sequences,
        large_objects: oids.len() as u64,
        large_objects_there: large_objects::existing(session, &oids)?.len() as u64,
    })
}
