//! `PLAIN` storage of columns whose type has another. It holds for new values alone, so a table can have
//! some that are too long for it: they are loaded first.

use super::collection::{Collection, Draft, Key};
use super::columns::{self, Column};
use super::relations::Relation;
use crate::error::Result;
use crate::model::catalog::Address;
use crate::model::schema::ObjectClass;

/// Collects what gives the columns of a table, which is made by `draft`, that storage.
pub(super) fn collect(
    out: &mut Collection,
    draft: usize,
    table: &Relation,
    columns: &[Column],
) -> Result<()> {
    let statements = statements(table, columns);
    if statements.is_empty() {
        return Ok(());
    }
    let setting = Draft::new(ObjectClass::TableSetting, Some(&table.name.schema), "storage")
        .part_of(table.name.clone())
        .needs(table.key())
        .after_data();
    let setting = statements.into_iter().fold(setting, Draft::define);
    let setting = out.add(Key::late_storage(table.oid), setting)?;
    // What it sets is said with the column.
    let whole = Address::of(out.object(draft));
    out.describe(setting, whole);
    Ok(())
}

/// What gives the columns of a table or materialized view that storage.
pub(super) fn statements(relation: &Relation, columns: &[Column]) -> Vec<String> {
    let late =
        columns.iter().filter(|column| column.storage.before_rows() != column.storage.letter);
    let set = |column: &Column| {
        columns::set_storage(&relation.sql(), &column.name, column.storage.letter)
    };
    late.map(set).collect()
}
