//! What comes after the rows: created object by object, and what fails is listed while the rows stay.

use super::keys::Made;
use super::{Options, finish, piecemeal, refusals};
use crate::error::{Error, Kind, Result};
use crate::model::name::counted;
use crate::model::schema::{ObjectClass, SchemaObject, Section};
use crate::ops::interrupt::Interrupt;
use crate::pg::failure;
use crate::pg::session::Session;
use crate::rules::leave_out;
use std::collections::BTreeSet;

/// An object and its position among all.
type Placed<'a> = (usize, &'a SchemaObject);

/// What comes after the rows, in the order of its parts.
pub struct Late<'a> {
    pub definitions: Vec<Placed<'a>>,
    pub row_security: Vec<Placed<'a>>,
    pub refreshes: Vec<Placed<'a>>,
    pub event_triggers: Vec<Placed<'a>>,
}

impl<'a> Late<'a> {
    /// Privileges are reconciled, not created; of what is made, the rest; and what was put off until now.
    pub fn of(objects: &'a [SchemaObject], made: &'a Made, put_off: &BTreeSet<usize>) -> Self {
        let placed = || objects.iter().enumerate();
        let of_class = |class: ObjectClass| {
            placed().filter(|(_, object)| object.class == class).collect::<Vec<_>>()
        };
        use ObjectClass::{EventTrigger, MaterializedViewData, RowSecurity};
        let apart = [RowSecurity, MaterializedViewData, EventTrigger];
        Self {
            definitions: placed()
                .filter(|(position, _)| !made.whole.contains(position))
                .filter(|(position, object)| {
                    object.section == Section::PostData || put_off.contains(position)
                })
                .filter(|(_, object)| !apart.contains(&object.class) && !finish::comes_last(object))
                .map(|(position, object)| (position, made.begun.get(&position).unwrap_or(object)))
                .collect(),
            row_security: of_class(RowSecurity),
            refreshes: of_class(MaterializedViewData),
            event_triggers: of_class(EventTrigger),
        }
    }
}

/// How often what has failed is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not at all.
    Never,
    /// After the others: a dependency may be one that the catalogs do not know.
    Once,
    /// Until a round makes nothing more: a materialized view may read another through a function.
    WhileItHelps,
}

