//! The extensions that an archive needs, beside those that the server has.

use crate::error::{Error, Result};
use crate::model::catalog::{Property, Value};
use crate::model::name::{Printable, enumerate};
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::ops::observer::Observer;
use crate::pg::extensions::{self, Available};
use crate::pg::ident::quote;
use crate::pg::session::Session;

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

fn check_schema(object: &SchemaObject, found: &Available) -> Result<()> {
    let Some(schema) = &found.schema else { return Ok(()) };
    let here = format!(" WITH SCHEMA {}", quote(schema));
    if object.statements.iter().any(|statement| statement.sql.ends_with(&here)) {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the database has extension {} in schema {}, and the archive has it in another",
        Printable(&object.name),
        Printable(schema)
    ))
    .hint("DROP EXTENSION it: the restore creates it where it was"))
}

fn archived_version(object: &SchemaObject) -> Option<&str> {
    let said = object.descriptions.iter().find_map(|d| d.properties.get(&Property::Version))?;
    match said {
        Value::Text(version) => Some(version),
        Value::List(_) => None,
    }
}
