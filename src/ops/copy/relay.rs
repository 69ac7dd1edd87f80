//! Workers read ranges of tables from one server and send them on to another as they come.

use crate::archive::manifest::{LargeObject, TableEntry};
use crate::error::Result;
use crate::model::content::Content;
use crate::ops::backup::schema::Taken;
use crate::ops::backup::{Source, read};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::plan::{Piece, Plan, PlannedTable, Task};
use crate::ops::pool::{self, Emit};
use crate::ops::reader::{self, Reader};
use crate::ops::restore::load;
use crate::ops::restore::origin::Loading;
use crate::ops::scan;
use crate::pg::copier::Copier;
use crate::pg::copy::{self, copy_in_sql};
use crate::pg::large_objects as pg_large_objects;
use crate::pg::session::{Session, Statements};
use crate::pg::wire::Sink;
use crate::rules::large_object_digest::{LargeObjectContent, LargeObjectDigester};
use crate::rules::row_digest::Digester;
use std::collections::BTreeSet;

/// Rows are reported in steps of this many bytes.
const REPORT_BYTES: u64 = 1 << 20;

/// A worker: a connection with the source, and one with the target.
struct Worker {
    from: Reader,
    to: Copier,
}

/// What a worker hands over: the content of a piece, or that a lock was not to be had at once.
enum Moved {
    Content(usize, Content),
    Later(Task),
}

/// What is read, and what is known of its tables, in the same order.
#[derive(Clone, Copy)]
pub struct Planned<'a> {
    pub plan: &'a Plan,
    pub entries: &'a [TableEntry],
}

/// Moves all rows that are planned, and gives the contents of the plan's tables.
pub fn rows(
    source: &Source,
    taken: &Taken,
    leader: &mut Session,
    planned: Planned<'_>,
    target: &mut Loading<'_>,
) -> Result<Vec<Content>> {
    let Planned { plan, entries } = planned;
    let Loading { session, options, database, observer, interrupt } = target;
    let (options, database, observer, interrupt) = (*options, *database, *observer, *interrupt);
    observer.phase("copying the rows", Some(plan.estimated_bytes));
    let (facts, there) = (leader.facts.clone(), session.facts.clone());
    let open_to = || load::open(options, database, &there, &facts.encoding, interrupt);
    let open = || {
        let snapshot = &taken.snapshot.id;
        let (connection, encoding) = (&source.connection, &facts.encoding);
        let from = Reader::open(connection, None, snapshot, encoding, &facts, interrupt)?;
        Ok(Worker { from, to: open_to()? })
    };
    let shared = Shared { plan, entries, observer, interrupt };
    let mut contents = vec![Content::default(); plan.tables.len()];
    let (of_extensions, tasks) = parted(plan);
    if !of_extensions.is_empty() {
        // Keys between configuration tables of extensions are there before the rows.
        let mut to = open_to()?;
        let by_leader = |leader: &mut Session| {
            load::in_rounds(of_extensions, |piece| {
                let content = shared.move_one(leader, &mut to, *piece)?;
                Ok((piece.table, content))
            })
        };
        let moved = reader::by_leader(leader, &facts.encoding, by_leader)?;
        moved.into_iter().for_each(|(table, content)| contents[table] += content);
    }
    let mut later = Vec::new();
    pool::run(
        options.jobs,
        tasks,
        interrupt,
        open,
        |worker, task, emit| shared.work(worker, task, emit),
        |moved| {
            match moved {
                Moved::Content(table, content) => contents[table] += content,
                Moved::Later(task) => later.push(task),
            }
            Ok(())
        },
    )?;
    if !later.is_empty() {
        let mut to = open_to()?;
        reader::by_leader(leader, &facts.encoding, |leader| {
            later.iter().flat_map(|task| &task.pieces).try_for_each(|piece| {
                contents[piece.table] += shared.move_one(leader, &mut to, *piece)?;
                Ok(())
            })
        })?;
    }
    Ok(contents)
}

/// Extensions' tables, each whole, since its rows may refer to each other; and the tasks without them.
fn parted(plan: &Plan) -> (Vec<Piece>, Vec<Task>) {
    let mut tables = BTreeSet::new();
    let mut tasks = plan.tasks.clone();
    for task in &mut tasks {
        let is_own = |piece: &Piece| plan.tables[piece.table].extension.is_none();
        tables.extend(task.pieces.iter().filter(|piece| !is_own(piece)).map(|piece| piece.table));
        task.pieces.retain(is_own);
    }
    tasks.retain(|task| !task.pieces.is_empty());
    let whole = |table| Piece { table, range: 1, pages: None };
    (tables.into_iter().map(whole).collect(), tasks)
}

/// What all workers share.
#[derive(Clone, Copy)]
struct Shared<'a> {
    plan: &'a Plan,
    entries: &'a [TableEntry],
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
}

impl<'a> Shared<'a> {
    fn work(self, worker: &mut Worker, task: Task, emit: Emit<'_, Moved>) -> Result<()> {
        let mut relay = self.relay(&mut worker.to, &task.pieces);
        let read = worker.from.read(self.plan, &task.pieces, &mut relay);
        let moved = std::mem::take(&mut relay.moved);
        drop(relay);
        match read {
            Ok(true) => moved
                .into_iter()
                .try_for_each(|(table, content)| emit(Moved::Content(table, content?))),
            Ok(false) => emit(Moved::Later(task)),
            // What went wrong first is why all that comes after it does.
            Err(error) => Err(moved.into_iter().find_map(|(_, c)| c.err()).unwrap_or(error)),
        }
    }

