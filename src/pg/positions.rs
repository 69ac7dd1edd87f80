//! Sequences that would give out what is there already.

use super::failure::server;
use super::ident::{quote, quote_qualified};
use super::session::Session;
use crate::error::Result;
use crate::model::table::SequenceState;

/// The sequences whose next value is not beyond what their columns hold, each with that value. A
/// column of a type that is no integer is left out.
pub fn behind_their_columns(
    session: &mut Session,
    sequences: &[SequenceState],
) -> Result<Vec<String>> {
    let mut behind = Vec::new();
    for sequence in sequences {
        let Some(owner) = &sequence.owned_by else { continue };
        let column = quote(&owner.column);
        let aggregate = if sequence.descending { "min" } else { "max" };
        let sql = format!(
            "SELECT pg_catalog.{aggregate}({column})::pg_catalog.int8 FROM {}",
            quote_qualified(&owner.table)
        );
        if !is_integer(session, &owner.table, &owner.column)? {
            continue;
        }
        let furthest: Option<i64> = session
            .client
            .query_one(&sql, &[], |row| row.at(0))
            .map_err(|error| server(format!("cannot read table {}", owner.table), error))?;
        let Some(furthest) = furthest else { continue };
        let beyond = match (sequence.descending, sequence.is_called) {
            (false, true) => sequence.last_value >= furthest,
            (false, false) => sequence.last_value > furthest,
            (true, true) => sequence.last_value <= furthest,
            (true, false) => sequence.last_value < furthest,
        };
        if !beyond {
            behind.push(format!(
                "{} is at {}, and {}.{} holds {furthest}",
                sequence.name, sequence.last_value, owner.table, owner.column
            ));
        }
    }
    Ok(behind)
}

fn is_integer(
    session: &mut Session,
    table: &crate::model::name::QualifiedName,
    column: &str,
) -> Result<bool> {
    session
        .client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
               JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
               WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3
                 AND coalesce(nullif(t.typbasetype, 0), t.oid) IN (20, 21, 23))",
            &[&table.schema, &table.name, &column],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up a column", error))
}
