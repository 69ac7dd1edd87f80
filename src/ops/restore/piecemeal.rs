//! An object is worth having without what only adorns it: a comment, a compression that the server was
//! built without, an owner that PostgreSQL does not allow for it any more.

use super::{Options, full, late};
use crate::error::{Error, Kind, Result};
use crate::model::schema::{ObjectClass, Purpose, SchemaObject, Statement};
use crate::pg::session::Session;

/// Makes an object whole or not at all; if that fails, without what the server refuses of its adornments.
/// Gives those, with the reasons.
///
/// # Errors
/// The server's, for the object itself.
pub fn create(
    session: &mut Session,
    object: &SchemaObject,
    options: &Options,
) -> Result<Vec<String>> {
    let Err(error) = full::create_whole(session, object, options) else { return Ok(Vec::new()) };
    if passes(session, &error) || is_costly(object) || divided(object).1.is_empty() {
        return Err(error);
    }
    full::in_transaction(session, |session| create_within(session, object, options))
}

/// Makes an object whose failure ends the restore, so that it needs no transaction of its own: a table costs
/// no more round trips than it has statements. Gives what the server refuses of its adornments.
///
/// # Errors
/// As of [`create`].
pub fn create_required(
    session: &mut Session,
    object: &SchemaObject,
    options: &Options,
) -> Result<Vec<String>> {
    let (rest, adornments) = divided(object);
    if adornments.is_empty() {
        return full::create(session, object, options).map(|()| Vec::new());
    }
    full::create(session, &with(object, rest), options)?;
    let mut refused = Vec::new();
    for statement in adornments {
        let what = short(&statement);
        match full::create(session, &with(object, vec![statement]), options) {
            Err(error) if passes(session, &error) => return Err(error),
            Err(error) => refused.push(format!("{object}: {what}: {}", late::reason(&error))),
            Ok(()) => {}
        }
    }
    Ok(refused)
}

fn with(object: &SchemaObject, statements: Vec<Statement>) -> SchemaObject {
    SchemaObject { statements, ..object.clone() }
}

/// Whether a failure is of the moment: a lost connection, a lock, a signal.
fn passes(session: &Session, error: &Error) -> bool {
    session.client.is_closed() || matches!(error.kind(), Kind::Locked | Kind::Interrupted(_))
}

/// What may have taken long until it failed, and not for a comment.
fn is_costly(object: &SchemaObject) -> bool {
    use ObjectClass::{Exclusion, ForeignKey, Index, MaterializedViewData, PrimaryKey, Unique};
    matches!(
        object.class,
        Index | PrimaryKey | Unique | Exclusion | ForeignKey | MaterializedViewData
    )
}

/// The same within a transaction.
///
/// # Errors
/// Those of [`create`].
pub fn create_within(
    session: &mut Session,
    object: &SchemaObject,
    options: &Options,
) -> Result<Vec<String>> {
    let (rest, adornments) = divided(object);
    full::create(session, &with(object, rest), options)?;
    let mut refused = Vec::new();
    for statement in adornments {
        let what = short(&statement);
        session.execute("SAVEPOINT before_adornment")?;
        let Err(error) = full::create(session, &with(object, vec![statement]), options) else {
            continue;
        };
        if passes(session, &error) {
            return Err(error);
        }
        session.execute("ROLLBACK TO SAVEPOINT before_adornment")?;
        refused.push(format!("{object}: {what}: {}", late::reason(&error)));
    }
    Ok(refused)
}

/// The statements that make an object, and those that adorn it. What comes before it is made is needed for
/// that, even where it sets a storage: a parent's, for as long as a child is made.
fn divided(object: &SchemaObject) -> (Vec<Statement>, Vec<Statement>) {
    let is_made = |statement: &Statement| !adorns(object, statement);
    let first = object.statements.iter().position(is_made).unwrap_or(object.statements.len());
    let (mut rest, others) = (object.statements[..first].to_vec(), &object.statements[first..]);
    let (adornments, made): (Vec<Statement>, Vec<Statement>) =
        others.iter().cloned().partition(|statement| adorns(object, statement));
    rest.extend(made);
    (rest, adornments)
}

/// Whether the object does without the statement: neither rows nor others need what it sets.
fn adorns(object: &SchemaObject, statement: &Statement) -> bool {
    use ObjectClass::{EventTrigger, ForeignDataWrapper, Publication, Subscription};
    match statement.purpose {
        Purpose::Comment => true,
        // PostgreSQL demands of these owners what they may have lost since.
        Purpose::Owner => {
            matches!(object.class, EventTrigger | ForeignDataWrapper | Publication | Subscription)
        }
        Purpose::Define => setting(&statement.sql).is_some(),
        Purpose::Privilege | Purpose::SecurityLabel => false,
    }
}

/// `COMPRESSION lz4` of `ALTER … SET COMPRESSION lz4`; storage and statistics likewise.
fn setting(sql: &str) -> Option<&str> {
    let (_, setting) = sql.rsplit_once(" SET ").filter(|_| sql.starts_with("ALTER "))?;
    let mut words = setting.split(' ');
    let is_one = matches!(words.next(), Some("COMPRESSION" | "STORAGE" | "STATISTICS"));
    let is_whole = words.next().is_some() && words.next().is_none() && !setting.contains('"');
    (is_one && is_whole).then_some(setting)
}

/// What the statement sets, in few words.
fn short(statement: &Statement) -> String {
    match statement.purpose {
        Purpose::Comment => String::from("comment"),
        Purpose::Owner => String::from("owner"),
        _ => crate::pg::session::shorten(&statement.sql),
    }
}
