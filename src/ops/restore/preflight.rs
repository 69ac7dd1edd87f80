//! What cannot work is said before anything is written.

use super::origin::Origin;
use super::owners::Owners;
use super::{Options, extensions};
use crate::archive::manifest::Manifest;
use crate::error::{Error, Result};
use crate::model::catalog::Property;
use crate::model::name::{Printable, enumerate};
use crate::model::provenance::Provenance;
use crate::model::schema::{AccessList, ObjectClass, SchemaObject};
use crate::model::server::ServerFacts;
use crate::ops::observer::Observer;
use crate::ops::restore::Mode;
use crate::pg::extensions::{self as extension_list, Restricted};
use crate::pg::ident::quote;
use crate::pg::rights::{self, Right};
use crate::pg::session::Session;
use crate::pg::{catalog, lending, target};
use crate::rules::{leave_out, role_names};
use std::collections::BTreeSet;

/// Checks a database that is to be filled. Gives the roles that were made for it.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused) when the server is older, the database is not
/// empty, roles or extensions are missing, or the role may not act for the owners.
pub fn empty_database(
    session: &mut Session,
    origin: &dyn Origin,
    objects: &[SchemaObject],
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let (manifest, from) = (origin.manifest(), origin.provenance());
    check_version(&session.facts, &manifest.source, from)?;
    check_empty(session, from)?;
    check_rights(session, objects)?;
    warn_of_triggers(session, objects, observer);
    extensions::check(session, objects, observer)?;
    let check_roles = |session: &mut Session| {
        check_roles(session, manifest, objects, options)?;
        Owners::of(session, objects, options)?.check(session)?;
        check_public(session, objects, options)
    };
    if !options.create_roles {
        check_roles(session)?;
        return Ok(Vec::new());
    }
    // The last of the checks, since it is the first that may leave something behind.
    let needed = roles(manifest, objects, options).named;
    super::roles::make(session, manifest, &needed, observer, check_roles)
}

/// Fails for a database that has anything of a user's in it.
pub fn check_empty(session: &mut Session, from: Provenance) -> Result<()> {
    let found = target::user_objects(session)?;
    if found.is_empty() {
        return Ok(());
    }
    let hint = match from {
        Provenance::Archive => {
            "restore into an empty database, load rows alone with --data-only, or replace the database with --create --swap"
        }
        Provenance::Database => {
            "copy into an empty database, or replace the database with --create --swap"
        }
    };
    Err(Error::refused(format!(
        "database \"{}\" is not empty: {}",
        session.facts.database,
        enumerate(&found)
    ))
    .hint(hint))
}

/// What the role may not create is named as a whole before the first of it fails.
fn check_rights(session: &mut Session, objects: &[SchemaObject]) -> Result<()> {
    if session.facts.superuser {
        return Ok(());
    }
    let names: Vec<String> = objects
        .iter()
        .filter(|object| object.class == ObjectClass::Extension)
        .map(|object| object.name.clone())
        .collect();
    let restricted = extension_list::restricted(&mut session.client, &names)?;
    let needed: Vec<(BTreeSet<Right>, &SchemaObject)> =
        objects.iter().map(|object| (needed_rights(object, &restricted), object)).collect();
    let rights = needed.iter().flat_map(|(rights, _)| rights).cloned().collect();
    let missing = rights::missing(session, &rights)?;
    let refused: Vec<&SchemaObject> = needed
        .into_iter()
        .filter(|(rights, _)| !rights.is_disjoint(&missing))
        .map(|(_, object)| object)
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = refused.iter().map(|object| object.to_string()).collect();
    let flags: Vec<String> = leave_out::flags(objects, &refused).into_iter().collect();
    Err(Error::refused(format!("\"{}\" may not create {}", session.facts.role, enumerate(&names)))
        .hint(format!("restore as a superuser, or do without: {}", flags.join(" "))))
}

/// Constraints that the archive's database did not watch over, and the target will.
fn warn_of_triggers(session: &Session, objects: &[SchemaObject], observer: &dyn Observer) {
    if session.facts.superuser {
        return;
    }
    let descriptions = objects.iter().flat_map(|object| &object.descriptions);
    let switched =
        descriptions.filter(|said| said.properties.contains_key(&Property::InternalTriggers));
    let names: Vec<String> = switched.map(|said| said.of.to_string()).collect();
    if !names.is_empty() {
        observer.warn(&format!(
            "{} will be in force, though triggers behind them were switched: only a superuser may do that",
            enumerate(&names)
        ));
    }
}

/// `public` is there already, and only its owner may give it an owner or a comment.
fn check_public(session: &mut Session, objects: &[SchemaObject], options: &Options) -> Result<()> {
    let is_changed = objects
        .iter()
        .filter(|object| object.class == ObjectClass::Schema && object.name == "public")
        .flat_map(|object| &object.statements)
        .any(|statement| super::full::is_wanted(statement, options));
    if !is_changed {
        return Ok(());
    }
    let Some(owner) = lending::other_owner(session, "public")? else { return Ok(()) };
    let role = &session.facts.role;
    Err(Error::refused(format!(
        "schema public belongs to {}, and \"{role}\" may not give it another owner or comment",
        Printable(&owner)
    ))
    .hint(format!("ALTER SCHEMA public OWNER TO {}, or restore as a superuser", quote(role))))
}

