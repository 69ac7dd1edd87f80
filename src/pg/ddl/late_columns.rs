//! Columns that cannot come with their table, because what they need needs it: a function that gives the
//! table's rows and generates one, a materialized view that reads the table and whose rows one holds.
//! PostgreSQL has statements for that: such columns, and those after them, are added later.

use super::collection::{Collection, Draft, Key};
use super::columns::Column;
use super::dependencies::Graph;
use super::relations::{Relation, Relations};
use crate::model::catalog::Address;
use crate::model::schema::ObjectClass;

/// The place of the first of them.
pub(super) fn first(graph: &Graph, relations: &Relations, table: &Relation) -> Option<usize> {
    // A view has an empty stand-in.
    let may_stand_in = |key: Key| {
        key == Key::relation(key.oid) && relations.get(key.oid).is_some_and(|view| view.kind == 'v')
    };
    let leads_back = |key: Key| graph.leads_to(key, table.key(), may_stand_in);
    let is_late = |column: &Column| {
        let generates = column.default.as_ref().filter(|_| column.generated != ' ');
        let expression = generates.map_or(&[][..], |(key, _)| graph.edges(*key));
        let mut used = expression.iter().map(|edge| edge.to).filter(|to| *to != table.key());
        let type_key = Key::type_(column.type_oid);
        used.any(leads_back) || graph.stands_for(type_key).is_some_and(leads_back)
    };
    let columns = relations.columns(table.oid);
    let is_made_here = |column: &Column| column.is_local || table.is_partition;
    let of_type = table.of_type.is_some();
    columns.iter().position(|column| !of_type && is_made_here(column) && is_late(column))
}

/// Takes in what adds the `late` columns, which are so defined, to a table that is made with the `early`
/// ones. A type that only the late ones have is needed no sooner.
pub(super) fn collect(
    out: &mut Collection,
    table: &Relation,
    early: &[&Column],
    late: &[&Column],
    definitions: &[String],
) -> Option<usize> {
    let first = late.first()?;
    let mut draft = Draft::new(ObjectClass::Column, Some(&table.name.schema), &first.name)
        .part_of(table.name.clone())
        .needs(table.key());
    for definition in definitions {
        draft = draft.define(format!("ALTER TABLE ONLY {} ADD COLUMN {definition}", table.sql()));
    }
    for column in late {
        let type_key = Key::type_(column.type_oid);
        draft = draft.needs(type_key);
        if !early.iter().any(|early| early.type_oid == column.type_oid) {
            out.cut(table.key(), type_key, None);
        }
    }
    let rest = out.add_without_row(draft);
    out.describe(rest, Address::within(table.table_class(), &table.name));
    out.complete(table.key(), rest);
    Some(rest)
}
