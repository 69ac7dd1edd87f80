//! Indexes, keys and foreign keys: what takes long after the rows, made by several sessions at
//! once, the largest first.

use super::key_pieces::{self, Piece, Sizes, Step};
use super::{Options, full};
use crate::archive::manifest::Manifest;
use crate::error::{Error, Kind, Result};
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, SchemaObject, Statement};
use crate::ops::interrupt::Interrupt;
use crate::pg::ident::{quote, quote_qualified};
use crate::pg::references::validates_in_part;
use crate::pg::session::{Purpose, Session};
use crate::rules::lock_plan::LockPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What several sessions have made.
pub struct Made {
    /// Positions of the objects that are there.
    pub whole: BTreeSet<usize>,
    /// The objects of which the index is there, with the statements that are left.
    pub begun: BTreeMap<usize, SchemaObject>,
}

/// Makes what it can; the other objects are left to be made, or made again, in their order.
///
/// # Errors
/// A lost connection, or a signal.
pub fn create(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    options: &Options,
    database: Option<&str>,
    interrupt: &Interrupt,
) -> Result<Made> {
    let sizes: Sizes<'_> =
        manifest.tables.iter().map(|table| (&table.name, table.content.bytes)).collect();
    let pieces = key_pieces::of(objects, &sizes);
    let work = key_pieces::work(objects, &pieces, &sizes);
    let heavy = work.iter().filter(|work| work.weight > 0).count();
    let team = Team {
        pieces: &pieces,
        options,
        interrupt,
        jobs: options.jobs.min(heavy).max(1),
        state: Mutex::new(State {
            plan: LockPlan::new(work),
            made: BTreeSet::new(),
            failure: None,
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..team.jobs {
            scope.spawn(|| match interrupt.open(&options.connection, database, Purpose::Write) {
                Ok(mut session) => team.work(&mut session),
                Err(error) => team.fail(error),
            });
        }
        team.work(session);
    });
    let state = team.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failure {
        Some(error) => Err(error),
        None => Ok(made(pieces, &state.made)),
    }
}

/// What has become of the objects, where these pieces are there.
fn made(pieces: Vec<Piece<'_>>, there: &BTreeSet<usize>) -> Made {
    let mut made = Made { whole: BTreeSet::new(), begun: BTreeMap::new() };
    for (position, piece) in pieces.into_iter().enumerate() {
        match piece.step {
            Step::Whole | Step::Rest { .. } if there.contains(&position) => {
                made.whole.insert(piece.object);
            }
            Step::Rest { index } if there.contains(&index) => {
                made.begun.insert(piece.object, piece.makes.into_owned());
            }
            _ => {}
        }
    }
    made
}

/// What the sessions share.
struct Team<'a> {
    pieces: &'a [Piece<'a>],
    options: &'a Options,
    interrupt: &'a Interrupt,
    jobs: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    plan: LockPlan,
    /// Positions of the pieces that are there.
    made: BTreeSet<usize>,
    failure: Option<Error>,
}

