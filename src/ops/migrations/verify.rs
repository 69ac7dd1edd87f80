//! `pgark migrations verify`: a checklist after a consolidation, against the archive of before it.

use super::gate;
use super::in_place::{self, InPlace};
use super::project::{AlembicProject, Sought};
use super::{archived, new_tree};
use crate::archive::hashing;
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
use crate::rules::alembic::revision_file;
use crate::rules::schema_diff::{Aspect, Change, Comparison, Difference};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// The list while it grows.
struct List<'a> {
    checks: Vec<Check>,
    skip: &'a [String],
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
                self.add(name, vec![error.in_full()]);
                Ok(None)
            }
        }
    }
}

/// Goes through the list. What is not as it should be is in it, and is no error.
///
/// # Errors
/// An archive that cannot be opened at all, an unknown check, an interruption.
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
    for name in &options.skip {
        if !CHECKS.iter().any(|(known, _)| known == name) {
            let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
            return Err(Error::new(Kind::Usage, format!("there is no check \"{name}\""))
                .hint(format!("the checks are {}", names.join(", "))));
        }
    }
    let reader = ArchiveReader::open(&options.archive)?;
    let mut list = List { checks: Vec::new(), skip: &options.skip };
    observer.phase("verifying the archive", None);
    let report = archives::check_file(
        &options.archive,
        None,
        archives::Depth::Rows,
        options.jobs,
        observer,
        interrupt,
    )?;
    let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let loaded = gate::load(&options.sought, observer);
    if let Ok(project) = &loaded {
        findings.extend(not_of_before(project, &reader)?);
    }
    list.add("archive", findings);
    let session = interrupt.open(&options.connection, None, Purpose::Catalog);
    let mut session = list.result("database", session)?;

    check_files(options, &reader, &mut list, loaded, session.as_mut())?;
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

/// Why the archive is not the one of before the consolidation, if it is not.
fn not_of_before(project: &AlembicProject, reader: &ArchiveReader) -> Result<Option<String>> {
    let old = archived::project(reader, &project.root)?;
    let written = in_place::find(&project.files, &project.version_locations);
    let checked = in_place::check_before(&old, &reader.manifest().name, &written);
    Ok(checked.err().map(|error| match error.next_step() {
        Some(next) => format!("{}; {next}", error.in_full()),
        None => error.in_full(),
    }))
}

fn check_files(
    options: &Options,
    reader: &ArchiveReader,
    list: &mut List<'_>,
    loaded: Result<AlembicProject>,
    session: Option<&mut Session>,
) -> Result<()> {
    let loaded = loaded.and_then(|project| {
        let graph = project.graph()?;
        Ok((project, graph))
    });
    let Some((project, graph)) = list.result("files", loaded)? else { return Ok(()) };
    let old = archived::project(reader, &project.root)?;
    let written = in_place::find(&project.files, &project.version_locations);
    list.add("written", not_as_written(&project, &old, &written));
    let stood_for: BTreeSet<&String> = written
        .iter()
        .filter(|written| written.intact == Some(true))
        .flat_map(|written| &written.stands_for)
        .collect();
    let lost = old
        .revisions
        .iter()
        .filter(|file| graph.get(&file.id).is_none() && !stood_for.contains(&file.id));
    list.add("revisions", lost.map(|file| format!("{} is nowhere", file.id)).collect());
    let mut different = Vec::new();
    for file in old.files.iter().filter(|file| !new_tree::is_compiled(&file.path)) {
        let is_revision = old.revisions.iter().any(|revision| revision.path == file.path)
            || revision_file::is_revision_file(&file.path, false)
                && new_tree::is_below_any(&file.path, &old.version_locations);
        match project.file(&file.path) {
            Some(now) if now.content == file.content => {}
            Some(now) if is_revision && new_tree::is_sealed(&now.content).is_some() => {}
            Some(now) => different.push(format!(
                "{} has SHA-256 {}, and {} in the archive{}",
                file.path,
                hashing::sha256(&now.content),
                hashing::sha256(&file.content),
                match without_returns(&now.content) == without_returns(&file.content) {
                    true => ": its lines end in another way, as Git can make them",
                    false => "",
                }
            )),
            None if is_revision => {}
            None => different.push(format!("{} is gone", file.path)),
        }
    }
    list.add("hashes", different);
    let Some(session) = session else { return Ok(()) };
    let database = session.facts.database.clone();
    let found = gate::version_table(session, options.version_table.as_deref())
        .and_then(|table| Ok((catalog::alembic_revisions(&mut session.client, &table)?, table)));
    let (rows, table) = match found {
        Ok(found) => found,
        Err(error) => {
            list.add("version", vec![error.in_full()]);
            return Ok(());
        }
    };
    let before = archived::ledger(reader, &table);
    let before = before.map(|ledger| ledger.revisions.clone()).unwrap_or_default();
    let differs = rows != before;
    list.add(
        "version",
        differs
            .then(|| format!("it says {}, and said {}", rows.join(", "), before.join(", ")))
            .into_iter()
            .collect(),
    );
    list.result("head", gate::check_at_head(&graph, &rows, &database)).map(drop)
}

/// What pgark has written and somebody has changed, and what has the id of one of the archive's
/// revisions without being its file or bearing a seal.
fn not_as_written(
    project: &AlembicProject,
    old: &AlembicProject,
    written: &[InPlace<'_>],
) -> Vec<String> {
    let changed = written.iter().filter(|written| written.intact == Some(false));
    let mut findings: Vec<String> = changed
        .map(|written| format!("{} was changed after it was written", written.file.path))
        .collect();
    let content = |of: &AlembicProject, path: &str| of.file(path).map(|file| file.content.clone());
    for now in &project.revisions {
        let Some(then) = old.revisions.iter().find(|then| then.id == now.id) else { continue };
        let sealed = written.iter().any(|w| w.file.path == now.path && w.intact.is_some());
        if !sealed && content(project, &now.path) != content(old, &then.path) {
            findings.push(format!(
                "{} is revision {}, and neither the archive's file nor under pgark's seal",
                now.path, now.id
            ));
        }
    }
    findings
}

fn without_returns(content: &[u8]) -> Vec<u8> {
    content.iter().copied().filter(|byte| *byte != b'\r').collect()
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
            list.add(name, vec![String::from("the database cannot be reached")]);
        }
        return Ok(());
    };
    // Now, because a session that waits for the comparison may be gone then.
    let lagging = catalog::sequences(&mut session.client)
        .and_then(|sequences| positions::behind_their_columns(session, &sequences));
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
            for name in of_database() {
                list.add(name, vec![error.in_full()]);
            }
            return Ok(());
        }
    };
    if let Some(schema) = &compared.schema {
        add_schema(list, schema);
    }
    list.add("positions", lagging.unwrap_or_else(|error| vec![error.in_full()]));
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
        C::Default | C::NotNull => "columns",
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
