//! Which tables and sequences there are, and what the role may read of them.

use super::failure::{Reason, server};
use super::ident::{literal, quote_qualified};
use super::record::{Record, Unread};
use crate::error::{Error, Kind, Result};
use crate::model::condition::Condition;
use crate::model::name::{QualifiedName, enumerate};
use crate::model::table::{Column, OwnedBy, SequenceState};
use crate::pg::client::Client;
use std::collections::{BTreeMap, BTreeSet};

/// A table that rows are read from, or a partitioned table, as the catalogs show it.
#[derive(Clone, Debug)]
pub struct CatalogTable {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Its schema and name.
    pub name: QualifiedName,
    /// Whether it is partitioned, and so holds no rows of its own.
    pub partitioned: bool,
    /// The partitioned table that it is a partition of.
    pub partition_of: Option<u32>,
    /// The extension whose configuration table it is.
    pub extension: Option<String>,
    /// Which rows alone are read: the extension's own condition, or the operator's.
    pub condition: Option<Condition>,
    /// The partitioned table that rows must go through (dump-correctness 3.3): a hash of enum
    /// values depends on the OIDs of the labels.
    pub load_through: Option<u32>,
    /// Whether the rows cannot be read on a standby.
    pub unlogged: bool,
    /// Whether the role may use the schema and select from the table, which a lock needs too.
    pub readable: bool,
    /// Whether row-level security would hide rows from the role.
    pub rows_hidden: bool,
    /// Pages of the heap; 0 until [`measure`].
    pub pages: u64,
    /// The columns whose values travel: neither dropped nor generated.
    pub columns: Vec<Column>,
}

/// Lists the tables: ordinary and partitioned, temporary ones and other sessions' excepted,
/// members of extensions only where the extension marked them as configuration. In order of OID.
///
/// Nothing here waits for a lock on a table, so one may be dropped at any time. The functions about
/// privileges, which look past the snapshot, give null for it then: it counts as readable, and
/// whoever locks or reads it will find that it is gone.
pub fn tables(client: &mut Client) -> Result<Vec<CatalogTable>> {
    fn failed(reason: impl Into<Reason>) -> Error {
        server("cannot list the tables", reason)
    }
    let mut columns = columns(client)?;
    let through = loaded_through_root(client)?;
    let rows = client
        .stream(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p',
                    CASE WHEN c.relispartition THEN
                      (SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid) END,
                    x.extname::text,
                    nullif(x.extcondition[pg_catalog.array_position(x.extconfig, c.oid)], ''),
                    c.relpersistence = 'u',
                    coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                      AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), true),
                    pg_catalog.row_security_active(c.oid)
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_depend AS d
               ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
              AND d.objsubid = 0 AND d.deptype = 'e'
              AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
             LEFT JOIN pg_catalog.pg_extension AS x ON x.oid = d.refobjid
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
               AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
               AND (x.oid IS NULL OR c.oid = ANY (x.extconfig))
             ORDER BY c.oid",
        )
        .map_err(failed)?;
    let mut tables = Vec::new();
    for row in rows {
        let (mut table, clause) = table(&row.map_err(failed)?).map_err(failed)?;
        table.condition = clause.map(Condition::of_clause).transpose().map_err(|error| {
            error.while_doing(format!("cannot tell which rows of {} are to be read", table.name))
        })?;
        table.load_through = through.get(&table.oid).copied();
        table.columns = columns.remove(&table.oid).unwrap_or_default();
        tables.push(table);
    }
    Ok(tables)
}

/// What [`tables`] selects of one table, and its extension's condition on the rows.
fn table(row: &Record) -> Result<(CatalogTable, Option<String>), Unread> {
    let table = CatalogTable {
        oid: row.at(0)?,
        name: row.name_at(1)?,
        partitioned: row.at(3)?,
        partition_of: row.at(4)?,
        extension: row.at(5)?,
        condition: None,
        load_through: None,
        unlogged: row.at(7)?,
        readable: row.at(8)?,
        rows_hidden: row.at(9)?,
        pages: 0,
        columns: Vec::new(),
    };
    Ok((table, row.at(6)?))
}

/// Fills in the sizes of the tables that are locked: `pg_relation_size` takes a lock itself, and
/// would wait for whoever holds a table in ACCESS EXCLUSIVE mode.
pub fn measure(
    client: &mut Client,
    tables: &mut [CatalogTable],
    locked: &BTreeSet<u32>,
) -> Result<()> {
    let is_locked = |table: &&CatalogTable| !table.partitioned && locked.contains(&table.oid);
    let oids: Vec<u32> = tables.iter().filter(is_locked).map(|table| table.oid).collect();
    let pages = client
        .query(
            "SELECT o, coalesce(pg_catalog.pg_relation_size(o), 0)
                    / pg_catalog.current_setting('block_size')::bigint
             FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o",
            &[&oids],
            |row| Ok((row.at(0)?, row.at(1)?)),
        )
        .map_err(|error| server("cannot read the sizes of the tables", error))?;
    let pages: BTreeMap<u32, i64> = pages.into_iter().collect();
    for table in tables {
        let found = pages.get(&table.oid).copied().unwrap_or_default();
        table.pages = u64::try_from(found).unwrap_or_default();
    }
    Ok(())
}

