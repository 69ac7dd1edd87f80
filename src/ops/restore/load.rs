//! Rows, large objects and sequence positions into a database whose tables are there.

use super::origin::Loading;
use super::through_roots::{Astray, Roots};
use super::{Options, full};
use crate::archive::frame;
use crate::archive::manifest::{Chunk, LargeObject, Manifest, TableEntry};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Result};
use crate::model::copy_format::CopyFormat;
use crate::model::name::QualifiedName;
use crate::model::server::ServerFacts;
use crate::model::table::SequenceState;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::{Item, Observer};
use crate::ops::pool;
use crate::pg::copier::Copier;
use crate::pg::copy::{Copies, CopyIn, copy_in_sql};
use crate::pg::ident::{literal, quote, quote_qualified};
use crate::pg::session::{Purpose, Session, Statements};
use crate::pg::{access, large_objects};
use crate::rules::copy_binary::{Encoder, Format};
use std::sync::atomic::{AtomicBool, Ordering};

/// Loads the rows of all tables with several workers. Gives the partitions whose rows went through the top
/// of their tree, since one of them has refused some.
pub fn load_all(
    reader: &ArchiveReader,
    manifest: &Manifest,
    target: &mut Loading<'_>,
) -> Result<Roots> {
    let Loading { session, options, database, observer, interrupt } = target;
    let (options, database, observer, interrupt) = (*options, *database, *observer, *interrupt);
    let encoding = &manifest.source.encoding;
    let total = manifest.tables.iter().map(|table| table.content.bytes).sum();
    observer.phase("loading the rows", Some(total));
    // Keys between configuration tables of extensions are there before the rows.
    let (of_extensions, plain): (Vec<&TableEntry>, Vec<&TableEntry>) =
        manifest.tables.iter().partition(|table| table.extension.is_some());
    if of_extensions.iter().any(|table| !table.chunks.is_empty()) {
        session.use_encoding(encoding)?;
        options.search_path.during(&mut **session, |session| {
            load_in_rounds(reader, session, &of_extensions, observer, interrupt)
        })?;
        session.use_encoding("UTF8")?;
    }
    let astray = Astray::none(session, observer)?;
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
        || open(options, database, &facts, encoding, interrupt),
        |session, (table, form, chunk), emit| {
            let through = astray.root(&table.name).or(table.load_through.as_ref());
            let into = through.unwrap_or(&table.name);
            let plain = session.takes_plain_names();
            if let Some(format) = form.binary() {
                let sql = copy_in_sql(into, &table.columns, CopyFormat::Binary, plain);
                observer.begin(&item(table, chunk));
                let loaded = load_binary(reader, session, &sql, table, chunk, format, interrupt)?;
                if loaded {
                    observer.moved(chunk.content.rows, chunk.content.bytes);
                }
                observer.end();
                if loaded {
                    return emit(());
                }
                form.give_up();
            }
            let mut load_into = |into| {
                let sql = copy_in_sql(into, &table.columns, CopyFormat::Text, plain);
                load(reader, session, &sql, table, &[chunk], observer, interrupt)
            };
            load_into(into).or_else(|error| match astray.refused(&table.name, &error) {
                Some(root) if root != into => load_into(root),
                _ => Err(error),
            })?;
            emit(())
        },
        |()| Ok(()),
    )?;
    Ok(astray.into_roots())
}

/// A connection through which rows in `encoding` go into the target.
pub fn open(
    options: &Options,
    database: Option<&str>,
    facts: &ServerFacts,
    encoding: &str,
    interrupt: &Interrupt,
) -> Result<Copier> {
    let mut copier = interrupt.open_copier(&options.connection, database, Purpose::Write, facts)?;
    copier.check_not_pooled()?;
    full::bound(&mut copier, options)?;
    options.search_path.set(&mut copier)?;
    copier.use_encoding(encoding)?;
    Ok(copier)
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
        Ok(taken) => check_count(taken, chunk.content.rows, &table.name).map(|()| true),
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
    check_count(taken, expected, &table.name).map(|()| taken)
}

fn item<'a>(table: &'a TableEntry, chunk: &Chunk) -> Item<'a> {
    Item { name: &table.name, parts: table.chunks.len() as u64, bytes: chunk.content.bytes }
}

/// Fails unless the server took all rows of a table.
pub fn check_count(taken: u64, expected: u64, table: &QualifiedName) -> Result<()> {
    if taken == expected {
        return Ok(());
    }
    let message = format!("the server took {taken} of {expected} rows of table {table}");
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
) -> Result<()> {
    let plain = session.takes_plain_names();
    let filled = tables.iter().copied().filter(|table| !table.chunks.is_empty()).collect();
    in_rounds(filled, |table: &&TableEntry| {
        let sql = copy_in_sql(&table.name, &table.columns, CopyFormat::Text, plain);
        let chunks: Vec<&Chunk> = table.chunks.iter().collect();
        load(reader, session, &sql, table, &chunks, observer, interrupt)
    })
    .map(drop)
}

/// Does `load` for all of `open`, and again for those that failed, as long as a round gets on.
///
/// # Errors
/// The first failure of a round in which nothing was loaded.
pub fn in_rounds<T, R>(mut open: Vec<T>, mut load: impl FnMut(&T) -> Result<R>) -> Result<Vec<R>> {
    let mut loaded = Vec::new();
    while !open.is_empty() {
        let before = open.len();
        let mut reason = None;
        open.retain(|one| match load(one) {
            Ok(result) => {
                loaded.push(result);
                false
            }
            Err(error) => {
                reason.get_or_insert(error);
                true
            }
        });
        if let Some(reason) = reason
            && open.len() == before
        {
            return Err(reason);
        }
    }
    Ok(loaded)
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
    make_large_objects(&archived.objects, session, options, keep, observer, |session| {
        archived.chunks.iter().try_for_each(|chunk| {
            let content = reader.member(&chunk.member)?;
            put_large_objects(session, keep, |copy| {
                frame::decompress(&content, chunk.content.bytes, |piece| {
                    interrupt.check()?;
                    copy.write(piece)
                })
            })
        })
    })
}

/// Takes some pieces of large objects and puts them there.
///
/// # Errors
/// The server's, and those of `write`.
pub fn put_large_objects(
    session: &mut Session,
    keep: &[u32],
    write: impl FnOnce(&mut CopyIn<'_>) -> Result<()>,
) -> Result<()> {
    let doing = String::from("cannot load the large objects");
    let mut copy = session.copy_in(large_objects::PIECES_COPY, doing)?;
    write(&mut copy)?;
    copy.finish()?;
    large_objects::drop_pieces(session, keep)?;
    large_objects::put_pieces(session)
}

/// Creates large objects, lets `fill` put what is in them there, and makes them what they were.
///
/// # Errors
/// The server's, and those of `fill`.
pub fn make_large_objects(
    objects: &[LargeObject],
    session: &mut Session,
    options: &Options,
    keep: &[u32],
    observer: &dyn Observer,
    fill: impl FnOnce(&mut Session) -> Result<()>,
) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    observer.phase("loading the large objects", None);
    let new = |object: &&LargeObject| !keep.contains(&object.oid);
    let oids: Vec<u32> = objects.iter().filter(new).map(|object| object.oid).collect();
    for batch in oids.chunks(1000) {
        large_objects::create_all(session, batch)?;
    }
    large_objects::prepare_pieces(session)?;
    fill(session)?;
    session.execute("DROP TABLE pg_temp.pgark_pieces")?;
    for object in objects.iter().filter(new) {
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
        for access in objects.iter().filter(new).filter_map(|object| object.access.as_ref()) {
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
