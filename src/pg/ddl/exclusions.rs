//! Exclusion constraints of partitions (since 17), and their keys WITHOUT OVERLAPS (since 18), which
//! are the same to the server.

use super::collection::{Collection, Key};
use super::constraints::{Constraint, Constraints, class_of_indexed};
use super::relations::{Relation, Relations};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::ident;

/// The longest name, in bytes.
const LONGEST: usize = 63;

/// Whether the statement that makes the constraint makes it on the partitions too. The server attaches
/// no index that excludes, so partitions have it from above or not at all. Where only some have it, which
/// takes an ONLY and partitions that were made later, the restored ones all do, and that is noted.
pub(super) fn reach_partitions(
    out: &mut Collection,
    constraints: &Constraints,
    table: &Relation,
    constraint: &Constraint,
) -> bool {
    if !constraint.excludes || table.kind != 'p' {
        return false;
    }
    let reaches = constraint.is_whole || constraints.has_copies(constraint);
    if reaches && !constraint.is_whole {
        let (name, table) = (&constraint.name, &table.name);
        out.note(
            table,
            ObjectClass::InvalidIndex,
            format!("some partitions of {table} lack {name}: restored ones all have it"),
        );
    }
    reaches
}

/// A copy comes with the constraint `root` of the partitioned table above: the server compares no
/// indexes that exclude, so it would refuse to attach one that was made alone.
pub(super) fn come_from_above(
    out: &mut Collection,
    relations: &Relations,
    copy: &Constraint,
    root: &Constraint,
) -> Result<()> {
    let (Some(draft), Some(table)) = (out.maker(root.key()), relations.get(copy.relation)) else {
        return Ok(());
    };
    let index = Key::relation(copy.index);
    let address = Address::part(class_of_indexed(copy), &table.name, copy.name.as_str());
    out.claim_implied(copy.key(), draft)?;
    out.claim_implied(index, draft)?;
    out.name_row(copy.key(), address.clone());
    out.name_row(index, address.clone());
    let parent = relations.parents(copy.index).next();
    let described = out.describe(draft, address);
    copy.describe(described);
    described.set_some(Property::AttachedTo, parent.map(|parent| parent.name.to_string()));
    if let Some(parent) = parent.filter(|_| !is_named_by_server(relations, table, copy)) {
        out.push(draft, Statement::define(rename(parent, table, &copy.name)));
    }
    out.commentable(copy.key(), draft, copy.comment_target(table));
    Ok(())
}

/// Whether the server surely chooses the name: a short one that nothing else has.
fn is_named_by_server(relations: &Relations, table: &Relation, copy: &Constraint) -> bool {
    let columns = relations.columns(copy.index).iter().map(|column| column.name.as_str());
    let columns: Vec<&str> = columns.collect();
    let of = match copy.kind {
        'p' => String::from("pkey"),
        'u' => format!("{}_key", columns.join("_")),
        _ => format!("{}_excl", columns.join("_")),
    };
    let name = format!("{}_{of}", table.name.name);
    name == copy.name && name.len() <= LONGEST
}

/// Nobody knows what the server has called it; it is found by where it is.
fn rename(parent: &Relation, table: &Relation, name: &str) -> String {
    let body = format!(
        "DECLARE made regclass; BEGIN \
         SELECT i.indexrelid INTO made FROM pg_catalog.pg_index AS i \
         JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = i.indexrelid \
         WHERE h.inhparent = {}::regclass AND i.indrelid = {}::regclass; \
         IF NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = made AND relname = {}) THEN \
         EXECUTE format('ALTER INDEX %s RENAME TO %I', made, {}); END IF; END",
        ident::literal(&parent.sql()),
        ident::literal(&table.sql()),
        ident::literal(name),
        ident::literal(name),
    );
    format!("DO {}", ident::literal(&body))
}