fn columns(client: &mut Client) -> Result<BTreeMap<u32, Vec<Column>>> {
    fn failed(reason: impl Into<Reason>) -> Error {
        server("cannot list the columns", reason)
    }
    let rows = client
        .stream(
            "SELECT a.attrelid, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
             FROM pg_catalog.pg_attribute AS a
             JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema'
               AND n.nspname !~ '^pg_'
               AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
             ORDER BY a.attrelid, a.attnum",
        )
        .map_err(failed)?;
    let mut columns: BTreeMap<u32, Vec<Column>> = BTreeMap::new();
    for row in rows {
        let (table, column) = column(&row.map_err(failed)?).map_err(failed)?;
        columns.entry(table).or_default().push(column);
    }
    Ok(columns)
}

/// A column, with the OID of its table.
fn column(row: &Record) -> Result<(u32, Column), Unread> {
    Ok((row.at(0)?, Column { name: row.at(1)?, type_name: row.at(2)? }))
}

/// Partitions below a table that is hash-partitioned by an enum, with that table.
fn loaded_through_root(client: &mut Client) -> Result<BTreeMap<u32, u32>> {
    let through = client
        .query(
            "WITH RECURSIVE hashed AS (
               SELECT p.partrelid AS root, p.partrelid AS oid
               FROM pg_catalog.pg_partitioned_table AS p
               WHERE p.partstrat = 'h' AND EXISTS (
                 SELECT FROM pg_catalog.pg_opclass AS o
                 WHERE o.oid = ANY (p.partclass::pg_catalog.oid[]) AND o.opcname = 'enum_ops')
               UNION ALL
               SELECT h.root, i.inhrelid FROM hashed AS h
               JOIN pg_catalog.pg_inherits AS i ON i.inhparent = h.oid)
             SELECT oid, pg_catalog.min(root) FROM hashed WHERE oid <> root GROUP BY oid",
            &[],
            |row| Ok((row.at(0)?, row.at(1)?)),
        )
        .map_err(|error| server("cannot list the partitions", error))?;
    Ok(through.into_iter().collect())
}

/// Reads every sequence's position. Sequences are not transactional: read after the snapshot was
/// taken, a position is never behind the rows (dump-correctness 1.2).
///
/// # Errors
/// Also when the role may not read a sequence: all of them are named.
pub fn sequences(client: &mut Client) -> Result<Vec<SequenceState>> {
    let failed = |error| server("cannot read the sequences", error);
    let found = client
        .query(
            "SELECT n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text,
                    a.attname::text, s.seqincrement < 0,
                    coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                      AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT'), true)
             FROM pg_catalog.pg_sequence AS s
             JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_depend AS d
               ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
              AND d.deptype IN ('a', 'i')
             LEFT JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
             LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
             LEFT JOIN pg_catalog.pg_attribute AS a
               ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE c.relpersistence <> 't'
               AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_depend AS e
                 JOIN pg_catalog.pg_extension AS x ON x.oid = e.refobjid
                 WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid
                   AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                   AND e.deptype = 'e' AND NOT c.oid = ANY (coalesce(x.extconfig, '{}')))
             ORDER BY 1, 2",
            &[],
            |row| Ok((sequence(row)?, row.at::<bool>(6)?)),
        )
        .map_err(failed)?;
    let hidden: Vec<String> = found
        .iter()
        .filter(|(_, readable)| !readable)
        .map(|(sequence, _)| sequence.name.to_string())
        .collect();
    if !hidden.is_empty() {
        return Err(Error::failed(format!(
            "no privilege to read sequences {}",
            enumerate(&hidden)
        ))
        .hint("GRANT pg_read_all_data TO the backup role, or SELECT on these sequences"));
    }
    let mut sequences: Vec<SequenceState> =
        found.into_iter().map(|(sequence, _)| sequence).collect();
    // One statement for many sequences, and not so many that the statement has no bound.
    for batch in sequences.chunks_mut(200) {
        let reads: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(position, sequence)| {
                let from = quote_qualified(&sequence.name);
                format!("SELECT {position}::int4 AS p, last_value, is_called FROM {from}")
            })
            .collect();
        let sql = format!("{} ORDER BY 1", reads.join(" UNION ALL "));
        let states = client.query(&sql, &[], |row| Ok((row.at(1)?, row.at(2)?))).map_err(failed)?;
        if states.len() != batch.len() {
            return Err(Error::failed("the positions of some sequences are missing"));
        }
        for (sequence, state) in batch.iter_mut().zip(states) {
            (sequence.last_value, sequence.is_called) = state;
        }
    }
    Ok(sequences)
}

