//! Tables that hold rows already, and rows that are put among them.

use super::failure::server;
use super::ident::{literal, quote_qualified};
use super::session::{Session, Statements};
use crate::error::Result;
use crate::model::condition::Condition;
use crate::model::name::QualifiedName;
use crate::model::table::{Column, SequenceState};
use crate::pg::client::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::FromSqlOwned;

/// The temporary table that rows pass through where they must be matched with others.
const STAGED: &str = "pg_temp.pgark_rows";

/// Whether a table holds a row that meets `WHERE …`.
pub fn has_rows(
    session: &mut Session,
    table: &QualifiedName,
    condition: Option<&Condition>,
) -> Result<bool> {
    let found = rows_of(table, condition);
    ask(session, table, &format!("SELECT EXISTS (SELECT {found})"))
}

/// How many rows of a table meet `WHERE …`.
pub fn count(
    session: &mut Session,
    table: &QualifiedName,
    condition: Option<&Condition>,
) -> Result<u64> {
    let found = rows_of(table, condition);
    let count: i64 = ask(session, table, &format!("SELECT pg_catalog.count(*) {found}"))?;
    Ok(count.unsigned_abs())
}

fn rows_of(table: &QualifiedName, condition: Option<&Condition>) -> String {
    let condition = condition.map(Condition::clause).unwrap_or_default();
    format!("FROM ONLY {} {condition}", quote_qualified(table))
}

fn ask<T: FromSqlOwned>(session: &mut Session, table: &QualifiedName, sql: &str) -> Result<T> {
    let asked = session.client.query_one(sql, &[], |row| row.at(0));
    asked.map_err(|error| server(format!("cannot read table {table}"), error))
}

/// Columns that a row must give a value: NOT NULL, and neither default nor identity nor
/// generation. With the table's OID.
pub fn required_columns(client: &mut Client) -> Result<Vec<(u32, String)>> {
    client
        .query(
            "SELECT a.attrelid, a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef
               AND a.attidentity = '' AND a.attgenerated = ''
             ORDER BY a.attrelid, a.attnum",
            &[],
            |row| Ok((row.at(0)?, row.at(1)?)),
        )
        .map_err(|error| server("cannot list the columns", error))
}

/// Columns of a table's primary key, in its order; empty without one.
pub fn primary_key(client: &mut Client, table: u32) -> Result<Vec<String>> {
    client
        .query(
            "SELECT a.attname::text
             FROM pg_catalog.pg_constraint AS k
             CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY AS p(attnum, position)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.attnum
             WHERE k.conrelid = $1 AND k.contype = 'p' ORDER BY p.position",
            &[&table],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the primary key", error))
}

/// Whether rules act on what is inserted into or updated in a table: these forbid `ON CONFLICT`.
pub fn has_rules(client: &mut Client, table: u32) -> Result<bool> {
    client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_rewrite
               WHERE ev_class = $1 AND ev_type IN ('2', '3'))",
            &[&table],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the rules", error))
}

/// Locks tables against all writers, and with `alone` against readers too: whoever is going to
/// need the stronger lock must take it at first, or two waiters could wait for each other.
pub fn lock(session: &mut Session, tables: &[&QualifiedName], alone: bool) -> Result<()> {
    let mode = if alone { "ACCESS EXCLUSIVE" } else { "SHARE ROW EXCLUSIVE" };
    for batch in tables.chunks(500) {
        let names: Vec<String> =
            batch.iter().map(|table| format!("ONLY {}", quote_qualified(table))).collect();
        session
            .client
            .batch_execute(&format!("LOCK TABLE {} IN {mode} MODE", names.join(", ")))
            .map_err(|error| server("cannot lock the tables against writers", error))?;
    }
    Ok(())
}

/// Empties tables in one statement and without CASCADE, so that no other table is ever emptied.
/// `(table, whole)`: a partitioned table is emptied whole, others alone.
pub fn truncate(session: &mut Session, tables: &[(&QualifiedName, bool)]) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables
        .iter()
        .map(|(table, whole)| {
            format!("{}{}", if *whole { "" } else { "ONLY " }, quote_qualified(table))
        })
        .collect();
    session
        .client
        .batch_execute(&format!("TRUNCATE {}", names.join(", ")))
        .map_err(|error| server("cannot empty the tables", error))
}

/// Deletes the rows that meet `WHERE …`.
pub fn delete(session: &mut Session, table: &QualifiedName, condition: &Condition) -> Result<()> {
    let sql = format!("DELETE FROM ONLY {} {}", quote_qualified(table), condition.clause());
    session.run_single(&sql, &format!("cannot empty table {table}")).map(drop)
}

