//! Indexes, keys and foreign keys: what takes long after the rows, made by several sessions at
//! once, the largest first.

use super::{Options, full};
use crate::archive::manifest::Manifest;
use crate::error::{Error, Result};
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, SchemaObject, Section, Statement};
use crate::ops::interrupt::Interrupt;
use crate::pg::ident::{quote, quote_qualified};
use crate::pg::session::{Purpose, Session};
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
    let chosen = independent(objects);
    let positions: BTreeMap<usize, usize> =
        chosen.iter().enumerate().map(|(piece, object)| (*object, piece)).collect();
    let sizes: BTreeMap<&QualifiedName, u64> =
        manifest.tables.iter().map(|table| (&table.name, table.content.bytes)).collect();
    let work = chosen
        .iter()
        .map(|object| work(objects, &objects[*object], &positions, &sizes))
        .collect::<Vec<Work>>();
    let heavy = work.iter().filter(|work| work.weight > 0).count();
    let team = Team {
        objects,
        chosen: &chosen,
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
        None => Ok(state.made),
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

fn work(
    objects: &[SchemaObject],
    object: &SchemaObject,
    positions: &BTreeMap<usize, usize>,
    sizes: &BTreeMap<&QualifiedName, u64>,
) -> Work {
    let table = object.part_of.as_ref();
    let own = match object.class {
        ObjectClass::Index => Hold::Shared,
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
    Work {
        after: object
            .depends_on
            .iter()
            .filter_map(|needed| positions.get(needed).copied())
            .collect(),
        locks,
        weight: table.and_then(|table| sizes.get(table).copied()).unwrap_or_default(),
    }
}

/// What the sessions share.
struct Team<'a> {
    objects: &'a [SchemaObject],
    /// The objects of the pieces.
    chosen: &'a [usize],
    options: &'a Options,
    interrupt: &'a Interrupt,
    jobs: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    plan: LockPlan,
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
            let object = &self.objects[self.chosen[piece]];
            match self.make(session, object, alone) {
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
            state.made.insert(self.chosen[piece]);
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

    fn make(&self, session: &mut Session, object: &SchemaObject, alone: bool) -> Result<()> {
        // Several sessions at once keep the processors busy; more processes would only wait.
        let helpers = if alone || self.jobs < 2 { "DEFAULT" } else { "0" };
        session.execute(&format!("SET max_parallel_maintenance_workers = {helpers}"))?;
        match checked_later(object) {
            Some(object) => make_then_check(session, &object, self.options),
            None => full::create_whole(session, object, self.options),
        }
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
