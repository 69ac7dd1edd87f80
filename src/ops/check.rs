//! `pgark check`: would a backup succeed now, what would it cover, and what would mend what is
//! wrong. Nothing is changed anywhere, and no lock is waited for.

use super::backup::{self, filter, schema};
use super::interrupt::Interrupt;
use super::migrations::project;
use super::observer::Observer;
use super::steady::{self, Limits};
use crate::archive::manifest::Ledger;
use crate::error::{Error, Kind, Result};
use crate::model::name::{Printable, counted, enumerate};
use crate::model::table::SequenceState;
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::connect::Encryption;
use crate::pg::session::{Purpose, Session};
use crate::pg::{conflicts, ddl, grants, snapshot, target};
use crate::rules::selection::Choice;
use std::collections::BTreeSet;
use std::time::Duration;

mod repository;

/// How long definitions that others change are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fine,
    /// A backup works, and somebody should look after it.
    Warning,
    /// A backup would fail with this kind.
    Failed(Kind),
}

/// One thing that was looked at.
#[derive(Debug)]
pub struct Check {
    /// What: `connection`, `privileges` …
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub what: String,
    /// Statements that mend it, each as it is to be run.
    pub mend: Vec<String>,
    /// What else to do about it, in words.
    pub hint: Option<String>,
}

/// What a backup would cover.
#[derive(Debug)]
pub struct Covered {
    /// Tables with their rows.
    pub tables: usize,
    /// Their bytes on the server's disk; `None` if some could not be measured, because somebody
    /// holds them.
    pub bytes: Option<u64>,
    /// Sequences; `None` if the role may not read some.
    pub sequences: Option<usize>,
    /// Large objects.
    pub large_objects: u64,
    /// Objects of the schema; `None` if somebody is changing what their definitions need.
    pub objects: Option<usize>,
    /// What would be left out.
    pub left_out: Vec<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which a backup would meet it.
    pub checks: Vec<Check>,
    /// What a backup would cover, if that could be found out.
    pub covered: Option<Covered>,
}

impl Report {
    /// The kind that a backup would fail with.
    pub fn failure(&self) -> Option<Kind> {
        self.checks.iter().find_map(|check| match check.state {
            State::Failed(kind) => Some(kind),
            _ => None,
        })
    }

    fn add(&mut self, name: &'static str, state: State, what: impl Into<String>) {
        self.checks.push(Check { name, state, what: what.into(), mend: Vec::new(), hint: None });
    }

    /// Notes a failure; a signal ends the whole run.
    fn failed(&mut self, name: &'static str, error: &Error) -> Result<()> {
        if let Kind::Interrupted(_) = error.kind() {
            return Err(Error::new(error.kind(), error.to_string())
                .hint("nothing was changed, and whether a backup would succeed is not known"));
        }
        let mut what = error.to_string();
        for cause in error.causes() {
            // What has been said is not said again.
            if !what.contains(&cause) {
                what = format!("{what}: {cause}");
            }
        }
        let (mend, hint) = advice(error);
        let state = State::Failed(error.kind());
        self.checks.push(Check { name, state, what, mend, hint });
        Ok(())
    }
}

/// A failure's next step: a statement, or words.
fn advice(error: &Error) -> (Vec<String>, Option<String>) {
    match error.next_step().map(str::to_owned) {
        Some(step) if step.ends_with(';') => (vec![step], None),
        step => (Vec::new(), step),
    }
}

