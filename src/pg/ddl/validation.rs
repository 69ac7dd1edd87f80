//! Constraints that are valid on a partition or child, and not above.

use super::collection::Collection;
use super::constraints::{Constraint, Constraints};
use super::inherited_not_nulls::NotNulls;
use super::relations::{Relation, Relations};
use crate::model::catalog::{Address, Property};
use crate::model::schema::Statement;
use crate::pg::ident;

/// A copy of `original` that was made or validated later than that can be valid before it is.
/// Validation reaches the children too, so it is said where all of them are valid.
pub(super) fn validate(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    table: &Relation,
    original: &Constraint,
    draft: usize,
) {
    if original.validated || !original.enforced {
        return;
    }
    let copy = |below: &Relation| constraints.copy_below(relations, original, below.oid);
    let valid =
        |below: &Relation| copy(below).filter(|own| own.validated && out.is_implied(own.key()));
    let Some(own) = valid(table) else { return };
    // Then it is valid from the beginning, or validated with what is above.
    if own.kind == 'n'
        && (own.is_stated(table) || NotNulls { relations, constraints }.comes_valid(table, own))
    {
        return;
    }
    let is_valid = |below: &Relation| copy(below).is_some_and(|own| own.validated);
    if !relations.descendants(table.oid).into_iter().all(is_valid) {
        return;
    }
    let name = ident::quote(&own.name);
    let sql = format!("ALTER TABLE {} VALIDATE CONSTRAINT {name}", table.sql());
    out.push(draft, Statement::define(sql));
    if own.kind == 'n' {
        // Its column says so.
        out.describe(draft, Address::within(table.table_class(), &table.name));
    } else {
        out.described(draft).add(Property::ValidatedBelow, table.name.to_string());
    }
}
