//! Rows, sequences and large objects: an archive against a live database, or another archive.

use super::{Input, Options};
use crate::archive::frame;
use crate::archive::manifest::{Manifest, TableEntry};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Result};
use crate::model::condition::Condition;
use crate::model::connection::Connection;
use crate::model::content::Content;
use crate::model::name::{QualifiedName, enumerate};
use crate::model::provenance::Provenance;
use crate::model::table::{Column, SequenceState};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::Plan;
use crate::ops::{extension_rows, lock_wait, plan, scan};
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::session::Purpose;
use crate::pg::{snapshot, target};
use crate::rules::copy_text;
use crate::rules::large_object_digest::LargeObjectContent;
use crate::rules::row_digest::RowDigester;
use crate::rules::selection::Choice;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One thing that is not equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `table public.t`, `sequence public.s` …
    pub object: String,
    /// What differs, with both values.
    pub what: String,
}

/// What was compared, and what was found.
#[derive(Debug)]
pub struct Rows {
    /// Tables that were compared.
    pub tables: usize,
    /// Rows of the archive that were compared.
    pub rows: u64,
    /// Sequences that were compared.
    pub sequences: usize,
    /// Large objects of the archive.
    pub large_objects: u64,
    /// Tables of which the archive holds only some rows, with the condition: no others were compared.
    pub chosen: Vec<(QualifiedName, Condition)>,
    /// What differs; empty is equal.
    pub differences: Vec<Difference>,
}

/// One side of a comparison.
struct Side {
    tables: BTreeMap<QualifiedName, SideTable>,
    sequences: BTreeMap<QualifiedName, (i64, bool)>,
    large_objects: LargeObjectContent,
}

struct SideTable {
    columns: Vec<Column>,
    /// `None` where the rows were not read.
    content: Option<Content>,
}

/// Compares an archive with another one or with a database.
pub(super) fn compare(
    reader: &ArchiveReader,
    with: &Input,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Rows> {
    let manifest = reader.manifest();
    let mut left = from_manifest(manifest);
    let mut right = match with {
        Input::Archive(path) => {
            let other = ArchiveReader::open(path)?;
            let mut right = from_manifest(other.manifest());
            rearrange(manifest, &other, &mut right, interrupt)?;
            right
        }
        Input::Database(connection) => {
            if !options.allow_conditions {
                check_no_conditions(manifest)?;
            }
            let live = Live {
                connection,
                database: None,
                as_restored: false,
                lock_timeout: options.lock_timeout,
                jobs: options.jobs,
            };
            interrupt.explain(from_database(&live, manifest, observer, interrupt))?
        }
    };
    let tables = left.tables.len();
    join_loaded_through(manifest, &mut left);
    join_loaded_through(manifest, &mut right);
    Ok(Rows {
        tables,
        rows: manifest.tables.iter().map(|table| table.content.rows).sum(),
        sequences: left.sequences.len(),
        large_objects: manifest.large_objects.count,
        chosen: manifest
            .tables
            .iter()
            .filter_map(|entry| Some((entry.name.clone(), entry.chosen_rows()?.clone())))
            .collect(),
        differences: differences(&left, &right, Provenance::Archive, manifest.whole),
    })
}

/// An archive's conditions may call any function that the role may, and nobody vouches for them.
fn check_no_conditions(manifest: &Manifest) -> Result<()> {
    let conditions: Vec<String> = manifest
        .tables
        .iter()
        .filter_map(|table| Some(format!("{} {}", table.name, table.chosen_rows()?)))
        .collect();
    if conditions.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the server would have to run conditions that stand in the archive: {}",
        enumerate(&conditions)
    ))
    .hint(
        "read them, and allow them with --allow-conditions if you trust whoever made the archive",
    ))
}

fn from_manifest(manifest: &Manifest) -> Side {
    let table = |entry: &TableEntry| SideTable {
        columns: entry.columns.clone(),
        content: entry.data.then_some(entry.content),
    };
    let objects = &manifest.large_objects;
    Side {
        tables: manifest.tables.iter().map(|entry| (entry.name.clone(), table(entry))).collect(),
        sequences: positions(&manifest.sequences),
        large_objects: LargeObjectContent {
            count: objects.count,
            bytes: objects.bytes,
            digest: objects.digest,
        },
    }
}

/// Rows that go through a partitioned table may lie in other partitions on another server: the
/// content of such partitions is compared as one.
fn join_loaded_through(manifest: &Manifest, side: &mut Side) {
    for entry in &manifest.tables {
        let Some(root) = &entry.load_through else { continue };
        let Some(part) = side.tables.get_mut(&entry.name).and_then(|table| table.content.take())
        else {
            continue;
        };
        let whole = side.tables.entry(root.clone()).or_insert_with(|| SideTable {
            columns: Vec::new(),
            content: Some(Content::default()),
        });
        if let Some(content) = &mut whole.content {
            *content += part;
        }
    }
}

