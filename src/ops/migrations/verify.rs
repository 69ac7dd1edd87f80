//! `pgark migrations verify`: a checklist after a consolidation, against the archive of before it.

use super::archived;
use super::gate;
use super::project::{AlembicProject, Sought};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::schema::ObjectClass;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::{compare, verify as archives};
use crate::pg::session::{Purpose, Session};
use crate::pg::{catalog, positions};
use crate::process::child::{self, Program};
use crate::rules::alembic::position::in_section;
use crate::rules::schema_diff::{Aspect, Change, Comparison, Difference};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod files;

/// What to check.
pub struct Options {
    /// The live database.
    pub connection: Connection,
    /// The archive of before the consolidation.
    pub archive: PathBuf,
    /// The project.
    pub sought: Sought,
    /// The version table, if it is not the only one.
    pub version_table: Option<String>,
    /// In which aspects the schema may differ.
    pub ignore: BTreeSet<Aspect>,
    /// Names of checks to leave out.
    pub skip: Vec<String>,
    /// Commands of the user's own, for a shell.
    pub commands: Vec<String>,
    /// pgark's own environment.
    pub environment: Vec<(OsString, OsString)>,
    /// How long one command may take.
    pub patience: Duration,
    /// Number of workers.
    pub jobs: usize,
    /// How long to wait for locks.
    pub lock_timeout: Duration,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Left out, as was asked for.
    Skipped,
}

/// One line of the list.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name, which `--skip` takes.
    pub name: String,
    /// What is checked.
    pub what: String,
    /// How it came out.
    pub state: State,
    /// What is wrong.
    pub findings: Vec<String>,
}

/// Names of the checks, and what each is about.
pub const CHECKS: &[(&str, &str)] = &[
    ("archive", "the archive is whole, and of before the consolidation"),
    ("database", "the database can be reached"),
    ("files", "the migration files fit together"),
    ("written", "what pgark has written is unchanged"),
    ("revisions", "every old revision is there or stood for"),
    ("hashes", "all other files are those in the archive"),
    ("version", "the version table says what it said"),
    ("head", "the database has applied all revisions, and no other"),
    ("tables", "all tables are there"),
    ("columns", "columns are as they were"),
    ("constraints", "constraints are as they were"),
    ("indexes", "indexes are as they were"),
    ("functions", "functions are as they were"),
    ("triggers", "triggers are as they were"),
    ("views", "views are as they were"),
    ("sequences", "sequences are as they were"),
    ("other", "all other objects are as they were"),
    ("positions", "no sequence is behind its column"),
    ("rows", "every table has as many rows"),
    ("digests", "the content of all rows, the sequences and large objects is the same"),
];

const NOT_REACHED: &str = "the database cannot be reached";

/// The list while it grows.
struct List<'a> {
    checks: Vec<Check>,
    skip: &'a [String],
    /// The section of the ini file, for what is to be typed.
    section: &'a str,
}

impl List<'_> {
    fn skipped(&self, name: &str) -> bool {
        self.skip.iter().any(|skipped| skipped == name)
    }

    fn add(&mut self, name: &str, findings: Vec<String>) {
        let what = CHECKS.iter().find(|(known, _)| *known == name).map_or(name, |(_, what)| what);
        let state = match (self.skipped(name), findings.is_empty()) {
            (true, _) => State::Skipped,
            (_, true) => State::Good,
            (_, false) => State::Bad,
        };
        let findings = if state == State::Bad { findings } else { Vec::new() };
        self.checks.push(Check { name: name.to_owned(), what: what.to_owned(), state, findings });
    }

    fn result<T>(&mut self, name: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => {
                self.add(name, Vec::new());
                Ok(Some(value))
            }
            Err(error) if matches!(error.kind(), Kind::Interrupted(_)) => Err(error),
            Err(error) => {
                self.add(name, vec![self.told(&error)]);
                Ok(None)
            }
        }
    }

    /// A failure as a finding.
    fn told(&self, error: &Error) -> String {
        match error.next_step() {
            Some(next) => format!("{}; {}", error.in_full(), in_section(next, self.section)),
            None => error.in_full(),
        }
    }
}

