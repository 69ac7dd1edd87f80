//! Queries over the catalogs, whose rows are read by column name.

use crate::error::Result;
use crate::pg::client::Client;
use crate::pg::failure::server;
pub(super) use crate::pg::record::Record;

/// The schemas that hold users' objects, for a namespace called `n`.
pub(super) const USER_SCHEMA: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

impl Record {
    /// A text that a `pg_get_*` function gave.
    pub(super) fn deparsed(&self, column: &str) -> Result<String> {
        Ok(self.get(column)?)
    }

    /// A catalog letter that was selected as text; a space stands for none.
    pub(super) fn letter(&self, column: &str) -> Result<char> {
        Ok(self.get::<&str>(column)?.chars().next().unwrap_or(' '))
    }
}

/// Runs a query over the catalogs.
pub(super) fn query(client: &mut Client, what: &'static str, sql: &str) -> Result<Vec<Record>> {
    stream(client, what, sql)?.collect()
}

/// Runs a query over the catalogs that may give many rows for each table: none is kept.
pub(super) fn stream<'a>(
    client: &'a mut Client,
    what: &'static str,
    sql: &str,
) -> Result<impl Iterator<Item = Result<Record>> + use<'a>> {
    let failed = move |error| server(format!("cannot read the catalogs: {what}"), error);
    let rows = client.stream(sql).map_err(failed)?;
    Ok(rows.map(move |row| row.map_err(failed)))
}

/// `expression` on servers from `since` on, else `otherwise`.
pub(super) fn since<'a>(
    major: u32,
    since: u32,
    expression: &'a str,
    otherwise: &'a str,
) -> &'a str {
    if major >= since { expression } else { otherwise }
}
