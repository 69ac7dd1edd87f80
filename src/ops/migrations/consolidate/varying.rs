//! Rows that differ from run to run (now(), random values) say nothing of the revisions: another run
//! of the old ones finds the columns in which they do, and the others are compared.

use crate::error::Result;
use crate::model::content::Content;
use crate::model::copy_format::CopyFormat;
use crate::model::name::{Printable, QualifiedName};
use crate::model::table::Column;
use crate::ops::migrations::proof::{self, State};
use crate::ops::migrations::reach::Reach;
use crate::ops::scan;
use crate::pg::copy::RowSource;
use crate::pg::session::{Purpose, Session};
use std::collections::BTreeSet;

/// A database and what it holds.
pub(super) type Side<'a> = (&'a Reach, &'a State);

/// What differs between the rows of `old` and `new` and does not differ between `old` and `again`,
/// which is another run of the same revisions; and what could not be compared for that reason.
pub(super) fn differences(
    old: Side<'_>,
    again: Side<'_>,
    new: Side<'_>,
    version_tables: &[QualifiedName],
) -> Result<(Vec<String>, Vec<String>)> {
    let tables = tables_that_differ(old.1, again.1);
    let position = |state: &State, name: &QualifiedName| {
        state.rows.sequences.get(name).map(|sequence| (sequence.last_value, sequence.is_called))
    };
    let moving = |name: &&QualifiedName| position(old.1, name) != position(again.1, name);
    let sequences: BTreeSet<QualifiedName> =
        old.1.rows.sequences.keys().filter(moving).cloned().collect();
    let steady = |state: &State| {
        let mut rows = state.rows.clone();
        rows.tables.retain(|name, _| !tables.contains(name));
        rows.sequences.retain(|name, _| !sequences.contains(name));
        rows
    };
    let (ours, theirs) = (steady(old.1), steady(new.1));
    let mut found = proof::row_differences(&ours, &theirs);
    let mut uncompared: Vec<String> =
        sequences.iter().map(|name| format!("position of sequence {name}{EVERY_RUN}")).collect();

    let read =
        |side: Side<'_>| Session::open(&side.0.connection, Some(&side.0.database), Purpose::Read);
    let (mut old, mut again, mut new) = (read(old)?, read(again)?, read(new)?);
    for table in proof::tables(&mut old, version_tables)? {
        if !tables.contains(&table.name) {
            continue;
        }
        let name = &table.name;
        let (mut varying, mut steady) = (Vec::new(), Vec::new());
        for column in &table.columns {
            let alone = std::slice::from_ref(column);
            match content(&mut old, name, alone)? == content(&mut again, name, alone)? {
                true => steady.push(column.clone()),
                false => varying.push(column.name.clone()),
            }
        }
        let ours = content(&mut old, name, &steady)?;
        if steady.is_empty() || ours != content(&mut again, name, &steady)? {
            uncompared.push(format!("rows of {name}{EVERY_RUN}"));
            continue;
        }
        let varying: Vec<String> = varying.iter().map(|c| Printable(c).to_string()).collect();
        let varying = varying.join(", ");
        let theirs = content(&mut new, name, &steady)?;
        if ours != theirs {
            found.push(format!(
                "rows of {name} differ in other columns than {varying}: {} and {}",
                ours.rows, theirs.rows
            ));
        }
        uncompared.push(format!("{varying} of {name}{EVERY_RUN}"));
    }
    Ok((found, uncompared))
}

/// Ends the sentence about what is not compared.
const EVERY_RUN: &str = ": other in every run of the old revisions";

fn tables_that_differ(one: &State, other: &State) -> BTreeSet<QualifiedName> {
    let (one, other) = (&one.rows.tables, &other.rows.tables);
    let differs = |name: &&QualifiedName| one.get(*name) != other.get(*name);
    one.keys().chain(other.keys()).filter(differs).cloned().collect()
}

fn content(session: &mut Session, table: &QualifiedName, columns: &[Column]) -> Result<Content> {
    scan::content(
        session,
        &RowSource { table, columns, pages: None, condition: None, format: CopyFormat::Text },
    )
}
