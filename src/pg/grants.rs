//! What a role lacks that reading a whole database needs, and the statements that give it.

use super::catalog::CatalogTable;
use super::failure::server;
use super::ident::{quote, quote_qualified};
use super::session::Session;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::pg::client::Client;

/// Large objects per GRANT.
const OBJECTS_PER_GRANT: usize = 100;

/// Something that the role may not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// For people: `SELECT on public.t`.
    pub what: String,
    /// The statement that mends it.
    pub grant: String,
}

/// What is missing to read the rows of these tables, and every sequence.
pub fn missing(session: &mut Session, tables: &[&CatalogTable]) -> Result<Vec<Missing>> {
    let role = quote(&session.facts.role);
    let mut missing = Vec::new();
    let relations = unreadable(&mut session.client, tables)?;
    let mut schemas: Vec<&str> =
        relations.iter().filter(|r| !r.usage).map(|r| r.name.schema.as_str()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    for schema in schemas {
        missing.push(Missing {
            what: format!("USAGE on schema {}", crate::model::name::Printable(schema)),
            grant: format!("GRANT USAGE ON SCHEMA {} TO {role};", quote(schema)),
        });
    }
    for Unreadable { name, kind, .. } in relations.iter().filter(|relation| !relation.select) {
        missing.push(Missing {
            what: format!("SELECT on {} {name}", kind.to_lowercase()),
            grant: format!("GRANT SELECT ON {kind} {} TO {role};", quote_qualified(name)),
        });
    }
    Ok(missing)
}

struct Unreadable {
    name: QualifiedName,
    kind: &'static str,
    usage: bool,
    select: bool,
}

fn unreadable(client: &mut Client, tables: &[&CatalogTable]) -> Result<Vec<Unreadable>> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    client
        .query(
            "SELECT * FROM (
               SELECT n.nspname::text, c.relname::text, c.relkind = 'S' AS sequence,
                      coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), true) AS usage,
                      coalesce(CASE WHEN c.relkind = 'S'
                        THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                        ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END, true) AS readable
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE c.oid = ANY ($1)
                  OR (c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
                      AND n.nspname <> 'information_schema' AND NOT EXISTS (
                        SELECT FROM pg_catalog.pg_depend AS e
                        JOIN pg_catalog.pg_extension AS x ON x.oid = e.refobjid
                        WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND e.objid = c.oid AND e.deptype = 'e'
                          AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                          AND NOT c.oid = ANY (coalesce(x.extconfig, '{}'))))) AS found
             WHERE NOT (usage AND readable) ORDER BY sequence, 1, 2",
            &[&oids],
            |row| {
                Ok(Unreadable {
                    name: row.name_at(0)?,
                    kind: if row.at(2)? { "SEQUENCE" } else { "TABLE" },
                    usage: row.at(3)?,
                    select: row.at(4)?,
                })
            },
        )
        .map_err(|error| server("cannot find out what the role may read", error))
}

/// What is missing to read every large object, where their table may not be read as a whole.
pub fn missing_large_objects(session: &mut Session) -> Result<Vec<Missing>> {
    let oids = session
        .client
        .query(
            "SELECT m.oid FROM pg_catalog.pg_largeobject_metadata AS m
             WHERE NOT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')
               AND pg_catalog.current_setting('lo_compat_privileges') <> 'on'
               AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
               AND NOT EXISTS (
                 SELECT FROM pg_catalog.aclexplode(m.lomacl) AS a
                 WHERE a.privilege_type = 'SELECT'
                   AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
             ORDER BY m.oid",
            &[],
            |row| Ok(row.at::<u32>(0)?.to_string()),
        )
        .map_err(|error| server("cannot find out which large objects may be read", error))?;
    let role = quote(&session.facts.role);
    let grant = |oids: &[String]| Missing {
        what: match oids {
            [one] => format!("SELECT on large object {one}"),
            [first, ..] => format!("SELECT on {} large objects, the first is {first}", oids.len()),
            [] => String::new(),
        },
        grant: format!("GRANT SELECT ON LARGE OBJECT {} TO {role};", oids.join(", ")),
    };
    Ok(oids.chunks(OBJECTS_PER_GRANT).map(grant).collect())
}

/// The statement that lets row-level security hide nothing from the role.
pub fn bypass_row_security(session: &Session) -> String {
    format!("ALTER ROLE {} BYPASSRLS;", quote(&session.facts.role))
}

/// The one statement that lets the role read all tables and sequences, now and later, from
/// PostgreSQL 14 on.
pub fn read_all_data(session: &Session) -> Option<String> {
    let known = session.facts.major() >= 14;
    known.then(|| format!("GRANT pg_read_all_data TO {};", quote(&session.facts.role)))
}