/// Goes through the list. What is not as it should be is in it, and is no error.
///
/// # Errors
/// An archive that cannot be opened at all, an interruption.
pub fn run(
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<Check>> {
    interrupt.explain(check_all(options, observer, interrupt))
}

fn check_all(
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<Check>> {
    let reader = ArchiveReader::open(&options.archive)?;
    let section = &options.sought.section;
    let mut list = List { checks: Vec::new(), skip: &options.skip, section };
    let (project, graph) = match gate::load(&options.sought, observer) {
        Ok(project) => {
            let graph = project.graph();
            (Some(project), graph)
        }
        Err(error) => (None, Err(error)),
    };
    let old = check_archive(&mut list, options, &reader, project.as_ref(), observer, interrupt)?;
    let session = interrupt.open(&options.connection, None, Purpose::Catalog);
    let mut session = list.result("database", session)?;

    let graph = list.result("files", graph)?;
    files::check(&mut list, project.as_ref(), old.as_ref());
    files::check_version(&mut list, options, &reader, graph.as_ref(), session.as_mut())?;
    check_database(options, &reader, &mut list, session.as_mut(), observer, interrupt)?;
    for command in &options.commands {
        observer.phase(&format!("running {command}"), None);
        let findings = run_command(command, options, interrupt)?;
        let state = if findings.is_empty() { State::Good } else { State::Bad };
        list.checks.push(Check {
            name: String::from("run"),
            what: command.clone(),
            state,
            findings,
        });
    }
    Ok(list.checks)
}

/// Whether the archive is whole, and of before; and its project, where that can be read.
fn check_archive(
    list: &mut List<'_>,
    options: &Options,
    reader: &ArchiveReader,
    project: Option<&AlembicProject>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Option<AlembicProject>> {
    observer.phase("verifying the archive", None);
    let depth = archives::Depth::Rows;
    let report = archives::check_open(reader, depth, options.jobs, observer, interrupt)?;
    let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let old = match archived::project(reader, Path::new(".")) {
        Ok(old) => Some(old),
        Err(error) => {
            // What is damaged is among the findings.
            if findings.is_empty() || error.kind() != Kind::Damaged {
                findings.push(list.told(&error));
            }
            None
        }
    };
    if let (Some(project), Some(old)) = (project, &old) {
        let checked = files::check_before(project, old, &reader.manifest().name);
        findings.extend(checked.err().map(|error| list.told(&error)));
    }
    list.add("archive", findings);
    Ok(old)
}

fn check_database(
    options: &Options,
    reader: &ArchiveReader,
    list: &mut List<'_>,
    session: Option<&mut Session>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let Some(session) = session else {
        for name in of_database() {
            list.add(name, vec![String::from(NOT_REACHED)]);
        }
        return Ok(());
    };
    // Now, because a session that waits for the comparison may be gone then.
    let lagging = catalog::sequences(&mut session.client)
        .and_then(|sequences| positions::behind_their_columns(session, &sequences))
        .unwrap_or_else(|error| vec![error.in_full()]);
    let with_rows = !(list.skipped("rows") && list.skipped("digests"));
    let compared = compare::run(
        &compare::Options {
            allow_conditions: false,
            left: compare::Input::Archive(reader.path().to_owned()),
            right: compare::Input::Database(options.connection.clone()),
            rows: with_rows,
            schema: Some(options.ignore.clone()),
            jobs: options.jobs,
            lock_timeout: options.lock_timeout,
        },
        observer,
        interrupt,
    );
    let compared = match compared {
        Ok(compared) => compared,
        Err(error) if matches!(error.kind(), Kind::Interrupted(_)) => return Err(error),
        Err(error) => {
            add_not_compared(list, &error, &lagging);
            return Ok(());
        }
    };
    if let Some(schema) = &compared.schema {
        add_schema(list, schema);
    }
    list.add("positions", lagging);
    let (mut counts, mut contents) = (Vec::new(), Vec::new());
    for difference in compared.rows.iter().flat_map(|rows| &rows.differences) {
        let line = format!("{}: {}", difference.object, difference.what);
        let of_count =
            difference.object.starts_with("table ") && !difference.what.contains("on both sides");
        if of_count { counts.push(line) } else { contents.push(line) }
    }
    list.add("rows", counts);
    list.add("digests", contents);
    Ok(())
}

/// The checks of [`check_database`].
fn of_database() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name).skip_while(|name| *name != "tables")
}

/// The same where archive and database could not be compared: why is said once.
fn add_not_compared(list: &mut List<'_>, error: &Error, lagging: &[String]) {
    let told = list.told(error);
    let needs_it = |name: &&str| *name != "positions" && !list.skipped(name);
    let first = of_database().find(needs_it).unwrap_or_default();
    for name in of_database() {
        let findings = match name {
            "positions" => lagging.to_vec(),
            _ if name == first => vec![told.clone()],
            _ => vec![format!("not compared, see {first}")],
        };
        list.add(name, findings);
    }
}

fn add_schema(list: &mut List<'_>, schema: &Comparison) {
    let mut groups: Vec<(&str, Vec<String>)> =
        of_database().take_while(|n| *n != "positions").map(|name| (name, Vec::new())).collect();
    for difference in &schema.differences {
        let group = group(difference);
        let line = super::proof::headline(difference);
        if let Some((_, lines)) = groups.iter_mut().find(|(name, _)| *name == group) {
            lines.push(line);
        }
    }
    let uncompared =
        schema.uncompared.iter().map(|o| format!("{} {} cannot be compared", o.class, o.name));
    if let Some((_, lines)) = groups.last_mut() {
        lines.extend(uncompared);
    }
    for (name, lines) in groups {
        list.add(name, lines);
    }
}

fn group(difference: &Difference) -> &'static str {
    use ObjectClass as C;
    let order = matches!(difference.change, Change::Order { .. });
    match difference.object.class {
        C::Table if difference.column.is_some() || order => "columns",
        C::Table | C::ForeignTable | C::PartitionAttach => "tables",
        C::Column | C::Default | C::NotNull => "columns",
        C::Check
        | C::PrimaryKey
        | C::Unique
        | C::Exclusion
        | C::ForeignKey
        | C::DomainConstraint => "constraints",
        C::Index | C::IndexAttach => "indexes",
        C::Function | C::Procedure | C::Aggregate => "functions",
        C::Trigger | C::EventTrigger => "triggers",
        C::View | C::MaterializedView | C::MaterializedViewData => "views",
        C::Sequence | C::SequenceOwner => "sequences",
        _ => "other",
    }
}

fn run_command(command: &str, options: &Options, interrupt: &Interrupt) -> Result<Vec<String>> {
    let program = Program {
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), command.into()],
        folder: Path::new(".").to_owned(),
        environment: options.environment.clone(),
        user: None,
        patience: options.patience,
    };
    match child::run(&program, &mut || interrupt.check()) {
        Ok(ended) if ended.status.success() => Ok(Vec::new()),
        Ok(ended) => Ok(vec![format!("{}: {}", ended.status, ended.last_words())]),
        Err(error) if matches!(error.kind(), Kind::Interrupted(_)) => Err(error),
        Err(error) => Ok(vec![error.in_full()]),
    }
}
