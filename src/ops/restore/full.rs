//! An archive, or another database, into an empty database: schema, rows, large objects, sequences, indexes and
//! constraints, privileges, ANALYZE, proof.

use super::late::{self, Advice, Late, Outcome, Retry};
use super::origin::{Loading, Origin};
use super::owners::Owners;
use super::{
    NOTHING_WRITTEN, Options, Proof, Summary, adapt, analyze, early, extensions, finish, keys,
    load, piecemeal, preflight, prove, refusals, roles, tell_target,
};
use crate::error::{Error, Kind, Result};
use crate::model::schema::{ObjectClass, Purpose, SchemaObject, Statement};
use crate::ops::compare::Restored;
use crate::ops::extension_rows;
use crate::ops::interrupt::Interrupt;
use crate::ops::lock_wait;
use crate::ops::observer::Observer;
use crate::pg::ident::literal;
use crate::pg::session::{self, Session, Statements};
use crate::pg::{catalog, failure, target};
use crate::rules::leave_out;
use crate::rules::object_selection::Selected;
use std::time::Duration;

/// Restores into `database`, or into the one that the connection names.
pub fn into_empty(
    origin: &dyn Origin,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    observer.phase("preparing the database", None);
    let prepared = prepare(origin, options, database, observer, interrupt);
    let Prepared { mut session, selected: Selected { objects, left_out }, created_roles } =
        prepared.map_err(|error| match database {
            None => interrupt.leaving(error, NOTHING_WRITTEN),
            Some(_) => error,
        })?;
    if let Err(error) = target::mark(&mut session, &origin.manifest().name) {
        roles::take_back(&mut session, &created_roles, observer);
        return Err(Failure::Early(error));
    }
    let restored = restore(origin, &objects, &mut session, options, database, observer, interrupt);
    match (restored, database) {
        (Err(Failure::Early(error)), None) => {
            let emptied = |session: &mut Session| {
                roles::take_back(session, &created_roles, observer);
            };
            Err(Failure::Early(give_up(session, options, emptied, interrupt.reason(error))))
        }
        // Whoever has made the database, and roles for it, removes them as a whole.
        (restored, _) => restored.map(|summary| Summary { left_out, created_roles, ..summary }),
    }
}

/// A database that is empty and can take what is to be created there.
struct Prepared {
    session: Session,
    selected: Selected,
    created_roles: Vec<String>,
}

fn prepare(
    origin: &dyn Origin,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Prepared> {
    let mut selected = leave_out::without(adapt::schema(origin, options)?, &options.leave_out)?;
    let mut session = open(options, database, interrupt)?;
    session.check_not_pooled()?;
    bound(&mut session, options)?;
    if database.is_none() {
        tell_target("restoring into", &session.facts.database, &session, observer);
    }
    target::lock(&mut session)?;
    if target::is_marked(&mut session.client)? {
        observer.note("an earlier restore into this database has not ended: emptying it first");
        target::empty(&mut session)?;
    }
    adapt::tablespaces(&mut session, &mut selected.objects, options)?;
    let source_major = origin.manifest().source.major();
    adapt::to_version(&session, &mut selected.objects, source_major, observer);
    extensions::keep_comments(&mut session, &mut selected.objects, observer)?;
    let created_roles =
        preflight::empty_database(&mut session, origin, &selected.objects, options, observer)?;
    if session.facts.superuser {
        observer.warn("restoring as a superuser: functions that the old database's owners wrote run with all rights");
    }
    Ok(Prepared { session, selected, created_roles })
}

/// A session with the database that is to be filled.
pub fn open(options: &Options, database: Option<&str>, interrupt: &Interrupt) -> Result<Session> {
    interrupt.open(&options.connection, database, session::Purpose::Write).map_err(|error| {
        match failure::is_of_no_database(&error) {
            true => error.hint("--create makes the database; or check its name"),
            false => error,
        }
    })
}

/// Statements of this session wait for others' locks no longer than the run may wait.
///
/// # Errors
/// The server's.
pub fn bound(session: &mut impl Statements, options: &Options) -> Result<()> {
    session.execute(&format!("SET lock_timeout = {}", options.lock_timeout.as_millis()))
}

/// Whether what is there is worth keeping.
pub enum Failure {
    /// Rows are missing: the database is emptied again.
    Early(Error),
    /// All rows are there and proved; objects failed that rows do not need. The mark stays. What helps
    /// against that.
    Late(Error, Advice),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Early(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Early(error) => error,
            Failure::Late(error, Advice { lost, flags }) => {
                let Some(mut hint) = error.next_step().map(str::to_owned) else { return error };
                if let Some(lost) = lost {
                    hint = format!("{lost}; or {hint}");
                }
                if !flags.is_empty() {
                    hint.push_str(&format!("; or restore again without: {}", flags.join(" ")));
                }
                error.hint(hint)
            }
        }
    }
}

