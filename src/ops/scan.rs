//! Reads tables of a live database and computes their contents, as a backup would, without
//! writing anything: this proves that a restored database equals its archive.

use super::interrupt::Interrupt;
use super::observer::Observer;
use super::plan::{Piece, Plan, Task};
use super::pool;
use super::reader::{self, Reader};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::content::Content;
use crate::pg::copy::{self, RowSource};
use crate::pg::large_objects;
use crate::pg::session::Session;
use crate::pg::wire::Sink;
use crate::rules::large_object_digest::{LargeObjectContent, LargeObjectDigester};
use crate::rules::row_digest::Digester;

/// Rows are reported in steps of this many bytes.
const REPORT_BYTES: u64 = 1 << 20;

/// Where and how to read.
pub struct Context<'a> {
    /// The server.
    pub connection: &'a Connection,
    /// The database, if not the one that the connection names.
    pub database: Option<&'a str>,
    /// The snapshot to share.
    pub snapshot: &'a str,
    /// The encoding that the digests are of.
    pub encoding: &'a str,
    /// Number of workers.
    pub jobs: usize,
    /// Who hears of progress.
    pub observer: &'a dyn Observer,
    /// What ends it early.
    pub interrupt: &'a Interrupt,
}

/// What a worker found: the content of a piece, or that a lock was not to be had at once.
enum Found {
    Content(usize, Content),
    Later(Task),
}

/// Contents of the planned tables, in the plan's order. The leader has taken the snapshot, and
/// holds a lock on every table.
pub fn contents(context: &Context<'_>, leader: &mut Session, plan: &Plan) -> Result<Vec<Content>> {
    let mut contents = vec![Content::default(); plan.tables.len()];
    let facts = leader.facts.clone();
    let open = || {
        let Context { connection, database, snapshot, encoding, interrupt, .. } = *context;
        Reader::open(connection, database, snapshot, encoding, &facts, interrupt)
    };
    let mut later = Vec::new();
    let work = |reader: &mut Reader, task, emit: pool::Emit<'_, Found>| {
        look(context, reader, plan, task, emit)
    };
    pool::run(context.jobs, plan.tasks.clone(), context.interrupt, open, work, |found| {
        match found {
            Found::Content(table, content) => contents[table] += content,
            Found::Later(task) => later.push(task),
        }
        Ok(())
    })?;
    if !later.is_empty() {
        reader::by_leader(leader, context.encoding, |leader| {
            for piece in later.iter().flat_map(|task| &task.pieces) {
                context.observer.begin(&plan.item(*piece));
                let content = content(leader, &plan.tables[piece.table].rows(piece.pages))?;
                context.observer.moved(content.rows, content.bytes);
                context.observer.end();
                contents[piece.table] += content;
            }
            Ok(())
        })?;
    }
    Ok(contents)
}

fn look(
    context: &Context<'_>,
    reader: &mut Reader,
    plan: &Plan,
    task: Task,
    emit: pool::Emit<'_, Found>,
) -> Result<()> {
    let mut found = Contents {
        context,
        plan,
        pieces: &task.pieces,
        rows: None,
        told: (0, 0),
        contents: Vec::new(),
    };
    if !reader.read(plan, &task.pieces, &mut found)? {
        return emit(Found::Later(task));
    }
    for (piece, content) in task.pieces.iter().zip(found.contents) {
        emit(Found::Content(piece.table, content))?;
    }
    Ok(())
}

/// Contents of the pieces that have ended, and the one that is being read.
struct Contents<'a> {
    context: &'a Context<'a>,
    plan: &'a Plan,
    pieces: &'a [Piece],
    /// `None` between two pieces.
    rows: Option<Digester>,
    /// Rows and bytes of the piece that the observer has heard of.
    told: (u64, u64),
    contents: Vec<Content>,
}

impl Contents<'_> {
    fn tell(&mut self, rows: u64, bytes: u64) {
        self.context.observer.moved(rows - self.told.0, bytes - self.told.1);
        self.told = (rows, bytes);
    }
}

impl Sink for Contents<'_> {
    fn begin(&mut self) -> Result<()> {
        let piece = self.pieces.get(self.contents.len()).ok_or_else(unasked)?;
        self.context.observer.begin(&self.plan.item(*piece));
        self.rows = Some(Digester::of(self.plan.tables[piece.table].format));
        Ok(())
    }

    fn rows(&mut self, text: &[u8]) -> Result<()> {
        let rows = self.rows.as_mut().ok_or_else(unasked)?;
        rows.update(text)?;
        let (count, bytes) = (rows.rows(), rows.bytes());
        if bytes - self.told.1 >= REPORT_BYTES {
            self.tell(count, bytes);
        }
        Ok(())
    }

    fn end(&mut self, count: u64) -> Result<()> {
        let rows = self.rows.take().ok_or_else(unasked)?;
        self.tell(rows.rows(), rows.bytes());
        let content = rows.finish()?;
        self.told = (0, 0);
        self.context.observer.end();
        self.contents.push(content);
        copy::check_count(content.rows, count, "cannot read the rows")
    }
}

/// The server does not keep to the order.
pub fn unasked() -> Error {
    Error::new(Kind::Server, "the server sent more tables than were asked for")
}

/// Content of some rows.
pub fn content(session: &mut Session, source: &RowSource<'_>) -> Result<Content> {
    let mut rows = Digester::of(source.format);
    copy::copy_out(session, source, |piece| rows.update(piece))?;
    rows.finish()
}

/// Content of large objects: all, or those with these OIDs.
pub fn large_objects(session: &mut Session, oids: Option<&[u32]>) -> Result<LargeObjectContent> {
    let facts = large_objects::list(&mut session.client)?;
    let wanted = |oid: &u32| oids.is_none_or(|oids| oids.contains(oid));
    let mut digester = LargeObjectDigester::default();
    large_objects::copy_out(session, oids, |piece| digester.update(piece))?;
    digester.finish(facts.iter().map(|object| object.oid).filter(wanted))
}
