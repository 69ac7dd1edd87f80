//! Columns that cannot come with their table, because what they need needs it: a function that gives the
//! table's rows and generates one, a materialized view that reads the table and whose rows one holds.
//! PostgreSQL has statements for that: such columns, and those after them, are added later.

use super::collection::{Collection, Draft, Key, PG_CLASS};
use super::columns::Column;
use super::dependencies::Graph;
use super::relations::{Relation, Relations};
use super::tables::is_printed;
use crate::model::catalog::Address;
use crate::model::schema::ObjectClass;

/// The columns of a table that are added to it, from a place on.
#[derive(Clone, Copy)]
pub(super) struct LateColumns {
    from: usize,
    /// What adds them.
    pub draft: usize,
}

impl LateColumns {
    /// The object that adds the column at this place, if it is one of them.
    pub fn maker(self, table: &Relation, place: usize, column: &Column) -> Option<usize> {
        (place >= self.from && is_printed(table, column)).then_some(self.draft)
    }
}

/// The place of the first of them. There is none where they cannot all be added: where the table needs one
/// for its partitions, or has one from its parents too, or they need a child, which would not have them yet.
pub(super) fn late_from(graph: &Graph, relations: &Relations, table: &Relation) -> Option<usize> {
    // A view has an empty stand-in.
    let may_stand_in = |key: Key| {
        key.catalog == PG_CLASS && relations.get(key.oid).is_some_and(|view| view.kind == 'v')
    };
    let needs = |column: &Column, needed: Key, may_stand_in: &dyn Fn(Key) -> bool| {
        let leads_there = |key: Key| graph.leads_to(key, needed, may_stand_in);
        let generates = column.default.as_ref().filter(|_| column.generated != ' ');
        let expression = generates.map_or(&[][..], |(key, _)| graph.edges(*key));
        let mut used = expression.iter().map(|edge| edge.to).filter(|to| *to != table.key());
        let type_key = Key::type_(column.type_oid);
        used.any(leads_there) || graph.stands_for(type_key).is_some_and(leads_there)
    };
    let is_late =
        |column: &Column| is_printed(table, column) && needs(column, table.key(), &may_stand_in);
    let columns = relations.columns(table.oid);
    let from = columns.iter().position(is_late).filter(|_| table.of_type.is_none())?;
    let comes_from_above = |column: &Column| {
        !table.is_partition && relations.inherited(table.oid, &column.name).next().is_some()
    };
    let needs_child = |column: &Column| {
        let mut children = relations.children(table.oid).filter(|child| !child.is_partition);
        children.any(|child| needs(column, child.key(), &|_| false))
    };
    let can_be_added = |column: &Column| {
        !table.key_columns.contains(&column.number)
            && !comes_from_above(column)
            && !needs_child(column)
    };
    let mut late = columns[from..].iter().filter(|column| is_printed(table, column));
    late.all(can_be_added).then_some(from)
}

/// Takes in what adds the columns from the place `from` on. A type that only these have is needed no sooner.
pub(super) fn collect(
    out: &mut Collection,
    relations: &Relations,
    table: &Relation,
    from: usize,
    definition: impl Fn(&Column) -> String,
) -> LateColumns {
    let columns = relations.columns(table.oid);
    let (early, late) = columns.split_at(from);
    let late: Vec<&Column> = late.iter().filter(|column| is_printed(table, column)).collect();
    let name = late.first().map_or("", |first| first.name.as_str());
    let mut draft = Draft::new(ObjectClass::Column, Some(&table.name.schema), name)
        .part_of(table.name.clone())
        .needs(table.key());
    for column in &late {
        let sql = format!("ALTER TABLE ONLY {} ADD COLUMN {}", table.sql(), definition(column));
        let type_key = Key::type_(column.type_oid);
        draft = draft.define(sql).needs(type_key);
        let is_early = |early: &Column| early.type_oid == column.type_oid;
        if !early.iter().any(is_early) {
            out.cut(table.key(), type_key, None);
        }
    }
    let draft = out.add_without_row(draft);
    out.describe(draft, Address::within(table.table_class(), &table.name));
    out.complete(table.key(), draft, late.iter().map(|column| column.number).collect());
    LateColumns { from, draft }
}
