//! The extensions that an archive needs, beside those that the server has.

use super::{Options, finish};
use crate::error::{Error, Result};
use crate::model::catalog::{Property, Value};
use crate::model::name::{Printable, enumerate};
use crate::model::schema::{ObjectClass, Purpose, SchemaObject};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::ddl;
use crate::pg::extensions::{self, Available, Installed};
use crate::pg::ident::quote;
use crate::pg::session::{Purpose as For, Session};
use crate::rules::extension_members::{self, Certainty};

/// Checks that all extensions can be created where the archive has them, and says which of them
/// come in another version.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) when the server lacks one, or the database has it
/// in another schema, where `CREATE EXTENSION IF NOT EXISTS` would leave it.
pub fn check(
    session: &mut Session,
    objects: &[SchemaObject],
    observer: &dyn Observer,
) -> Result<()> {
    let needed: Vec<&SchemaObject> =
        objects.iter().filter(|object| object.class == ObjectClass::Extension).collect();
    let names: Vec<String> = needed.iter().map(|object| object.name.clone()).collect();
    let available = extensions::available(&mut session.client, &names)?;
    let of = |name: &str| available.iter().find(|one| one.name == name);
    let missing: Vec<String> = names.iter().filter(|name| of(name).is_none()).cloned().collect();
    if !missing.is_empty() {
        return Err(Error::refused(format!("the server has no extension {}", enumerate(&missing)))
            .hint("install the extensions on the server first"));
    }
    for object in needed {
        let Some(found) = of(&object.name) else { continue };
        check_schema(object, found)?;
        let Some(version) = archived_version(object) else { continue };
        if version != found.version {
            observer.warn(&format!(
                "extension {} was version {} and is {} here",
                Printable(&object.name),
                Printable(version),
                Printable(&found.version)
            ));
        }
    }
    Ok(())
}

/// Leaves out comments that extensions of the database have already, and those that only another
/// owner may change, with a warning: managed services install extensions for everybody.
///
/// # Errors
/// The server's.
pub fn keep_comments(
    session: &mut Session,
    objects: &mut [SchemaObject],
    observer: &dyn Observer,
) -> Result<()> {
    let is_comment = |purpose: Purpose| purpose == Purpose::Comment;
    let commented: Vec<&mut SchemaObject> = objects
        .iter_mut()
        .filter(|object| object.class == ObjectClass::Extension)
        .filter(|object| object.statements.iter().any(|statement| is_comment(statement.purpose)))
        .collect();
    let names: Vec<String> = commented.iter().map(|object| object.name.clone()).collect();
    let available = extensions::available(&mut session.client, &names)?;
    for object in commented {
        let found = available.iter().find(|one| one.name == object.name);
        let Some(there) = found.and_then(|found| found.installed.as_ref()) else { continue };
        let is_equal = there.comment.as_deref() == text(object, Property::Comment);
        if !is_equal && there.is_ours {
            continue;
        }
        if !is_equal {
            observer.warn(&format!(
                "extension {} belongs to {}, and keeps the comment that it has here",
                Printable(&object.name),
                Printable(&there.owner)
            ));
        }
        object.statements.retain(|statement| !is_comment(statement.purpose));
    }
    Ok(())
}

