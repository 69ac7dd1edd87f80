//! Foreign keys, and the copies of them that come with partitions: on those of the table that refers,
//! and for those of the table that is referred to.

use super::collection::{Collection, Key};
use super::constraints::{Constraint, Constraints, added, draft};
use super::relations::{Relation, Relations};
use super::validation::validate;
use crate::error::Result;
use crate::model::catalog::Property;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::ident;

pub(super) fn collect(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    table: &Relation,
    constraint: &Constraint,
) -> Result<()> {
    let only = if table.kind == 'p' { "" } else { "ONLY " };
    let others = || {
        let is_other =
            |key: &&Constraint| key.kind == 'f' && key.parent == 0 && key.oid != constraint.oid;
        constraints.of_table(table.oid).filter(is_other)
    };
    let has_copies = |key: &Constraint| {
        relations.get(key.refers_to).is_some_and(|referred| referred.kind == 'p')
    };
    let mut statements = Vec::new();
    if constraint.name.contains("_fkey") && others().any(has_copies) {
        statements.push(make_room(table, &constraint.name));
    }
    let added = added(only, table, constraint);
    match added.strip_suffix(" NOT ENFORCED") {
        // On partitions it would be compared with the other keys, as long as it is to be made.
        Some(enforced) if table.kind == 'p' && others().next().is_some() => {
            statements.push(format!("{enforced} NOT VALID"));
            statements.push(format!(
                "ALTER TABLE {} ALTER CONSTRAINT {} NOT ENFORCED",
                table.sql(),
                ident::quote(&constraint.name)
            ));
        }
        _ => statements.push(added),
    }
    let mut draft = draft(ObjectClass::ForeignKey, table, constraint, statements).after_data();
    if !constraint.enforced && table.kind == 'p' {
        for key in others().filter(|key| key.enforced) {
            draft = draft.needs(key.key());
        }
    }
    // A partitioned unique index is valid, and can be referred to, when all below are attached.
    for below in relations.descendants(constraint.index) {
        draft = draft.needs(Key::index_attach(below.oid));
    }
    // The rows that it refers to may lie in partitions that are attached after the rows.
    let referred = relations.descendants(constraint.refers_to).into_iter();
    for below in referred.filter_map(|below| relations.attached_to_member(below.oid)) {
        draft = draft.needs(Key::attach(below.oid));
    }
    // One from above would take it for its own copy.
    let above = |of: &Relation| relations.parents(of.oid).next().filter(|_| of.is_partition);
    for above in std::iter::successors(above(table), |partition| above(partition)) {
        let is_original = |key: &&Constraint| key.kind == 'f' && key.parent == 0;
        for key in constraints.of_table(above.oid).filter(is_original) {
            draft = draft.needs(key.key());
        }
    }
    let index = out.add(constraint.key(), draft)?;
    constraint.describe(out.described(index));
    out.commentable(constraint.key(), index, constraint.comment_target(table));
    Ok(())
}

/// Before 18, the copies of another key, one for each partition that it refers to, get names as unnamed keys
/// do, and one of them may have this one's.
fn make_room(table: &Relation, name: &str) -> String {
    let body = format!(
        "DECLARE copy oid; BEGIN \
         SELECT c.oid INTO copy FROM pg_catalog.pg_constraint AS c \
         WHERE c.conrelid = {table}::regclass AND c.conname = {name} AND c.conparentid <> 0; \
         IF copy IS NOT NULL THEN \
         EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', {table}::regclass, {name}, \
         'pgark_makes_room_' || copy); END IF; END",
        table = ident::literal(&table.sql()),
        name = ident::literal(name),
    );
    format!("DO {}", ident::literal(&body))
}

/// A copy comes into being with `root`, which `draft` makes.
pub(super) fn collect_copy(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    root: &Constraint,
    copy: &Constraint,
    draft: usize,
) -> Result<()> {
    let Some(table) = relations.get(copy.relation) else { return Ok(()) };
    out.claim_implied(copy.key(), draft)?;
    out.commentable(copy.key(), draft, copy.comment_target(table));
    // On a partition it is called as above. What stands for a partition of the table that is referred to
    // has a number, and nobody who sees it but in messages; but a comment must not go to another one.
    let is_on_partition = copy.refers_to == root.refers_to;
    let is_renamed = is_on_partition && copy.name != root.name;
    if (is_renamed || copy.is_copy_with_comment)
        && let (Some(of), Some(other)) =
            (relations.get(root.relation), relations.get(copy.refers_to))
    {
        // Only a comment needs the name: without it the key is as good.
        let unless_found =
            if copy.is_copy_with_comment { "RAISE EXCEPTION" } else { "RAISE WARNING" };
        let sql = rename((of, root), (table, other), &copy.name, unless_found);
        out.push(draft, Statement::define(sql));
    }
    if is_renamed {
        let line = format!("{}: {}", table.name, copy.name);
        out.described(draft).add(Property::NamesBelow, line);
    }
    if is_on_partition {
        validate(out, relations, constraints, table, root, draft);
    }
    Ok(())
}

/// The constraint `root` of the table `of` and all its copies, as what a query begins with.
pub(super) fn with_copies(of: &Relation, root: &Constraint) -> String {
    format!(
        "WITH RECURSIVE copies AS ( \
         SELECT c.oid, c.conname, c.conrelid, c.confrelid FROM pg_catalog.pg_constraint AS c \
         WHERE c.conrelid = {of}::regclass AND c.conname = {root} UNION ALL \
         SELECT c.oid, c.conname, c.conrelid, c.confrelid FROM pg_catalog.pg_constraint AS c \
         JOIN copies ON c.conparentid = copies.oid)",
        of = ident::literal(&of.sql()),
        root = ident::literal(&root.name),
    )
}

/// Nobody knows what the server has called it; it is found by where it is. What has the name by chance, as
/// another copy, takes that one's.
fn rename(
    (of, root): (&Relation, &Constraint),
    (table, other): (&Relation, &Relation),
    name: &str,
    unless_found: &str,
) -> String {
    let body = format!(
        "DECLARE made name; taken boolean; BEGIN \
         {copies} \
         SELECT conname INTO made FROM copies \
         WHERE conrelid = {table}::regclass AND confrelid = {other}::regclass; \
         IF made IS NULL THEN \
         {unless_found} 'foreign key % has no copy on % for %', {root}, {table}, {other}; RETURN; END IF; \
         IF made = {name} THEN RETURN; END IF; \
         taken := EXISTS (SELECT FROM pg_catalog.pg_constraint AS c \
         WHERE c.conrelid = {table}::regclass AND c.conname = {name}); \
         IF taken THEN EXECUTE format('{alter} %I TO pgark_makes_room', {table}::regclass, {name}); END IF; \
         EXECUTE format('{alter} %I TO %I', {table}::regclass, made, {name}); \
         IF taken THEN EXECUTE format('{alter} pgark_makes_room TO %I', {table}::regclass, made); END IF; END",
        alter = "ALTER TABLE %s RENAME CONSTRAINT",
        copies = with_copies(of, root),
        root = ident::literal(&root.name),
        table = ident::literal(&table.sql()),
        other = ident::literal(&other.sql()),
        name = ident::literal(name),
    );
    format!("DO {}", ident::literal(&body))
}
