//! Exclusion constraints of partitions (since 17), and their keys WITHOUT OVERLAPS (since 18), which
//! are the same to the server.

use super::collection::{Collection, Key};
use super::constraints::{Constraint, Constraints};
use super::keys;
use super::relations::{Relation, Relations};
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::Statement;
use crate::pg::ident;

/// How the partitions of a table come to the constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The server attaches such an index: they bring their own. Or there are no partitions.
    Own,
    /// None has it: it is the table's alone.
    None,
    /// Its statement makes it on all of them.
    All,
    /// Some have it, which takes an ONLY and partitions that were attached later: so they are again.
    Later,
}

/// How the partitions of `table` come to have the constraint, or not to. The server attaches no index that
/// excludes, so they have it from above or not at all.
pub(super) fn reach(
    constraints: &Constraints,
    relations: &Relations,
    table: &Relation,
    constraint: &Constraint,
) -> Reach {
    if !constraint.excludes || table.kind != 'p' || constraint.parent != 0 {
        return Reach::Own;
    }
    let has = |partition: &Relation| constraints.copy_on(constraint, partition.oid).is_some();
    match (constraint.is_whole, relations.children(table.oid).any(has)) {
        (true, _) => Reach::All,
        (false, false) => Reach::None,
        (false, true) if relations.children(table.oid).all(has) => Reach::All,
        (false, true) => Reach::Later,
    }
}

/// Where some partitions have a constraint and others do not, those are attached before it is made, and
/// these after it, which gives it to them. `attach` is the object that attaches `partition` to `table`.
pub(super) fn attach_around(
    out: &mut Collection,
    constraints: &Constraints,
    relations: &Relations,
    table: &Relation,
    partition: &Relation,
    attach: usize,
) -> Result<()> {
    for constraint in constraints.indexed(table.oid) {
        if reach(constraints, relations, table, constraint) != Reach::Later {
            continue;
        }
        let Some(maker) = out.maker(constraint.key()) else { continue };
        if constraints.copy_on(constraint, partition.oid).is_none() {
            out.add_need(maker, Key::attach(partition.oid));
            continue;
        }
        out.add_need_of(attach, maker);
        let mut having = vec![constraint];
        for below in std::iter::once(partition).chain(relations.descendants(partition.oid)) {
            let copy = having.iter().find_map(|above| constraints.copy_on(above, below.oid));
            if let Some(copy) = copy {
                come_from_above(out, relations, copy, attach)?;
                having.push(copy);
            }
        }
    }
    Ok(())
}

/// A copy comes into being with `draft`: the server compares no indexes that exclude, so it would refuse
/// to attach one that was made alone.
pub(super) fn come_from_above(
    out: &mut Collection,
    relations: &Relations,
    copy: &Constraint,
    draft: usize,
) -> Result<()> {
    let Some(table) = relations.get(copy.relation) else { return Ok(()) };
    let index = Key::relation(copy.index);
    let address = Address::part(keys::class_of(copy), &table.name, copy.name.as_str());
    out.claim_implied(copy.key(), draft)?;
    out.claim_implied(index, draft)?;
    out.name_row(copy.key(), address.clone());
    out.name_row(index, address.clone());
    let parent = relations.parents(copy.index).next();
    let described = out.describe(draft, address);
    copy.describe(described);
    described.set_some(Property::AttachedTo, parent.map(|parent| parent.name.to_string()));
    if let Some(parent) = parent {
        out.push(draft, Statement::define(rename(parent, table, &copy.name)));
    }
    out.commentable(copy.key(), draft, copy.comment_target(table));
    Ok(())
}

/// Nobody knows what the server has called it; it is found by where it is. Where another copy in the
/// schema has the name, which came with it and gets its own later, that one makes room.
fn rename(parent: &Relation, table: &Relation, name: &str) -> String {
    let body = format!(
        "DECLARE made regclass; other regclass; BEGIN \
         SELECT i.indexrelid INTO made FROM pg_catalog.pg_index AS i \
         JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = i.indexrelid \
         WHERE h.inhparent = {parent}::regclass AND i.indrelid = {table}::regclass; \
         IF made IS NULL THEN \
         RAISE EXCEPTION 'no index of % belongs to %', {table}, {parent}; END IF; \
         SELECT c.oid INTO other FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_class AS t ON t.relnamespace = c.relnamespace \
         JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = c.oid \
         WHERE t.oid = {table}::regclass AND c.relname = {name} AND c.relkind IN ('i', 'I'); \
         IF other IS DISTINCT FROM made THEN IF other IS NOT NULL THEN \
         EXECUTE format('ALTER INDEX %s RENAME TO %I', other, 'pgark_' || other::oid); END IF; \
         EXECUTE format('ALTER INDEX %s RENAME TO %I', made, {name}); END IF; END",
        parent = ident::literal(&parent.sql()),
        table = ident::literal(&table.sql()),
        name = ident::literal(name),
    );
    format!("DO {}", ident::literal(&body))
}