/// What the members of the archive's extensions were, and are not here: what a user changes in them is no
/// part of an archive. Another version of an extension has other members, and tells nothing.
///
/// # Errors
/// The server's.
pub fn changed_members(
    objects: &[SchemaObject],
    major: u32,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let with_members: Vec<(&SchemaObject, &[String])> = objects
        .iter()
        .filter(|object| object.class == ObjectClass::Extension)
        .filter_map(|object| Some((object, members(object)?)))
        .collect();
    if with_members.is_empty() {
        return Ok(Vec::new());
    }
    let mut session = interrupt.open(&options.connection, database, For::Catalog)?;
    let names: Vec<String> = with_members.iter().map(|(object, _)| object.name.clone()).collect();
    let available = extensions::available(&mut session.client, &names)?;
    let there = ddl::extension_members(&mut session.client)?;
    let certainty = match session.facts.major() == major {
        true => Certainty::Exact,
        false => Certainty::Names,
    };
    // Then owners are others on purpose.
    let with_owners = !options.no_owner && options.role_map.is_empty();
    let of_interest = |lines: &[String]| -> Vec<String> {
        let lines = lines.iter().filter(|line| with_owners || !extension_members::is_owner(line));
        lines.cloned().collect()
    };
    let mut all = Vec::new();
    for (object, archived) in with_members {
        let is_same = |one: &Available| archived_version(object) == Some(one.version.as_str());
        let is_here = |one: &Available| one.name == object.name && one.installed.is_some();
        if !available.iter().any(|one| is_here(one) && is_same(one)) {
            continue;
        }
        let here = there.get(&object.name).map_or_else(Vec::new, |lines| of_interest(lines));
        let changes = extension_members::changes(&of_interest(archived), &here, certainty);
        let name = Printable(&object.name).to_string();
        if !changes.is_empty() {
            observer.warn(&format!(
                "what was changed in members of extension {name}, by a user or an update of it, is to be done again by hand: {}",
                Printable(&enumerate(&changes))
            ));
        }
        all.extend(changes.into_iter().map(|change| format!("{name}: {change}")));
    }
    Ok(all)
}

/// The language of blocks (`DO`). Every database has it from the beginning, so archives do not make it.
const LANGUAGE: &str = "plpgsql";

/// Gives the database the language that statements of the archive are written in, if it has lost it.
/// Gives whether that is more than the archive's own database has.
///
/// # Errors
/// The server's.
pub fn lend_language(session: &mut Session, objects: &[SchemaObject]) -> Result<bool> {
    let is_written_in_it = |sql: &str| sql.starts_with("DO ") || sql.contains(" LANGUAGE plpgsql");
    let mut statements = objects.iter().flat_map(|object| &object.statements);
    if !statements.any(|statement| is_written_in_it(&statement.sql))
        || extensions::has_language(&mut session.client, LANGUAGE)?
    {
        return Ok(false);
    }
    let sql = format!("CREATE EXTENSION {LANGUAGE}");
    session.run_single(&sql, "the archive needs a language that the database has lost")?;
    let is_it =
        |object: &SchemaObject| object.class == ObjectClass::Extension && object.name == LANGUAGE;
    Ok(!objects.iter().any(is_it))
}

/// Takes the language away again within a transaction, unless functions are written in it.
///
/// # Errors
/// A lost connection.
pub fn take_language(session: &mut Session) -> Result<()> {
    finish::drop_if_free(session, &format!("EXTENSION {LANGUAGE}")).map(drop)
}

fn check_schema(object: &SchemaObject, found: &Available) -> Result<()> {
    let Some(Installed { schema, .. }) = &found.installed else { return Ok(()) };
    let here = format!(" WITH SCHEMA {}", quote(schema));
    if object.statements.iter().any(|statement| statement.sql.ends_with(&here)) {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the database has extension {} in schema {}, and it belongs in another",
        Printable(&object.name),
        Printable(schema)
    ))
    .hint("DROP EXTENSION it: the restore creates it where it was"))
}

fn archived_version(object: &SchemaObject) -> Option<&str> {
    text(object, Property::Version)
}

/// What the archive says of an object's property.
pub fn text(object: &SchemaObject, property: Property) -> Option<&str> {
    match said(object, property)? {
        Value::Text(text) => Some(text),
        Value::List(_) => None,
    }
}

fn members(object: &SchemaObject) -> Option<&[String]> {
    match said(object, Property::Members)? {
        Value::List(lines) => Some(lines),
        Value::Text(_) => None,
    }
}

fn said(object: &SchemaObject, property: Property) -> Option<&Value> {
    object.descriptions.iter().find_map(|description| description.properties.get(&property))
}
