//! The archive's tables and the target's: matched by name, and by the names and types of their
//! columns, before anything is written.

use super::{Options, revisions};
use crate::archive::manifest::{Manifest, TableEntry};
use crate::error::{Error, Result};
use crate::model::name::{QualifiedName, enumerate};
use crate::model::table::Column;
use crate::ops::extension_rows;
use crate::ops::observer::Observer;
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::rows;
use crate::pg::session::Session;
use crate::rules::selection::{Choice, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// One table to load.
pub struct Target<'a> {
    /// What the archive has.
    pub entry: &'a TableEntry,
    /// OID of the table in the target.
    pub oid: u32,
    /// The partitioned tables above it, and their OIDs.
    pub above: Vec<QualifiedName>,
    pub above_oids: Vec<u32>,
}

/// Finds the targets of the chosen tables.
///
/// # Errors
/// All tables and columns that do not match, at once.
pub fn find<'a>(
    session: &mut Session,
    manifest: &'a Manifest,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<Target<'a>>> {
    // Types are compared as the archive wrote them, with all identifiers quoted.
    session.execute("SET LOCAL quote_all_identifiers = on")?;
    let there = catalog::tables(&mut session.client)?;
    session.execute("SET LOCAL quote_all_identifiers = off")?;
    let mut chosen = choose(manifest, &there, &session.facts.database, options)?;
    let stay = revisions::compare(session, manifest, &there, options, observer)?;
    chosen.retain(|entry| !stay.contains(&entry.name));
    let by_name: BTreeMap<&QualifiedName, &CatalogTable> =
        there.iter().map(|table| (&table.name, table)).collect();
    let by_oid: BTreeMap<u32, &CatalogTable> =
        there.iter().map(|table| (table.oid, table)).collect();
    let mut required: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (oid, column) in rows::required_columns(&mut session.client)? {
        required.entry(oid).or_default().push(column);
    }
    let mut problems = broken_trees(manifest, &chosen);
    let mut targets = Vec::new();
    for entry in chosen {
        let Some(table) = by_name.get(&entry.name) else {
            let names = there.iter().map(|table| table.name.to_string());
            problems.push(match nearest(&entry.name.to_string(), names) {
                Some(near) => format!("table {} is not there (there is {near})", entry.name),
                None => format!("table {} is not there", entry.name),
            });
            continue;
        };
        let required = required.get(&table.oid).map_or(&[][..], Vec::as_slice);
        problems.extend(mismatches(entry, table, required));
        let mut target =
            Target { entry, oid: table.oid, above: Vec::new(), above_oids: Vec::new() };
        let mut parent = table.partition_of;
        while let Some(above) = parent.and_then(|oid| by_oid.get(&oid)) {
            target.above.push(above.name.clone());
            target.above_oids.push(above.oid);
            parent = above.partition_of;
        }
        targets.push(target);
    }
    if problems.is_empty() {
        return Ok(targets);
    }
    Err(Error::refused(format!(
        "the archive's tables do not match the target's: {}",
        problems.join("; ")
    ))
    .hint("bring the schema to the archive's state (the archive has the migrations), or leave tables out with --exclude-table"))
}

/// Locks the targets against all writers, so that what is checked stays so; `alone`, against
/// readers too.
pub fn lock(session: &mut Session, targets: &[Target<'_>], alone: bool) -> Result<()> {
    // From the top down, as inserts through a partitioned table do.
    let mut names: Vec<&QualifiedName> = Vec::new();
    let above = targets.iter().flat_map(|target| target.above.iter().rev());
    for name in above.chain(targets.iter().map(|target| &target.entry.name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    rows::lock(session, &names, alone)
}

/// # Errors
/// Names the tables that have rows.
pub fn check_no_rows(session: &mut Session, targets: &[Target<'_>]) -> Result<()> {
    let mut filled = Vec::new();
    for target in targets {
        if rows::has_rows(session, &target.entry.name, target.entry.extension_rows())? {
            filled.push(target.entry.name.to_string());
        }
    }
    if filled.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!("there are rows in {}", enumerate(&filled)))
        .hint("--on-existing truncate replaces them; append, skip and upsert keep them"))
}

fn choose<'a>(
    manifest: &'a Manifest,
    there: &[CatalogTable],
    database: &str,
    options: &Options,
) -> Result<Vec<&'a TableEntry>> {
    let mut names: Vec<QualifiedName> = there.iter().map(|table| table.name.clone()).collect();
    let mut positions: BTreeMap<QualifiedName, usize> =
        names.iter().cloned().enumerate().map(|(position, name)| (name, position)).collect();
    for entry in &manifest.tables {
        if !positions.contains_key(&entry.name) {
            positions.insert(entry.name.clone(), names.len());
            names.push(entry.name.clone());
        }
    }
    let parent = |position: usize| {
        let above = there.get(position)?.partition_of?;
        there.iter().position(|table| table.oid == above)
    };
    options.selection.check_database(database)?;
    let choices = options.selection.choose(&names, parent, |_| None)?;
    let chosen = |entry: &&TableEntry| {
        entry.data && positions.get(&entry.name).is_some_and(|p| choices[*p] == Choice::Whole)
    };
    Ok(manifest.tables.iter().filter(chosen).collect())
}

/// Rows that go through a partitioned table may end in any of its partitions: they are restored
/// together or not at all.
fn broken_trees(manifest: &Manifest, chosen: &[&TableEntry]) -> Vec<String> {
    let roots: BTreeSet<_> =
        chosen.iter().filter_map(|entry| entry.load_through.as_ref()).collect();
    let left_out = |entry: &&TableEntry| {
        entry.load_through.as_ref().is_some_and(|root| roots.contains(root))
            && !chosen.iter().any(|other| other.name == entry.name)
    };
    let missing = manifest.tables.iter().filter(|entry| entry.data).filter(left_out);
    missing
        .map(|entry| {
            format!("partition {} must be restored with the others of its table", entry.name)
        })
        .collect()
}

fn mismatches(entry: &TableEntry, table: &CatalogTable, required: &[String]) -> Vec<String> {
    let name = &entry.name;
    let mut problems = Vec::new();
    if table.partitioned {
        problems.push(format!("table {name} is partitioned there, and was not"));
    }
    if table.rows_hidden {
        problems.push(format!("row-level security of {name} applies to this role"));
    }
    if !table.readable {
        problems.push(format!("there is no privilege to read {name}, which the proof needs"));
    }
    problems.extend(extension_rows::mismatch(entry, table));
    let find = |wanted: &Column| table.columns.iter().find(|column| column.name == wanted.name);
    for column in &entry.columns {
        match find(column) {
            None => problems.push(format!("column {} of {name} is not there", column.name)),
            Some(other) if !other.has_type_of(column) => problems.push(format!(
                "column {} of {name} is {} in the archive and {} there",
                column.name, column.type_name, other.type_name
            )),
            Some(_) => {}
        }
    }
    let given: BTreeSet<&str> = entry.columns.iter().map(|column| column.name.as_str()).collect();
    for column in required.iter().filter(|column| !given.contains(column.as_str())) {
        problems.push(format!(
            "column {column} of {name} is NOT NULL without default, and the archive has no value for it"
        ));
    }
    problems
}
