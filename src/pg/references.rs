//! Foreign keys and triggers of tables that rows are loaded into, and what the role may do about
//! them (dump-correctness 3.4).

use super::failure::server;
use super::ident::{quote, quote_qualified};
use super::session::Session;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::pg::client::Client;
use crate::pg::record::{Record, Unread};

/// A foreign key that is not a partition's copy of another.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The referencing table.
    pub table: QualifiedName,
    /// Its OID.
    pub table_oid: u32,
    /// Whether it is partitioned.
    pub partitioned: bool,
    /// The referenced table.
    pub referenced: QualifiedName,
    /// Its OID.
    pub referenced_oid: u32,
    /// Whether that is partitioned.
    pub referenced_partitioned: bool,
    /// Whether the constraint can be deferred, and whether it is by default.
    pub deferral: (bool, bool),
    /// Whether the server claims that all rows obey it.
    pub validated: bool,
    /// Whether it is MATCH FULL.
    pub match_full: bool,
    /// Whether it has a PERIOD (18), which is no comparison of equals.
    pub period: bool,
    /// (referencing column, operator as `schema.op`, referenced column).
    pub columns: Vec<(String, String, String)>,
}

/// A trigger that a user made.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Its table.
    pub table: QualifiedName,
    /// Its name.
    pub name: String,
    /// `pg_trigger.tgenabled`: `O` origin, `D` disabled, `R` replica, `A` always.
    pub enabled: char,
}

/// Whether VALIDATE CONSTRAINT leaves something of a foreign key unchecked: before 18, its copies that stand
/// for partitions of the table it refers to. Alone these cannot be checked.
pub fn validates_in_part(client: &mut Client, table: &QualifiedName, name: &str) -> Result<bool> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::int < 180000 AND EXISTS (
                 SELECT FROM pg_catalog.pg_constraint AS k
                 JOIN pg_catalog.pg_constraint AS copy ON copy.conparentid = k.oid
                 WHERE k.contype = 'f' AND k.conname = $1
                   AND k.conrelid = $2::text::regclass)";
    client
        .query_one(sql, &[&name, &quote_qualified(table)], |row| row.at(0))
        .map_err(|error| server(format!("cannot look up foreign key {name} on {table}"), error))
}

/// All foreign keys of the database.
pub fn foreign_keys(client: &mut Client) -> Result<Vec<ForeignKey>> {
    client
        .query(
            "SELECT k.conname::text, n.nspname::text, t.relname::text, t.oid, t.relkind = 'p',
                    fn.nspname::text, f.relname::text, f.oid, f.relkind = 'p',
                    k.condeferrable, k.condeferred,
                    k.convalidated AND coalesce((pg_catalog.to_jsonb(k)->>'conenforced')::boolean, true),
                    k.confmatchtype = 'f',
                    coalesce((pg_catalog.to_jsonb(k)->>'conperiod')::boolean, false),
                    c.ours, c.operators, c.theirs
             FROM pg_catalog.pg_constraint AS k
             JOIN pg_catalog.pg_class AS t ON t.oid = k.conrelid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
             JOIN pg_catalog.pg_class AS f ON f.oid = k.confrelid
             JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.relnamespace
             CROSS JOIN LATERAL (
               SELECT pg_catalog.array_agg(a.attname::text ORDER BY p.position) AS ours,
                      pg_catalog.array_agg(pg_catalog.quote_ident(o_n.nspname) || '.' || o.oprname ORDER BY p.position) AS operators,
                      pg_catalog.array_agg(b.attname::text ORDER BY p.position) AS theirs
               FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.conpfeqop), pg_catalog.unnest(k.confkey))
                      WITH ORDINALITY AS p(our, operator, their, position)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.our
               JOIN pg_catalog.pg_operator AS o ON o.oid = p.operator
               JOIN pg_catalog.pg_namespace AS o_n ON o_n.oid = o.oprnamespace
               JOIN pg_catalog.pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = p.their) AS c
             WHERE k.contype = 'f' AND k.conparentid = 0
             ORDER BY 2, 3, 1",
            &[],
            foreign_key,
        )
        .map_err(|error| server("cannot list the foreign keys", error))
}

fn foreign_key(row: &Record) -> Result<ForeignKey, Unread> {
    let (ours, operators, theirs): (Vec<String>, Vec<String>, Vec<String>) =
        (row.at(14)?, row.at(15)?, row.at(16)?);
    Ok(ForeignKey {
        name: row.at(0)?,
        table: row.name_at(1)?,
        table_oid: row.at(3)?,
        partitioned: row.at(4)?,
        referenced: row.name_at(5)?,
        referenced_oid: row.at(7)?,
        referenced_partitioned: row.at(8)?,
        deferral: (row.at(9)?, row.at(10)?),
        validated: row.at(11)?,
        match_full: row.at(12)?,
        period: row.at(13)?,
        columns: ours
            .into_iter()
            .zip(operators)
            .zip(theirs)
            .map(|((ours, operator), theirs)| (ours, operator, theirs))
            .collect(),
    })
}

