//! Workers read ranges of tables under the shared snapshot and make chunks of them; the calling
//! thread appends the chunks to the archive.

use crate::archive::frame::FrameWriter;
use crate::archive::hashing::sha256;
use crate::archive::manifest::{Chunk, LargeObject, LargeObjects, Member, TableEntry};
use crate::archive::writer::ArchiveWriter;
use crate::error::Result;
use crate::model::connection::Connection;
use crate::model::content::Content;
use crate::model::server::ServerFacts;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::{Piece, Plan, PlannedTable, Task};
use crate::ops::pool::{self, Emit};
use crate::ops::reader::{self, Reader};
use crate::ops::scan;
use crate::pg::copy;
use crate::pg::large_objects::{self, LargeObjectFacts};
use crate::pg::session::Session;
use crate::pg::snapshot::Snapshot;
use crate::pg::wire::Sink;
use crate::rules::large_object_digest::LargeObjectDigester;
use crate::rules::row_digest::RowDigester;
use std::io::Write;

/// A chunk ends at the first row that takes it over this many bytes of COPY text: a range of few
/// pages may hold very long values, and a chunk is held in memory.
pub const CHUNK_BYTES: u64 = 18 << 20;

/// Rows are reported in steps of this many bytes.
const REPORT_BYTES: u64 = 1 << 20;

/// What reading needs beside the plan.
pub struct Context<'a> {
    pub connection: &'a Connection,
    pub snapshot: &'a Snapshot,
    pub jobs: usize,
    pub level: i32,
    pub observer: &'a dyn Observer,
    pub interrupt: &'a Interrupt,
}

/// What was read.
pub struct Rows {
    pub tables: Vec<TableEntry>,
    pub large_objects: LargeObjects,
}

/// What a worker hands over.
enum Parcel {
    Chunk {
        table: usize,
        range: u64,
        chunk: Chunk,
        frame: Vec<u8>,
    },
    /// A lock that the task needs was not to be had at once.
    Later(Task),
}

/// A worker: a connection, and a compressor.
struct Worker {
    reader: Reader,
    frame: FrameWriter,
}

/// Reads everything that is planned, and the large objects.
pub fn read_all<W: Write>(
    context: &Context<'_>,
    leader: &mut Session,
    plan: &Plan,
    archive: &mut ArchiveWriter<W>,
    with_large_objects: bool,
) -> Result<Rows> {
    let mut chunks: Vec<Vec<(u64, Chunk)>> = vec![Vec::new(); plan.tables.len()];
    let mut later = Vec::new();
    let mut append = |table: usize, range: u64, chunk: Chunk, frame: &[u8]| -> Result<()> {
        archive.add_hashed(&chunk.member, frame)?;
        chunks[table].push((range, chunk));
        Ok(())
    };
    pool::run(
        context.jobs,
        plan.tasks.clone(),
        context.interrupt,
        || open(context, &leader.facts),
        |worker, task, emit| work(context, worker, plan, task, emit),
        |parcel| match parcel {
            Parcel::Chunk { table, range, chunk, frame } => append(table, range, chunk, &frame),
            Parcel::Later(task) => {
                later.push(task);
                Ok(())
            }
        },
    )?;
    if !later.is_empty() {
        let mut frame = FrameWriter::new(context.level)?;
        let encoding = leader.facts.encoding.clone();
        reader::by_leader(leader, &encoding, |leader| {
            for piece in later.iter().flat_map(|task| &task.pieces) {
                let mut emit = |parcel| match parcel {
                    Parcel::Chunk { table, range, chunk, frame } => {
                        append(table, range, chunk, &frame)
                    }
                    Parcel::Later(_) => Ok(()),
                };
                let pieces = std::slice::from_ref(piece);
                let mut chunks = ChunkMaker::new(context, plan, pieces, &mut frame, &mut emit);
                let source = plan.tables[piece.table].rows(piece.pages);
                context.observer.begin(&plan.item(*piece));
                copy::copy_out(leader, &source, |rows| chunks.rows(rows))?;
                chunks.seal()?;
            }
            Ok(())
        })?;
    }
    let tables = plan.tables.iter().zip(chunks).map(|(table, mut chunks)| {
        // Workers end in any order; the manifest has an order of its own.
        // By length first: `000001` is before `000001-02`, and `000001-99` before `000001-100`.
        chunks.sort_by_cached_key(|(range, chunk)| {
            let member = &chunk.member.member;
            (*range, member.len(), member.clone())
        });
        let chunks: Vec<Chunk> = chunks.into_iter().map(|(_, chunk)| chunk).collect();
        let mut content = Content::default();
        chunks.iter().for_each(|chunk| content += chunk.content);
        TableEntry { content, chunks, ..entry(table) }
    });
    let tables = tables.collect();
    let large_objects = match with_large_objects {
        true => read_large_objects(context, leader, archive)?,
        false => LargeObjects::default(),
    };
    Ok(Rows { tables, large_objects })
}

