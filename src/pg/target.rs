//! The database that a restore goes into: is it empty, is it marked as half restored, and how to
//! empty it again.

use super::failure::server;
use super::session::Session;
use crate::error::{Error, Result};
use postgres::Client;

/// While a restore is under way, the database has a schema of this name.
pub const MARK: &str = "pgark_restore_unfinished";

/// Whether a restore into this database was begun and has not ended.
pub fn is_marked(client: &mut Client) -> Result<bool> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
            &[&MARK],
        )
        .map_err(|error| server("cannot look for an unfinished restore", error))?;
    Ok(row.get(0))
}

/// Fails for a database in which a restore has not ended.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused).
pub fn check_unmarked(session: &mut Session) -> Result<()> {
    if !is_marked(&mut session.client)? {
        return Ok(());
    }
    Err(Error::refused(format!(
        "database \"{}\" is half restored: a restore into it has not ended",
        session.facts.database
    ))
    .hint(format!("restore into it again; or, to take it as it is, DROP SCHEMA {MARK} CASCADE")))
}

/// Marks the database, durably, with the extensions it has before the restore.
pub fn mark(session: &mut Session, archive: &str) -> Result<()> {
    let failed = |error| server("cannot mark the database as half restored", error);
    let mut transaction = session.client.transaction().map_err(failed)?;
    let statements = format!(
        "SET LOCAL synchronous_commit = on;
         CREATE SCHEMA {MARK};
         CREATE TABLE {MARK}.restore (archive text, begun timestamptz DEFAULT pg_catalog.now(), extensions text[])"
    );
    transaction.batch_execute(&statements).map_err(failed)?;
    let insert = format!(
        "INSERT INTO {MARK}.restore (archive, extensions)
         SELECT $1, pg_catalog.array_agg(extname::text) FROM pg_catalog.pg_extension"
    );
    transaction.execute(&insert, &[&archive]).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Takes the mark away, durably: from here on the database is ready for use.
pub fn unmark(session: &mut Session) -> Result<()> {
    session.execute("SET synchronous_commit = on")?;
    session.execute(&format!("DROP SCHEMA {MARK} CASCADE"))
}

/// Names of what a user has put into the database, a few of them. Extensions and what they own
/// do not count.
pub fn user_objects(session: &mut Session) -> Result<Vec<String>> {
    let sql = format!(
        "{USER_OBJECTS} SELECT kind || ' ' || name FROM found ORDER BY rank, name LIMIT 10"
    );
    let rows = session
        .client
        .query(&sql, &[])
        .map_err(|error| server("cannot look whether the database is empty", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Empties a marked database: drops everything that the restore has made. The mark goes last, so
/// that a run that is killed meanwhile leaves it.
pub fn empty(session: &mut Session) -> Result<()> {
    let failed = |error| server("cannot empty the database", error);
    // One statement at a time: dropping thousands of tables at once needs more locks than
    // servers have room for.
    let sql = format!(
        "{USER_OBJECTS} SELECT 'DROP ' || kind || ' IF EXISTS ' || name || ' CASCADE'
         FROM found WHERE name NOT IN ('{MARK}', '{MARK}.restore') ORDER BY rank, name"
    );
    for row in session.client.query(&sql, &[]).map_err(failed)? {
        session.execute(row.get(0))?;
    }
    let extensions = format!(
        "SELECT 'DROP EXTENSION IF EXISTS ' || pg_catalog.quote_ident(x.extname) || ' CASCADE'
         FROM pg_catalog.pg_extension AS x, {MARK}.restore AS r
         WHERE x.extname::text <> ALL (r.extensions)"
    );
    for row in session.client.query(&extensions, &[]).map_err(failed)? {
        session.execute(row.get(0))?;
    }
    loop {
        let removed = session
            .client
            .query_one(
                "SELECT pg_catalog.count(pg_catalog.lo_unlink(oid)) FROM
                 (SELECT oid FROM pg_catalog.pg_largeobject_metadata LIMIT 1000) AS batch",
                &[],
            )
            .map_err(failed)?;
        if removed.get::<_, i64>(0) == 0 {
            break;
        }
    }
    unmark(session)
}

/// What users made, in the order in which it is dropped.
const USER_OBJECTS: &str = "
WITH member AS (
  SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
theirs AS (
  SELECT oid, nspname FROM pg_catalog.pg_namespace
  WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'),
found AS (
  SELECT 1 AS rank,
    CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
      WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
    pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_catalog.pg_class AS c JOIN theirs AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
        AND c.relkind = 'S' AND d.deptype = 'i')
  UNION ALL
  SELECT 2, CASE p.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END,
    pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
      pg_catalog.pg_get_function_identity_arguments(p.oid))
  FROM pg_catalog.pg_proc AS p JOIN theirs AS n ON n.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
  UNION ALL
  SELECT 3, 'TYPE', pg_catalog.format('%I.%I', n.nspname, t.typname)
  FROM pg_catalog.pg_type AS t JOIN theirs AS n ON n.oid = t.typnamespace
  WHERE (t.typtype IN ('e', 'd', 'r', 'b') OR t.typtype = 'c' AND EXISTS (
      SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    AND t.typelem = 0
    AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid)
  UNION ALL
  SELECT 4, 'SCHEMA', pg_catalog.quote_ident(n.nspname)
  FROM theirs AS n
  WHERE n.nspname <> 'public' AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND m.objid = n.oid))
";