/// What the catalogs know of a sequence; its position is read afterwards.
fn sequence(row: &Record) -> Result<SequenceState, Unread> {
    let owned_by = match row.at::<Option<&str>>(3)? {
        Some(_) => Some(OwnedBy { table: row.name_at(2)?, column: row.at(4)? }),
        None => None,
    };
    Ok(SequenceState {
        name: row.name_at(0)?,
        owned_by,
        last_value: 0,
        is_called: false,
        descending: row.at(5)?,
    })
}

/// Tables that look like Alembic's version table: one column `version_num`, a varchar of any length
/// (projects with long revision names widen it) or a text, whatever their name and schema
/// (research: alembic.md section 3).
pub fn alembic_ledgers(client: &mut Client) -> Result<Vec<QualifiedName>> {
    client
        .query(
            "SELECT n.nspname::text, c.relname::text
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
               AND (SELECT pg_catalog.count(*) = 1 AND pg_catalog.bool_and(a.attname = 'version_num'
                      AND a.atttypid IN ('pg_catalog.varchar'::pg_catalog.regtype,
                                         'pg_catalog.text'::pg_catalog.regtype))
                    FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
             ORDER BY 1, 2",
            &[],
            |row| row.name_at(0),
        )
        .map_err(|error| server("cannot look for migration ledgers", error))
}

/// The revisions in an Alembic version table, sorted.
pub fn alembic_revisions(client: &mut Client, table: &QualifiedName) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT version_num::text COLLATE \"C\" FROM ONLY {} ORDER BY 1",
        quote_qualified(table)
    );
    let revisions: Vec<Option<String>> = client
        .query(&sql, &[], |row| row.at(0))
        .map_err(|error| server(format!("cannot read the migration ledger {table}"), error))?;
    let revisions: Option<Vec<String>> = revisions.into_iter().collect();
    revisions.ok_or_else(|| {
        Error::failed(format!("the migration ledger {table} has a row that names no revision"))
            .hint(format!("DELETE FROM {} WHERE version_num IS NULL;", quote_qualified(table)))
    })
}

/// Ordinary tables that belong to an extension, are not its configuration, and hold rows, with the
/// extension's name: CREATE EXTENSION does not bring such rows back (dump-correctness P20). Where
/// the role may not look, a table whose file is not empty counts.
pub fn extension_tables_with_rows(client: &mut Client) -> Result<Vec<(QualifiedName, String)>> {
    let failed = |error| server("cannot look into the tables of extensions", error);
    let candidates: Vec<(QualifiedName, String, bool)> = client
        .query(
            "SELECT n.nspname::text, c.relname::text, x.extname::text,
                    coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                      AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                      AND NOT pg_catalog.row_security_active(c.oid), true)
             FROM pg_catalog.pg_depend AS d
             JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_extension AS x ON x.oid = d.refobjid
             WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0
               AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
               AND d.deptype = 'e' AND c.relkind = 'r' AND c.relpersistence <> 't'
               AND NOT c.oid = ANY (coalesce(x.extconfig, '{}'))
               AND pg_catalog.pg_relation_size(c.oid) > 0
             ORDER BY 1, 2",
            &[],
            |row| Ok((row.name_at(0)?, row.at(2)?, row.at(3)?)),
        )
        .map_err(failed)?;
    let mut found = Vec::new();
    for (table, extension, visible) in candidates {
        let sql = format!("SELECT EXISTS (SELECT FROM ONLY {})", quote_qualified(&table));
        if !visible || client.query_one(&sql, &[], |row| row.at(0)).map_err(failed)? {
            found.push((table, extension));
        }
    }
    Ok(found)
}

/// What has a name like a table and is none, with what it is.
pub fn other_relations(client: &mut Client) -> Result<Vec<(QualifiedName, String)>> {
    client
        .query(
            "SELECT n.nspname::text, c.relname::text, CASE c.relkind WHEN 'v' THEN 'a view'
                    WHEN 'm' THEN 'a materialized view' WHEN 'S' THEN 'a sequence'
                    WHEN 'f' THEN 'a foreign table' WHEN 'c' THEN 'a type' ELSE 'an index' END
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('v', 'm', 'S', 'f', 'c', 'i', 'I') AND n.nspname !~ '^pg_'
               AND n.nspname <> 'information_schema' ORDER BY c.relkind = ANY ('{i,I}'), 1, 2",
            &[],
            |row| Ok((row.name_at(0)?, row.at(2)?)),
        )
        .map_err(|error| server("cannot list the relations", error))
}