/// A table as the manifest has it, without its rows.
pub fn entry(table: &PlannedTable) -> TableEntry {
    TableEntry {
        name: table.name.clone(),
        columns: table.columns.clone(),
        data: table.data,
        extension: table.extension.clone(),
        condition: table.condition.clone(),
        load_through: table.load_through.clone(),
        content: Content::default(),
        chunks: Vec::new(),
    }
}

fn open(context: &Context<'_>, facts: &ServerFacts) -> Result<Worker> {
    let (snapshot, encoding) = (&context.snapshot.id, &facts.encoding);
    let reader =
        Reader::open(context.connection, None, snapshot, encoding, facts, context.interrupt)?;
    Ok(Worker { reader, frame: FrameWriter::new(context.level)? })
}

fn work(
    context: &Context<'_>,
    worker: &mut Worker,
    plan: &Plan,
    task: Task,
    emit: Emit<'_, Parcel>,
) -> Result<()> {
    let mut chunks = ChunkMaker::new(context, plan, &task.pieces, &mut worker.frame, emit);
    match worker.reader.read(plan, &task.pieces, &mut chunks)? {
        true => Ok(()),
        false => emit(Parcel::Later(task)),
    }
}

/// Cuts the rows of pieces, which come one after the other, into chunks and hands those over.
struct ChunkMaker<'a, 'e> {
    context: &'a Context<'a>,
    plan: &'a Plan,
    /// The first is the one that is being read.
    pieces: &'a [Piece],
    frame: &'a mut FrameWriter,
    rows: RowDigester,
    /// Number of the chunk within its piece.
    part: u32,
    /// Rows of the piece in chunks that were handed over.
    sent: u64,
    report: Report<'a>,
    emit: &'e mut dyn FnMut(Parcel) -> Result<()>,
}

impl<'a, 'e> ChunkMaker<'a, 'e> {
    fn new(
        context: &'a Context<'a>,
        plan: &'a Plan,
        pieces: &'a [Piece],
        frame: &'a mut FrameWriter,
        emit: &'e mut dyn FnMut(Parcel) -> Result<()>,
    ) -> Self {
        let report = Report::new(context.observer);
        let rows = RowDigester::default();
        Self { context, plan, pieces, frame, rows, part: 1, sent: 0, report, emit }
    }

    /// Ends the chunk and hands it over.
    fn cut(&mut self) -> Result<()> {
        let piece = self.pieces[0];
        let content = std::mem::take(&mut self.rows).finish()?;
        let folder = &self.plan.tables[piece.table].folder;
        let member = member_name(folder, piece.range, self.part);
        let frame = self.frame.finish()?;
        self.sent += content.rows;
        self.part += 1;
        if content.rows == 0 {
            return Ok(());
        }
        let member = Member { member, size: frame.len() as u64, sha256: sha256(&frame) };
        let chunk = Chunk { member, pages: piece.pages, content };
        (self.emit)(Parcel::Chunk { table: piece.table, range: piece.range, chunk, frame })
    }

    /// Ends the piece, and gives the number of its rows.
    fn seal(&mut self) -> Result<u64> {
        self.cut()?;
        self.pieces = &self.pieces[1..];
        self.part = 1;
        self.report.tell();
        self.context.observer.end();
        Ok(std::mem::take(&mut self.sent))
    }
}