/// Users' triggers on these tables.
pub fn triggers(client: &mut Client, tables: &[u32]) -> Result<Vec<Trigger>> {
    client
        .query(
            "SELECT n.nspname::text, c.relname::text, t.tgname::text, t.tgenabled::text
             FROM pg_catalog.pg_trigger AS t
             JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE t.tgrelid = ANY ($1)
               AND (NOT t.tgisinternal OR coalesce((pg_catalog.to_jsonb(t)->>'tgparentid')::bigint, 0) <> 0
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                                    WHERE k.oid = t.tgconstraint AND k.contype = 'f'))
             ORDER BY 1, 2, 3",
            &[&tables],
            |row| {
                Ok(Trigger {
                    table: row.name_at(0)?,
                    name: row.at(2)?,
                    enabled: row.at::<&str>(3)?.chars().next().unwrap_or('O'),
                })
            },
        )
        .map_err(|error| server("cannot list the triggers", error))
}

/// Whether the role owns, or acts for the owner of, all these tables.
pub fn owns_all(client: &mut Client, tables: &[u32]) -> Result<bool> {
    client
        .query_one(
            "SELECT coalesce(pg_catalog.bool_and(pg_catalog.pg_has_role(relowner, 'USAGE')), true)
             FROM pg_catalog.pg_class WHERE oid = ANY ($1)",
            &[&tables],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the tables' owners", error))
}

/// Tries to switch off triggers and foreign keys for this transaction. `false`: the role may not
/// set `session_replication_role`.
pub fn become_replica(session: &mut Session) -> Result<bool> {
    session.execute("SAVEPOINT before_replica")?;
    let allowed =
        session.client.batch_execute("SET LOCAL session_replication_role = replica").is_ok();
    if !allowed {
        session.execute("ROLLBACK TO SAVEPOINT before_replica")?;
    }
    session.execute("RELEASE SAVEPOINT before_replica")?;
    Ok(allowed)
}

/// Gives a trigger a state.
pub fn set_trigger(session: &mut Session, trigger: &Trigger, enabled: char) -> Result<()> {
    let how = match enabled {
        'D' => "DISABLE",
        'R' => "ENABLE REPLICA",
        'A' => "ENABLE ALWAYS",
        _ => "ENABLE",
    };
    session.execute(&format!(
        "ALTER TABLE ONLY {} {how} TRIGGER {}",
        quote_qualified(&trigger.table),
        quote(&trigger.name)
    ))
}

/// Makes a foreign key deferred, or gives it back the deferral it had.
pub fn set_deferral(session: &mut Session, key: &ForeignKey, deferral: (bool, bool)) -> Result<()> {
    let how = match deferral {
        (true, true) => "DEFERRABLE INITIALLY DEFERRED",
        (true, false) => "DEFERRABLE INITIALLY IMMEDIATE",
        (false, _) => "NOT DEFERRABLE",
    };
    session.execute(&format!(
        "ALTER TABLE {} ALTER CONSTRAINT {} {how}",
        quote_qualified(&key.table),
        quote(&key.name)
    ))
}

/// Whether some row breaks a foreign key. Rows that were loaded with foreign keys switched off are
/// never checked by the server: even VALIDATE CONSTRAINT believes what the catalog says (P5).
///
/// A PERIOD is not checked here.
pub fn has_orphans(session: &mut Session, key: &ForeignKey) -> Result<bool> {
    let only = |partitioned: bool| if partitioned { "" } else { "ONLY " };
    let set: Vec<String> =
        key.columns.iter().map(|(ours, _, _)| format!("c.{} IS NOT NULL", quote(ours))).collect();
    let equal: Vec<String> = key
        .columns
        .iter()
        .map(|(ours, operator, theirs)| {
            format!("p.{} OPERATOR({operator}) c.{}", quote(theirs), quote(ours))
        })
        .collect();
    let mut broken = format!(
        "{} AND NOT EXISTS (SELECT FROM {}{} AS p WHERE {})",
        set.join(" AND "),
        only(key.referenced_partitioned),
        quote_qualified(&key.referenced),
        equal.join(" AND ")
    );
    if key.match_full {
        let all = set.join(" AND ");
        let any = set.join(" OR ");
        broken = format!("({broken}) OR (({any}) AND NOT ({all}))");
    }
    let sql = format!(
        "SELECT EXISTS (SELECT FROM {}{} AS c WHERE {broken})",
        only(key.partitioned),
        quote_qualified(&key.table)
    );
    session.client.query_one(&sql, &[], |row| row.at(0)).map_err(|error| {
        server(format!("cannot check foreign key {} on {}", key.name, key.table), error)
    })
}