fn positions(sequences: &[SequenceState]) -> BTreeMap<QualifiedName, (i64, bool)> {
    sequences
        .iter()
        .map(|sequence| (sequence.name.clone(), (sequence.last_value, sequence.is_called)))
        .collect()
}

/// A digest is of values in the order of the columns. Where two archives have the same columns in
/// another order, the other archive's rows are read and put in the first one's order.
fn rearrange(
    first: &Manifest,
    other: &ArchiveReader,
    right: &mut Side,
    interrupt: &Interrupt,
) -> Result<()> {
    for entry in &first.tables {
        let Some(theirs) = other.manifest().tables.iter().find(|t| t.name == entry.name) else {
            continue;
        };
        if theirs.columns == entry.columns || names(&theirs.columns) != names(&entry.columns) {
            continue;
        }
        let order: Vec<usize> = entry
            .columns
            .iter()
            .filter_map(|column| theirs.columns.iter().position(|c| c.name == column.name))
            .collect();
        let mut rows = RowDigester::default();
        for chunk in &theirs.chunks {
            interrupt.check()?;
            let content = other.member(&chunk.member)?;
            let mut rearranger = copy_text::Rearranger::new(&order);
            frame::decompress(&content, chunk.content.bytes, |piece| {
                rearranger.update(piece, &mut |row| rows.update(row))
            })?;
        }
        if let Some(table) = right.tables.get_mut(&entry.name) {
            table.content = table.content.is_some().then_some(rows.finish()?);
        }
    }
    Ok(())
}

fn names(columns: &[Column]) -> BTreeSet<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

/// A live database to read.
struct Live<'a> {
    connection: &'a Connection,
    database: Option<&'a str>,
    /// Whether tables must hold the archive's rows and no others, though the operator has chosen
    /// some by a condition, which may mean something else today.
    as_restored: bool,
    lock_timeout: Duration,
    jobs: usize,
}

/// A database that has just been restored, and is still marked.
pub struct Restored<'a> {
    /// What it is to hold.
    pub manifest: &'a Manifest,
    /// Where it is.
    pub connection: &'a Connection,
    /// The database, if not the one that the connection names.
    pub database: Option<&'a str>,
    /// Number of workers.
    pub jobs: usize,
    /// What it was made from.
    pub from: Provenance,
}

