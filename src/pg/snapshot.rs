//! The one moment that all rows come from: locks first, the snapshot after them.
//!
//! `LOCK TABLE` as the first statement of a REPEATABLE READ transaction does not take the
//! snapshot. So when the snapshot is taken, no TRUNCATE and no rewriting ALTER TABLE can slip in
//! between snapshot and lock, after which a table would look empty (dump-correctness 1.2, P2).

use super::catalog::{self, CatalogTable};
use super::failure::server;
use super::ident::{literal, quote_qualified};
use super::session::{Session, Statements};
use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;

/// How often locks are asked for anew when tables came, went or were replaced meanwhile.
const ATTEMPTS: usize = 5;

/// How long one request waits for a lock while others are held; deparsing a view asks for locks too, on
/// it and its tables. A transaction that waits for what is held, and has what is waited for, is ended by
/// the server if the circle stands when its `deadlock_timeout` is over (1 s by default, counted from
/// when it began to wait, and looked at once): the shorter each request waits, the less likely that is.
pub const LOCK_ATTEMPT: Duration = Duration::from_millis(100);

/// Bytes of SQL per LOCK statement.
const LOCK_BATCH: usize = 100_000;

/// A snapshot that other sessions can share while the session that took it keeps its transaction.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What `SET TRANSACTION SNAPSHOT` takes.
    pub id: String,
    /// When it was taken, by the server's clock.
    pub taken: DateTime<Utc>,
    /// Position in the write-ahead log.
    pub lsn: String,
    /// The tables under it, all locked in ACCESS SHARE mode.
    pub tables: Vec<CatalogTable>,
}

/// Chooses which tables to lock.
pub type Choose<'a> = dyn FnMut(&[CatalogTable]) -> Result<BTreeSet<u32>> + 'a;

/// Locks the tables that `choose` picks, takes the snapshot, and lists the tables again under it.
/// The session's transaction stays open, and waits for a lock no longer than [`LOCK_ATTEMPT`].
///
/// # Errors
/// [`Kind::Locked`] when a lock is not to be had within `patience`, or tables do not stop
/// changing; whatever `choose` returns.
pub fn take(
    session: &mut Session,
    patience: Duration,
    interrupted: &dyn Fn() -> Result<()>,
    choose: &mut Choose<'_>,
) -> Result<Snapshot> {
    for _ in 0..ATTEMPTS {
        interrupted()?;
        if let Some(snapshot) = attempt(session, patience, interrupted, choose)? {
            return Ok(snapshot);
        }
        session.execute("ROLLBACK")?;
    }
    Err(Error::new(Kind::Locked, "tables did not stop being created, dropped or rewritten")
        .hint("run again when no migration is running"))
}

fn attempt(
    session: &mut Session,
    patience: Duration,
    interrupted: &dyn Fn() -> Result<()>,
    choose: &mut Choose<'_>,
) -> Result<Option<Snapshot>> {
    let listed = catalog::tables(&mut session.client)?;
    let chosen = choose(&listed)?;
    let to_lock: Vec<&CatalogTable> =
        listed.iter().filter(|table| chosen.contains(&table.oid)).collect();
    session.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    if !lock(session, &to_lock, patience, interrupted)? {
        return Ok(None);
    }
    let failed = |error| server("cannot take the snapshot", error);
    let (id, taken, lsn): (String, String, String) = session
        .client
        .query_one(
            "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.clock_timestamp()::text,
                    CASE WHEN pg_catalog.pg_is_in_recovery()
                      THEN coalesce(pg_catalog.pg_last_wal_replay_lsn()::text, '0/0')
                      ELSE pg_catalog.pg_current_wal_insert_lsn()::text END",
            &[],
            |row| Ok((row.at(0)?, row.at(1)?, row.at(2)?)),
        )
        .map_err(failed)?;
    let mut tables = catalog::tables(&mut session.client)?;
    let chosen_now = choose(&tables)?;
    if chosen != chosen_now
        || !names(&listed, &chosen).eq(names(&tables, &chosen))
        || !rewritten(session, &chosen)?.is_empty()
    {
        return Ok(None);
    }
    catalog::measure(&mut session.client, &mut tables, &chosen)?;
    Ok(Some(Snapshot { id, taken: parse_timestamp(&taken)?, lsn, tables }))
}

