//! What comes last: the privileges of future objects, and the database's settings. Neither may act
//! on the restore itself.

use super::Options;
use crate::archive::manifest::Manifest;
use crate::error::{Error, Result};
use crate::model::schema::{AccessList, ObjectClass, SchemaObject};
use crate::ops::observer::Observer;
use crate::pg::access;
use crate::pg::session::Session;
use std::collections::BTreeSet;

/// The classes that are not created among the others.
pub fn comes_last(object: &SchemaObject) -> bool {
    matches!(
        object.class,
        ObjectClass::Privileges | ObjectClass::DefaultPrivileges | ObjectClass::DatabaseSetting
    )
}

/// The access lists of objects of a class.
pub fn access_lists(objects: &[SchemaObject], class: ObjectClass) -> Vec<AccessList> {
    let of_class = objects.iter().filter(|object| object.class == class);
    of_class.filter_map(|object| object.access.as_deref().cloned()).collect()
}

/// Makes the privileges of all objects but those that are missing, and then those of future ones, what
/// the archive says.
pub fn privileges(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    missing: &BTreeSet<usize>,
    observer: &dyn Observer,
) -> Result<()> {
    let major = manifest.source.major();
    let client = &mut session.client;
    let of_what_is_there = objects
        .iter()
        .filter(|object| object.class == ObjectClass::Privileges && !needs(object, missing));
    let lists: Vec<AccessList> =
        of_what_is_there.filter_map(|object| object.access.as_deref().cloned()).collect();
    access::apply(client, major, &lists, access::Scope::WholeDatabase)?;
    let lists = access_lists(objects, ObjectClass::DefaultPrivileges);
    for left in access::apply_defaults(client, major, &lists)? {
        observer.warn(&format!(
            "the target has default privileges {left}, which this role may not change: they stay"
        ));
    }
    Ok(())
}

/// The privileges on objects that are missing.
pub fn without_object<'a>(
    objects: &'a [SchemaObject],
    missing: &BTreeSet<usize>,
) -> impl Iterator<Item = &'a SchemaObject> {
    let class = ObjectClass::Privileges;
    objects.iter().filter(move |object| object.class == class && needs(object, missing))
}

fn needs(object: &SchemaObject, missing: &BTreeSet<usize>) -> bool {
    object.depends_on.iter().any(|needed| missing.contains(needed))
}

/// Drops `public` where the archive's database had none. What stands in the way, such as an extension
/// that the target brings, is no reason to give up.
pub fn drop_public(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    let is_public =
        |object: &SchemaObject| object.class == ObjectClass::Schema && object.name == "public";
    let is_left_out =
        options.leave_out.iter().any(|unwanted| unwanted.takes_name(ObjectClass::Schema, "public"));
    let knows = manifest.whole && !is_left_out;
    if !knows || objects.iter().any(is_public) {
        return Ok(());
    }
    if let Some(error) = drop_if_free(session, "SCHEMA IF EXISTS public")? {
        let reason = super::late::reason(&error);
        observer.warn(&format!("schema public stays, which was not there: {reason}"));
    }
    Ok(())
}

/// Drops what nothing needs, within a transaction; else it stays, and gives why.
///
/// # Errors
/// A lost connection.
pub fn drop_if_free(session: &mut Session, what: &str) -> Result<Option<Error>> {
    session.execute("SAVEPOINT before_drop")?;
    let Err(error) = session.execute(&format!("DROP {what}")) else { return Ok(None) };
    if session.client.is_closed() {
        return Err(error);
    }
    session.execute("ROLLBACK TO SAVEPOINT before_drop")?;
    Ok(Some(error))
}

/// Says what objects are restored without.
pub fn tell_refused(adornments: &[String], observer: &dyn Observer) {
    for refused in adornments {
        observer.warn(&format!("restored without what the server refuses: {refused}"));
    }
}

/// Applies the database's settings one by one, and names those that the server refuses.
pub fn settings(
    session: &mut Session,
    objects: &[SchemaObject],
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for object in objects.iter().filter(|object| object.class == ObjectClass::DatabaseSetting) {
        if let Err(error) = super::full::create(session, object, options) {
            if session.client.is_closed() {
                return Err(error);
            }
            let reason = super::late::reason(&error);
            observer
                .warn(&format!("a setting of the database is not restored: {object}: {reason}"));
            refused.push(object.name.clone());
        }
    }
    Ok(refused)
}
