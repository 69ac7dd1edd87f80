//! Primary keys and unique constraints as SQL.

use super::{columns, rows};
use crate::error::Result;
use crate::pg::ident;

/// What follows the constraint's name, from a row of `pg_constraint` with what its index says.
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
