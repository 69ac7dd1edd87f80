//! What comes after the rows: created object by object, and what fails is listed while the rows stay.

use super::{Options, finish, full};
use crate::error::{Error, Kind, Result};
use crate::model::name::counted;
use crate::model::schema::{ObjectClass, SchemaObject, Section};
use crate::ops::interrupt::Interrupt;
use crate::pg::session::Session;
use std::collections::BTreeSet;

/// What comes after the rows, in the order of its parts.
pub struct Late<'a> {
    pub definitions: Vec<&'a SchemaObject>,
    pub row_security: Vec<&'a SchemaObject>,
    pub refreshes: Vec<&'a SchemaObject>,
    pub event_triggers: Vec<&'a SchemaObject>,
}

impl<'a> Late<'a> {
    /// Privileges are reconciled, not created; those at the positions `made` are there.
    pub fn of(objects: &'a [SchemaObject], made: &BTreeSet<usize>) -> Self {
        let of_class = |class: ObjectClass| {
            objects.iter().filter(|object| object.class == class).collect::<Vec<_>>()
        };
        use ObjectClass::{EventTrigger, MaterializedViewData, RowSecurity};
        let apart = [RowSecurity, MaterializedViewData, EventTrigger];
        Self {
            definitions: objects
                .iter()
                .enumerate()
                .filter(|(position, _)| !made.contains(position))
                .map(|(_, object)| object)
                .filter(|object| object.section == Section::PostData)
                .filter(|object| !apart.contains(&object.class) && !finish::comes_last(object))
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
    /// After the others: a dependency may be one that the catalogs do not know.
    Once,
    /// Until a round makes nothing more: a materialized view may read another through a function.
    WhileItHelps,
}

/// Creates objects that come after the rows, each whole or not at all, so that it can be tried
/// again. What fails for good is told with its cause.
pub fn create(
    session: &mut Session,
    objects: &[&SchemaObject],
    options: &Options,
    interrupt: &Interrupt,
    retry: Retry,
    failed: &mut Vec<Failed>,
) -> Result<()> {
    let mut open: Vec<&SchemaObject> = objects.to_vec();
    let mut rounds = 0;
    loop {
        let mut again = Vec::new();
        let mut reasons = Vec::new();
        for object in &open {
            interrupt.check()?;
            match full::create_whole(session, object, options) {
                Ok(()) => {}
                // A lost connection is no fault of the object; an object may fail with any
                // SQLSTATE.
                Err(error) if session.client.is_closed() => return Err(error),
                Err(error) => {
                    interrupt.check()?;
                    again.push(*object);
                    reasons.push(Failed::of(object, &error));
                }
            }
        }
        rounds += 1;
        let helped = again.len() < open.len();
        let goes_on = !again.is_empty()
            && match retry {
                Retry::Once => rounds < 2,
                Retry::WhileItHelps => rounds < 2 || helped,
            };
        if !goes_on {
            failed.extend(reasons);
            return Ok(());
        }
        open = again;
    }
}

/// The cause of a failure and what to do about it, without what was being done.
pub fn reason(error: &Error) -> String {
    let cause = error.causes().next().unwrap_or_else(|| error.to_string());
    match error.next_step() {
        Some(hint) => format!("{cause} (hint: {hint})"),
        None => cause,
    }
}

/// What could not be created after the rows.
pub struct Failed {
    /// The object, and why.
    what: String,
    /// Whether a lock of somebody else's was all that was in the way.
    locked: bool,
}

impl Failed {
    pub fn of(object: impl std::fmt::Display, error: &Error) -> Self {
        let what = format!("{object}: {}", reason(error));
        Self { what, locked: error.kind() == Kind::Locked }
    }
}

/// What failed for good, and what waits for that.
pub fn report(session: &Session, failed: &[Failed], waiting: &[String]) -> Error {
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
    match failed.iter().all(|failed| failed.locked) {
        true => error.of_kind(Kind::Locked).hint(format!(
            "only locks were in the way: restore again when nobody else is in the database, or with a longer --lock-timeout, which empties it first; or {BY_HAND}"
        )),
        false => error.hint(format!("mend and {BY_HAND}")),
    }
}
