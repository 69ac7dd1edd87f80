//! An archive into an empty database: schema, rows, large objects, sequences, indexes and
//! constraints, privileges, ANALYZE, proof.

use super::{Options, Summary, load, prove};
use crate::archive::manifest::Manifest;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::name::enumerate;
use crate::model::schema::{AccessList, ObjectClass, Purpose, SchemaObject, Section};
use crate::model::server::ServerFacts;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::{self, Session};
use crate::pg::{access, catalog, target};
use std::time::Duration;

/// Restores into `database`, or into the one that the connection names.
pub fn into_empty(
    reader: &ArchiveReader,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let manifest = reader.manifest();
    let objects = reader.schema()?;
    let mut session = Session::open(&options.connection, database, session::Purpose::Write)?;
    interrupt.register(&session);
    session.check_not_pooled()?;
    if target::is_marked(&mut session.client)? {
        observer.note("an earlier restore into this database has not ended: emptying it first");
        target::empty(&mut session)?;
    }
    preflight(&mut session, manifest, &objects, options)?;
    if session.facts.superuser {
        observer.warn("restoring as a superuser: functions that the old database's owners wrote run with all rights");
    }
    target::mark(&mut session, &manifest.name)?;
    let restored = restore(reader, &objects, &mut session, options, database, observer, interrupt);
    match restored {
        Ok(summary) => Ok(summary),
        Err(Failure::Early(error)) => Err(give_up(options, database, interrupt.reason(error))),
        Err(Failure::Late(error)) => Err(error),
    }
}

/// Whether what is there is worth keeping.
enum Failure {
    /// Rows are missing: the database is emptied again.
    Early(Error),
    /// All rows are there and proved; objects that come after them failed. The mark stays.
    Late(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Early(error)
    }
}

/// Empties the database again, so that it is as before.
fn give_up(options: &Options, database: Option<&str>, error: Error) -> Error {
    let emptied = Session::open(&options.connection, database, session::Purpose::Write)
        .and_then(|mut session| target::empty(&mut session));
    match emptied {
        Ok(()) => error.while_doing("the restore failed, and the database is empty as before"),
        Err(second) => error
            .while_doing(format!(
                "the restore failed, the database could not be emptied ({second}), and it is marked as half restored"
            ))
            .hint("run the restore again: it empties the database first"),
    }
}

fn restore(
    reader: &ArchiveReader,
    objects: &[SchemaObject],
    session: &mut Session,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    let manifest = reader.manifest();
    observer.phase("creating the schema", None);
    for object in objects.iter().filter(|object| object.section == Section::PreData) {
        interrupt.check()?;
        create(session, object, options)?;
    }
    let rows = load::load_all(reader, session, options, database, observer, interrupt)?;
    load::large_objects(reader, session, options, &[], observer, interrupt)?;
    load::set_sequences(session, &manifest.sequences)?;

    observer.phase("creating indexes and constraints", None);
    let mut failed = Vec::new();
    let late = |object: &&SchemaObject| object.section == Section::PostData;
    let is_refresh = |object: &SchemaObject| object.class == ObjectClass::MaterializedViewData;
    let (refreshes, definitions): (Vec<&SchemaObject>, Vec<&SchemaObject>) = objects
        .iter()
        .filter(late)
        .filter(|object| object.class != ObjectClass::Privileges)
        .partition(|object| is_refresh(object));
    create_late(session, &definitions, options, interrupt, &mut failed)?;
    if !options.no_privileges {
        observer.phase("granting privileges", None);
        let wanted: Vec<AccessList> =
            objects.iter().filter_map(|object| object.access.clone()).collect();
        access::apply(
            &mut session.client,
            manifest.source.major(),
            &wanted,
            access::Scope::WholeDatabase,
        )?;
    }
    // A materialized view is filled with its owner's rights, to whom row-level security applies.
    session.execute("SET row_security = on")?;
    create_late(session, &refreshes, options, interrupt, &mut failed)?;
    session.execute("SET row_security = off")?;
    observer.phase("analyzing", None);
    session.execute("ANALYZE")?;

    prove::equals(reader, &options.connection, database, options.jobs, observer, interrupt)?;
    if !failed.is_empty() {
        return Err(Failure::Late(report(session, failed)));
    }
    target::unmark(session)?;
    Ok(Summary {
        archive: manifest.name.clone(),
        database: session.facts.database.clone(),
        kept_as: None,
        tables: manifest.tables.iter().filter(|table| table.data).count(),
        rows,
        sequences: manifest.sequences.len(),
        large_objects: manifest.large_objects.count,
        objects: objects.len(),
        way: None,
        elapsed: Duration::ZERO,
    })
}