    /// Moves a piece that the leader reads.
    fn move_one(self, leader: &mut Session, to: &mut Copier, piece: Piece) -> Result<Content> {
        let pieces = [piece];
        let mut relay = self.relay(to, &pieces);
        relay.begin()?;
        let rows = self.plan.tables[piece.table].rows(piece.pages);
        copy::copy_out(leader, &rows, |rows| relay.rows(rows))?;
        relay.end_piece(None)
    }

    fn relay<'b>(self, to: &'b mut Copier, pieces: &'b [Piece]) -> Relay<'b>
    where
        'a: 'b,
    {
        Relay { shared: self, to, pieces, open: None, moved: Vec::new() }
    }
}

/// Sends the rows of pieces, which come one after the other, on to the target.
struct Relay<'a> {
    shared: Shared<'a>,
    to: &'a mut Copier,
    /// The first is the one that is being moved.
    pieces: &'a [Piece],
    open: Option<Open>,
    /// The tables of the pieces that have ended, with what has become of them.
    moved: Vec<(usize, Result<Content>)>,
}

/// A piece that is being moved.
struct Open {
    rows: Digester,
    /// Rows and bytes that the observer has heard of.
    told: (u64, u64),
    doing: String,
}

impl<'a> Relay<'a> {
    /// The table of the piece that is being moved.
    fn table(&self) -> Result<&'a PlannedTable> {
        let piece = self.pieces.first().ok_or_else(scan::unasked)?;
        Ok(&self.shared.plan.tables[piece.table])
    }

    /// Ends the piece, of which the source has sent `count` rows, if it says so.
    fn end_piece(&mut self, count: Option<u64>) -> Result<Content> {
        let mut open = self.open.take().ok_or_else(scan::unasked)?;
        open.tell(self.shared.observer);
        self.shared.observer.end();
        let Open { rows, doing, .. } = open;
        let content = rows.finish();
        let name = &self.table()?.name;
        let read = content.and_then(|content| {
            let sent = count.unwrap_or(content.rows);
            copy::check_count(content.rows, sent, &format!("cannot read table {name}"))?;
            Ok(content)
        });
        let content = match read {
            Ok(content) => content,
            Err(error) => {
                // Why it is given up is what is told.
                drop(self.to.put_abort(&doing));
                return Err(error);
            }
        };
        let taken = self.to.put_end(&doing)?;
        load::check_count(taken, content.rows, name)?;
        Ok(content)
    }
}

impl Sink for Relay<'_> {
    fn begin(&mut self) -> Result<()> {
        let plain = self.to.takes_plain_names();
        let table = self.table()?;
        let through = &self.shared.entries[self.pieces[0].table].load_through;
        let into = through.as_ref().unwrap_or(&table.name);
        let sql = copy_in_sql(into, &table.columns, table.format, plain);
        let doing = format!("cannot load table {}", table.name);
        let rows = Digester::of(table.format);
        self.shared.observer.begin(&self.shared.plan.item(self.pieces[0]));
        self.to.begin_put(&sql, &doing)?;
        self.open = Some(Open { rows, told: (0, 0), doing });
        Ok(())
    }

    fn rows(&mut self, piece: &[u8]) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(scan::unasked)?;
        open.rows.update(piece)?;
        self.to.put(piece, &open.doing)?;
        if open.rows.bytes() - open.told.1 >= REPORT_BYTES {
            self.shared.interrupt.check()?;
            open.tell(self.shared.observer);
        }
        Ok(())
    }

    fn end(&mut self, count: u64) -> Result<()> {
        let table = self.pieces.first().ok_or_else(scan::unasked)?.table;
        let moved = self.end_piece(Some(count));
        if self.to.is_broken() {
            return moved.map(drop);
        }
        // What the target says of these rows does not keep it from taking the next ones.
        self.moved.push((table, moved));
        self.pieces = &self.pieces[1..];
        Ok(())
    }
}

impl Open {
    fn tell(&mut self, observer: &dyn Observer) {
        let (rows, bytes) = (self.rows.rows(), self.rows.bytes());
        observer.moved(rows - self.told.0, bytes - self.told.1);
        self.told = (rows, bytes);
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            // What failed before is the reason that will be told.
            drop(self.to.put_abort(&open.doing));
        }
    }
}

/// Moves the large objects, and gives their content.
pub fn large_objects(
    objects: &[LargeObject],
    leader: &mut Session,
    target: &mut Loading<'_>,
) -> Result<LargeObjectContent> {
    let Loading { session, options, observer, interrupt, .. } = target;
    let mut digester = LargeObjectDigester::default();
    load::make_large_objects(objects, session, options, &[], *observer, |session| {
        let mut batch: Vec<u8> = Vec::new();
        pg_large_objects::copy_out(leader, None, |piece| {
            interrupt.check()?;
            observer.moved(0, piece.len() as u64);
            digester.update(piece)?;
            batch.extend_from_slice(piece);
            match memchr::memrchr(b'\n', &batch) {
                Some(last) if batch.len() as u64 >= read::CHUNK_BYTES => {
                    let rest = batch.split_off(last + 1);
                    load::put_large_objects(session, &[], |copy| copy.write(&batch))?;
                    batch = rest;
                    Ok(())
                }
                _ => Ok(()),
            }
        })?;
        load::put_large_objects(session, &[], |copy| copy.write(&batch))
    })?;
    digester.finish(objects.iter().map(|object| object.oid))
}