impl Team<'_> {
    fn work(&self, session: &mut Session) {
        // For building indexes the server's default is made for small machines.
        let room = "SELECT pg_catalog.set_config('maintenance_work_mem', '256MB', false)
             FROM pg_catalog.pg_settings
             WHERE name = 'maintenance_work_mem' AND setting::bigint < 262144";
        let ready = full::bound(session, self.options).and_then(|()| session.execute(room));
        if let Err(error) = ready {
            return self.fail(error);
        }
        while let Some((piece, alone)) = self.next() {
            match self.make(session, &self.pieces[piece], alone) {
                Ok(()) => self.end(piece, true),
                // A lost connection is no fault of the object.
                Err(error) if session.client.is_closed() => return self.fail(error),
                Err(_) => self.end(piece, false),
            }
        }
    }

    /// The next piece, and whether it is the only one of weight: then the server may use several
    /// processes for it.
    fn next(&self) -> Option<(usize, bool)> {
        let mut state = self.state();
        loop {
            if let Err(error) = self.interrupt.check() {
                state.failure.get_or_insert(error);
            }
            if state.failure.is_some() || state.plan.is_spent() {
                self.changed.notify_all();
                return None;
            }
            if let Some(piece) = state.plan.start() {
                return Some((piece, state.plan.heavy() < 2));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, piece: usize, made: bool) {
        let mut state = self.state();
        state.plan.end(piece);
        if made {
            state.made.insert(piece);
        }
        self.changed.notify_all();
    }

    fn fail(&self, error: Error) {
        self.state().failure.get_or_insert(error);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, session: &mut Session, piece: &Piece<'_>, alone: bool) -> Result<()> {
        // Several sessions at once keep the processors busy; more processes would only wait.
        let helpers = if alone || self.jobs < 2 { "DEFAULT" } else { "0" };
        session.execute(&format!("SET max_parallel_maintenance_workers = {helpers}"))?;
        let object = &*piece.makes;
        match (piece.step, checked_later(object)) {
            (Step::Whole, Some(later)) => make_then_check(session, object, &later, self.options),
            (Step::Rest { index }, _) => self.make_rest(session, object, index),
            _ => full::create_whole(session, object, self.options),
        }
    }

    /// Goes on from the index of an object. An index of which nothing can become is dropped: it would be
    /// in the way when all is made again. Where only a lock was in the way, it is worth keeping.
    fn make_rest(&self, session: &mut Session, object: &SchemaObject, index: usize) -> Result<()> {
        if !self.state().made.contains(&index) {
            return Err(Error::failed(format!("the index of {object} was not made")));
        }
        let Err(error) = full::create_whole(session, object, self.options) else { return Ok(()) };
        if error.kind() != Kind::Locked
            && !session.client.is_closed()
            && let Some(table) = &object.part_of
        {
            let name = quote_qualified(&QualifiedName::new(&table.schema, &object.name));
            if session.execute(&format!("DROP INDEX {name}")).is_ok() {
                self.state().made.remove(&index);
            }
        }
        Err(error)
    }
}

/// A foreign key whose rows are to be checked in a statement of its own, which locks neither table
/// against readers and the other table not at all. Partitioned tables do not know that.
fn checked_later(object: &SchemaObject) -> Option<SchemaObject> {
    let first = object.statements.first()?;
    let sql = first.sql.as_str();
    let splits = object.class == ObjectClass::ForeignKey
        && sql.starts_with("ALTER TABLE ONLY ")
        && !sql.ends_with("NOT VALID")
        && !sql.ends_with("NOT ENFORCED");
    splits.then(|| {
        let mut later = object.clone();
        later.statements[0] = Statement { sql: format!("{sql} NOT VALID"), ..first.clone() };
        later
    })
}

fn make_then_check(
    session: &mut Session,
    object: &SchemaObject,
    later: &SchemaObject,
    options: &Options,
) -> Result<()> {
    let Some(table) = &object.part_of else { return full::create_whole(session, object, options) };
    // Nobody must see a key that is taken back: dropping it would ask for locks that nobody has planned.
    session.execute("BEGIN")?;
    let made = full::create(session, later, options)
        .and_then(|()| validates_in_part(&mut session.client, table, &object.name));
    match made {
        Ok(false) => session.execute("COMMIT")?,
        Ok(true) => {
            session.execute("ROLLBACK")?;
            return full::create_whole(session, object, options);
        }
        Err(error) => {
            if !session.client.is_closed() {
                session.execute("ROLLBACK")?;
            }
            return Err(error);
        }
    }
    let (table, key) = (quote_qualified(table), quote(&object.name));
    let undo = format!("ALTER TABLE ONLY {table} DROP CONSTRAINT {key}");
    let check = format!("ALTER TABLE ONLY {table} VALIDATE CONSTRAINT {key}");
    session.run_single(&check, &format!("cannot create {object}")).map(drop).or_else(|error| {
        if !session.client.is_closed() {
            session.execute(&undo)?;
        }
        Err(error)
    })
}
