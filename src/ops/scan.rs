//! Reads tables of a live database and computes their contents, as a backup would, without
//! writing anything: this proves that a restored database equals its archive.

use super::interrupt::Interrupt;
use super::observer::Observer;
use super::plan::{Plan, Task};
use super::pool;
use crate::error::{Kind, Result};
use crate::model::connection::Connection;
use crate::model::content::Content;
use crate::pg::copy::{self, RowSource};
use crate::pg::large_objects;
use crate::pg::session::{Purpose, Session};
use crate::pg::snapshot;
use crate::rules::large_object_digest::{LargeObjectContent, LargeObjectDigester};
use crate::rules::row_digest::RowDigester;

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

/// What a worker found: the content of a range, or that the table's lock was not to be had at once.
enum Found {
    Content(usize, Content),
    Later(Task),
}

/// Contents of the planned tables, in the plan's order. The leader has taken the snapshot, and
/// holds a lock on every table.
pub fn contents(context: &Context<'_>, leader: &mut Session, plan: &Plan) -> Result<Vec<Content>> {
    let mut contents = vec![Content::default(); plan.tables.len()];
    let open = || {
        let mut session = Session::open(context.connection, context.database, Purpose::Read)?;
        context.interrupt.register(&session);
        snapshot::join(&mut session, context.snapshot)?;
        session.use_encoding(context.encoding)?;
        Ok(session)
    };
    let work = |session: &mut Session, task: Task, emit: pool::Emit<'_, Found>| {
        match snapshot::lock_at_once(session, &plan.tables[task.table].name) {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Locked => return emit(Found::Later(task)),
            Err(error) => return Err(error),
        }
        let content = content(session, &plan.tables[task.table].rows(task.pages))?;
        context.observer.moved(content.rows, content.bytes);
        emit(Found::Content(task.table, content))
    };
    let mut later = Vec::new();
    pool::run(context.jobs, plan.tasks.clone(), context.interrupt, open, work, |found| {
        match found {
            Found::Content(table, content) => contents[table] += content,
            Found::Later(task) => later.push(task),
        }
        Ok(())
    })?;
    // The leader never queues behind whoever waits for the leader.
    leader.use_encoding(context.encoding)?;
    leader.execute("SET quote_all_identifiers = off")?;
    for task in later {
        let content = content(leader, &plan.tables[task.table].rows(task.pages))?;
        context.observer.moved(content.rows, content.bytes);
        contents[task.table] += content;
    }
    leader.use_encoding("UTF8")?;
    leader.execute("SET quote_all_identifiers = on")?;
    Ok(contents)
}

/// Content of some rows.
pub fn content(session: &mut Session, source: &RowSource<'_>) -> Result<Content> {
    let mut rows = RowDigester::default();
    copy::copy_out(session, source, |piece| {
        rows.update(piece);
        Ok(())
    })?;
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
