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

/// The same for a database that is to be made: it needs its owner first. Roles that nobody makes
/// must be there before anything is.
pub fn make_for_new_database(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    owner: Option<&str>,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let preflight::Roles { named: mut needed, mut acted_for, owners } =
        preflight::roles(manifest, objects, options);
    for roles in [&mut needed, &mut acted_for] {
        if let Some(owner) = owner
            && !roles.iter().any(|role| role == owner)
        {
            roles.push(owner.to_owned());
        }
    }
    let check = |session: &mut Session| preflight::check_acting(session, &acted_for, &owners);
    if !options.create_roles {
        preflight::check_there(session, &needed)?;
        check(session)?;
        return Ok(Vec::new());
    }
    make(session, manifest, &needed, observer, check)
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
            "role \"{}\" was created as it was: {}",
            Printable(&role.name),
            attributes.join(", ")
        ));
    }
}
