//! Indexes, keys and foreign keys: what takes long after the rows, made by several sessions at
//! once, the largest first.

use super::{Options, full};
use crate::archive::manifest::Manifest;
use crate::error::{Error, Result};
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, SchemaObject, Section};
use crate::ops::interrupt::Interrupt;
use crate::pg::ident::{quote, quote_qualified};
use crate::pg::session::{Purpose, Session};
use crate::rules::key_by_index::{self, KeyByIndex};
use crate::rules::lock_plan::{Hold, LockPlan, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Makes what it can, and gives the positions, in `objects`, of what was made; the others are left
/// to be made, or made again, in their order.
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
) -> Result<BTreeSet<usize>> {
    let sizes: BTreeMap<&QualifiedName, u64> =
        manifest.tables.iter().map(|table| (&table.name, table.content.bytes)).collect();
    let pieces = pieces(objects, &independent(objects), &sizes);
    let last: BTreeMap<usize, usize> =
        pieces.iter().enumerate().map(|(position, piece)| (piece.object, position)).collect();
    let work =
        pieces.iter().map(|piece| work(objects, piece, &last, &sizes)).collect::<Vec<Work>>();
    let heavy = work.iter().filter(|work| work.weight > 0).count();
    let team = Team {
        objects,
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
        None => Ok(state
            .made
            .into_iter()
            .map(|piece| &pieces[piece])
            .filter(|piece| !matches!(piece.step, Step::Index { .. }))
            .map(|piece| piece.object)
            .collect()),
    }
}

/// Positions of the indexes and keys that wait for nothing else that comes after the rows.
fn independent(objects: &[SchemaObject]) -> Vec<usize> {
    let is_key = |object: &SchemaObject| {
        use ObjectClass::{Exclusion, ForeignKey, Index, IndexAttach, PrimaryKey, Unique};
        matches!(object.class, Index | PrimaryKey | Unique | Exclusion | IndexAttach | ForeignKey)
    };
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    // The list is in an order in which each object comes after what it needs.
    for (position, object) in objects.iter().enumerate() {
        let ready = |needed: &usize| {
            let is_late = objects.get(*needed).is_some_and(|o| o.section == Section::PostData);
            !is_late || chosen.contains(needed)
        };
        if object.section == Section::PostData
            && is_key(object)
            && object.depends_on.iter().all(ready)
        {
            chosen.insert(position);
        }
    }
    chosen.into_iter().collect()
}

/// What one session makes without a pause.
struct Piece {
    /// Position of the object.
    object: usize,
    step: Step,
}

enum Step {
    Whole,
    /// The index of a key.
    Index {
        sql: String,
    },
    /// The key that takes over an index.
    Key {
        sql: String,
        index: usize,
    },
}

/// The pieces of these objects: of a key two, where its table has other indexes to be made meanwhile.
fn pieces(
    objects: &[SchemaObject],
    chosen: &[usize],
    sizes: &BTreeMap<&QualifiedName, u64>,
) -> Vec<Piece> {
    let mut indexes: BTreeMap<&QualifiedName, usize> = BTreeMap::new();
    for object in chosen {
        let object = &objects[*object];
        use ObjectClass::{Exclusion, Index, PrimaryKey, Unique};
        if let Some(table) = &object.part_of
            && matches!(object.class, Index | PrimaryKey | Unique | Exclusion)
        {
            *indexes.entry(table).or_default() += 1;
        }
    }
    let mut pieces = Vec::new();
    for position in chosen {
        let object = &objects[*position];
        let divided = object
            .part_of
            .as_ref()
            .filter(|table| {
                sizes.get(table).is_some_and(|size| *size > 0) && indexes.get(table) > Some(&1)
            })
            .and_then(|table| {
                let sql = &object.statements.first()?.sql;
                key_by_index::split(sql, &quote_qualified(table), &quote(&object.name))
            });
        match divided {
            None => pieces.push(Piece { object: *position, step: Step::Whole }),
            Some(KeyByIndex { index, key }) => {
                pieces.push(Piece { object: *position, step: Step::Index { sql: index } });
                let index = pieces.len() - 1;
                pieces.push(Piece { object: *position, step: Step::Key { sql: key, index } });
            }
        }
    }
    pieces
}

