//! Constraints that are valid on a partition or child, and not above.

use super::collection::Collection;
use super::constraints::{Constraint, Constraints};
use super::relations::{Relation, Relations};
use crate::model::schema::Statement;
use crate::pg::ident;

/// A copy that was made or validated later than what it is a copy of can be valid before that is.
/// Validation reaches the children too, so it is said where all of them are valid.
pub(super) fn validate(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    table: &Relation,
    name: &str,
    draft: usize,
) {
    let valid = |relation: &Relation| {
        let mut own = constraints.of_table(relation.oid);
        own.find(|own| own.name == name && own.validated && out.is_implied(own.key()))
    };
    let Some(own) = valid(table) else { return };
    // A NOT NULL is found below by its column, whatever its name.
    let column = own.column.and_then(|number| relations.column(table.oid, number));
    let valid_below = |below: &Relation| match column {
        Some(column) => constraints.not_nulls(below.oid).any(|own| {
            let of = own.column.and_then(|number| relations.column(below.oid, number));
            own.validated && of.is_some_and(|of| of.name == column.name)
        }),
        None => valid(below).is_some(),
    };
    // Then it is valid from the beginning, under the other parent's name for it.
    if own.column.is_some_and(|column| comes_valid(relations, constraints, table, column)) {
        return;
    }
    if relations.descendants(table.oid).into_iter().all(valid_below) {
        let sql = format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", table.sql(), ident::quote(name));
        out.push(draft, Statement::define(sql));
    }
}

/// Whether a parent gives the column a NOT NULL that is valid.
fn comes_valid(
    relations: &Relations,
    constraints: &Constraints,
    table: &Relation,
    column: i16,
) -> bool {
    let Some(column) = relations.column(table.oid, column) else { return false };
    relations.inherited(table.oid, &column.name).any(|(parent, above)| {
        let is_given =
            |own: &Constraint| own.column == Some(above.number) && own.validated && !own.no_inherit;
        constraints.not_nulls(parent.oid).any(is_given)
    })
}