/// Checks what `pgark backup` would need with the same options.
///
/// # Errors
/// [`Kind::Interrupted`] alone; all that is wrong is in the report.
pub fn run(
    options: &backup::Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Report> {
    let mut report = Report::default();
    if let Some(Err(error)) = options.name.as_deref().map(backup::checked_name) {
        report.failed("name", &error)?;
    }
    let place = match repository::check(&mut report, options) {
        Ok(place) => Some(place),
        Err(error) => report.failed("repository", &error).map(|()| None)?,
    };
    let mut ledgers = None;
    match interrupt.explain(database(&mut report, options, observer, interrupt)) {
        Ok((facts, found)) => {
            ledgers = found;
            if let (Some(place), Some(covered)) = (&place, &report.covered) {
                let estimate = repository::estimate(options, &facts, covered.bytes);
                repository::check_room(&mut report, place, estimate.as_ref());
            }
        }
        Err(error) => report.failed("database", &error)?,
    }
    migrations(&mut report, options, ledgers.as_deref(), observer)?;
    Ok(report)
}

/// Looks whether the project's files and the database agree, where both could be read.
fn migrations(
    report: &mut Report,
    options: &backup::Options,
    ledgers: Option<&[Ledger]>,
    observer: &dyn Observer,
) -> Result<()> {
    let project = match project::load_settled(&options.migrations, observer) {
        Ok(project) => project,
        Err(error) => return report.failed("migrations", &error),
    };
    let Some(ledgers) = ledgers else { return Ok(()) };
    let (sought, required) = (&options.migrations, options.require_migrations);
    match backup::migrations::agreement(project.as_ref(), ledgers, sought, required) {
        Err(error) if required => report.failed("migrations", &error)?,
        Err(error) => {
            let (mend, hint) = advice(&error);
            let what = error.to_string();
            let state = State::Warning;
            report.checks.push(Check { name: "migrations", state, what, mend, hint });
        }
        Ok(()) => {
            if let Some(project) = project {
                report.add("migrations", State::Fine, project.describe());
            }
        }
    }
    Ok(())
}

/// Checks the database, and gives its name and its ledgers, where definitions stand still for long enough
/// to be read.
fn database(
    report: &mut Report,
    options: &backup::Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<(String, Option<Vec<Ledger>>)> {
    observer.phase("connecting", None);
    let mut session = interrupt.open(&options.source.connection, None, Purpose::Catalog)?;
    session.check_not_pooled()?;
    let encrypted = session.target().encryption == [Encryption::Tls];
    report.add(
        "connection",
        State::Fine,
        format!(
            "{}, PostgreSQL {}{}{}{}",
            session.target().describe(),
            session.facts.server_version,
            if encrypted { ", encrypted" } else { "" },
            if session.facts.superuser { ", a superuser" } else { "" },
            if session.facts.in_recovery { ", a standby" } else { "" }
        ),
    );
    target::check_unmarked(&mut session)?;
    let looked = steady::read(PATIENCE, interrupt, |limits| {
        let mut found = Report::default();
        let ledgers = look(&mut found, &mut session, options, limits, observer, interrupt);
        Ok(steady::let_go(&mut session, ledgers)?.map(|ledgers| (found, ledgers)))
    });
    let ledgers = match looked {
        Ok((found, ledgers)) => {
            report.checks.extend(found.checks);
            report.covered = found.covered;
            Some(ledgers)
        }
        Err(error) if error.kind() == Kind::Locked => {
            let hint = error.next_step().map(str::to_owned);
            let (what, state) = (error.to_string(), State::Warning);
            report.checks.push(Check { name: "schema", state, what, mend: Vec::new(), hint });
            None
        }
        Err(error) => return Err(error),
    };
    Ok((session.facts.database, ledgers))
}

/// Checks what is in the database, and gives its ledgers. `None`: definitions changed while they were
/// read.
fn look(
    report: &mut Report,
    session: &mut Session,
    options: &backup::Options,
    limits: Limits,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Option<Vec<Ledger>>> {
    observer.phase("looking at the tables", None);
    session.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    snapshot::limit_lock_waits(session, limits.lock_wait)?;
    let mut tables = catalog::tables(&mut session.client)?;
    let choices = schema::choices(session, &tables, &options.source)?;
    privileges(report, session, &tables, &choices, options)?;
    if let Err(error) = schema::check_standby(&tables, &choices, session.facts.in_recovery) {
        report.failed("standby", &error)?;
    }
    let locked = locks(report, session, &tables, &choices)?;
    filter::apply(session, &mut tables, &choices, &options.source)?;
    observer.phase("reading the schema", None);
    session.execute("SAVEPOINT before_schema")?;
    match covered(session, &tables, &choices, options, &locked) {
        Ok((covered, carried)) => {
            if let Err(error) = carried {
                report.failed("schema", &error)?;
            }
            report.covered = Some(covered);
        }
        Err(error) => {
            let error = interrupt.reason(error);
            session.execute("ROLLBACK TO SAVEPOINT before_schema")?;
            if error.kind() == Kind::Locked && !locked.is_empty() {
                report.checks.push(Check {
                    name: "schema",
                    state: State::Warning,
                    what: String::from("definitions cannot be read while those locks are held"),
                    mend: Vec::new(),
                    hint: Some(String::from("check again when they are gone")),
                });
                let measured = measure(session, &tables, &choices, options, &locked)?;
                report.covered = Some(measured);
            } else if matches!(error.kind(), Kind::Failed | Kind::Server | Kind::Locked)
                && changed(session, options, interrupt)?
            {
                return Ok(None);
            } else {
                report.failed("schema", &error)?;
            }
        }
    }
    let ledgers = backup::migrations::ledgers(session, &tables)?;
    session.execute("ROLLBACK")?;
    Ok(Some(ledgers))
}

/// Whether definitions are not as the session's transaction sees them any more.
fn changed(
    session: &mut Session,
    options: &backup::Options,
    interrupt: &Interrupt,
) -> Result<bool> {
    let mut fresh = interrupt.open(&options.source.connection, None, Purpose::Catalog)?;
    Ok(snapshot::catalog_fingerprint(session)? != snapshot::catalog_fingerprint(&mut fresh)?)
}

/// Tables whose rows are to be read.
fn to_read<'a>(tables: &'a [CatalogTable], choices: &[Choice]) -> Vec<&'a CatalogTable> {
    let whole = tables.iter().zip(choices).filter(|(_, choice)| **choice == Choice::Whole);
    whole.map(|(table, _)| table).filter(|table| !table.partitioned).collect()
}

fn privileges(
    report: &mut Report,
    session: &mut Session,
    tables: &[CatalogTable],
    choices: &[Choice],
    options: &backup::Options,
) -> Result<()> {
    let read = to_read(tables, choices);
    let mut missing = grants::missing(session, &read)?;
    let of_relations = missing.len();
    if options.source.selection.is_inclusive() {
        missing.extend(grants::missing_large_objects(session)?);
    }
    if missing.is_empty() {
        let what = format!("{} and all sequences can be read", counted(read.len(), "table"));
        report.add("privileges", State::Fine, what);
    } else {
        let names: Vec<String> = missing.iter().map(|missing| missing.what.clone()).collect();
        let mend: Vec<String> = missing.into_iter().map(|missing| missing.grant).collect();
        let hint = grants::read_all_data(session)
            .filter(|_| of_relations > 1)
            .map(|one| format!("for all tables and sequences, now and later: {one}"));
        let what = format!("the role lacks {}", enumerate(&names));
        let state = State::Failed(Kind::Failed);
        report.checks.push(Check { name: "privileges", state, what, mend, hint });
    }
    // Whether the rows may be read at all is another question: both are to be mended at once.
    let hidden = read.iter().filter(|table| table.rows_hidden);
    let hidden: Vec<String> = hidden.map(|table| table.name.to_string()).collect();
    if !hidden.is_empty() {
        report.checks.push(Check {
            name: "row-security",
            state: State::Failed(Kind::Refused),
            what: format!("row-level security hides rows of {}", enumerate(&hidden)),
            mend: vec![grants::bypass_row_security(session)],
            hint: None,
        });
    }
    Ok(())
}

/// Warns of locks that a backup would wait for, and gives the tables that they are on.
fn locks(
    report: &mut Report,
    session: &mut Session,
    tables: &[CatalogTable],
    choices: &[Choice],
) -> Result<BTreeSet<u32>> {
    let to_lock: Vec<&CatalogTable> = tables
        .iter()
        .zip(choices)
        .filter(|(_, choice)| **choice != Choice::LeftOut)
        .map(|(table, _)| table)
        .collect();
    let conflicts = conflicts::find(session, &to_lock)?;
    for conflict in &conflicts {
        let table = &conflict.table;
        let what = match conflict.held {
            true => format!("a backup would wait now: {table} is held by {}", conflict.by),
            false => {
                format!("a backup would wait now behind {}, who waits for {table}", conflict.by)
            }
        };
        report.checks.push(Check {
            name: "locks",
            state: State::Warning,
            what,
            mend: match conflict.by.process {
                0 => Vec::new(),
                process => vec![format!("SELECT pg_terminate_backend({process});")],
            },
            hint: Some(String::from(match conflict.by.process {
                0 => "pg_prepared_xacts lists it; COMMIT or ROLLBACK PREPARED ends it",
                _ => "or wait until it has ended",
            })),
        });
    }
    if conflicts.is_empty() {
        report.add("locks", State::Fine, "nobody is in the way");
    }
    let held = |table: &&&CatalogTable| conflicts.iter().any(|c| c.table == table.name);
    Ok(to_lock.iter().filter(held).map(|table| table.oid).collect())
}

/// What a backup would cover, and whether what it could not carry is allowed to be missing.
fn covered(
    session: &mut Session,
    tables: &[CatalogTable],
    choices: &[Choice],
    options: &backup::Options,
    locked: &BTreeSet<u32>,
) -> Result<(Covered, Result<()>)> {
    let read = ddl::read(&mut session.client, &session.facts)?;
    let selection = &options.source.selection;
    let coverage = schema::cover(session, read, tables, choices, selection, None)?;
    let carried = schema::check_carried(&coverage.not_carried, &options.source.allow_missing);
    let measured = measure(session, tables, choices, options, locked)?;
    let mut left_out = coverage.left_out;
    left_out.extend(
        coverage
            .not_carried
            .iter()
            .map(|object| format!("{} {}", object.class, Printable(&object.name))),
    );
    if !selection.is_inclusive() {
        let large_objects = catalog::count_large_objects(&mut session.client)?;
        if large_objects > 0 {
            left_out.push(counted(large_objects as usize, "large object"));
        }
    }
    let chosen = coverage.sequences.as_ref();
    let takes =
        |sequence: &&SequenceState| schema::takes_sequence(chosen, tables, choices, sequence);
    // That some may not be read is said elsewhere; the failure must not end the transaction.
    session.execute("SAVEPOINT before_sequences")?;
    let sequences = match catalog::sequences(&mut session.client) {
        Ok(sequences) => Some(sequences.iter().filter(takes).count()),
        Err(_) => {
            session.execute("ROLLBACK TO SAVEPOINT before_sequences")?;
            None
        }
    };
    let objects = Some(coverage.objects.len());
    Ok((Covered { sequences, objects, left_out, ..measured }, carried))
}

/// What can be said of a backup without its schema.
fn measure(
    session: &mut Session,
    tables: &[CatalogTable],
    choices: &[Choice],
    options: &backup::Options,
    locked: &BTreeSet<u32>,
) -> Result<Covered> {
    let rows = to_read(tables, choices);
    // The size of a table that somebody holds could be waited for. No privilege is needed for it.
    let free: Vec<&CatalogTable> =
        rows.iter().copied().filter(|table| !locked.contains(&table.oid)).collect();
    let bytes = conflicts::bytes(session, &free)?;
    let large_objects = match options.source.selection.is_inclusive() {
        true => catalog::count_large_objects(&mut session.client)?,
        false => 0,
    };
    Ok(Covered {
        tables: rows.len(),
        bytes: (free.len() == rows.len()).then_some(bytes),
        sequences: None,
        large_objects,
        objects: None,
        left_out: Vec::new(),
    })
}