/// What a piece needs and holds; `last` is the last piece of each object.
fn work(
    objects: &[SchemaObject],
    piece: &Piece,
    last: &BTreeMap<usize, usize>,
    sizes: &BTreeMap<&QualifiedName, u64>,
) -> Work {
    let object = &objects[piece.object];
    let table = object.part_of.as_ref();
    let own = match (&piece.step, object.class) {
        (Step::Index { .. }, _) | (_, ObjectClass::Index) => Hold::Shared,
        _ => Hold::Alone,
    };
    let mut locks: Vec<(QualifiedName, Hold)> =
        table.map(|table| (table.clone(), own)).into_iter().collect();
    if matches!(object.class, ObjectClass::ForeignKey | ObjectClass::IndexAttach) {
        let others: BTreeSet<&QualifiedName> = object
            .depends_on
            .iter()
            .filter_map(|needed| objects.get(*needed)?.part_of.as_ref())
            .filter(|other| Some(*other) != table)
            .collect();
        locks.extend(others.into_iter().map(|other| (other.clone(), Hold::Briefly)));
    }
    let mut after: BTreeSet<usize> =
        object.depends_on.iter().filter_map(|needed| last.get(needed).copied()).collect();
    let mut weight = table.and_then(|table| sizes.get(table).copied()).unwrap_or_default();
    if let Step::Key { index, .. } = &piece.step {
        after.insert(*index);
        weight = 0;
    }
    Work { after, locks, weight }
}

/// What the sessions share.
struct Team<'a> {
    objects: &'a [SchemaObject],
    pieces: &'a [Piece],
    options: &'a Options,
    interrupt: &'a Interrupt,
    jobs: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    plan: LockPlan,
    /// Positions of pieces.
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

    fn make(&self, session: &mut Session, piece: &Piece, alone: bool) -> Result<()> {
        // Several sessions at once keep the processors busy; more processes would only wait.
        let helpers = if alone || self.jobs < 2 { "DEFAULT" } else { "0" };
        session.execute(&format!("SET max_parallel_maintenance_workers = {helpers}"))?;
        let object = &self.objects[piece.object];
        match &piece.step {
            Step::Whole => match checked_later(object) {
                Some(object) => make_then_check(session, &object, self.options),
                None => full::create_whole(session, object, self.options),
            },
            Step::Index { sql } => full::create(session, &index_alone(object, sql), self.options),
            Step::Key { index, .. } if !self.state().made.contains(index) => {
                Err(Error::failed(format!("the index of {object} was not made")))
            }
            Step::Key { sql, .. } => take_over(session, &begun_by(object, sql), self.options),
        }
    }
}

/// The object with another first statement, the one that makes it.
fn begun_by(object: &SchemaObject, sql: &str) -> SchemaObject {
    let mut other = object.clone();
    if let Some(first) = other.statements.first_mut() {
        sql.clone_into(&mut first.sql);
    }
    other
}

/// The object's index, without what is said about the object afterwards.
fn index_alone(object: &SchemaObject, sql: &str) -> SchemaObject {
    let mut index = begun_by(object, sql);
    index.statements.truncate(1);
    index
}

/// Makes a key of the index that has its name. An index that cannot become one is dropped: it would be
/// in the way when the key is made again, as a whole.
fn take_over(session: &mut Session, key: &SchemaObject, options: &Options) -> Result<()> {
    full::create_whole(session, key, options).or_else(|error| {
        if let Some(table) = &key.part_of
            && !session.client.is_closed()
        {
            let index = quote_qualified(&QualifiedName::new(&table.schema, &key.name));
            session.execute(&format!("DROP INDEX {index}"))?;
        }
        Err(error)
    })
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
    splits.then(|| begun_by(object, &format!("{sql} NOT VALID")))
}

fn make_then_check(session: &mut Session, object: &SchemaObject, options: &Options) -> Result<()> {
    full::create_whole(session, object, options)?;
    let Some(table) = &object.part_of else { return Ok(()) };
    let (table, key) = (quote_qualified(table), quote(&object.name));
    let check = format!("ALTER TABLE ONLY {table} VALIDATE CONSTRAINT {key}");
    session.run_single(&check, &format!("cannot create {object}")).map(drop).or_else(|error| {
        if !session.client.is_closed() {
            session.execute(&format!("ALTER TABLE ONLY {table} DROP CONSTRAINT {key}"))?;
        }
        Err(error)
    })
}