/// The chosen tables, in the order of OIDs.
fn names<'a>(
    tables: &'a [CatalogTable],
    chosen: &'a BTreeSet<u32>,
) -> impl Iterator<Item = (u32, &'a QualifiedName)> {
    let chosen = tables.iter().filter(|table| chosen.contains(&table.oid));
    chosen.map(|table| (table.oid, &table.name))
}

/// Locks in the order of OIDs. `false`: a table went away meanwhile.
fn lock(
    session: &mut Session,
    tables: &[&CatalogTable],
    patience: Duration,
    interrupted: &dyn Fn() -> Result<()>,
) -> Result<bool> {
    let deadline = Instant::now() + patience;
    let mut batches: Vec<String> = Vec::new();
    for table in tables {
        let name = quote_qualified(&table.name);
        match batches.last_mut() {
            Some(batch) if batch.len() < LOCK_BATCH => {
                batch.push_str(", ONLY ");
                batch.push_str(&name);
            }
            _ => batches.push(format!("LOCK TABLE ONLY {name}")),
        }
    }
    limit_lock_waits(session, LOCK_ATTEMPT)?;
    // A failed LOCK would end the transaction. A savepoint keeps it, and takes no snapshot; going back
    // to it frees all tables, so that whoever waits for one of them gets it.
    session.execute("SAVEPOINT before_locks")?;
    loop {
        interrupted()?;
        let mut statements = batches.iter().map(|batch| format!("{batch} IN ACCESS SHARE MODE"));
        let locked = statements.try_for_each(|sql| session.client.batch_execute(&sql));
        let Err(error) = locked else { break };
        let code = error.code().cloned();
        if code == Some(SqlState::UNDEFINED_TABLE) || code == Some(SqlState::INVALID_SCHEMA_NAME) {
            return Ok(false);
        }
        let in_the_way = code == Some(SqlState::LOCK_NOT_AVAILABLE)
            || code == Some(SqlState::T_R_DEADLOCK_DETECTED);
        if !in_the_way || Instant::now() >= deadline {
            let failure = server("cannot lock the tables", error);
            return Err(match failure.kind() {
                Kind::Locked => failure.hint(
                    "somebody held a conflicting lock all the time; find them in pg_locks, or allow more with --lock-timeout",
                ),
                _ => failure,
            });
        }
        session.execute("ROLLBACK TO SAVEPOINT before_locks")?;
    }
    session.execute("RELEASE SAVEPOINT before_locks")?;
    Ok(true)
}

/// How long every request of the open transaction may wait for a lock from now on.
pub fn limit_lock_waits(session: &mut Session, limit: Duration) -> Result<()> {
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1);
    session.execute(&format!("SET LOCAL lock_timeout = {limit}"))
}

/// The detector: tables whose file, in the snapshot's view, is not the current one. Under locks
/// that were taken before the snapshot there can be none.
pub fn rewritten(session: &mut Session, oids: &BTreeSet<u32>) -> Result<Vec<String>> {
    let oids: Vec<u32> = oids.iter().copied().collect();
    session
        .client
        .query(
            "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class AS c
             WHERE c.oid = ANY ($1) AND c.relkind = 'r' AND c.relfilenode <> 0
               AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid)",
            &[&oids],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot compare table files with the snapshot", error))
}

/// Joins a session to a snapshot.
pub fn join(session: &mut impl Statements, snapshot: &str) -> Result<()> {
    session.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    session.execute(&format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot)))
}

