//! Rows into tables that are there, in one transaction: proved before it is committed.
//!
//! Match tables and columns → check what is there → choose how triggers and foreign keys are kept
//! quiet → load and prove each table → sequences, large objects, materialized views → check the
//! foreign keys → commit. Until the commit nothing has happened.

use super::references::Arrangement;
use super::targets::{self, Target};
use super::{
    NOTHING_WRITTEN, OnExisting, Options, Proof, Summary, load, preflight, refusals, rows,
    tell_target, through_roots,
};
use crate::archive::manifest::Manifest;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::name::{QualifiedName, enumerate};
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::model::table::SequenceState;
use crate::ops::interrupt::Interrupt;
use crate::ops::lock_wait;
use crate::ops::observer::Observer;
use crate::ops::scan;
use crate::pg::ident::quote_qualified;
use crate::pg::session::{Purpose, Session};
use crate::pg::{catalog, large_objects, target};
use crate::rules::large_object_digest::LargeObjectContent;
use std::collections::BTreeSet;
use std::time::Duration;

/// Restores the rows.
pub fn run(
    reader: &ArchiveReader,
    options: &Options,
    on_existing: OnExisting,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let mut session = prepare(reader, options, observer, interrupt)
        .map_err(|error| interrupt.leaving(error, NOTHING_WRITTEN))?;
    session.execute("BEGIN")?;
    session.execute(&format!("SET LOCAL lock_timeout = {}", options.lock_timeout.as_millis()))?;
    session.execute("SET LOCAL synchronous_commit = on")?;
    let summary = in_transaction(&mut session, reader, options, on_existing, observer, interrupt)
        .and_then(|summary| interrupt.check().map(|()| summary))
        .map_err(|error| {
            interrupt.leaving(error, "the transaction was rolled back: nothing was changed")
        })?;
    session.execute("COMMIT")?;
    Ok(summary)
}

