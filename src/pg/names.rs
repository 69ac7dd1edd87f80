//! Names in a database without an encoding, which can be any bytes.

use super::failure::server;
use super::session::Session;
use crate::error::{Error, Result};
use crate::model::name::enumerate;

/// Fails where names of a SQL_ASCII database are no UTF-8: in an archive they could not be told.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused), with some of them in hexadecimal.
pub fn check_readable(session: &mut Session) -> Result<()> {
    if session.facts.encoding != "SQL_ASCII" {
        return Ok(());
    }
    // As bytes, since the server would refuse to send them as text.
    let names = session
        .client
        .query(
            "SELECT kind, pg_catalog.convert_to(name::text, 'SQL_ASCII') FROM (
               SELECT 'schema' AS kind, nspname AS name FROM pg_catalog.pg_namespace
               UNION ALL SELECT 'relation', relname FROM pg_catalog.pg_class
               UNION ALL SELECT 'column', attname FROM pg_catalog.pg_attribute WHERE attrelid >= 16384
               UNION ALL SELECT 'type', typname FROM pg_catalog.pg_type WHERE oid >= 16384
               UNION ALL SELECT 'label', enumlabel FROM pg_catalog.pg_enum
               UNION ALL SELECT 'function', proname FROM pg_catalog.pg_proc WHERE oid >= 16384
               UNION ALL SELECT 'constraint', conname FROM pg_catalog.pg_constraint
               UNION ALL SELECT 'trigger', tgname FROM pg_catalog.pg_trigger
               UNION ALL SELECT 'policy', polname FROM pg_catalog.pg_policy
               UNION ALL SELECT 'rule', rulename FROM pg_catalog.pg_rewrite WHERE oid >= 16384
               UNION ALL SELECT 'role', rolname FROM pg_catalog.pg_roles
               UNION ALL SELECT 'tablespace', spcname FROM pg_catalog.pg_tablespace
             ) AS names ORDER BY 1, 2",
            &[],
            |row| {
                let (kind, name): (&str, &[u8]) = (row.at(0)?, row.at(1)?);
                let unreadable = std::str::from_utf8(name).is_err();
                Ok(unreadable.then(|| format!("{kind} {}", escaped(name))))
            },
        )
        .map_err(|error| server("cannot read the names", error))?;
    let unreadable: Vec<String> = names.into_iter().flatten().collect();
    if unreadable.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "names in this SQL_ASCII database are no UTF-8: {}",
        enumerate(&unreadable)
    ))
    .hint("rename them (ALTER … RENAME) in a session with client_encoding = SQL_ASCII"))
}

/// Readable ASCII as it is, all other bytes as `\xNN`.
fn escaped(name: &[u8]) -> String {
    name.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect()
}
