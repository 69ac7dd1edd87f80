//! Rows of the catalogs, read by column name, with a failure instead of a panic.

use crate::error::{Error, Result};
use crate::pg::client::Client;
use crate::pg::failure::server;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// The schemas that hold users' objects, for a namespace called `n`.
pub(super) const USER_SCHEMA: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// One row.
pub(super) struct Record {
    row: Row,
}

impl Record {
    /// The value of `column`; a null is a failure unless `T` is an `Option`.
    pub fn get<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T> {
        self.row
            .try_get(column)
            .map_err(|error| server(format!("cannot read {column} from the catalogs"), error))
    }

    /// A text that a `pg_get_*` function gave; these give null for an object that another
    /// session has dropped in the meantime.
    pub fn deparsed(&self, column: &str) -> Result<String> {
        self.get::<Option<String>>(column)?.ok_or_else(|| {
            Error::failed(format!("an object was dropped while its {column} was read"))
                .hint("run it again when nobody changes the schema")
        })
    }

    /// A catalog letter that was selected as text; a space stands for none.
    pub fn letter(&self, column: &str) -> Result<char> {
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
    Ok(rows.map(move |row| row.map(|row| Record { row }).map_err(failed)))
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
