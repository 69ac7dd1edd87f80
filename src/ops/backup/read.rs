//! Workers read ranges of tables under the shared snapshot and make chunks of them; the calling
//! thread appends the chunks to the archive.

use crate::archive::frame::FrameWriter;
use crate::archive::hashing::sha256;
use crate::archive::manifest::{Chunk, LargeObject, LargeObjects, Member, TableEntry};
use crate::archive::writer::ArchiveWriter;
use crate::error::{Kind, Result};
use crate::model::connection::Connection;
use crate::model::content::Content;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::{Plan, Task};
use crate::ops::pool::{self, Emit};
use crate::pg::session::{Purpose, Session};
use crate::pg::snapshot::{self, Snapshot};
use crate::pg::{copy, large_objects};
use crate::rules::large_object_digest::LargeObjectDigester;
use crate::rules::row_digest::RowDigester;
use std::collections::BTreeSet;
use std::io::Write;

/// A chunk ends at the first row that takes it over this many bytes of COPY text: a range of few
/// pages may hold very long values, and a chunk's compressed bytes are held in memory.
const CHUNK_BYTES: u64 = 32 << 20;

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
    /// The table's lock was not to be had at once.
    Later(Task),
}

/// A worker: a session that shares the snapshot, and the table it has locked last.
struct Worker {
    session: Session,
    locked: BTreeSet<usize>,
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
        || open(context),
        |worker, task, emit| work(context, worker, plan, task, emit),
        |parcel| match parcel {
            Parcel::Chunk { table, range, chunk, frame } => append(table, range, chunk, &frame),
            Parcel::Later(task) => {
                later.push(task);
                Ok(())
            }
        },
    )?;
    // The leader holds every lock, so it never queues behind whoever waits for the leader.
    leader.use_encoding(&leader.facts.encoding.clone())?;
    leader.execute("SET quote_all_identifiers = off")?;
    for task in later {
        read_range(context, leader, plan, task, &mut |parcel| match parcel {
            Parcel::Chunk { table, range, chunk, frame } => append(table, range, chunk, &frame),
            Parcel::Later(_) => Ok(()),
        })?;
    }
    leader.use_encoding("UTF8")?;
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
        TableEntry {
            name: table.name.clone(),
            columns: table.columns.clone(),
            data: table.data,
            extension: table.extension.clone(),
            condition: table.condition.clone(),
            load_through: table.load_through.clone(),
            content,
            chunks,
        }
    });
    let tables = tables.collect();
    let large_objects = match with_large_objects {
        true => read_large_objects(context, leader, archive)?,
        false => LargeObjects::default(),
    };
    Ok(Rows { tables, large_objects })
}

fn open(context: &Context<'_>) -> Result<Worker> {
    let mut session = Session::open(context.connection, None, Purpose::Read)?;
    context.interrupt.register(&session);
    snapshot::join(&mut session, &context.snapshot.id)?;
    session.check_not_pooled()?;
    session.use_encoding(&session.facts.encoding.clone())?;
    Ok(Worker { session, locked: BTreeSet::new() })
}

fn work(
    context: &Context<'_>,
    worker: &mut Worker,
    plan: &Plan,
    task: Task,
    emit: Emit<'_, Parcel>,
) -> Result<()> {
    if !worker.locked.contains(&task.table) {
        match snapshot::lock_at_once(&mut worker.session, &plan.tables[task.table].name) {
            Ok(()) => worker.locked.insert(task.table),
            Err(error) if error.kind() == Kind::Locked => return emit(Parcel::Later(task)),
            Err(error) => return Err(error),
        };
    }
    read_range(context, &mut worker.session, plan, task, emit)
}

/// A chunk in the making.
struct ChunkBuilder {
    frame: FrameWriter,
    rows: RowDigester,
}

impl ChunkBuilder {
    fn new(level: i32) -> Result<Self> {
        Ok(Self { frame: FrameWriter::new(level)?, rows: RowDigester::default() })
    }

    fn add(&mut self, piece: &[u8]) -> Result<()> {
        self.rows.update(piece);
        self.frame.write(piece)
    }

    fn is_full(&self) -> bool {
        self.rows.bytes() >= CHUNK_BYTES && self.rows.at_row_end()
    }

    fn finish(self, member: String, pages: Option<(u64, Option<u64>)>) -> Result<(Chunk, Vec<u8>)> {
        let content = self.rows.finish()?;
        let frame = self.frame.finish()?;
        let member = Member { member, size: frame.len() as u64, sha256: sha256(&frame) };
        Ok((Chunk { member, pages, content }, frame))
    }
}

fn read_range(
    context: &Context<'_>,
    session: &mut Session,
    plan: &Plan,
    task: Task,
    emit: Emit<'_, Parcel>,
) -> Result<()> {
    let table = &plan.tables[task.table];
    let mut send = |part: u32, chunk: ChunkBuilder| {
        let member = member_name(&table.folder, task.range, part);
        let (chunk, frame) = chunk.finish(member, task.pages)?;
        if chunk.content.rows == 0 {
            return Ok(());
        }
        emit(Parcel::Chunk { table: task.table, range: task.range, chunk, frame })
    };
    let mut chunk = ChunkBuilder::new(context.level)?;
    let mut part = 1;
    let mut report = Report::new(context.observer);
    copy::copy_out(session, &table.rows(task.pages), |piece| {
        chunk.add(piece)?;
        report.moved(piece);
        if report.due() {
            context.interrupt.check()?;
            report.tell();
        }
        if chunk.is_full() {
            let full = std::mem::replace(&mut chunk, ChunkBuilder::new(context.level)?);
            send(part, full)?;
            part += 1;
        }
        Ok(())
    })?;
    report.tell();
    send(part, chunk)
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

    fn moved(&mut self, piece: &[u8]) {
        // The driver gives one row at a time (PostgreSQL, "COPY Operations").
        self.rows += 1;
        self.bytes += piece.len() as u64;
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
    let mut digester = LargeObjectDigester::default();
    let mut chunks = Vec::new();
    let mut chunk = ChunkBuilder::new(context.level)?;
    let mut report = Report::new(context.observer);
    let mut append = |chunk: ChunkBuilder, number: usize| -> Result<Option<Chunk>> {
        let member = format!("large-objects/{number:06}.copy.zst");
        let (chunk, frame) = chunk.finish(member, None)?;
        if chunk.content.rows == 0 {
            return Ok(None);
        }
        archive.add_hashed(&chunk.member, &frame)?;
        Ok(Some(chunk))
    };
    large_objects::copy_out(session, None, |piece| {
        digester.update(piece)?;
        chunk.add(piece)?;
        report.moved(piece);
        if report.due() {
            context.interrupt.check()?;
            report.tell();
        }
        if chunk.is_full() {
            let full = std::mem::replace(&mut chunk, ChunkBuilder::new(context.level)?);
            chunks.extend(append(full, chunks.len() + 1)?);
        }
        Ok(())
    })?;
    chunks.extend(append(chunk, chunks.len() + 1)?);
    let content = digester.finish(facts.iter().map(|object| object.oid))?;
    Ok(LargeObjects {
        count: content.count,
        bytes: content.bytes,
        digest: content.digest,
        objects: facts
            .into_iter()
            .map(|object| LargeObject {
                oid: object.oid,
                owner: object.owner,
                comment: object.comment,
                access: object.access,
            })
            .collect(),
        chunks,
    })
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
