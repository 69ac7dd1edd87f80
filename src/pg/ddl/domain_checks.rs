//! Where the constraints of a domain are stated.

use super::collection::Key;
use super::constraints::Constraint;
use super::dependencies::Graph;
use super::relations::Relations;
use crate::model::lexing::string_or_name;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In `CREATE DOMAIN`, which looks no further than the functions that are called.
    Definition,
    /// In a statement of its own, which plans the condition and so looks into functions in SQL, and which is
    /// refused once a column holds the domain in an array or a row.
    BeforeTables,
    /// In such a statement after the rows.
    AfterRows,
}

/// Where a constraint of `domain` is stated.
pub(super) fn place(
    graph: &Graph,
    relations: &Relations,
    constraint: &Constraint,
    domain: Key,
) -> Place {
    if constraint.kind == 'n' {
        return Place::Definition;
    }
    if !constraint.validated {
        return Place::AfterRows;
    }
    let is_table = |of: Key| relations.get(of.oid).is_some_and(|of| of.kind != 'c');
    if constraint.comes_late && graph.is_held_plainly(domain, is_table) {
        return Place::AfterRows;
    }
    let needed = graph.edges(constraint.key()).iter().map(|edge| edge.to);
    let is_in_circle =
        needed.filter(|key| *key != domain).any(|key| graph.leads_to(key, domain, |_| false));
    if is_in_circle || casts_to_users_types(&constraint.definition) {
        return Place::BeforeTables;
    }
    Place::Definition
}

/// Whether a condition casts to a type that is not the system's: that is parsed again, the catalogs do not note
/// by which cast, and casts come after domains.
fn casts_to_users_types(definition: &str) -> bool {
    let mut types = definition.split("::").skip(1);
    types.any(|rest| {
        string_or_name(rest)
            .is_some_and(|end| rest.starts_with('"') && rest[end..].starts_with('.'))
    })
}
