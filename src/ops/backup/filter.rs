//! Conditions of the operator's on the rows of tables.

use super::{Source, schema};
use crate::error::{Error, Kind, Result};
use crate::model::condition::Condition;
use crate::model::name::{Printable, QualifiedName, enumerate};
use crate::ops::observer::Observer;
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::references;
use crate::pg::session::Session;
use crate::rules::selection::Choice;

/// Gives tables the conditions that the selection has for them, which the server must understand.
pub fn apply(
    session: &mut Session,
    tables: &mut [CatalogTable],
    choices: &[Choice],
    source: &Source,
) -> Result<()> {
    if source.selection.filters.is_empty() {
        return Ok(());
    }
    let names: Vec<QualifiedName> = tables.iter().map(|table| table.name.clone()).collect();
    let conditions = source.selection.filter(&names, schema::parents(tables), choices)?;
    // Workers speak in the database's own encoding, into which pgark does not translate.
    let ascii_alone = !matches!(session.facts.encoding.as_str(), "UTF8" | "SQL_ASCII");
    for (table, condition) in tables.iter_mut().zip(conditions) {
        let Some(condition) = condition.filter(|_| !table.partitioned) else { continue };
        if let Some(extension) = &table.extension {
            return Err(Error::new(
                Kind::Usage,
                format!("the rows of {} are chosen by extension \"{extension}\"", table.name),
            ));
        }
        if ascii_alone && !condition.clause().is_ascii() {
            return Err(Error::new(
                Kind::Usage,
                format!("the condition on {} has characters beyond ASCII", table.name),
            )
            .hint(format!(
                "the database is in {}: write them as Unicode escapes, U&'\\00e9' or U&\"\\00e9\"",
                session.facts.encoding
            )));
        }
        table.condition = Some(condition);
        catalog::check_condition(&mut session.client, table)?;
    }
    Ok(())
}

/// The tables of which the operator takes only some rows.
pub fn chosen(tables: &[CatalogTable]) -> impl Iterator<Item = (&CatalogTable, &Condition)> {
    tables
        .iter()
        .filter(|table| table.extension.is_none())
        .filter_map(|table| Some((table, table.condition.as_ref()?)))
}

/// Warns of foreign keys that refer to tables of which only some rows are taken: a restore cannot
/// add those that point at one of the others.
pub fn warn_of_keys(
    session: &mut Session,
    tables: &[CatalogTable],
    choices: &[Choice],
    observer: &dyn Observer,
) -> Result<()> {
    if chosen(tables).next().is_none() {
        return Ok(());
    }
    let find = |oid: u32| tables.iter().position(|table| table.oid == oid);
    let taken = |oid: u32| find(oid).is_some_and(|table| choices[table] == Choice::Whole);
    let parent = schema::parents(tables);
    let keys = references::foreign_keys(&mut session.client)?;
    for (table, _) in chosen(tables) {
        let lineage: Vec<u32> = std::iter::successors(find(table.oid), |table| parent(*table))
            .map(|table| tables[table].oid)
            .collect();
        let names: Vec<String> = keys
            .iter()
            .filter(|key| lineage.contains(&key.referenced_oid) && taken(key.table_oid))
            .map(|key| format!("foreign key {} of {}", Printable(&key.name), key.table))
            .collect();
        if !names.is_empty() {
            observer.warn(&format!(
                "only some rows of {} are taken: a restore fails at {} if rows point at others",
                table.name,
                enumerate(&names)
            ));
        }
    }
    Ok(())
}