/// A session with a database that takes rows.
fn prepare(
    reader: &ArchiveReader,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Session> {
    let mut session = interrupt.open(&options.connection, None, Purpose::Write)?;
    session.check_not_pooled()?;
    target::lock(&mut session)?;
    target::check_unmarked(&mut session)?;
    options.search_path.check(&mut session)?;
    tell_target("loading rows into", &session.facts.database, &session, observer);
    preflight::check_roles(&mut session, reader.manifest(), &[], options)?;
    Ok(session)
}

fn in_transaction(
    session: &mut Session,
    reader: &ArchiveReader,
    options: &Options,
    on_existing: OnExisting,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let manifest = &*through_roots::chosen(session, reader.manifest(), options)?;
    observer.phase("matching tables and columns", None);
    let targets = targets::find(session, manifest, options, observer)?;
    rows::check_ways(session, &targets, on_existing)?;
    let mut arrangement = Arrangement::choose(session, &targets)?;
    let alone = on_existing == OnExisting::Truncate || arrangement.alters_keys();
    let process = session.process();
    lock_wait::told(&options.connection, None, process, observer, || {
        targets::lock(session, &targets, alone)
    })?;
    if on_existing == OnExisting::Error {
        targets::check_no_rows(session, &targets)?;
    }
    observer.note(&format!("triggers and foreign keys: {}", arrangement.describe()));
    arrangement.apply(session)?;
    if on_existing == OnExisting::Truncate {
        rows::empty(session, &targets)?;
    }
    let through = rows::LoadedThrough::before(session, &targets)?;

    let archived_rows: u64 = targets.iter().map(|target| target.entry.content.rows).sum();
    let total = targets.iter().map(|target| target.entry.content.bytes).sum();
    observer.phase("loading the rows", Some(total));
    let mut loaded = 0;
    for position in arrangement.order() {
        interrupt.check()?;
        let load = rows::Load {
            reader,
            entry: targets[position].entry,
            split: arrangement.may_be_split(position),
            search_path: &options.search_path,
            observer,
            interrupt,
        };
        loaded +=
            load.run(session, targets[position].oid, on_existing).map_err(refusals::explained)?;
    }
    through.prove(session, &targets)?;
    arrangement.settle(session, &targets, observer)?;
    let with_large_objects = options.selection.is_everything();
    let count = match with_large_objects {
        true => restore_large_objects(session, reader, options, on_existing, observer, interrupt)?,
        false => 0,
    };
    let objects = reader.schema()?;
    let stale = refresh(session, &objects, &targets, options, observer, interrupt)?;
    // Last, because a role that does not own a sequence can only set it beside the transaction.
    let sequences = sequences_of(manifest, &objects, &targets, options);
    let sequences = set_sequences(session, &sequences, on_existing, observer, interrupt)?;
    Ok(Summary {
        archive: manifest.name.clone(),
        database: session.facts.database.clone(),
        kept_as: None,
        created_roles: Vec::new(),
        tables: targets.len(),
        rows: loaded,
        sequences,
        large_objects: count,
        objects: 0,
        left_out: Vec::new(),
        way: Some(arrangement.describe()),
        proof: match on_existing {
            OnExisting::Error | OnExisting::Truncate => Proof::Equal,
            OnExisting::Append => Proof::Added,
            OnExisting::Skip => Proof::AddedNew,
            OnExisting::Upsert => Proof::Contained,
        },
        skipped: archived_rows.saturating_sub(loaded),
        stale,
        refused_settings: Vec::new(),
        changed_members: Vec::new(),
        elapsed: Duration::ZERO,
        whole: true,
        not_in_archive: Vec::new(),
    })
}

/// The loaded tables, and the partitioned tables above them.
fn loaded_names<'a>(targets: &'a [Target<'_>]) -> BTreeSet<&'a QualifiedName> {
    targets.iter().flat_map(|target| target.above.iter().chain([&target.entry.name])).collect()
}

/// The archive's sequences that go with the loaded tables: those that they own, that their
/// defaults use, and all where everything is restored.
pub fn sequences_of<'a>(
    manifest: &'a Manifest,
    objects: &[SchemaObject],
    targets: &[Target<'_>],
    options: &Options,
) -> Vec<&'a SequenceState> {
    let loaded = loaded_names(targets);
    let used = used_sequences(objects, &loaded);
    let goes_along = |archived: &&SequenceState| match &archived.owned_by {
        Some(owner) if loaded.contains(&owner.table) => true,
        _ => options.selection.is_everything() || used.contains(&archived.name),
    };
    manifest.sequences.iter().filter(goes_along).collect()
}

/// The archive's sequences, each with the one there that is its own: of the same column, or name.
pub fn with_their_own<'a>(
    sequences: &[&'a SequenceState],
    there: &'a [SequenceState],
    observer: &dyn Observer,
) -> Vec<(&'a SequenceState, &'a SequenceState)> {
    let mut pairs = Vec::new();
    for &archived in sequences {
        let same_column = |other: &&SequenceState| {
            archived.owned_by.is_some() && other.owned_by == archived.owned_by
        };
        let same_name = |other: &&SequenceState| other.name == archived.name;
        match there.iter().find(same_column).or(there.iter().find(same_name)) {
            Some(own) => pairs.push((archived, own)),
            None => observer.warn(&format!("there is no sequence {} to set", archived.name)),
        }
    }
    pairs
}

/// Sets sequences. Those that can only be set beside the transaction come after all others.
fn set_sequences(
    session: &mut Session,
    sequences: &[&SequenceState],
    on_existing: OnExisting,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<usize> {
    let there = catalog::sequences(&mut session.client)?;
    let mut set = 0;
    let mut at_once = Vec::new();
    for (archived, sequence) in with_their_own(sequences, &there, observer) {
        let position = match on_existing {
            OnExisting::Error | OnExisting::Truncate => (archived.last_value, archived.is_called),
            OnExisting::Append | OnExisting::Skip | OnExisting::Upsert => {
                farther(archived, sequence)
            }
        };
        if !crate::pg::rows::set_sequence(session, sequence, position)? {
            at_once.push((sequence, position));
        }
        set += 1;
    }
    // A rollback would not undo these: what can refuse one of them is looked at before the first.
    let mut refused = Vec::new();
    for (sequence, (value, _)) in &at_once {
        if !crate::pg::rows::may_set_sequence(&mut session.client, sequence, *value)? {
            refused.push(sequence.name.to_string());
        }
    }
    if !refused.is_empty() {
        return Err(Error::refused(format!(
            "there is no privilege to set sequences, or their bounds forbid it: {}",
            enumerate(&refused)
        ))
        .hint("restore as the sequences' owner, or GRANT UPDATE on them"));
    }
    interrupt.check()?;
    for (sequence, position) in at_once {
        crate::pg::rows::set_sequence_at_once(session, sequence, position)?;
    }
    Ok(set)
}

/// Sequences that defaults of loaded tables take their values from, whoever owns them.
fn used_sequences(
    objects: &[SchemaObject],
    loaded: &BTreeSet<&QualifiedName>,
) -> BTreeSet<QualifiedName> {
    let of_loaded = |object: &&SchemaObject| {
        object.class == ObjectClass::Default
            && object.part_of.as_ref().is_some_and(|table| loaded.contains(table))
    };
    objects
        .iter()
        .filter(of_loaded)
        .flat_map(|default| &default.depends_on)
        .map(|position| &objects[*position])
        .filter(|object| object.class == ObjectClass::Sequence)
        .filter_map(|sequence| {
            Some(QualifiedName::new(sequence.schema.clone()?, sequence.name.clone()))
        })
        .collect()
}

/// The position of the two that has given out more values, in the direction of the count.
fn farther(one: &SequenceState, other: &SequenceState) -> (i64, bool) {
    let rank = |state: &SequenceState| {
        let value = i128::from(state.last_value);
        (if one.descending { -value } else { value }, state.is_called)
    };
    let farthest = if rank(one) >= rank(other) { one } else { other };
    (farthest.last_value, farthest.is_called)
}

/// Fills anew the materialized views that were filled in the source and read loaded tables, and
/// gives the names of those that could not be.
fn refresh(
    session: &mut Session,
    objects: &[SchemaObject],
    targets: &[Target<'_>],
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let loaded = loaded_names(targets);
    // Objects stand after what they depend on.
    let mut reads = vec![false; objects.len()];
    for (position, object) in objects.iter().enumerate() {
        let is_loaded = object.class == ObjectClass::Table
            && loaded.iter().any(|table| {
                object.schema.as_ref() == Some(&table.schema) && object.name == table.name
            });
        reads[position] = is_loaded || object.depends_on.iter().any(|needed| reads[*needed]);
    }
    let mut stale = Vec::new();
    session.execute("SET LOCAL row_security = on")?;
    for (object, reads) in objects.iter().zip(reads) {
        if object.class != ObjectClass::MaterializedViewData || !reads {
            continue;
        }
        let view = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        session.execute("SAVEPOINT before_refresh")?;
        // Not the archive's statement: nothing of its SQL runs here.
        let sql = format!("REFRESH MATERIALIZED VIEW {}", quote_qualified(&view));
        let filled = options
            .search_path
            .during(session, |session| session.run_single(&sql, &format!("cannot fill {object}")));
        if let Err(error) = filled {
            interrupt.check()?;
            session.execute("ROLLBACK TO SAVEPOINT before_refresh")?;
            let cause = error.causes().next();
            observer.warn(&format!("{error}: {}", cause.unwrap_or_default()));
            stale.push(view.to_string());
        }
        session.execute("RELEASE SAVEPOINT before_refresh")?;
    }
    session.execute("SET LOCAL row_security = off")?;
    Ok(stale)
}

fn restore_large_objects(
    session: &mut Session,
    reader: &ArchiveReader,
    options: &Options,
    on_existing: OnExisting,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<u64> {
    let archived = &reader.manifest().large_objects;
    let oids: Vec<u32> = archived.objects.iter().map(|object| object.oid).collect();
    if oids.is_empty() {
        return Ok(0);
    }
    let there = large_objects::existing(session, &oids)?;
    let mut keep = Vec::new();
    match on_existing {
        OnExisting::Error | OnExisting::Append if !there.is_empty() => {
            return Err(Error::refused(format!(
                "{} of the archive's large objects are there already, the first with OID {}",
                there.len(),
                there[0]
            ))
            .hint("--on-existing truncate or upsert replaces them, skip leaves them"));
        }
        OnExisting::Truncate | OnExisting::Upsert => large_objects::remove(session, &there)?,
        OnExisting::Skip => keep = there,
        OnExisting::Error | OnExisting::Append => {}
    }
    load::large_objects(reader, session, options, &keep, observer, interrupt)?;
    if keep.is_empty() {
        let expected = LargeObjectContent {
            count: archived.count,
            bytes: archived.bytes,
            digest: archived.digest,
        };
        if scan::large_objects(session, Some(&oids))? != expected {
            return Err(Error::new(
                Kind::Differs,
                "the restored large objects are not equal to the archive's",
            ));
        }
    }
    Ok((oids.len() - keep.len()) as u64)
}
