//! The extensions that a server has.

use super::failure::server;
use crate::error::Result;
use crate::pg::client::Client;

/// An extension that the server can create.
pub struct Available {
    /// Its name.
    pub name: String,
    /// The version that the database has, or would get.
    pub version: String,
    /// The schema in which the database has it already.
    pub schema: Option<String>,
}

/// Those of `names` that the server has.
pub fn available(client: &mut Client, names: &[String]) -> Result<Vec<Available>> {
    let rows = client
        .query(
            "SELECT a.name::text, coalesce(x.extversion, a.default_version, ''), n.nspname::text
             FROM pg_catalog.pg_available_extensions AS a
             LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = a.name
             LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
             WHERE a.name::text = ANY ($1) ORDER BY a.name",
            &[&names],
        )
        .map_err(|error| server("cannot list the available extensions", error))?;
    Ok(rows
        .iter()
        .map(|row| Available { name: row.get(0), version: row.get(1), schema: row.get(2) })
        .collect())
}

/// All that the database has.
pub fn names(client: &mut Client) -> Result<Vec<String>> {
    let sql = "SELECT extname::text FROM pg_catalog.pg_extension ORDER BY extname";
    let rows =
        client.query(sql, &[]).map_err(|error| server("cannot list the extensions", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