impl Sink for ChunkMaker<'_, '_> {
    fn begin(&mut self) -> Result<()> {
        match self.pieces {
            [] => Err(scan::unasked()),
            [piece, ..] => {
                self.context.observer.begin(&self.plan.item(*piece));
                Ok(())
            }
        }
    }

    fn rows(&mut self, text: &[u8]) -> Result<()> {
        let before = self.rows.rows();
        self.rows.update(text);
        self.frame.write(text);
        self.report.moved(self.rows.rows() - before, text.len());
        if self.report.due() {
            self.context.interrupt.check()?;
            self.report.tell();
        }
        if self.rows.bytes() >= CHUNK_BYTES && self.rows.at_row_end() {
            self.cut()?;
        }
        Ok(())
    }

    fn end(&mut self, count: u64) -> Result<()> {
        let table = &self.plan.tables[self.pieces[0].table].name;
        copy::check_count(self.seal()?, count, &format!("cannot read table {table}"))
    }
}

/// `000001.copy.zst`, and `000001-02.copy.zst` for a further part of the same range.
fn member_name(folder: &str, range: u64, part: u32) -> String {
    match part {
        1 => format!("{folder}/{range:06}.copy.zst"),
        _ => format!("{folder}/{range:06}-{part:02}.copy.zst"),
    }
}

/// Tells the observer of rows in steps that are worth telling.
struct Report<'a> {
    observer: &'a dyn Observer,
    rows: u64,
    bytes: u64,
}

impl<'a> Report<'a> {
    fn new(observer: &'a dyn Observer) -> Self {
        Self { observer, rows: 0, bytes: 0 }
    }

    fn moved(&mut self, rows: u64, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes as u64;
    }

    fn due(&self) -> bool {
        self.bytes >= REPORT_BYTES
    }

    fn tell(&mut self) {
        self.observer.moved(std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes));
    }
}

fn read_large_objects<W: Write>(
    context: &Context<'_>,
    session: &mut Session,
    archive: &mut ArchiveWriter<W>,
) -> Result<LargeObjects> {
    let facts = large_objects::list(&mut session.client)?;
    if facts.is_empty() {
        return Ok(LargeObjects::default());
    }
    context.observer.phase("reading the large objects", None);
    let mut digester = LargeObjectDigester::default();
    let mut frame = FrameWriter::new(context.level)?;
    let mut rows = RowDigester::default();
    let mut chunks = Vec::new();
    let mut report = Report::new(context.observer);
    let mut cut = |rows: &mut RowDigester, frame: &mut FrameWriter| -> Result<()> {
        let content = std::mem::take(rows).finish()?;
        let frame = frame.finish()?;
        if content.rows > 0 {
            let name = format!("large-objects/{:06}.copy.zst", chunks.len() + 1);
            chunks.push(Chunk { member: archive.add(&name, &frame)?, pages: None, content });
        }
        Ok(())
    };
    large_objects::copy_out(session, None, |piece| {
        let before = rows.rows();
        digester.update(piece)?;
        rows.update(piece);
        frame.write(piece);
        report.moved(rows.rows() - before, piece.len());
        if report.due() {
            context.interrupt.check()?;
            report.tell();
        }
        if rows.bytes() >= CHUNK_BYTES && rows.at_row_end() {
            cut(&mut rows, &mut frame)?;
        }
        Ok(())
    })?;
    cut(&mut rows, &mut frame)?;
    let content = digester.finish(facts.iter().map(|object| object.oid))?;
    Ok(LargeObjects {
        count: content.count,
        bytes: content.bytes,
        digest: content.digest,
        objects: facts.into_iter().map(archived).collect(),
        chunks,
    })
}

/// A large object as a manifest has it.
pub fn archived(object: LargeObjectFacts) -> LargeObject {
    LargeObject {
        oid: object.oid,
        owner: object.owner,
        comment: object.comment,
        access: object.access,
        labels: object.labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_range_have_names_of_their_own() {
        let folder = "data/0001-public.t";
        assert_eq!(member_name(folder, 7, 1), "data/0001-public.t/000007.copy.zst");
        assert_eq!(member_name(folder, 7, 2), "data/0001-public.t/000007-02.copy.zst");
    }
}
