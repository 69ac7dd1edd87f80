//! Primary keys, unique constraints and exclusions.

use super::collection::{Collection, Key};
use super::constraints::{Constraint, Constraints, added, draft};
use super::exclusions::{self, Reach};
use super::inherited_not_nulls::NotNulls;
use super::relations::{Relation, Relations};
use super::{columns, rows};
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::ident;

/// What follows the name of a primary key or unique constraint, from a row of `pg_constraint` with what its index says.
pub(super) fn definition(row: &rows::Record) -> Result<String> {
    let columns: Vec<String> = row.get("columns")?;
    let columns: Vec<String> = columns.iter().map(|column| ident::quote(column)).collect();
    let keys = usize::try_from(row.get::<i32>("keys")?).unwrap_or_default().min(columns.len());
    let primary = row.letter("kind")? == 'p';
    let mut sql = String::from(if primary { "PRIMARY KEY" } else { "UNIQUE" });
    // Set on the indexes of some primary keys without meaning anything there.
    if row.get("nulls_not_distinct")? && !primary {
        sql.push_str(" NULLS NOT DISTINCT");
    }
    sql.push_str(&format!(" ({}", columns[..keys].join(", ")));
    if row.get("overlaps")? {
        sql.push_str(" WITHOUT OVERLAPS");
    }
    sql.push(')');
    if keys < columns.len() {
        sql.push_str(&format!(" INCLUDE ({})", columns[keys..].join(", ")));
    }
    let options: Vec<String> = row.get("options")?;
    if !options.is_empty() {
        sql.push_str(&format!(" WITH ({})", columns::option_list(&options)));
    }
    if row.get("deferrable")? {
        sql.push_str(" DEFERRABLE");
    }
    if row.get("deferred")? {
        sql.push_str(" INITIALLY DEFERRED");
    }
    Ok(sql)
}

/// What a constraint with an index of its own is.
pub(super) fn class_of(constraint: &Constraint) -> ObjectClass {
    match constraint.kind {
        'p' => ObjectClass::PrimaryKey,
        'u' => ObjectClass::Unique,
        _ => ObjectClass::Exclusion,
    }
}

pub(super) fn collect(
    out: &mut Collection,
    relations: &Relations,
    constraints: &Constraints,
    table: &Relation,
    constraint: &Constraint,
) -> Result<()> {
    let class = class_of(constraint);
    let reach = exclusions::reach(constraints, relations, table, constraint);
    let only = if reach == Reach::All { "" } else { "ONLY " };
    let sql = added(only, table, constraint);
    let tablespace = relations.get(constraint.index).and_then(|index| index.tablespace.as_deref());
    let mut draft = draft(class, table, constraint, vec![sql]).in_tablespace(tablespace);
    // Partitions are attached before the rows come.
    if reach != Reach::Later {
        draft = draft.after_data();
    }
    if constraint.kind == 'p' {
        // It would make a NOT NULL of the table's own.
        for key in (NotNulls { relations, constraints }).late_makers(table) {
            draft = draft.needs(key);
        }
    }
    let index = out.add(constraint.key(), draft)?;
    out.claim_as_named(Key::relation(constraint.index), index)?;
    constraint.describe(out.described(index));
    out.commentable(constraint.key(), index, constraint.comment_target(table));
    Ok(())
}