/// Empties the database again, so that it is as before. `restored` may be broken, or go on being
/// cancelled: another session takes over its lock first, and touches a marked database alone.
fn give_up(
    restored: Session,
    options: &Options,
    afterwards: impl FnOnce(&mut Session),
    error: Error,
) -> Error {
    drop(restored);
    let emptied = Session::open(&options.connection, None, session::Purpose::Write).and_then(
        |mut session| {
            target::lock(&mut session)?;
            let marked = target::is_marked(&mut session.client)?;
            if marked {
                bound(&mut session, options)?;
                // A lock of somebody else's is no other restore.
                target::empty(&mut session).map_err(|error| error.of_kind(Kind::Failed))?;
                afterwards(&mut session);
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
        Err(second) => error
            .while_doing(format!(
                "the restore failed, and the database could not be emptied ({second})"
            ))
            .hint("run the restore again: it empties the database first"),
    }
}

fn restore(
    origin: &dyn Origin,
    objects: &[SchemaObject],
    session: &mut Session,
    options: &Options,
    database: Option<&str>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary, Failure> {
    let manifest = origin.manifest();
    observer.phase("creating the schema", None);
    let is_lent = extensions::lend_language(session, objects)?;
    let mut owners = Owners::of(session, objects, options)?;
    owners.begin(session)?;
    let early::Early { put_off, refused } =
        early::create(session, manifest, objects, options, &mut owners, observer, interrupt)?;
    let mut outcome = Outcome { refused, ..Outcome::default() };
    extension_rows::check(session, manifest)?;
    options.search_path.check(session)?;
    let loaded = origin
        .load(&mut Loading { session, options, database, observer, interrupt })
        .map_err(refusals::explained)?;
    let manifest = &*loaded;
    load::set_sequences(session, &manifest.sequences)?;

    observer.phase("creating indexes and constraints", None);
    let made = keys::create(session, manifest, objects, options, database, interrupt)?;
    let Late { definitions, row_security, refreshes, event_triggers } =
        Late::of(objects, &made, &put_off);
    let process = session.process();
    lock_wait::told(&options.connection, database, process, observer, || {
        late::create(session, &definitions, options, interrupt, Retry::Once, &mut outcome)
    })?;
    owners.end(session)?;
    if !options.no_privileges {
        observer.phase("granting privileges", None);
        let grant = |session: &mut Session, outcome: &Outcome| {
            let missing = outcome.missing();
            finish::privileges(session, manifest, objects, &missing, observer)
        };
        let mut granted = grant(session, &outcome);
        // What an index computes is done with the rights of its table's owner, who has them only now.
        if granted.is_ok() && late::again(session, &definitions, options, interrupt, &mut outcome)?
        {
            granted = grant(session, &outcome);
        }
        if let Err(error) = granted {
            if session.client.is_closed() {
                return Err(Failure::Early(error));
            }
            interrupt.check()?;
            outcome.failed.push(late::Failed::of("privileges", &error));
        }
    }
    // Once rows are guarded from their owner, an ordinary role can no longer prove that all of
    // them are there.
    let prove = || {
        let restored = Restored {
            manifest,
            connection: &options.connection,
            database,
            jobs: options.jobs,
            from: origin.provenance(),
        };
        prove::equals(&restored, |plan| origin.read_back(plan), observer, interrupt)
    };
    let proves_last =
        row_security.is_empty() || catalog::bypasses_row_security(&mut session.client)?;
    if !proves_last {
        prove()?;
    }
    late::create(session, &row_security, options, interrupt, Retry::Once, &mut outcome)?;
    // A materialized view is filled with its owner's rights, to whom row-level security applies.
    session.execute("SET row_security = on")?;
    let mut filling = Outcome::default();
    late::create(session, &refreshes, options, interrupt, Retry::WhileItHelps, &mut filling)?;
    outcome.refused.extend(filling.refused);
    let (broken, stale) = late::over_unfilled(objects, filling.failed);
    outcome.failed.extend(broken);
    for view in &stale {
        observer.warn(&format!("{view}; it stays unfilled, as others are that it reads"));
    }
    session.execute("SET row_security = off")?;
    if proves_last {
        // Both only read, and ANALYZE keeps no more than one processor busy.
        std::thread::scope(|scope| {
            let analyzed = scope.spawn(|| analyze::all(session, options, observer, interrupt));
            let proved = prove();
            let broken_off = || Error::failed("ANALYZE broke off; this is a defect of pgark");
            let analyzed = analyzed.join().unwrap_or_else(|_| Err(broken_off()));
            proved.and(analyzed)
        })?;
    } else {
        observer.phase("analyzing", None);
        analyze::all(session, options, observer, interrupt)?;
    }
    let changed_members = extensions::changed_members(
        objects,
        manifest.source.major(),
        options,
        database,
        observer,
        interrupt,
    )?;
    // A new database gets its settings as it gets its name.
    let mut refused = match database {
        None => finish::settings(session, objects, options, observer)?,
        Some(_) => Vec::new(),
    };
    let Outcome { failed, refused: adornments } = outcome;
    finish::tell_refused(&adornments, observer);
    refused.extend(adornments);
    if !failed.is_empty() {
        // They would act on whatever is done to mend the rest.
        let missing = late::positions(&failed);
        let ungranted = finish::without_object(objects, &missing);
        let ungranted = ungranted.filter(|_| !options.no_privileges);
        let waiting: Vec<String> = event_triggers
            .iter()
            .map(|(_, object)| *object)
            .chain(ungranted)
            .map(|object| format!("{object}: waits for the others"))
            .collect();
        let advice = Advice::of(session, objects, &failed);
        return Err(Failure::Late(late::report(session, objects, &failed, &waiting), advice));
    }
    let last = |session: &mut Session| {
        finish::drop_public(session, manifest, objects, options, observer)?;
        if is_lent {
            extensions::take_language(session)?;
        }
        for (_, object) in &event_triggers {
            let unadorned = piecemeal::create_within(session, object, options)?;
            finish::tell_refused(&unadorned, observer);
            refused.extend(unadorned);
        }
        Ok(())
    };
    if let Err(error) = target::unmark(session, last) {
        if session.client.is_closed() || !target::is_marked(&mut session.client)? {
            return Err(Failure::Early(error));
        }
        interrupt.check()?;
        let failed = late::Failed::of(error.to_string(), &error);
        let report = late::report(session, objects, &[failed], &[]);
        return Err(Failure::Late(report, Advice::default()));
    }
    for object in objects.iter().filter(|object| object.class == ObjectClass::Subscription) {
        observer.warn(&format!(
            "{object} is restored disabled, without its tables: see that only one database uses its slot, then ALTER SUBSCRIPTION … ENABLE and REFRESH PUBLICATION"
        ));
    }
    Ok(Summary {
        archive: manifest.name.clone(),
        database: session.facts.database.clone(),
        kept_as: None,
        created_roles: Vec::new(),
        tables: manifest.tables.iter().filter(|table| table.data).count(),
        rows: manifest.tables.iter().map(|table| table.content.rows).sum(),
        sequences: manifest.sequences.len(),
        large_objects: manifest.large_objects.count,
        objects: objects.len(),
        left_out: Vec::new(),
        way: None,
        proof: Proof::Equal,
        skipped: 0,
        stale,
        refused_settings: refused,
        changed_members,
        elapsed: Duration::ZERO,
        whole: true,
        not_in_archive: Vec::new(),
    })
}

/// Runs an object's statements one by one over the extended protocol, which takes no more than
/// one statement at a time.
pub fn create(session: &mut Session, object: &SchemaObject, options: &Options) -> Result<()> {
    let Some(tablespace) = &object.tablespace else { return run(session, object, options) };
    session.execute(&format!("SET default_tablespace = {}", literal(tablespace)))?;
    let created = run(session, object, options);
    match session.execute("SET default_tablespace = ''") {
        // The first failure is the one that says why.
        Ok(()) => created,
        Err(error) => created.and(Err(error)),
    }
}

fn run(session: &mut Session, object: &SchemaObject, options: &Options) -> Result<()> {
    for statement in &object.statements {
        if is_wanted(statement, options) {
            session.run_single(&statement.sql, &format!("cannot create {object}"))?;
        }
    }
    Ok(())
}

/// Whether the statement is among what is to be restored.
pub fn is_wanted(statement: &Statement, options: &Options) -> bool {
    match statement.purpose {
        Purpose::Owner => !options.no_owner,
        Purpose::Privilege => !options.no_privileges,
        Purpose::SecurityLabel => !options.no_security_labels,
        Purpose::Define | Purpose::Comment => true,
    }
}

/// Makes an object, or nothing of it. Its statements are made for an empty `search_path`; where a function
/// needs another, they are tried again on that.
pub fn create_whole(session: &mut Session, object: &SchemaObject, options: &Options) -> Result<()> {
    match try_whole(session, object, options) {
        Err(error) if failure::is_of_undefined(&error) && !options.search_path.is_empty() => {
            options.search_path.during(session, |session| try_whole(session, object, options))
        }
        tried => tried,
    }
}

fn try_whole(session: &mut Session, object: &SchemaObject, options: &Options) -> Result<()> {
    if object.statements.len() < 2 {
        return create(session, object, options);
    }
    in_transaction(session, |session| create(session, object, options))
}

/// Does all of it, or nothing.
pub fn in_transaction<T>(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    session.execute("BEGIN")?;
    match work(session) {
        Ok(done) => session.execute("COMMIT").map(|()| done),
        Err(error) => {
            if !session.client.is_closed() {
                session.execute("ROLLBACK")?;
            }
            Err(error)
        }
    }
}