/// Tables, and those that inherit from them other than as partitions, be they foreign. What other
/// sessions have of their own for a while is none of them.
pub fn inherited(client: &mut Client) -> Result<Vec<(QualifiedName, QualifiedName)>> {
    client
        .query(
            "SELECT pn.nspname::text, p.relname::text, cn.nspname::text, c.relname::text
             FROM pg_catalog.pg_inherits AS i
             JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
             JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
             JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
             JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
             WHERE p.relkind = 'r' AND p.relpersistence <> 't' AND c.relpersistence <> 't'
             ORDER BY 1, 2, 3, 4",
            &[],
            |row| Ok((row.name_at(0)?, row.name_at(2)?)),
        )
        .map_err(|error| server("cannot list the children of tables", error))
}

/// How many large objects there are.
pub fn count_large_objects(client: &mut Client) -> Result<u64> {
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata";
    let count: i64 = client
        .query_one(sql, &[], |row| row.at(0))
        .map_err(|error| server("cannot count the large objects", error))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Which of `roles` the server does not have.
pub fn missing_roles(client: &mut Client, roles: &[String]) -> Result<Vec<String>> {
    let wanted: Vec<String> = roles.iter().map(|role| format!("({})", literal(role))).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT w.name FROM (VALUES {}) AS w(name)
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = w.name)
         ORDER BY 1",
        wanted.join(", ")
    );
    client.query(&sql, &[], |row| row.at(0)).map_err(|error| server("cannot list the roles", error))
}

/// Which of `roles` the session's role may not act for, as `SET ROLE` would, and which of `owners` it has
/// not the rights of. All must be there.
pub fn foreign_roles(
    client: &mut Client,
    roles: &[String],
    owners: &[String],
) -> Result<Vec<String>> {
    // Before 16, membership includes the right to SET ROLE.
    client
        .query(
            "SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
             WHERE r.rolname::text = ANY ($1)
               AND NOT pg_catalog.pg_has_role(r.oid,
                 CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000
                   THEN 'SET' ELSE 'MEMBER' END)
                OR r.rolname::text = ANY ($2) AND NOT pg_catalog.pg_has_role(r.oid, 'USAGE')
             ORDER BY 1",
            &[&roles, &owners],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the roles", error))
}

/// Tables, partitioned tables and materialized views, the system's own last; and whether there is
/// a foreign table below them, which ANALYZE would go and read.
pub fn to_analyze(client: &mut Client) -> Result<Vec<(QualifiedName, bool)>> {
    client
        .query(
            "WITH RECURSIVE far AS (
               SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits AS i
               JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
               UNION
               SELECT i.inhparent FROM pg_catalog.pg_inherits AS i JOIN far ON far.oid = i.inhrelid)
             SELECT n.nspname::text, c.relname::text, EXISTS (SELECT FROM far WHERE far.oid = c.oid)
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
             ORDER BY n.nspname = 'pg_catalog', 1, 2",
            &[],
            |row| Ok((row.name_at(0)?, row.at(2)?)),
        )
        .map_err(|error| server("cannot list the tables to analyze", error))
}

/// Whether the session's role reads rows that are guarded by row-level security.
pub fn bypasses_row_security(client: &mut Client) -> Result<bool> {
    client
        .query_one(
            "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user",
            &[],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the role", error))
}

/// Fails unless the server understands the condition on a table's rows.
///
/// # Errors
/// [`Kind::Usage`] with what the server says.
pub fn check_condition(client: &mut Client, table: &CatalogTable) -> Result<()> {
    let Some(condition) = &table.condition else { return Ok(()) };
    let sql = format!("SELECT FROM ONLY {} {}", quote_qualified(&table.name), condition.clause());
    let doing = format!("the condition on the rows of {} is wrong: {condition}", table.name);
    let prepared = client.prepare(&sql);
    if prepared.as_ref().is_ok_and(|statement| !statement.params().is_empty()) {
        return Err(Error::new(Kind::Usage, doing).caused_by("nobody gives its parameters a value"));
    }
    prepared.map(drop).map_err(|error| {
        let failure = server(doing.as_str(), error);
        let words: Vec<String> = failure.causes().collect();
        match failure.kind() {
            Kind::Failed => Error::new(Kind::Usage, doing)
                .caused_by(words.join(": "))
                .hint("names of tables, functions and types are to be written with their schema"),
            _ => failure,
        }
    })
}
