//! The seam behind which rows leave and enter: COPY on the connection that is made for it, or,
//! where rows must move in the transaction of another session, on that session's.

use super::client;
use super::copier::Copier;
use super::failure::server;
use super::ident::{quote, quote_ascii};
use super::session::{Session, Statements};
use super::wire::{Sink, Wire};
use crate::error::{Error, Kind, Result};
use crate::model::condition::Condition;
use crate::model::copy_format::CopyFormat;
use crate::model::name::{QualifiedName, enumerate};
use crate::model::table::Column;

/// Which rows of which table.
#[derive(Clone, Debug)]
pub struct RowSource<'a> {
    /// The table.
    pub table: &'a QualifiedName,
    /// The columns, in the order of the values.
    pub columns: &'a [Column],
    /// Heap pages `[from, to)`; `None` is the whole table, and no `to` is up to the end.
    pub pages: Option<(u64, Option<u64>)>,
    /// Which rows alone; together with pages, one that the operator has chosen.
    pub condition: Option<&'a Condition>,
    /// How the rows travel.
    pub format: CopyFormat,
}

impl RowSource<'_> {
    /// What is read, for messages: a condition may be what fails.
    fn describe(&self) -> String {
        match self.condition {
            Some(condition) => format!("{} {condition}", self.table),
            None => self.table.to_string(),
        }
    }

    /// The COPY statement, in ASCII. Rows of inheritance children are never among them
    /// (dump-correctness P4).
    fn to_sql(&self, source_is_utf8: bool) -> String {
        let name = if source_is_utf8 { quote } else { quote_ascii };
        let table = format!("{}.{}", name(&self.table.schema), name(&self.table.name));
        let columns: Vec<String> = self.columns.iter().map(|column| name(&column.name)).collect();
        let columns = columns.join(", ");
        let options = options(self.format);
        let filter = match (self.pages, self.condition) {
            (None, None) => {
                // A table of no columns has no column list either (dump-correctness 3.1).
                let list = if columns.is_empty() { columns } else { format!(" ({columns})") };
                return format!("COPY {table}{list} TO STDOUT{options}");
            }
            (None, Some(condition)) => condition.clause().to_owned(),
            (Some((from, to)), condition) => {
                let chosen = condition.map_or("WHERE", Condition::clause);
                let and = if condition.is_some() { " AND" } else { "" };
                let end = to.map(|to| format!(" AND ctid < '({to},0)'::pg_catalog.tid"));
                let end = end.unwrap_or_default();
                format!("{chosen}{and} ctid >= '({from},0)'::pg_catalog.tid{end}")
            }
        };
        format!("COPY (SELECT {columns} FROM ONLY {table} {filter}) TO STDOUT{options}")
    }
}

/// What stands at the end of a COPY statement.
fn options(format: CopyFormat) -> &'static str {
    match format {
        CopyFormat::Text => "",
        CopyFormat::Binary => " (FORMAT binary)",
    }
}

/// Takes pieces of what COPY sends; they may end anywhere.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// What both kinds of connection do with rows.
pub trait Copies: Statements {
    /// Starts a COPY … FROM STDIN.
    ///
    /// # Errors
    /// The server's.
    fn copy_in(&mut self, sql: &str, doing: String) -> Result<CopyIn<'_>>;
}

impl Session {
    /// Runs a COPY … TO STDOUT and hands its text to `take`, piece by piece.
    ///
    /// # Errors
    /// The server's, and whatever `take` returns.
    pub fn copy_out(&mut self, sql: &str, doing: &str, take: Take<'_>) -> Result<()> {
        let failed = |error| server(doing, error);
        let mut rows = self.client.copy_out(sql).map_err(failed)?;
        while let Some(piece) = rows.piece().map_err(failed)? {
            if let Err(error) = take(&piece) {
                // What is left of the rows would have to be read before anything else.
                drop(rows);
                self.canceller().cancel();
                return Err(error);
            }
        }
        drop(rows);
        // The driver ends the stream at CopyDone and drops what the server says after it; an error
        // there has aborted the transaction, in which no further statement succeeds.
        self.client.batch_execute("SELECT").map_err(failed)
    }
}

impl Copies for Session {
    fn copy_in(&mut self, sql: &str, doing: String) -> Result<CopyIn<'_>> {
        let writer = self.client.copy_in(sql).map_err(|error| server(doing.clone(), error))?;
        Ok(CopyIn { to: Input::Driver(writer), doing })
    }
}

impl Copies for Copier {
    fn copy_in(&mut self, sql: &str, doing: String) -> Result<CopyIn<'_>> {
        self.wire.begin_put(sql, &doing)?;
        Ok(CopyIn { to: Input::Wire(&mut self.wire), doing })
    }
}

/// Fails unless as many rows arrived as the server sent.
///
/// # Errors
/// [`Kind::Server`] with both numbers.
pub fn check_count(arrived: u64, sent: u64, doing: &str) -> Result<()> {
    if arrived == sent {
        return Ok(());
    }
    let message = format!("{doing}: the server sent {sent} rows and {arrived} arrived");
    Err(Error::new(Kind::Server, message))
}

/// Reads rows of one table as COPY text.
///
/// # Errors
/// The server's, with the table's name; and whatever `take` returns.
pub fn copy_out(
    session: &mut Session,
    source: &RowSource<'_>,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let plain = session.takes_plain_names();
    let doing = format!("cannot read table {}", source.describe());
    session.copy_out(&source.to_sql(plain), &doing, &mut take)
}

