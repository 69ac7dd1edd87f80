//! The archive as this target is to have it: other roles, other tablespaces.

use super::Options;
use super::origin::Origin;
use crate::archive::manifest::Manifest;
use crate::error::{Error, Kind, Result};
use crate::model::provenance::Provenance;
use crate::model::role::RoleDefinition;
use crate::model::schema::SchemaObject;
use crate::ops::observer::Observer;
use crate::pg::database;
use crate::pg::session::Session;
use crate::rules::polymorphic;
use crate::rules::renames::Renames;
use crate::rules::role_names;
use crate::rules::selection::nearest;
use std::collections::BTreeSet;

/// Fails for a role that is to have a new name and that is not named.
///
/// # Errors
/// [`Kind::NotFound`] with the role that is meant, perhaps.
pub fn check_roles(manifest: &Manifest, from: Provenance, renames: &Renames) -> Result<()> {
    let known = &manifest.roles;
    for old in renames.old_names() {
        if !known.iter().any(|role| role == old) {
            let error = Error::new(Kind::NotFound, format!("{from} names no role \"{old}\""));
            return Err(match nearest(old, known.iter().cloned()) {
                Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                None => error,
            });
        }
    }
    Ok(())
}

/// Gives the roles their new names, in all that the manifest says of them.
pub fn rename_roles(manifest: &mut Manifest, renames: &Renames) {
    let new = |role: &str| renames.of(role).to_owned();
    let roles: BTreeSet<String> = manifest.roles.iter().map(|role| new(role)).collect();
    manifest.roles = roles.into_iter().collect();
    rename_definitions(&mut manifest.role_definitions, renames);
    for object in &mut manifest.large_objects.objects {
        object.owner = new(&object.owner);
        if let Some(list) = &mut object.access {
            role_names::rename_access(list, renames);
        }
    }
    if let Some(database) = &mut manifest.database {
        database.owner = new(&database.owner);
    }
}

/// Where two roles become one, the first says what it is.
fn rename_definitions(roles: &mut Vec<RoleDefinition>, renames: &Renames) {
    let mut names = BTreeSet::new();
    roles.retain_mut(|role| {
        role.name = renames.of(&role.name).to_owned();
        for membership in &mut role.member_of {
            membership.role = renames.of(&membership.role).to_owned();
        }
        role.member_of.retain(|membership| membership.role != role.name);
        names.insert(role.name.clone())
    });
}

/// The objects of the schema, with the roles' new names.
pub fn schema(origin: &dyn Origin, options: &Options) -> Result<Vec<SchemaObject>> {
    let mut objects = origin.schema()?;
    if !options.role_map.is_empty() {
        for object in &mut objects {
            role_names::rename(object, &options.role_map);
        }
    }
    Ok(objects)
}

/// Changes what cannot be in a newer server as it was, and says so.
pub fn to_version(
    session: &Session,
    objects: &mut [SchemaObject],
    source_major: u32,
    observer: &dyn Observer,
) {
    if source_major >= polymorphic::SINCE || session.facts.major() < polymorphic::SINCE {
        return;
    }
    for object in polymorphic::widen(objects) {
        observer.note(&format!(
            "{object} is made for \"anycompatible\" types, as what it calls is now"
        ));
    }
}

/// Sends the objects to the tablespaces that they are to have in the target. What is to lie in the
/// target database's own says nothing: PostgreSQL refuses to name that for a partitioned table.
pub fn tablespaces(
    session: &mut Session,
    objects: &mut [SchemaObject],
    options: &Options,
) -> Result<()> {
    let own = database::own_tablespace(session)?;
    for object in objects {
        let wanted = object.tablespace.take().filter(|_| !options.no_tablespaces);
        object.tablespace = wanted
            .map(|name| options.tablespace_map.of(&name).to_owned())
            .filter(|name| *name != own);
    }
    Ok(())
}
