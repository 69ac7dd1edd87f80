//! Locks that would keep a backup waiting now, and how much there is to read.

use super::blockers::Blocker;
use super::catalog::CatalogTable;
use super::failure::server;
use super::session::Session;
use crate::error::Result;
use crate::model::name::QualifiedName;

/// A session that keeps a table from being read: it has locked it, or waits to, and whoever comes
/// later waits behind it.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The table.
    pub table: QualifiedName,
    /// Who it is.
    pub by: Blocker,
    /// Whether the lock is held, not only wanted.
    pub held: bool,
}

/// The conflicts about these tables.
pub fn find(session: &mut Session, tables: &[&CatalogTable]) -> Result<Vec<Conflict>> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    session
        .client
        .query(
            "SELECT n.nspname::text, c.relname::text, coalesce(l.pid, 0), l.granted,
                    a.usename::text, a.application_name, a.state,
                    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start),
                    a.query
             FROM pg_catalog.pg_locks AS l
             JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
             WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
               AND l.database = (SELECT oid FROM pg_catalog.pg_database
                                 WHERE datname = pg_catalog.current_database())
               AND c.oid = ANY ($1)
             ORDER BY 1, 2, l.granted DESC, 3",
            &[&oids],
            |row| {
                Ok(Conflict {
                    table: row.name_at(0)?,
                    held: row.at(3)?,
                    by: Blocker::read(row, row.at(2)?, 4)?,
                })
            },
        )
        .map_err(|error| server("cannot look for locks", error))
}

/// Bytes of these tables on the server's disk, long values included and indexes not. None of them
/// may be locked by others, or this waits.
pub fn bytes(session: &mut Session, tables: &[&CatalogTable]) -> Result<u64> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let bytes: i64 = session
        .client
        .query_one(
            "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_table_size(o)), 0)::bigint
             FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o",
            &[&oids],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot read the sizes of the tables", error))?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}
