//! Roles that the archive names and the server lacks, made as they were where that is asked for.

use super::{Options, preflight};
use crate::archive::manifest::Manifest;
use crate::error::Result;
use crate::model::name::{Printable, enumerate};
use crate::model::role::{RoleAttribute, RoleDefinition};
use crate::model::schema::SchemaObject;
use crate::ops::observer::Observer;
use crate::pg::roles;
use crate::pg::session::Session;

/// Makes what is missing of `needed`, and lets `check` judge the server's roles then: all of it,
/// or nothing.
pub fn make(
    session: &mut Session,
    manifest: &Manifest,
    needed: &[String],
    observer: &dyn Observer,
    check: impl FnOnce(&mut Session) -> Result<()>,
) -> Result<Vec<String>> {
    session.execute("BEGIN")?;
    let known = &manifest.role_definitions;
    let made = roles::create_missing(session, needed, known).and_then(|made| {
        check(session)?;
        Ok(made)
    });
    match made {
        Ok(made) => {
            session.execute("COMMIT")?;
            tell(&made, known, observer);
            Ok(made)
        }
        Err(error) => {
            if !session.client.is_closed() {
                session.execute("ROLLBACK")?;
            }
            Err(error)
        }
    }
}

/// The same for a database that is to be made: it needs its owner first.
pub fn make_for_new_database(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    if !options.create_roles {
        return Ok(Vec::new());
    }
    let mut needed = preflight::roles(manifest, objects, options).named;
    let owner = manifest.database.as_ref().map(|database| database.owner.clone());
    needed.extend(owner.filter(|_| !options.no_owner));
    make(session, manifest, &needed, observer, |_| Ok(()))
}

/// Takes back what a restore has made that failed.
pub fn take_back(session: &mut Session, made: &[String], observer: &dyn Observer) {
    let stay = roles::remove(session, made);
    if !stay.is_empty() {
        observer.warn(&format!(
            "roles that were made for this restore are still there: {}",
            enumerate(&stay)
        ));
    }
}

fn tell(made: &[String], known: &[RoleDefinition], observer: &dyn Observer) {
    if made.is_empty() {
        return;
    }
    observer.note(&format!("created without passwords: {}", enumerate(made)));
    let mighty = |role: &&RoleDefinition| {
        use RoleAttribute::{BypassRls, CreateRole, Replication, Superuser};
        let might = [Superuser, CreateRole, Replication, BypassRls];
        made.contains(&role.name) && role.attributes.iter().any(|a| might.contains(a))
    };
    for role in known.iter().filter(mighty) {
        let attributes: Vec<String> = role
            .attributes
            .iter()
            .map(|attribute| format!("{attribute:?}").to_lowercase())
            .collect();
        observer.warn(&format!(
            "role \"{}\" was created as it was in the archive: {}",
            Printable(&role.name),
            attributes.join(", ")
        ));
    }
}