/// What cannot work is said before anything is written.
fn preflight(
    session: &mut Session,
    manifest: &Manifest,
    objects: &[SchemaObject],
    options: &Options,
) -> Result<()> {
    check_version(&session.facts, &manifest.source)?;
    let found = target::user_objects(session)?;
    if !found.is_empty() {
        return Err(Error::refused(format!(
            "database \"{}\" is not empty: {}",
            session.facts.database,
            enumerate(&found)
        ))
        .hint("restore into an empty database, load rows alone with --data-only, or replace the database with --create --swap"));
    }
    let roles = needed_roles(manifest, objects, options);
    let missing = catalog::missing_roles(&mut session.client, &roles)?;
    if !missing.is_empty() {
        return Err(Error::refused(format!("the server has no role {}", enumerate(&missing)))
            .hint("create the roles, or restore with --no-owner --no-privileges"));
    }
    let extensions: Vec<String> = objects
        .iter()
        .filter(|object| object.class == ObjectClass::Extension)
        .map(|object| object.name.clone())
        .collect();
    let missing = catalog::missing_extensions(&mut session.client, &extensions)?;
    if !missing.is_empty() {
        return Err(Error::refused(format!("the server has no extension {}", enumerate(&missing)))
            .hint("install the extensions on the server first"));
    }
    Ok(())
}

fn needed_roles(manifest: &Manifest, objects: &[SchemaObject], options: &Options) -> Vec<String> {
    let mut roles = std::collections::BTreeSet::new();
    let large_objects = &manifest.large_objects.objects;
    if !options.no_owner {
        roles.extend(objects.iter().filter_map(|object| object.owner.clone()));
        roles.extend(large_objects.iter().map(|object| object.owner.clone()));
    }
    if !options.no_privileges {
        let lists = objects.iter().filter_map(|object| object.access.as_ref());
        let lists = lists.chain(large_objects.iter().filter_map(|object| object.access.as_ref()));
        for grant in lists.flat_map(|access| &access.grants) {
            roles.insert(grant.grantor.clone());
            roles.extend(grant.grantee.clone());
        }
    }
    roles.into_iter().collect()
}

fn check_version(target: &ServerFacts, source: &ServerFacts) -> Result<()> {
    if target.major() >= source.major() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the archive is of PostgreSQL {}, and the server is {}, which is older",
        source.major(),
        target.server_version
    ))
    .hint("restore into the same or a newer major version"))
}

/// Runs an object's statements one by one over the extended protocol, which takes no more than
/// one statement at a time.
fn create(session: &mut Session, object: &SchemaObject, options: &Options) -> Result<()> {
    for statement in &object.statements {
        let wanted = match statement.purpose {
            Purpose::Owner => !options.no_owner,
            Purpose::Privilege => !options.no_privileges,
            Purpose::Define | Purpose::Comment => true,
        };
        if wanted {
            session.run_single(&statement.sql, &format!("cannot create {object}"))?;
        }
    }
    Ok(())
}

/// Creates objects that come after the rows. What fails is tried once more after the others: a
/// dependency may be one that the catalogs do not know.
fn create_late(
    session: &mut Session,
    objects: &[&SchemaObject],
    options: &Options,
    interrupt: &Interrupt,
    failed: &mut Vec<String>,
) -> Result<()> {
    let mut again = Vec::new();
    for object in objects {
        interrupt.check()?;
        match create(session, object, options) {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Server => return Err(error),
            Err(_) => again.push(object),
        }
    }
    for object in again {
        interrupt.check()?;
        if let Err(error) = create(session, object, options) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            failed.push(format!("{object}: {}", cause.unwrap_or_else(|| error.to_string())));
        }
    }
    Ok(())
}

fn report(session: &Session, failed: Vec<String>) -> Error {
    Error::failed(format!(
        "all rows of \"{}\" are restored and proved, but {} objects could not be created: {}",
        session.facts.database,
        failed.len(),
        failed.join("; ")
    ))
    .hint("mend and create them by hand, then DROP SCHEMA pgark_restore_unfinished CASCADE to take the database as it is")
}