/// Reads rows of several tables, one after the other, in one round trip. `to_lock` are those whose
/// locks the session does not hold yet; they are taken at once or not at all, because a worker
/// that queued behind a waiting ACCESS EXCLUSIVE lock, which waits for the leader, would wait for
/// ever (dump-correctness 1.2).
///
/// # Errors
/// [`Kind::Locked`] when a lock is not free; nothing was read then, and the session's transaction
/// goes on. The server's, and whatever `sink` returns.
pub fn copy_out_all(
    copier: &mut Copier,
    to_lock: &[&QualifiedName],
    sources: &[RowSource<'_>],
    sink: &mut dyn Sink,
) -> Result<()> {
    let plain = copier.takes_plain_names();
    // Those with a condition first: of a long list, the end is not shown.
    let (chosen, whole): (Vec<_>, Vec<_>) =
        sources.iter().partition(|source| source.condition.is_some());
    let tables: Vec<String> = chosen.into_iter().chain(whole).map(RowSource::describe).collect();
    let doing = format!("cannot read {}", enumerate(&tables));
    let mut statements = Vec::new();
    if !to_lock.is_empty() {
        let names: Vec<String> =
            to_lock.iter().map(|table| format!("ONLY {}", copier.quote_qualified(table))).collect();
        statements.push(String::from("SAVEPOINT before_lock"));
        let names = names.join(", ");
        statements.push(format!("LOCK TABLE {names} IN ACCESS SHARE MODE NOWAIT"));
        statements.push(String::from("RELEASE SAVEPOINT before_lock"));
    }
    statements.extend(sources.iter().map(|source| source.to_sql(plain)));
    match copier.wire.run(&statements.join("; "), &doing, sink) {
        // After an error of the sink's there is nothing to go on with.
        Err(error)
            if error.kind() == Kind::Locked && !to_lock.is_empty() && !copier.is_broken() =>
        {
            copier.execute("ROLLBACK TO SAVEPOINT before_lock")?;
            Err(error)
        }
        result => result.map(drop),
    }
}

enum Input<'a> {
    Driver(client::CopyIn<'a>),
    Wire(&'a mut Wire),
    Ended,
}

/// An open COPY … FROM STDIN. It must be ended with [`CopyIn::finish`]; dropped, it is aborted.
pub struct CopyIn<'a> {
    to: Input<'a>,
    doing: String,
}

impl CopyIn<'_> {
    /// Sends a piece of COPY text.
    ///
    /// # Errors
    /// The connection's, or the server's.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        match &mut self.to {
            Input::Driver(writer) => {
                writer.write(piece).map_err(|error| server(self.doing.as_str(), error))
            }
            Input::Wire(wire) => wire.put(piece, &self.doing),
            Input::Ended => Ok(()),
        }
    }

    /// Ends the load and gives the number of rows that the server counted.
    ///
    /// # Errors
    /// The server's: it took none of the rows then.
    pub fn finish(mut self) -> Result<u64> {
        match std::mem::replace(&mut self.to, Input::Ended) {
            Input::Driver(writer) => {
                writer.finish().map_err(|error| server(self.doing.as_str(), error))
            }
            Input::Wire(wire) => wire.put_end(&self.doing),
            Input::Ended => Ok(0),
        }
    }
}

impl Drop for CopyIn<'_> {
    fn drop(&mut self) {
        if let Input::Wire(wire) = &mut self.to {
            // What failed before is the reason that will be told.
            drop(wire.put_abort(&self.doing));
        }
    }
}

/// `COPY table (columns) FROM STDIN`, in ASCII where the session's encoding demands it.
pub fn copy_in_sql(
    table: &QualifiedName,
    columns: &[Column],
    format: CopyFormat,
    source_is_utf8: bool,
) -> String {
    let name = if source_is_utf8 { quote } else { quote_ascii };
    let list: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
    let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
    let (schema, table) = (name(&table.schema), name(&table.name));
    format!("COPY {schema}.{table}{list} FROM STDIN{}", options(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_names_every_column_and_never_reads_children() {
        let table = QualifiedName::new("s", "é");
        let columns = [Column { name: "a\"b".into(), type_name: "integer".into() }];
        let mut source = RowSource {
            table: &table,
            columns: &columns,
            pages: None,
            condition: None,
            format: CopyFormat::Text,
        };
        assert_eq!(source.to_sql(false), r#"COPY "s".U&"\+0000E9" ("a""b") TO STDOUT"#);
        source.pages = Some((0, Some(2048)));
        assert!(source.to_sql(true).starts_with(r#"COPY (SELECT "a""b" FROM ONLY "s"."é" WHERE"#));
        let chosen = Condition::chosen("a OR b").unwrap();
        source.condition = Some(&chosen);
        assert!(
            source.to_sql(true).contains(
                "WHERE (a OR b) AND ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(2048,0)'"
            )
        );
        source.format = CopyFormat::Binary;
        assert!(source.to_sql(true).ends_with(") TO STDOUT (FORMAT binary)"));
        (source.condition, source.format) = (None, CopyFormat::Text);
        source.columns = &[];
        source.pages = None;
        assert_eq!(source.to_sql(true), r#"COPY "s"."é" TO STDOUT"#);
    }
}