/// Compares a database with what was restored into it. The manifest's digests are of rows in the
/// formats that `read_back` chooses.
pub fn with_restored(
    restored: &Restored<'_>,
    read_back: impl FnOnce(Plan) -> Plan,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<Difference>> {
    let Restored { manifest, connection, database, jobs, from } = *restored;
    let lock_timeout = Duration::from_secs(60);
    let live = Live { connection, database, as_restored: true, lock_timeout, jobs };
    let mut right = read_live(&live, manifest, read_back, observer, interrupt)?;
    right.tables.retain(|name, _| name.schema != target::MARK);
    let mut left = from_manifest(manifest);
    join_loaded_through(manifest, &mut left);
    join_loaded_through(manifest, &mut right);
    Ok(differences(&left, &right, from, manifest.whole))
}

fn from_database(
    live: &Live<'_>,
    manifest: &Manifest,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Side> {
    let mut session = interrupt.open(live.connection, live.database, Purpose::Catalog)?;
    target::check_unmarked(&mut session)?;
    read_live(live, manifest, |plan| plan, observer, interrupt)
}

fn read_live(
    live: &Live<'_>,
    manifest: &Manifest,
    read_back: impl FnOnce(Plan) -> Plan,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Side> {
    observer.phase("locking the tables", None);
    let mut leader = interrupt.open(live.connection, live.database, Purpose::Catalog)?;
    let in_archive: BTreeMap<&QualifiedName, &TableEntry> =
        manifest.tables.iter().map(|entry| (&entry.name, entry)).collect();
    let mut choose = |tables: &[CatalogTable]| {
        Ok(tables.iter().filter(|t| in_archive.contains_key(&t.name)).map(|t| t.oid).collect())
    };
    let check = || interrupt.check();
    let process = leader.process();
    let taken = lock_wait::told(live.connection, live.database, process, observer, || {
        snapshot::take(&mut leader, live.lock_timeout, &check, &mut choose)
    })?;
    snapshot::limit_lock_waits(&mut leader, live.lock_timeout)?;
    let mut tables = BTreeMap::new();
    let mut to_scan = Vec::new();
    let mut mismatches = Vec::new();
    for mut table in taken.tables.into_iter().filter(|table| !table.partitioned) {
        let columns = table.columns.clone();
        if let Some(entry) = in_archive.get(&table.name)
            && entry.data
            && names(&entry.columns).is_subset(&names(&columns))
        {
            table.columns = entry.columns.clone();
            mismatches.extend(extension_rows::mismatch(entry, &table));
            // An extension's own condition is the server's; the operator's came with the archive,
            // and is run only for who allows it.
            if entry.extension.is_none() {
                table.condition = entry.chosen_rows().filter(|_| !live.as_restored).cloned();
            }
            to_scan.push(table.clone());
        }
        if in_archive.contains_key(&table.name) || manifest.whole {
            tables.insert(table.name, SideTable { columns, content: None });
        }
    }
    if !mismatches.is_empty() {
        return Err(extension_rows::refused(&mismatches));
    }
    let choices = vec![Choice::Whole; to_scan.len()];
    let plan = read_back(plan::make(&to_scan, &choices, leader.facts.major()));
    observer.phase("reading the database", Some(plan.estimated_bytes));
    let context = scan::Context {
        connection: live.connection,
        database: live.database,
        snapshot: &taken.id,
        encoding: &manifest.source.encoding,
        jobs: live.jobs,
        observer,
        interrupt,
    };
    let contents = scan::contents(&context, &mut leader, &plan)?;
    for (planned, content) in plan.tables.iter().zip(contents) {
        if let Some(table) = tables.get_mut(&planned.name) {
            table.content = Some(content);
        }
    }
    let sequences = positions(&catalog::sequences(&mut leader.client)?);
    let large_objects = scan::large_objects(&mut leader, None)?;
    Ok(Side { tables, sequences, large_objects })
}

fn differences(left: &Side, right: &Side, from: Provenance, whole: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differ = |object: String, what: String| found.push(Difference { object, what });
    for (name, table) in &left.tables {
        let object = format!("table {name}");
        let Some(other) = right.tables.get(name) else {
            differ(object, format!("is only in {from}"));
            continue;
        };
        for what in column_differences(&table.columns, &other.columns, from) {
            differ(object.clone(), what);
        }
        if let (Some(ours), Some(theirs)) = (table.content, other.content) {
            if ours.rows != theirs.rows {
                differ(object, format!("{} rows in {from}, {} there", ours.rows, theirs.rows));
            } else if ours != theirs {
                differ(
                    object,
                    format!("{} rows on both sides, and their content differs", ours.rows),
                );
            }
        }
    }
    for name in right.tables.keys().filter(|name| whole && !left.tables.contains_key(name)) {
        differ(format!("table {name}"), format!("is not in {from}"));
    }
    let position = |(value, called): &(i64, bool)| match called {
        true => format!("{value}"),
        false => format!("{value}, not yet given out"),
    };
    for (name, ours) in &left.sequences {
        let object = format!("sequence {name}");
        match right.sequences.get(name) {
            None => differ(object, format!("is only in {from}")),
            Some(theirs) if theirs != ours => {
                differ(object, format!("{} in {from}, {} there", position(ours), position(theirs)));
            }
            Some(_) => {}
        }
    }
    for name in right.sequences.keys().filter(|name| whole && !left.sequences.contains_key(name)) {
        differ(format!("sequence {name}"), format!("is not in {from}"));
    }
    // An archive without tables that were excluded has all large objects all the same.
    if (whole || left.large_objects.count > 0) && left.large_objects != right.large_objects {
        let amount =
            |objects: &LargeObjectContent| format!("{} of {} bytes", objects.count, objects.bytes);
        differ(
            String::from("large objects"),
            format!(
                "{} in {from}, {} there; their content differs",
                amount(&left.large_objects),
                amount(&right.large_objects)
            ),
        );
    }
    found
}

fn column_differences(ours: &[Column], theirs: &[Column], from: Provenance) -> Vec<String> {
    let mut found = Vec::new();
    for column in ours {
        match theirs.iter().find(|other| other.name == column.name) {
            None => found.push(format!("column {} is only in {from}", column.name)),
            Some(other) if !other.has_type_of(column) => found.push(format!(
                "column {} is {} in {from}, {} there",
                column.name, column.type_name, other.type_name
            )),
            Some(_) => {}
        }
    }
    for column in theirs.iter().filter(|c| !ours.iter().any(|other| other.name == c.name)) {
        found.push(format!("column {} is not in {from}", column.name));
    }
    found
}
