//! An archive into an empty database: schema, rows, large objects, sequences, indexes and
//! constraints, privileges, ANALYZE, proof.

use super::{Options, Proof, Summary, load, preflight, prove};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::schema::{AccessList, ObjectClass, Purpose, SchemaObject, Section};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::{self, Session};
use crate::pg::{access, target};
use std::time::Duration;

/// Restores into `database`, or into the one that the connection names.
pub fn into_empty(
    reader: &ArchiveReader,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    let manifest = reader.manifest();
    let objects = reader.schema()?;
    let mut session = Session::open(&options.connection, database, session::Purpose::Write)?;
    interrupt.register(&session);
    session.check_not_pooled()?;
    target::lock(&mut session)?;
    if target::is_marked(&mut session.client)? {
        observer.note("an earlier restore into this database has not ended: emptying it first");
        target::empty(&mut session)?;
    }
    preflight::empty_database(&mut session, manifest, &objects, options)?;
    if session.facts.superuser {
        observer.warn("restoring as a superuser: functions that the old database's owners wrote run with all rights");
    }
    target::mark(&mut session, &manifest.name)?;
    let restored = restore(reader, &objects, &mut session, options, database, observer, interrupt);
    match restored {
        Err(Failure::Early(error)) => {
            Err(Failure::Early(give_up(session, options, database, interrupt.reason(error))))
        }
        restored => restored,
    }
}

/// Whether what is there is worth keeping.
pub enum Failure {
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

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Early(error) | Failure::Late(error) => error,
        }
    }
}

/// Empties the database again, so that it is as before. `restored` may be broken, or go on being
/// cancelled: another session takes over its lock first, and touches a marked database alone.
fn give_up(restored: Session, options: &Options, database: Option<&str>, error: Error) -> Error {
    drop(restored);
    let emptied = Session::open(&options.connection, database, session::Purpose::Write).and_then(
        |mut session| {
            target::lock(&mut session)?;
            let marked = target::is_marked(&mut session.client)?;
            if marked {
                target::empty(&mut session)?;
            }
            Ok(marked)
        },
    );
    match emptied {
        Ok(true) => error.while_doing("the restore failed, and the database is empty as before"),
        Ok(false) => error.while_doing(
            "the restore was cut off at its very end, or another one has emptied the database",
        ),
        Err(second) if second.kind() == Kind::Locked => {
            error.while_doing("the restore failed, and another one is under way in the database")
        }
        Err(second) => {
            let error = error.while_doing(format!(
                "the restore failed, and the database could not be emptied ({second})"
            ));
            match database {
                None => error.hint("run the restore again: it empties the database first"),
                Some(_) => error,
            }
        }
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
        let granted = access::apply(
            &mut session.client,
            manifest.source.major(),
            &wanted,
            access::Scope::WholeDatabase,
        );
        if let Err(error) = granted {
            if session.client.is_closed() {
                return Err(Failure::Early(error));
            }
            interrupt.check()?;
            failed.push(format!("privileges: {}", reason(&error)));
        }
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
        proof: Proof::Equal,
        skipped: 0,
        stale: Vec::new(),
        elapsed: Duration::ZERO,
    })
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
            // A lost connection is no fault of the object; an object may fail with any SQLSTATE.
            Err(error) if session.client.is_closed() => return Err(error),
            Err(_) => {
                interrupt.check()?;
                again.push(object);
            }
        }
    }
    for object in again {
        interrupt.check()?;
        if let Err(error) = create(session, object, options) {
            if session.client.is_closed() {
                return Err(error);
            }
            interrupt.check()?;
            failed.push(format!("{object}: {}", reason(&error)));
        }
    }
    Ok(())
}

/// The cause of a failure, without what was being done.
fn reason(error: &Error) -> String {
    error.causes().next().unwrap_or_else(|| error.to_string())
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