/// A fingerprint of the catalogs as the session sees them: equal in the snapshot and in a fresh
/// session means that no definition changed while the catalogs were read. `pg_get_viewdef` and
/// its like read the current catalogs, not the snapshot's.
pub fn catalog_fingerprint(session: &mut Session) -> Result<String> {
    let part_by = |catalog: &str, key: &[&str], filter: &str| {
        let key: Vec<String> = key.iter().map(|column| format!("x.{column}::text")).collect();
        format!(
            "SELECT '{catalog}' AS c, pg_catalog.count(*) AS n,
               coalesce(pg_catalog.sum(pg_catalog.hashtextextended({} || ' ' || x.xmin::text, 0)), 0) AS h
             FROM pg_catalog.{catalog} AS x {filter}",
            key.join(" || ' ' || ")
        )
    };
    let part = |catalog: &str, filter: &str| part_by(catalog, &["oid"], filter);
    let not_temporary = "WHERE x.relpersistence <> 't'";
    let owner_not_temporary = |column: &str| {
        format!(
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = x.{column}
             WHERE n.nspname !~ '^pg_(toast_)?temp_'"
        )
    };
    let table_not_temporary = |column: &str| {
        format!("JOIN pg_catalog.pg_class AS r ON r.oid = x.{column} WHERE r.relpersistence <> 't'")
    };
    // The largest of the catalogs: only what a user can define, and no columns of indexes and
    // TOAST tables, which change with their own rows in pg_class.
    let defined_columns = format!(
        "{} AND x.attrelid >= 16384 AND x.attnum > 0 AND r.relkind NOT IN ('i', 'I', 't')",
        table_not_temporary("attrelid")
    );
    let comments = "WHERE NOT (x.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND EXISTS (
               SELECT FROM pg_catalog.pg_class AS r
               WHERE r.oid = x.objoid AND r.relpersistence = 't'))";
    let parts = [
        part("pg_class", not_temporary),
        part("pg_proc", &owner_not_temporary("pronamespace")),
        part("pg_type", &owner_not_temporary("typnamespace")),
        part("pg_constraint", &owner_not_temporary("connamespace")),
        part("pg_trigger", &table_not_temporary("tgrelid")),
        part("pg_rewrite", &table_not_temporary("ev_class")),
        part("pg_attrdef", &table_not_temporary("adrelid")),
        part("pg_enum", ""),
        part("pg_namespace", "WHERE x.nspname !~ '^pg_(toast_)?temp_'"),
        part("pg_extension", ""),
        part("pg_policy", ""),
        part("pg_statistic_ext", ""),
        part("pg_foreign_data_wrapper", ""),
        part("pg_foreign_server", ""),
        part("pg_event_trigger", ""),
        part("pg_publication", ""),
        part("pg_publication_rel", ""),
        part_by("pg_foreign_table", &["ftrelid"], ""),
        part("pg_operator", ""),
        part("pg_opfamily", ""),
        part("pg_opclass", ""),
        part("pg_amop", ""),
        part("pg_amproc", ""),
        part("pg_cast", ""),
        part("pg_collation", ""),
        part("pg_conversion", ""),
        part("pg_language", ""),
        part("pg_transform", ""),
        part("pg_am", ""),
        part("pg_ts_parser", ""),
        part("pg_ts_template", ""),
        part("pg_ts_dict", ""),
        part("pg_ts_config", ""),
        part_by("pg_ts_config_map", &["mapcfg", "maptokentype", "mapseqno"], ""),
        part_by("pg_aggregate", &["aggfnoid"], ""),
        part_by("pg_range", &["rngtypid"], ""),
        part_by("pg_attribute", &["attrelid", "attnum"], &defined_columns),
        part_by("pg_index", &["indexrelid"], &table_not_temporary("indrelid")),
        part_by("pg_inherits", &["inhrelid", "inhparent"], &table_not_temporary("inhrelid")),
        part_by("pg_sequence", &["seqrelid"], &table_not_temporary("seqrelid")),
        part_by("pg_description", &["classoid", "objoid", "objsubid"], comments),
    ];
    let sql = format!(
        "SELECT pg_catalog.string_agg(p.c || ' ' || p.n || ' ' || p.h, ';' ORDER BY p.c) FROM ({}) AS p",
        parts.join(" UNION ALL ")
    );
    session
        .client
        .query_one(&sql, &[], |row| row.at(0))
        .map_err(|error| server("cannot fingerprint the catalogs", error))
}

fn parse_timestamp(text: &str) -> Result<DateTime<Utc>> {
    // ISO date style in UTC: `2026-11-22 14:43:01.123456+00`.
    DateTime::parse_from_str(&format!("{text}00"), "%Y-%m-%d %H:%M:%S%.f%z")
        .map(|time| time.to_utc())
        .map_err(|error| {
            Error::failed(format!("the server's clock says \"{text}\"")).caused_by(error)
        })
}
