//! Alembic's version table: held against everybody else while its project is changed, and changed
//! itself only where exactly one row is what it was expected to be.

use super::failure::server;
use super::ident::quote_qualified;
use super::session::Session;
use super::snapshot;
use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use std::time::Duration;

/// `pgark mig` in ASCII: keeps a second run out of the same database.
const ADVISORY_KEY: i64 = 0x70_67_61_72_6b_6d_69_67;

/// How strongly the table is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody can write to it: what an archive is read under.
    AgainstWriters,
    /// Nobody can read it either, which holds every run of Alembic out.
    Alone,
}

/// Keeps every other change of migrations out of the database for as long as the session lasts.
///
/// # Errors
/// [`Kind::Locked`] when another one is under way.
pub fn lock_out_others(session: &mut Session) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_try_advisory_lock($1)";
    let locked = session
        .client
        .query_one(sql, &[&ADVISORY_KEY], |row| row.at(0))
        .map_err(|error| server("cannot lock the database against other runs", error))?;
    match locked {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Locked,
            format!("another pgark is changing the migrations of \"{}\"", session.facts.database),
        )
        .hint("wait until it has ended")),
    }
}

/// Holds the table until the transaction ends, which the caller has begun.
///
/// # Errors
/// [`Kind::Locked`] when it is not to be had for `patience`.
pub fn hold(
    session: &mut Session,
    table: &QualifiedName,
    hold: Hold,
    patience: Duration,
) -> Result<()> {
    let mode = match hold {
        Hold::AgainstWriters => "EXCLUSIVE",
        Hold::Alone => "ACCESS EXCLUSIVE",
    };
    snapshot::limit_lock_waits(session, patience)?;
    let sql = format!("LOCK TABLE ONLY {} IN {mode} MODE", quote_qualified(table));
    session.client.batch_execute(&sql).map_err(|error| {
        server(format!("cannot lock {table}"), error)
            .hint("run as the owner of the version table, and when no migration is running")
    })
}

/// Lets a session write nothing, and wait for locks no longer than `patience`.
pub fn only_look(session: &mut Session, patience: Duration) -> Result<()> {
    session.execute(&format!(
        "SET default_transaction_read_only = on; SET lock_timeout = {}",
        milliseconds(patience)
    ))
}

fn milliseconds(patience: Duration) -> i32 {
    i32::try_from(patience.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// Makes `id` the only row of a version table, which it makes where there is none. The answer is for
/// [`remove_mark`].
///
/// # Errors
/// What the server says.
pub fn put_mark(session: &mut Session, table: &QualifiedName, id: &str) -> Result<Before> {
    let there = session
        .client
        .query_opt(
            "SELECT 1 FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2",
            &[&table.schema, &table.name],
            |_| Ok(()),
        )
        .map_err(|error| server(format!("cannot look for {table}"), error))?
        .is_some();
    let name = quote_qualified(table);
    let mut before = Before::Absent;
    if there {
        let sql = format!("DELETE FROM ONLY {name} RETURNING version_num::text");
        let rows = session
            .client
            .query(&sql, &[], |row| row.at(0))
            .map_err(|error| server(format!("cannot mark {table}"), error))?;
        before = Before::Rows(rows);
    } else {
        session.execute(&format!(
            "CREATE TABLE {name} (version_num pg_catalog.varchar(32) NOT NULL PRIMARY KEY)"
        ))?;
    }
    insert(session, table, id)?;
    Ok(before)
}

/// What a version table was before it was marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// Not there.
    Absent,
    /// There, with these rows.
    Rows(Vec<String>),
}

/// Makes a version table what it was before it was marked.
///
/// # Errors
/// What the server says.
pub fn remove_mark(session: &mut Session, table: &QualifiedName, before: Before) -> Result<()> {
    let name = quote_qualified(table);
    match before {
        Before::Absent => session.execute(&format!("DROP TABLE {name}")),
        Before::Rows(rows) => {
            session.execute(&format!("DELETE FROM ONLY {name}"))?;
            rows.iter().try_for_each(|row| insert(session, table, row))
        }
    }
}

fn insert(session: &mut Session, table: &QualifiedName, id: &str) -> Result<()> {
    let sql = format!("INSERT INTO {} VALUES ($1)", quote_qualified(table));
    session
        .client
        .execute(&sql, &[&id])
        .map(drop)
        .map_err(|error| server(format!("cannot write to {table}"), error))
}

/// Sessions that began after this session's clock showed `since` (as [`clock`] gives it) and wait
/// for what this session holds; other runs of pgark, which look who is behind, do not count. Of another
/// role's sessions only few may see when they began and who they are: these count.
pub fn waiting_since(session: &mut Session, since: &str) -> Result<Vec<String>> {
    // In a transaction the view shows what it showed first, unless that is forgotten.
    session.execute("SELECT pg_catalog.pg_stat_clear_snapshot()")?;
    session
        .client
        .query(
            "SELECT coalesce(nullif(application_name, ''), 'process ' || pid)
             FROM pg_catalog.pg_stat_activity
             WHERE application_name IS DISTINCT FROM 'pgark' AND datname = pg_catalog.current_database()
               AND coalesce(backend_start >= $1::text::timestamptz, true)
               AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid))",
            &[&since],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look who waits for the version table", error))
}

/// The server's clock.
pub fn clock(session: &mut Session) -> Result<String> {
    session
        .client
        .query_one("SELECT pg_catalog.clock_timestamp()::text", &[], |row| row.at(0))
        .map_err(|error| server("cannot read the server's clock", error))
}

/// Changes the one row that says `from` so that it says `to`.
///
/// # Errors
/// [`Kind::Refused`] when there is not exactly one such row; nothing is changed then, if the caller
/// ends the transaction without a commit.
pub fn change(session: &mut Session, table: &QualifiedName, from: &str, to: &str) -> Result<()> {
    let sql = format!(
        "UPDATE ONLY {} SET version_num = $1 WHERE version_num = $2",
        quote_qualified(table)
    );
    let changed = session
        .client
        .execute(&sql, &[&to, &from])
        .map_err(|error| server(format!("cannot write to {table}"), error))?;
    match changed {
        1 => Ok(()),
        other => Err(Error::refused(format!(
            "{other} rows of {table} say \"{from}\", where exactly one was expected"
        ))),
    }
}

/// Databases of the server, but for the session's own, templates, and what a DROP has begun to remove,
/// and whether the role may connect to each.
pub fn other_databases(session: &mut Session) -> Result<Vec<(String, bool)>> {
    session
        .client
        .query(
            "SELECT datname::text, datallowconn
                    AND coalesce(pg_catalog.has_database_privilege(oid, 'CONNECT'), true)
             FROM pg_catalog.pg_database
             WHERE NOT datistemplate AND datname <> pg_catalog.current_database()
               AND datconnlimit <> -2 ORDER BY 1",
            &[],
            |row| Ok((row.at(0)?, row.at(1)?)),
        )
        .map_err(|error| server("cannot list the databases", error))
}
