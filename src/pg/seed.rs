//! Rows as INSERT statements, for the few that a migration brings along.

use super::catalog::CatalogTable;
use super::failure::server;
use super::ident::{literal, quote, quote_qualified};
use super::rows;
use super::session::Session;
use crate::error::{Error, Result};
use crate::model::name::QualifiedName;
use crate::model::table::SequenceState;

/// Rows per statement.
const TOGETHER: usize = 100;

/// More rows than this are no seed of a schema.
const MOST: u64 = 50_000;

/// A function takes a hundred arguments, and a table has up to 1600 columns.
const ARGUMENTS: usize = 90;

/// How many rows a table has.
///
/// # Errors
/// [`Refused`](crate::error::Kind::Refused) for very many, which go into no migration.
pub fn count(session: &mut Session, name: &QualifiedName) -> Result<u64> {
    let count = rows::count(session, name, None)?;
    match count > MOST {
        true => Err(Error::refused(format!(
            "table {name} has {count} rows, and no more than {MOST} go into a migration"
        ))
        .hint("leave it to pgark restore, which loads rows of any number")),
        false => Ok(count),
    }
}

/// Statements that put the table's rows in again, in the order in which they lie there; none for an
/// empty table. Values travel as the text that the server writes and reads.
///
/// # Errors
/// [`Refused`](crate::error::Kind::Refused) for a table of very many rows.
pub fn inserts(session: &mut Session, table: &CatalogTable) -> Result<Vec<String>> {
    let name = &table.name;
    let quoted = quote_qualified(name);
    let count = count(session, name)?;
    if table.columns.is_empty() {
        let one = format!("INSERT INTO {quoted} DEFAULT VALUES");
        return Ok(vec![one; usize::try_from(count).unwrap_or_default()]);
    }
    // Names are doubled for the format string by %I; a value of a type without a cast to text goes
    // through its output function.
    let values: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            format!("pg_catalog.quote_nullable({}::pg_catalog.text)", quote(&column.name))
        })
        .collect();
    let joined = |parts: &[String]| format!("pg_catalog.concat_ws(', ', {})", parts.join(", "));
    let groups: Vec<String> = values.chunks(ARGUMENTS).map(joined).collect();
    let sql = format!("SELECT {} FROM ONLY {quoted} ORDER BY ctid", joined(&groups));
    let rows: Vec<String> = session
        .client
        .query(&sql, &[], |row| row.at(0))
        .map_err(|error| server(format!("cannot read table {name}"), error))?;
    let columns: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
    let mut statements = Vec::new();
    for batch in rows.chunks(TOGETHER) {
        let mut sql =
            format!("INSERT INTO {quoted} ({}) OVERRIDING SYSTEM VALUE VALUES", columns.join(", "));
        for (number, row) in batch.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            sql.push_str(&format!("{comma}\n({row})"));
        }
        statements.push(sql);
    }
    Ok(statements)
}

/// The statement that puts a sequence where it is.
pub fn set_position(sequence: &SequenceState) -> String {
    format!(
        "SELECT pg_catalog.setval({}, {}, {})",
        literal(&quote_qualified(&sequence.name)),
        sequence.last_value,
        sequence.is_called
    )
}