/// The rights that creating an object takes, where not every owner of a database has them.
fn needed_rights(object: &SchemaObject, restricted: &[Restricted]) -> BTreeSet<Right> {
    use ObjectClass as C;
    let has = |text: &str| object.statements.iter().any(|statement| statement.sql.contains(text));
    let right = match object.class {
        C::EventTrigger => Right::EventTrigger,
        C::ForeignDataWrapper => Right::ForeignDataWrapper,
        C::Publication if is_of_all_tables(object) => Right::PublicationOfAll,
        C::PublicationSchema => Right::PublicationOfSchema,
        C::Subscription => Right::Subscription,
        C::AccessMethod => Right::AccessMethod,
        C::OperatorFamily | C::OperatorFamilyMember | C::OperatorClass => Right::OperatorFamily,
        C::ShellType | C::BaseType => Right::BaseType,
        C::TextSearchParser => Right::TextSearchParser,
        C::TextSearchTemplate => Right::TextSearchTemplate,
        C::Language => Right::Language,
        C::Cast if has(" WITHOUT FUNCTION") => Right::BinaryCast,
        C::Extension => {
            let of_it = |one: &&Restricted| one.name == object.name;
            let found = restricted.iter().find(of_it).cloned();
            return found.map(Right::Extension).into_iter().collect();
        }
        C::Function | C::Procedure => return rights_of_function(object),
        _ => return BTreeSet::new(),
    };
    BTreeSet::from([right])
}

fn is_of_all_tables(object: &SchemaObject) -> bool {
    let name = format!("CREATE PUBLICATION {} FOR ALL TABLES ", quote(&object.name));
    object.statements.iter().any(|statement| statement.sql.starts_with(&name))
}

fn rights_of_function(object: &SchemaObject) -> BTreeSet<Right> {
    let says = |property| extensions::text(object, property);
    let language = says(Property::Language).filter(|name| !matches!(*name, "sql" | "plpgsql"));
    let rights = [
        language.map(|name| Right::FunctionIn(name.to_owned())),
        says(Property::Leakproof).map(|_| Right::Leakproof),
        says(Property::Support).map(|_| Right::Support),
    ];
    rights.into_iter().flatten().collect()
}

/// Fails for roles that the server does not have.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused), with all of them.
pub fn check_there(session: &mut Session, named: &[String]) -> Result<()> {
    let missing = catalog::missing_roles(&mut session.client, named)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!("the server has no role {}", enumerate(&missing)))
        .hint("create the roles, let --create-roles make them as they were, or restore with --no-owner --no-privileges"))
}

/// The roles that owners and privileges name must be there, and the restoring role must be able
/// to act for owners and for those who granted.
pub fn check_roles(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    options: &Options,
) -> Result<()> {
    let Roles { named, acted_for, owners } = roles(manifest, objects, options);
    check_there(session, &named)?;
    check_acting(session, &acted_for, &owners)
}

/// Fails for roles that the restoring role may not act for, and owners whose rights it has not.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused), with all of them.
pub fn check_acting(session: &mut Session, acted_for: &[String], owners: &[String]) -> Result<()> {
    let foreign = catalog::foreign_roles(&mut session.client, acted_for, owners)?;
    if !foreign.is_empty() {
        return Err(Error::refused(format!(
            "\"{}\" may not act for {}, who own or granted what is to be restored",
            session.facts.role,
            enumerate(&foreign)
        ))
        .hint(
            "restore as a superuser or as a member of these roles that has their rights (INHERIT), or with --no-owner --no-privileges",
        ));
    }
    Ok(())
}

/// The roles that a restore needs.
pub struct Roles {
    /// Those that must be there.
    pub named: Vec<String>,
    /// Those of them that the restoring role must be able to act for.
    pub acted_for: Vec<String>,
    /// Those of them whose rights it must have besides, to go on with what it has given them.
    pub owners: Vec<String>,
}

/// What roles a restore needs.
pub fn roles(manifest: &Manifest, objects: &[SchemaObject], options: &Options) -> Roles {
    let mut owners = BTreeSet::new();
    let mut grantors = BTreeSet::new();
    let mut grantees = BTreeSet::new();
    let large_objects = match options.selection.is_everything() {
        true => &manifest.large_objects.objects[..],
        false => &[],
    };
    let with_schema = !matches!(options.mode, Mode::DataOnly(_));
    let objects = if with_schema { objects } else { &[] };
    // Whoever owns them, these are for the roles that they name.
    let for_roles = |object: &&SchemaObject| {
        matches!(object.class, ObjectClass::Policy | ObjectClass::UserMapping)
    };
    grantees.extend(objects.iter().filter(for_roles).flat_map(role_names::in_statements));
    if !options.no_owner {
        owners.extend(objects.iter().filter_map(|object| object.owner.clone()));
        owners.extend(large_objects.iter().map(|object| object.owner.clone()));
    }
    if !options.no_privileges {
        let lists = objects.iter().filter_map(|object| object.access.as_deref());
        let lists = lists.chain(large_objects.iter().filter_map(|object| object.access.as_ref()));
        for list in lists {
            grantees.extend(list.grants.iter().filter_map(|grant| grant.grantee.clone()));
            grantors.extend(granted_for(list, options.no_owner));
        }
    }
    let acted_for: BTreeSet<String> = owners.union(&grantors).cloned().collect();
    let named = acted_for.union(&grantees).cloned().collect();
    Roles {
        named,
        acted_for: acted_for.into_iter().collect(),
        owners: owners.into_iter().collect(),
    }
}

/// Who granted, apart from the owner where the restoring role takes the owner's place.
fn granted_for(list: &AccessList, no_owner: bool) -> impl Iterator<Item = String> {
    list.grants
        .iter()
        .map(|grant| &grant.grantor)
        .filter(move |grantor| !no_owner || **grantor != list.owner)
        .cloned()
}

/// Fails for a server that is older than where it comes from.
pub fn check_version(target: &ServerFacts, source: &ServerFacts, from: Provenance) -> Result<()> {
    if target.major() >= source.major() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{from} is of PostgreSQL {}, and the server is {}, which is older",
        source.major(),
        target.server_version
    ))
    .hint("restore into the same or a newer major version"))
}
