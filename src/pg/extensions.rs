//! The extensions that a server has.

use super::failure::server;
use crate::error::Result;
use crate::pg::client::Client;
use crate::pg::record::{Record, Unread};

/// An extension that the server can create.
pub struct Available {
    /// Its name.
    pub name: String,
    /// The version that the database has, or would get.
    pub version: String,
    /// What the database has of it already.
    pub installed: Option<Installed>,
}

/// An extension that the database has.
pub struct Installed {
    /// Its schema.
    pub schema: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Its owner.
    pub owner: String,
    /// Whether the session has the owner's rights.
    pub is_ours: bool,
}

/// Those of `names` that the server has.
pub fn available(client: &mut Client, names: &[String]) -> Result<Vec<Available>> {
    client
        .query(
            "SELECT a.name::text, coalesce(x.extversion, a.default_version, ''), n.nspname::text,
                    pg_catalog.obj_description(x.oid, 'pg_extension'),
                    pg_catalog.pg_get_userbyid(x.extowner)::text,
                    pg_catalog.pg_has_role(x.extowner, 'USAGE')
             FROM pg_catalog.pg_available_extensions AS a
             LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = a.name
             LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
             WHERE a.name::text = ANY ($1) ORDER BY a.name",
            &[&names],
            |row| {
                Ok(Available { name: row.at(0)?, version: row.at(1)?, installed: installed(row)? })
            },
        )
        .map_err(|error| server("cannot list the available extensions", error))
}

fn installed(row: &Record) -> Result<Option<Installed>, Unread> {
    let Some(schema) = row.at(2)? else { return Ok(None) };
    Ok(Some(Installed { schema, comment: row.at(3)?, owner: row.at(4)?, is_ours: row.at(5)? }))
}

/// An extension that PostgreSQL lets superusers alone create.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restricted {
    /// Its name.
    pub name: String,
    /// Whether its schema is given by its control file.
    pub is_bound: bool,
}

/// Those of `names` that the database has not yet, and that are for superusers.
pub fn restricted(client: &mut Client, names: &[String]) -> Result<Vec<Restricted>> {
    client
        .query(
            "SELECT v.name::text, v.schema IS NOT NULL
             FROM pg_catalog.pg_available_extension_versions AS v
             JOIN pg_catalog.pg_available_extensions AS a
               ON a.name = v.name AND a.default_version = v.version
             WHERE v.name::text = ANY ($1) AND v.superuser AND NOT v.trusted
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension AS x WHERE x.extname = v.name)
             ORDER BY 1",
            &[&names],
            |row| Ok(Restricted { name: row.at(0)?, is_bound: row.at(1)? }),
        )
        .map_err(|error| server("cannot list the available extensions", error))
}

/// All that the database has.
pub fn names(client: &mut Client) -> Result<Vec<String>> {
    let sql = "SELECT extname::text FROM pg_catalog.pg_extension ORDER BY extname";
    client
        .query(sql, &[], |row| row.at(0))
        .map_err(|error| server("cannot list the extensions", error))
}

/// Whether the database has a procedural language of that name.
pub fn has_language(client: &mut Client, name: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_language WHERE lanname = $1)";
    client
        .query_one(sql, &[&name], |row| row.at(0))
        .map_err(|error| server("cannot look for a language", error))
}