/// How many partitions with rows of their own are below a partitioned table.
pub fn leaf_count(session: &mut Session, table: &QualifiedName) -> Result<usize> {
    let count: i64 = session
        .client
        .query_one(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_tree($1::text::pg_catalog.regclass) AS t
             JOIN pg_catalog.pg_class AS c ON c.oid = t.relid WHERE t.isleaf AND c.relkind = 'r'",
            &[&quote_qualified(table)],
            |row| row.at(0),
        )
        .map_err(|error| server(format!("cannot list the partitions of {table}"), error))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Makes the temporary table for rows of `table`.
pub fn stage(session: &mut Session, table: &QualifiedName, columns: &[Column]) -> Result<()> {
    session.execute(&format!(
        "CREATE TEMPORARY TABLE pgark_rows ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
        list(session, columns),
        session.quote_qualified(table)
    ))
}

/// Its name, to COPY into.
pub fn staged_name() -> QualifiedName {
    QualifiedName::new("pg_temp", "pgark_rows")
}

/// Drops it.
pub fn unstage(session: &mut Session) -> Result<()> {
    session.execute(&format!("DROP TABLE {STAGED}"))
}

/// A statement that puts the staged rows into `table`, leaves rows with the same primary key as
/// they are, and returns what it put. A clash with any other key is an error.
pub fn insert_new_sql(
    session: &Session,
    table: &QualifiedName,
    columns: &[Column],
    key: &[String],
) -> String {
    let names = list(session, columns);
    let keys: Vec<String> = key.iter().map(|name| session.quote(name)).collect();
    format!(
        "COPY (INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {STAGED}
         ON CONFLICT ({}) DO NOTHING RETURNING {names}) TO STDOUT",
        session.quote_qualified(table),
        keys.join(", ")
    )
}

/// A statement that puts the staged rows into `table`, over rows with the same key, and returns
/// all of them as they then are. Columns in `fixed` keep their values.
///
/// The key is set too: values may be equal and not the same, as 1.0 and 1.00 are.
pub fn upsert_sql(
    session: &Session,
    table: &QualifiedName,
    columns: &[Column],
    key: &[String],
    fixed: &[String],
) -> String {
    let names = list(session, columns);
    let keys: Vec<String> = key.iter().map(|name| session.quote(name)).collect();
    let set: Vec<String> = columns
        .iter()
        .filter(|column| !fixed.contains(&column.name))
        .map(|column| format!("{0} = excluded.{0}", session.quote(&column.name)))
        .collect();
    let action = match set.is_empty() {
        true => String::from("NOTHING"),
        false => format!("UPDATE SET {}", set.join(", ")),
    };
    format!(
        "COPY (INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {STAGED}
         ON CONFLICT ({}) DO {action} RETURNING {names}) TO STDOUT",
        session.quote_qualified(table),
        keys.join(", ")
    )
}

/// Columns that can be given a value on insert and never be updated: GENERATED ALWAYS AS IDENTITY.
pub fn fixed_columns(client: &mut Client, table: u32) -> Result<Vec<String>> {
    client
        .query(
            "SELECT attname::text FROM pg_catalog.pg_attribute
             WHERE attrelid = $1 AND attidentity = 'a' AND NOT attisdropped",
            &[&table],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the identity columns", error))
}

/// Sets a sequence as a part of the transaction: `setval` alone would survive a rollback, but
/// after RESTART it acts on a file that the rollback throws away. `false`: the role does not own
/// the sequence, and nothing was done.
pub fn set_sequence(
    session: &mut Session,
    sequence: &SequenceState,
    (value, called): (i64, bool),
) -> Result<bool> {
    let name = quote_qualified(&sequence.name);
    session.execute("SAVEPOINT before_sequence")?;
    if let Err(error) = session.client.batch_execute(&format!("ALTER SEQUENCE {name} RESTART")) {
        if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return Err(server(format!("cannot set sequence {}", sequence.name), error));
        }
        session.execute("ROLLBACK TO SAVEPOINT before_sequence")?;
        session.execute("RELEASE SAVEPOINT before_sequence")?;
        return Ok(false);
    }
    session.execute("RELEASE SAVEPOINT before_sequence")?;
    set_sequence_at_once(session, sequence, (value, called))?;
    Ok(true)
}

/// Whether `setval` will take a value: the role may update the sequence, and the value lies within
/// its bounds.
pub fn may_set_sequence(client: &mut Client, sequence: &SequenceState, value: i64) -> Result<bool> {
    client
        .query_one(
            "SELECT coalesce(pg_catalog.bool_and(
               pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
               AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE')
               AND $2 BETWEEN s.seqmin AND s.seqmax), false)
             FROM pg_catalog.pg_sequence AS s
             JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
             WHERE c.oid = $1::text::pg_catalog.regclass",
            &[&quote_qualified(&sequence.name), &value],
            |row| row.at(0),
        )
        .map_err(|error| server(format!("cannot look up sequence {}", sequence.name), error))
}

/// Sets a sequence beside the transaction: a rollback does not undo it.
pub fn set_sequence_at_once(
    session: &mut Session,
    sequence: &SequenceState,
    (value, called): (i64, bool),
) -> Result<()> {
    let name = quote_qualified(&sequence.name);
    session
        .run_single(
            &format!("SELECT pg_catalog.setval({}, {value}, {called})", literal(&name)),
            &format!("cannot set sequence {}", sequence.name),
        )
        .map(drop)
}

fn list(session: &Session, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| session.quote(&column.name)).collect();
    names.join(", ")
}