/// Creates objects that come after the rows, each whole or not at all, so that it can be tried
/// again. What fails for good is told with its cause.
pub fn create(
    session: &mut Session,
    objects: &[Placed<'_>],
    options: &Options,
    interrupt: &Interrupt,
    retry: Retry,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut open = objects.to_vec();
    let mut rounds = 0;
    loop {
        let mut again = Vec::new();
        let mut reasons = Vec::new();
        for (position, object) in &open {
            interrupt.check()?;
            match piecemeal::create(session, object, options) {
                Ok(refused) => outcome.refused.extend(refused),
                // A lost connection is no fault of the object; an object may fail with any
                // SQLSTATE.
                Err(error) if session.client.is_closed() => return Err(error),
                Err(error) => {
                    interrupt.check()?;
                    again.push((*position, *object));
                    let failed = Failed::of(object, &error);
                    reasons.push(Failed { position: Some(*position), ..failed });
                }
            }
        }
        rounds += 1;
        let helped = again.len() < open.len();
        let goes_on = !again.is_empty()
            && match retry {
                Retry::Never => false,
                Retry::Once => rounds < 2,
                Retry::WhileItHelps => rounds < 2 || helped,
            };
        if !goes_on {
            outcome.failed.extend(reasons);
            return Ok(());
        }
        open = again;
    }
}

/// Tries once more what a privilege was lacking for, and what needs that. Gives whether any of it is
/// there now.
pub fn again(
    session: &mut Session,
    objects: &[Placed<'_>],
    options: &Options,
    interrupt: &Interrupt,
    outcome: &mut Outcome,
) -> Result<bool> {
    let failed = &mut outcome.failed;
    let of = |denied: bool| {
        let those = failed.iter().filter(move |failed| failed.denied == denied);
        those.filter_map(|failed| failed.position).collect::<BTreeSet<usize>>()
    };
    let (mut open, others) = (of(true), of(false));
    let mut tried = Vec::new();
    // Each object stands after what it needs.
    for (position, object) in objects {
        let waits = || object.depends_on.iter().any(|needed| open.contains(needed));
        if open.contains(position) || (others.contains(position) && waits()) {
            open.insert(*position);
            tried.push((*position, *object));
        }
    }
    failed.retain(|failed| failed.position.is_none_or(|position| !open.contains(&position)));
    let before = failed.len();
    create(session, &tried, options, interrupt, Retry::Never, outcome)?;
    Ok(outcome.failed.len() - before < tried.len())
}

/// Of materialized views that could not be filled, those that read some which were not filled where they
/// come from, and what reads them in turn: that they were filled once does not say that they can be today.
/// Gives the other failures, and those.
pub fn over_unfilled(objects: &[SchemaObject], failed: Vec<Failed>) -> (Vec<Failed>, Vec<String>) {
    let fills_others =
        |object: &SchemaObject| object.statements.iter().any(|s| s.sql.starts_with("DO "));
    let mut positions = BTreeSet::new();
    // Each object stands after what it needs.
    for position in failed.iter().filter(|f| !f.locked).filter_map(|failed| failed.position) {
        let object = &objects[position];
        if fills_others(object) || object.depends_on.iter().any(|p| positions.contains(p)) {
            positions.insert(position);
        }
    }
    let is_one = |failed: &Failed| failed.position.is_some_and(|p| positions.contains(&p));
    let (those, others): (Vec<Failed>, Vec<Failed>) = failed.into_iter().partition(is_one);
    (others, those.into_iter().map(|failed| failed.what).collect())
}

/// The cause of a failure and what to do about it, without what was being done.
pub fn reason(error: &Error) -> String {
    let cause = cause(error);
    match error.next_step() {
        Some(hint) => format!("{cause} (hint: {hint})"),
        None => cause,
    }
}

fn cause(error: &Error) -> String {
    error.causes().next().unwrap_or_else(|| error.to_string())
}

/// What has not come as it was.
#[derive(Default)]
pub struct Outcome {
    /// Objects that could not be created.
    pub failed: Vec<Failed>,
    /// What the server has refused of objects that are there.
    pub refused: Vec<String>,
}

impl Outcome {
    /// Positions of the objects that are not there.
    pub fn missing(&self) -> BTreeSet<usize> {
        positions(&self.failed)
    }
}

/// Positions of the objects that failed.
pub fn positions(failed: &[Failed]) -> BTreeSet<usize> {
    failed.iter().filter_map(|failed| failed.position).collect()
}

/// What could not be created, before the rows or after.
pub struct Failed {
    /// The object, and why.
    what: String,
    /// Where it stands among all objects, if it is one.
    position: Option<usize>,
    /// Whether a lock of somebody else's was in the way.
    locked: bool,
    /// Whether a privilege was lacking.
    denied: bool,
    /// Whether a function did not find what it names.
    lost: bool,
}

impl Failed {
    pub fn of(object: impl std::fmt::Display, error: &Error) -> Self {
        let lost = failure::is_of_search_path(error);
        // What the server advises then is wrong, and what is right is said once for all.
        let why = if lost { cause(error) } else { reason(error) };
        Self {
            what: format!("{object}: {why}"),
            position: None,
            locked: error.kind() == Kind::Locked,
            denied: failure::is_of_privilege(error),
            lost,
        }
    }
}

/// Whether nothing but locks was in the way: of what failed itself, or of what that needs.
fn by_locks_alone(objects: &[SchemaObject], failed: &[Failed]) -> bool {
    let mut locked: BTreeSet<usize> =
        failed.iter().filter(|failed| failed.locked).filter_map(|failed| failed.position).collect();
    let others: BTreeSet<Option<usize>> =
        failed.iter().filter(|failed| !failed.locked).map(|failed| failed.position).collect();
    // Each object stands after what it needs.
    others.into_iter().all(|position| {
        let Some(position) = position else { return false };
        let needed = objects.get(position).map_or(&[][..], |object| &object.depends_on);
        needed.iter().any(|needed| locked.contains(needed)) && locked.insert(position)
    })
}

/// What helps against late failures, beside mending them by hand.
#[derive(Default)]
pub struct Advice {
    /// For functions that did not find what they name.
    pub lost: Option<String>,
    /// Options for a restore without what failed.
    pub flags: Vec<String>,
}

impl Advice {
    /// Of these failures.
    pub fn of(session: &Session, objects: &[SchemaObject], failed: &[Failed]) -> Self {
        Self { lost: lost(session, objects, failed), flags: flags(objects, failed) }
    }
}

/// Options that leave out what failed by itself, and so what needs that. Locks pass, and nobody is told to
/// do without what guards his rows.
fn flags(objects: &[SchemaObject], failed: &[Failed]) -> Vec<String> {
    let positions = positions(failed);
    let by_itself = |object: &SchemaObject| {
        object.class != ObjectClass::RowSecurity
            && !object.depends_on.iter().any(|p| positions.contains(p))
    };
    let failed = failed.iter().filter(|failed| !failed.locked);
    let objects = failed.filter_map(|failed| objects.get(failed.position?));
    objects.filter(|object| by_itself(object)).map(leave_out::flag).collect()
}

/// What failed for good, and what waits for that.
pub fn report(
    session: &Session,
    objects: &[SchemaObject],
    failed: &[Failed],
    waiting: &[String],
) -> Error {
    const BY_HAND: &str = "create them by hand, then DROP SCHEMA pgark_restore_unfinished CASCADE to take the database as it is";
    let whats: Vec<&str> = failed
        .iter()
        .map(|failed| failed.what.as_str())
        .chain(waiting.iter().map(String::as_str))
        .collect();
    let error = Error::failed(format!(
        "all rows of \"{}\" are restored and proved, but {} could not be created: {}",
        session.facts.database,
        counted(whats.len(), "object"),
        whats.join("; ")
    ));
    match by_locks_alone(objects, failed) {
        true => error.of_kind(Kind::Locked).hint(format!(
            "only locks were in the way: restore again, which empties it first, when nobody else is in the database or with a longer --lock-timeout; or {BY_HAND}"
        )),
        false => error.hint(format!("mend and {BY_HAND}")),
    }
}

/// What to do about functions that did not find what they name.
fn lost(session: &Session, objects: &[SchemaObject], failed: &[Failed]) -> Option<String> {
    use ObjectClass::{Exclusion, Index, MaterializedViewData, PrimaryKey, Unique};
    let mut lost = failed.iter().filter(|failed| failed.lost).peekable();
    lost.peek()?;
    let is_restricted = |failed: &Failed| {
        let class = failed.position.and_then(|position| objects.get(position)).map(|o| o.class);
        let filled = [Exclusion, Index, MaterializedViewData, PrimaryKey, Unique];
        class.is_some_and(|class| filled.contains(&class))
    };
    // From 17 on the server sets a path of its own while it fills indexes and materialized views.
    let is_in_vain = session.facts.major() >= 17 && lost.all(is_restricted);
    let anew = match is_in_vain {
        true => "",
        false => ", and so does restoring anew with --search-path",
    };
    let why = refusals::WHY;
    Some(format!("{why}: ALTER FUNCTION … SET search_path = … gives it one{anew}"))
}
