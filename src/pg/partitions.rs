//! Partitions, and what is at the top of their tree.

use super::client::Client;
use super::failure::server;
use crate::error::Result;
use crate::model::name::QualifiedName;
use std::collections::BTreeMap;

/// Partitions that hold rows, with the partitioned table through which these can come. Where a tree has
/// foreign tables, the server might send rows on to another one: none of it is here.
///
/// # Errors
/// The server's.
pub fn roots(client: &mut Client) -> Result<BTreeMap<QualifiedName, QualifiedName>> {
    let found = client.query(
        "SELECT n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text
         FROM pg_catalog.pg_class AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_class AS r ON r.oid = pg_catalog.pg_partition_root(c.oid)
         JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
         WHERE c.relkind = 'r' AND c.relispartition AND r.oid NOT IN (
           SELECT pg_catalog.pg_partition_root(f.oid)
           FROM pg_catalog.pg_class AS f WHERE f.relkind = 'f' AND f.relispartition)",
        &[],
        |row| Ok((row.name_at(0)?, row.name_at(2)?)),
    );
    let found = found.map_err(|error| server("cannot list the partitions", error))?;
    Ok(found.into_iter().collect())
}
