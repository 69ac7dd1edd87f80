//! Rows, large objects and sequence positions into a database whose tables are there.

use super::{Options, full};
use crate::archive::frame;
use crate::archive::manifest::{Chunk, LargeObject, TableEntry};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Result};
use crate::model::table::SequenceState;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::{Item, Observer};
use crate::ops::pool;
use crate::pg::copier::Copier;
use crate::pg::copy::{Copies, copy_in_binary_sql, copy_in_sql};
use crate::pg::ident::{literal, quote, quote_qualified};
use crate::pg::session::{Purpose, Session, Statements};
use crate::pg::{access, large_objects};
use crate::rules::copy_binary::{Encoder, Format};
use std::sync::atomic::{AtomicBool, Ordering};

/// Loads the rows of all tables with several workers, and gives their number.
pub fn load_all(
    reader: &ArchiveReader,
    session: &mut Session,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<u64> {
    let manifest = reader.manifest();
    let encoding = &manifest.source.encoding;
    let total = manifest.tables.iter().map(|table| table.content.bytes).sum();
    observer.phase("loading the rows", Some(total));
    // Keys between configuration tables of extensions are there before the rows.
    let (of_extensions, plain): (Vec<&TableEntry>, Vec<&TableEntry>) =
        manifest.tables.iter().partition(|table| table.extension.is_some());
    let mut rows = 0;
    if of_extensions.iter().any(|table| !table.chunks.is_empty()) {
        session.use_encoding(encoding)?;
        rows += load_in_rounds(reader, session, &of_extensions, observer, interrupt)?;
        session.use_encoding("UTF8")?;
    }
    let facts = session.facts.clone();
    let forms: Vec<Form> = plain.iter().map(|table| Form::of(table)).collect();
    let mut tasks: Vec<(&TableEntry, &Form, &Chunk)> = plain
        .iter()
        .zip(&forms)
        .flat_map(|(table, form)| table.chunks.iter().map(move |chunk| (*table, form, chunk)))
        .collect();
    tasks.sort_by_key(|(table, ..)| std::cmp::Reverse(table.content.bytes));
    pool::run(
        options.jobs,
        tasks,
        interrupt,
        || {
            let connection = &options.connection;
            let mut copier = interrupt.open_copier(connection, database, Purpose::Write, &facts)?;
            copier.check_not_pooled()?;
            full::bound(&mut copier, options)?;
            copier.use_encoding(encoding)?;
            Ok(copier)
        },
        |session, (table, form, chunk), emit| {
            let into = table.load_through.as_ref().unwrap_or(&table.name);
            let plain = session.takes_plain_names();
            if let Some(format) = form.binary() {
                let sql = copy_in_binary_sql(into, &table.columns, plain);
                observer.begin(&item(table, chunk));
                let loaded = load_binary(reader, session, &sql, table, chunk, format, interrupt)?;
                if loaded {
                    observer.moved(chunk.content.rows, chunk.content.bytes);
                }
                observer.end();
                if loaded {
                    return emit(chunk.content.rows);
                }
                form.give_up();
            }
            let sql = copy_in_sql(into, &table.columns, plain);
            let count = load(reader, session, &sql, table, &[chunk], observer, interrupt)?;
            emit(count)
        },
        |count| {
            rows += count;
            Ok(())
        },
    )?;
    Ok(rows)
}

/// In which format the rows of a table go to the server.
struct Form {
    binary: Option<Format>,
    given_up: AtomicBool,
}

impl Form {
    fn of(table: &TableEntry) -> Self {
        let binary = Format::of(table.columns.iter().map(|column| column.type_name.as_str()));
        Self { binary, given_up: AtomicBool::new(false) }
    }

    fn binary(&self) -> Option<&Format> {
        self.binary.as_ref().filter(|_| !self.given_up.load(Ordering::Relaxed))
    }

    /// What did not work for one chunk is not tried with the next.
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Loads a chunk in the binary format. `false`: nothing was loaded, and it goes as text, where the
/// server says what is wrong, if anything is.
fn load_binary(
    reader: &ArchiveReader,
    session: &mut Copier,
    sql: &str,
    table: &TableEntry,
    chunk: &Chunk,
    format: &Format,
    interrupt: &Interrupt,
) -> Result<bool> {
    let content = reader.member(&chunk.member)?;
    let mut copy = session.copy_in(sql, format!("cannot load table {}", table.name))?;
    let mut encoder = Encoder::new(format);
    let mut odd = Ok(());
    frame::decompress(&content, chunk.content.bytes, |piece| {
        interrupt.check()?;
        odd = odd.and_then(|()| encoder.update(piece));
        encoder.take(|rows| copy.write(rows))
    })?;
    if odd.and_then(|()| encoder.finish()).is_err() || encoder.rows() != chunk.content.rows {
        return Ok(false);
    }
    encoder.take(|rows| copy.write(rows))?;
    match copy.finish() {
        Ok(taken) => check_count(taken, chunk.content.rows, table).map(|()| true),
        Err(error) => {
            interrupt.check()?;
            // A connection that is lost is no fault of the format.
            session.execute("SELECT").map_err(|_| error).map(|()| false)
        }
    }
}

/// Loads chunks of a table with one COPY, and gives the number of rows that the server took,
/// which is the number that the manifest counts.
pub fn load(
    reader: &ArchiveReader,
    session: &mut impl Copies,
    sql: &str,
    table: &TableEntry,
    chunks: &[&Chunk],
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<u64> {
    let mut copy = session.copy_in(sql, format!("cannot load table {}", table.name))?;
    let mut expected = 0;
    for chunk in chunks {
        observer.begin(&item(table, chunk));
        let content = reader.member(&chunk.member)?;
        frame::decompress(&content, chunk.content.bytes, |piece| {
            interrupt.check()?;
            copy.write(piece)
        })?;
        observer.moved(chunk.content.rows, chunk.content.bytes);
        observer.end();
        expected += chunk.content.rows;
    }
    let taken = copy.finish()?;
    check_count(taken, expected, table).map(|()| taken)
}

fn item<'a>(table: &'a TableEntry, chunk: &Chunk) -> Item<'a> {
    Item { name: &table.name, parts: table.chunks.len() as u64, bytes: chunk.content.bytes }
}

fn check_count(taken: u64, expected: u64, table: &TableEntry) -> Result<()> {
    if taken == expected {
        return Ok(());
    }
    let message = format!("the server took {taken} of {expected} rows of table {}", table.name);
    Err(Error::failed(message))
}

/// Loads tables that may refer to each other: what fails is tried again when others are there,
/// until a round loads nothing more.
fn load_in_rounds(
    reader: &ArchiveReader,
    session: &mut Session,
    tables: &[&TableEntry],
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<u64> {
    let plain = session.takes_plain_names();
    let mut open: Vec<&TableEntry> = tables.to_vec();
    let mut rows = 0;
    while !open.is_empty() {
        let mut failed = Vec::new();
        let mut reason = None;
        for table in &open {
            let sql = copy_in_sql(&table.name, &table.columns, plain);
            let chunks: Vec<&Chunk> = table.chunks.iter().collect();
            if chunks.is_empty() {
                continue;
            }
            match load(reader, session, &sql, table, &chunks, observer, interrupt) {
                Ok(count) => rows += count,
                Err(error) => {
                    failed.push(*table);
                    reason.get_or_insert(error);
                }
            }
        }
        if let Some(reason) = reason
            && failed.len() == open.len()
        {
            return Err(reason);
        }
        open = failed;
    }
    Ok(rows)
}

/// Creates the archive's large objects, which must not be there, and fills them. Those in `keep`
/// are there, and are left alone.
pub fn large_objects(
    reader: &ArchiveReader,
    session: &mut Session,
    options: &Options,
    keep: &[u32],
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let archived = &reader.manifest().large_objects;
    if archived.objects.is_empty() {
        return Ok(());
    }
    observer.phase("loading the large objects", None);
    let new = |object: &&LargeObject| !keep.contains(&object.oid);
    let oids: Vec<u32> = archived.objects.iter().filter(new).map(|object| object.oid).collect();
    for batch in oids.chunks(1000) {
        large_objects::create_all(session, batch)?;
    }
    large_objects::prepare_pieces(session)?;
    for chunk in &archived.chunks {
        let content = reader.member(&chunk.member)?;
        let mut copy = session
            .copy_in(large_objects::PIECES_COPY, String::from("cannot load the large objects"))?;
        frame::decompress(&content, chunk.content.bytes, |piece| {
            interrupt.check()?;
            copy.write(piece)
        })?;
        copy.finish()?;
        large_objects::drop_pieces(session, keep)?;
        large_objects::put_pieces(session)?;
    }
    session.execute("DROP TABLE pg_temp.pgark_pieces")?;
    for object in archived.objects.iter().filter(new) {
        if let Some(comment) = &object.comment {
            session.execute(&format!(
                "COMMENT ON LARGE OBJECT {} IS {}",
                object.oid,
                literal(comment)
            ))?;
        }
        if !options.no_security_labels {
            for label in &object.labels {
                session.execute(&large_objects::label_sql(object.oid, label))?;
            }
        }
        if !options.no_owner && object.owner != session.facts.role {
            session.execute(&format!(
                "ALTER LARGE OBJECT {} OWNER TO {}",
                object.oid,
                quote(&object.owner)
            ))?;
        }
    }
    if !options.no_privileges {
        for access in
            archived.objects.iter().filter(new).filter_map(|object| object.access.as_ref())
        {
            for statement in access::of_large_object(access) {
                session.run_single(&statement, &format!("cannot grant on {}", access.target))?;
            }
        }
    }
    Ok(())
}

/// Sets sequences to exactly the archive's positions.
pub fn set_sequences(session: &mut Session, sequences: &[SequenceState]) -> Result<()> {
    for batch in sequences.chunks(200) {
        let calls: Vec<String> = batch
            .iter()
            .map(|sequence| {
                format!(
                    "pg_catalog.setval({}, {}, {})",
                    literal(&quote_qualified(&sequence.name)),
                    sequence.last_value,
                    sequence.is_called
                )
            })
            .collect();
        session.run_single(&format!("SELECT {}", calls.join(", ")), "cannot set the sequences")?;
    }
    Ok(())
}
