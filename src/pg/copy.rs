//! COPY out as a reader, COPY in as a writer: the seam behind which rows leave and enter.

use super::failure::server;
use super::ident::{quote, quote_ascii};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use crate::model::table::Column;
use postgres::{CopyInWriter, CopyOutReader};
use std::io::{self, BufRead, Write};

/// Which rows of which table.
#[derive(Clone, Debug)]
pub struct RowSource<'a> {
    /// The table.
    pub table: &'a QualifiedName,
    /// The columns, in the order of the values.
    pub columns: &'a [Column],
    /// Heap pages `[from, to)`; `None` is the whole table, and no `to` is up to the end.
    pub pages: Option<(u64, Option<u64>)>,
    /// `WHERE …`, for configuration rows of extensions.
    pub condition: Option<&'a str>,
}

impl RowSource<'_> {
    /// The COPY statement, in ASCII. Rows of inheritance children are never among them
    /// (dump-correctness P4); a condition is the extension author's own text.
    fn to_sql(&self, source_is_utf8: bool) -> String {
        let name = if source_is_utf8 { quote } else { quote_ascii };
        let table = format!("{}.{}", name(&self.table.schema), name(&self.table.name));
        let columns: Vec<String> = self.columns.iter().map(|column| name(&column.name)).collect();
        let columns = columns.join(", ");
        let filter = match (self.pages, self.condition) {
            (None, None) => {
                // A table of no columns has no column list either (dump-correctness 3.1).
                let list = if columns.is_empty() { columns } else { format!(" ({columns})") };
                return format!("COPY {table}{list} TO STDOUT");
            }
            (None, Some(condition)) => condition.to_owned(),
            (Some((from, None)), _) => format!("WHERE ctid >= '({from},0)'::pg_catalog.tid"),
            (Some((from, Some(to))), _) => format!(
                "WHERE ctid >= '({from},0)'::pg_catalog.tid AND ctid < '({to},0)'::pg_catalog.tid"
            ),
        };
        format!("COPY (SELECT {columns} FROM ONLY {table} {filter}) TO STDOUT")
    }
}

/// Reads rows as COPY text and hands them to `take`, piece by piece; pieces end at row ends, but
/// nobody may rely on it.
///
/// # Errors
/// The server's, with the table's name; and whatever `take` returns.
pub fn copy_out(
    session: &mut Session,
    source: &RowSource<'_>,
    take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let plain = session.takes_plain_names();
    let doing = format!("cannot read table {}", source.table);
    run_copy_out(session, &source.to_sql(plain), &doing, take)
}

/// Runs any COPY … TO STDOUT.
pub fn run_copy_out(
    session: &mut Session,
    sql: &str,
    doing: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader: CopyOutReader<'_> =
        session.client.copy_out(sql).map_err(|error| server(doing, error))?;
    loop {
        let piece = reader.fill_buf().map_err(|error| from_io(doing, error))?;
        if piece.is_empty() {
            break;
        }
        let length = piece.len();
        take(piece)?;
        reader.consume(length);
    }
    drop(reader);
    // The driver ends the stream at CopyDone and drops what the server says after it; an error
    // there has aborted the transaction, in which no further statement succeeds.
    session.client.batch_execute("SELECT").map_err(|error| server(doing, error))
}

/// An open COPY … FROM STDIN. It must be ended with [`CopyIn::finish`]; dropped, it is aborted.
pub struct CopyIn<'a> {
    writer: CopyInWriter<'a>,
    doing: String,
}

impl<'a> CopyIn<'a> {
    /// Starts loading rows into `table`, or whatever `sql` says.
    pub fn start(session: &'a mut Session, sql: &str, doing: String) -> Result<Self> {
        let writer = session.client.copy_in(sql).map_err(|error| server(doing.clone(), error))?;
        Ok(Self { writer, doing })
    }

    /// Sends a piece of COPY text.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.writer.write_all(piece).map_err(|error| from_io(&self.doing, error))
    }

    /// Ends the load and gives the number of rows that the server counted.
    pub fn finish(self) -> Result<u64> {
        self.writer.finish().map_err(|error| server(self.doing, error))
    }
}

/// `COPY table (columns) FROM STDIN`, in ASCII where the session's encoding demands it.
pub fn copy_in_sql(table: &QualifiedName, columns: &[Column], source_is_utf8: bool) -> String {
    let name = if source_is_utf8 { quote } else { quote_ascii };
    let list: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
    let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
    format!("COPY {}.{}{list} FROM STDIN", name(&table.schema), name(&table.name))
}

/// The driver wraps its own error into an `io::Error`.
fn from_io(doing: &str, error: io::Error) -> Error {
    let words = error.to_string();
    match error.into_inner().map(|inner| inner.downcast::<postgres::Error>()) {
        Some(Ok(inner)) => server(doing, *inner),
        Some(Err(other)) => Error::new(Kind::Server, doing).caused_by(other),
        None => Error::new(Kind::Server, format!("{doing}: {words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_names_every_column_and_never_reads_children() {
        let table = QualifiedName::new("s", "é");
        let columns = [Column { name: "a\"b".into(), type_name: "integer".into() }];
        let mut source =
            RowSource { table: &table, columns: &columns, pages: None, condition: None };
        assert_eq!(source.to_sql(false), r#"COPY "s".U&"\+0000E9" ("a""b") TO STDOUT"#);
        source.pages = Some((0, Some(2048)));
        assert!(source.to_sql(true).starts_with(r#"COPY (SELECT "a""b" FROM ONLY "s"."é" WHERE"#));
        source.columns = &[];
        source.pages = None;
        assert_eq!(source.to_sql(true), r#"COPY "s"."é" TO STDOUT"#);
    }
}
