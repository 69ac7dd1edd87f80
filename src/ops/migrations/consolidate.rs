//! `pgark migrations consolidate`: gate → archive → proof → exchange of folders → check again.
//!
//! Nothing in the live database is changed, ever: the new revision has the old head's id. Nothing
//! in the project is changed before the proof, and then in one step.

use super::alembic::{self, Alembic, Command};
use super::gate::{self, Behind, Held};
use super::new_tree::{self, Written};
use super::project::{AlembicProject, Place, Sought};
use super::proof::Compared;
use super::{scratch, unfit};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::enumerate;
use crate::model::schema::ObjectClass;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::{backup, described};
use crate::pg::version_table::Hold;
use crate::rules::alembic::fold::Kept;
use crate::rules::alembic::graph::Graph;
use crate::rules::pattern::Pattern;
use crate::rules::schema_diff::{Aspect, Schema};
use crate::rules::selection::Selection;
use crate::store::tree_swap::{self, ProjectLock, Recovered};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod baseline;
mod keep;

/// What the new revisions are to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// What the old revisions build, which must be what is live.
    Chain,
    /// What is live, whether or not the old revisions build it.
    Live,
}

/// Which Alembic runs the revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runner {
    /// That of the project's virtual environment, or the one in PATH.
    Found,
    /// This line of shell.
    Named(String),
    /// None: only what pgark can run itself is proved.
    None,
}

/// What to consolidate, and how.
pub struct Options {
    /// The live database.
    pub connection: Connection,
    /// The repository's folder, for the archive.
    pub repository: PathBuf,
    /// The project.
    pub sought: Sought,
    /// The version table, if it is not the only one.
    pub version_table: Option<String>,
    /// The revisions to keep; empty is the newest alone, as a baseline.
    pub keep: Vec<String>,
    /// What the new revision is to build.
    pub reference: Reference,
    /// Tables whose live rows go into the new revision.
    pub seeds: Vec<Pattern>,
    /// Whether owners and privileges of the live database go into it.
    pub with_privileges: bool,
    /// In which aspects the live database may differ.
    pub ignore: BTreeSet<Aspect>,
    /// Other databases that may have applied the revisions.
    pub also: Vec<(String, Connection)>,
    /// Where proofs are made.
    pub scratch: scratch::Place,
    /// Which Alembic runs the revisions.
    pub runner: Runner,
    /// Variables for it: names and templates.
    pub templates: Vec<(String, String)>,
    /// pgark's own environment.
    pub environment: Vec<(OsString, OsString)>,
    /// How long one run of Alembic may take.
    pub patience: Duration,
    /// Where the old revisions are parked, relative to the project.
    pub park: Option<String>,
    /// Show everything, write nothing.
    pub dry_run: bool,
    /// Number of workers.
    pub jobs: usize,
    /// Compression level of the archive.
    pub level: i32,
    /// Classes of objects that the archive need not carry.
    pub allow_missing: Vec<ObjectClass>,
    /// How long to wait for locks.
    pub lock_timeout: Duration,
}

/// What was done.
#[derive(Debug)]
pub struct Summary {
    /// Whether it was only shown.
    pub dry_run: bool,
    /// The database.
    pub database: String,
    /// The newest revisions, which are as before.
    pub heads: Vec<String>,
    /// The revisions whose files are gone, in their order.
    pub replaced: Vec<String>,
    /// What stays, and what folded into it; empty for a baseline.
    pub fold: Vec<Kept>,
    /// The new files, with their texts.
    pub written: Vec<Written>,
    /// Where the old files are parked.
    pub parked: String,
    /// The ini file by which Alembic finds them there.
    pub legacy_ini: Option<String>,
    /// The archive.
    pub archive: Option<PathBuf>,
    /// What was compared.
    pub compared: Vec<Compared>,
    /// What could not be compared, with the reason.
    pub uncompared: Vec<String>,
    /// What no statement of the new revision makes.
    pub left_out: Vec<String>,
    /// How many rows go into the new revision, by table.
    pub seeds: Vec<(String, u64)>,
    /// Databases that have not applied all revisions.
    pub behind: Vec<Behind>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What the two ways of consolidating work with.
struct Work<'a> {
    options: &'a Options,
    project: &'a AlembicProject,
    graph: &'a Graph,
    held: &'a mut Held,
    /// The schema of the live database.
    live: Schema,
    behind: &'a [Behind],
    /// Name of the archive.
    archive: String,
    started: DateTime<Utc>,
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
}

/// The new revisions, proved.
struct Proved {
    written: Vec<Written>,
    /// Paths of the files that go.
    gone: BTreeSet<String>,
    replaced: Vec<String>,
    fold: Vec<Kept>,
    compared: Vec<Compared>,
    uncompared: Vec<String>,
    left_out: Vec<String>,
    seeds: Vec<(String, u64)>,
}

/// Consolidates.
///
/// # Errors
/// Whatever fails, the project's files and the database are as they were.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    interrupt.explain(consolidate(options, observer, interrupt))
}

fn consolidate(
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let (begun, started) = (Instant::now(), Utc::now());
    observer.phase("reading the migrations", None);
    let project = gate::load(&options.sought, observer)?;
    let lock = ProjectLock::take(&project.root)?;
    let project = match recover(&lock, &project, options.dry_run, observer)? {
        false => project,
        true => gate::load(&options.sought, observer)?,
    };
    unfit::check(&project)?;
    let graph = project.graph()?;
    check_project(&project, &graph, &options.keep)?;

    observer.phase("locking the version table", None);
    let mut held = Held::take(
        &options.connection,
        options.version_table.as_deref(),
        options.lock_timeout,
        options.dry_run,
        interrupt,
    )?;
    let database = held.session.facts.database.clone();
    let rows = held.rows()?;
    gate::check_at_head(&graph, &rows, &database)?;
    let behind = gate::behind(&mut held, &options.connection, &options.also, &graph, observer)?;
    if !options.keep.is_empty() {
        // What cannot be is said before hours of archiving.
        keep::plan(&graph, &options.keep, &behind)?;
    }

    let stamp = started.format("%Y%m%d-%H%M%S").to_string();
    let parked =
        new_tree::parking_place(&project, options.park.as_deref(), &format!("legacy-{stamp}"));
    let (archive, live) = match options.dry_run {
        true => {
            observer.phase("reading the schema", None);
            let patience = options.lock_timeout;
            (None, described::database(&options.connection, None, patience, interrupt)?)
        }
        false => {
            let archive = take_archive(options, &project, &rows, observer, interrupt)?;
            let live = described::archive(&ArchiveReader::open(&archive)?)?;
            // From here on Alembic is held out: it could not be told from one that is lost.
            held.hold(Hold::Alone)?;
            (Some(archive), live)
        }
    };
    let name = archive.as_deref().and_then(|path| path.file_stem());
    let name = name.map_or_else(
        || String::from("(no archive: a dry run)"),
        |n| n.to_string_lossy().into_owned(),
    );
    let mut work = Work {
        options,
        project: &project,
        graph: &graph,
        held: &mut held,
        live,
        behind: &behind,
        archive: name,
        started,
        observer,
        interrupt,
    };
    let proved = match options.keep.is_empty() {
        true => baseline::prove(&mut work)?,
        false => keep::prove(&mut work)?,
    };
    let (ignored, live) = (work.ignored(), work.live);
    let companion = new_tree::legacy_ini(&project, &options.sought.section, &parked);
    let legacy_ini = companion.as_ref().map(|(name, _)| format!("{parked}/{name}"));
    let summary = Summary {
        dry_run: options.dry_run,
        database,
        heads: graph.tips().into_iter().map(str::to_owned).collect(),
        replaced: proved.replaced.clone(),
        fold: proved.fold.clone(),
        written: proved.written.clone(),
        parked: parked.clone(),
        legacy_ini,
        archive,
        compared: proved.compared,
        uncompared: proved.uncompared,
        left_out: proved.left_out,
        seeds: proved.seeds,
        behind: behind.clone(),
        elapsed: Duration::ZERO,
    };
    if !options.dry_run {
        observer.phase("exchanging the folders", None);
        interrupt.check()?;
        let files = new_tree::files(&project, &proved.gone, &proved.written);
        let trees = new_tree::swaps(&project, &files, &parked, companion)?;
        check_unchanged(&project, options, observer)?;
        let exchange = lock.stage(trees)?.exchange()?;
        let checked = check_again(&summary, &graph, &rows, &mut held, options, observer)
            .and_then(|()| check_live(&live, &ignored, &mut held));
        if let Err(error) = checked {
            return Err(exchange.undone(error));
        }
        exchange.park()?;
    }
    // Nothing was written; the locks go with it.
    held.session.execute("ROLLBACK")?;
    Ok(Summary { elapsed: begun.elapsed(), ..summary })
}

/// Ends or undoes what a killed run has begun; the answer is whether there was anything.
pub(super) fn recover(
    lock: &ProjectLock,
    project: &AlembicProject,
    look_only: bool,
    observer: &dyn Observer,
) -> Result<bool> {
    if look_only && tree_swap::pending(&project.root) {
        return Err(Error::refused("a run that was killed has begun to exchange folders here")
            .hint("run pgark migrations consolidate or rollback without --dry-run: it ends or undoes that first"));
    }
    let done = lock.recover()?;
    match done {
        None => {}
        Some(Recovered::Finished) => observer.warn(
            "a run that was killed had exchanged the folders of the migrations: parked the old ones",
        ),
        Some(Recovered::Undone) => observer.warn(
            "a run that was killed had begun to exchange the folders of the migrations: undid that",
        ),
    }
    Ok(done.is_some())
}

fn check_project(project: &AlembicProject, graph: &Graph, keep: &[String]) -> Result<()> {
    let heads: Vec<String> = graph.heads().into_iter().map(str::to_owned).collect();
    match heads.len() {
        0 => {
            return Err(Error::refused(format!("{} has no revisions", project.root.display()))
                .hint("mend version_locations, or name another project with --migrations DIR"));
        }
        1 => {}
        _ if !keep.is_empty() => {}
        _ => {
            return Err(Error::refused(format!("there are several heads: {}", enumerate(&heads)))
                .hint("join them with alembic merge heads, or consolidate parts with --keep"));
        }
    }
    if graph.len() == 1 {
        return Err(Error::refused(format!(
            "there is nothing to consolidate: {} is the only revision",
            heads[0]
        )));
    }
    Ok(())
}

/// The archive, verified, with the project's files and the version table's rows in it.
fn take_archive(
    options: &Options,
    project: &AlembicProject,
    rows: &[String],
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<PathBuf> {
    let summary = backup::run(
        &backup::Options {
            connection: options.connection.clone(),
            repository: options.repository.clone(),
            name: None,
            jobs: options.jobs,
            level: options.level,
            selection: Selection::default(),
            allow_missing: options.allow_missing.clone(),
            migrations: Sought { place: place_of(options, project), ..options.sought.clone() },
            require_migrations: false,
            lock_timeout: options.lock_timeout,
        },
        observer,
        interrupt,
    )
    .map_err(|error| error.while_doing("no archive, no consolidation: the backup failed"))?;
    let bundle = summary.manifest.migrations.as_ref();
    let same_files = bundle.is_some_and(|bundle| {
        bundle.files.len() == project.files.len()
            && bundle.files.iter().zip(&project.files).all(|(archived, file)| {
                archived.path == file.path
                    && archived.sha256 == crate::archive::hashing::sha256(&file.content)
            })
    });
    let same_rows = summary.manifest.ledgers.iter().any(|ledger| ledger.revisions == rows);
    if !same_files || !same_rows {
        return Err(Error::failed(
            "the migrations changed while the archive was written; nothing else was done",
        ));
    }
    Ok(summary.archive)
}

fn place_of(options: &Options, project: &AlembicProject) -> Place {
    match &options.sought.place {
        Place::In(path) => Place::In(path.clone()),
        _ => Place::In(project.root.clone()),
    }
}

/// Fails when somebody has changed the project's files meanwhile.
fn check_unchanged(
    project: &AlembicProject,
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    let now = gate::load(&options.sought, observer)?;
    match now.files == project.files {
        true => Ok(()),
        false => {
            Err(Error::new(Kind::Failed, "the project's files changed meanwhile; nothing was done")
                .hint("run again when nobody works on the migrations"))
        }
    }
}

/// The new folders have their names: what they say must be what was meant, and the version table
/// must say what it said.
fn check_again(
    summary: &Summary,
    graph: &Graph,
    rows: &[String],
    held: &mut Held,
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    observer.phase("checking again", None);
    let wrong = |what: &str| Err(Error::failed(format!("after the exchange, {what}")));
    let now = gate::load(&options.sought, observer)?;
    let new = now.graph()?;
    if new.tips() != graph.tips() || new.heads() != graph.heads() {
        return wrong("the heads are not those of before");
    }
    if new.len() + summary.replaced.len() != graph.len() {
        return wrong("there are other revisions than were written");
    }
    gate::check_at_head(&new, rows, &summary.database)?;
    for written in &summary.written {
        let sealed = now.file(&written.path).and_then(|file| new_tree::is_sealed(&file.content));
        if sealed != Some(true) {
            return wrong(&format!("{} is not as it was written", written.path));
        }
    }
    if held.rows()? != rows {
        return wrong("the version table is not as it was");
    }
    Ok(())
}

/// What was proved must still be what is live: the proof takes its time, and nobody is kept from
/// changing other tables than the version table.
fn check_live(live: &Schema, ignored: &BTreeSet<Aspect>, held: &mut Held) -> Result<()> {
    let now = described::through(&mut held.session)?;
    let found = Compared::schemas(("live before", live), ("live now", &now), ignored);
    if found.is_equal() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Differs,
        format!("the live schema changed meanwhile: {}", enumerate(&found.findings())),
    )
    .hint("run again when nobody changes it"))
}

impl Work<'_> {
    /// The project's Alembic, if there is one.
    fn alembic(&self) -> Option<Alembic> {
        let options = self.options;
        let named = match &options.runner {
            Runner::None => return None,
            Runner::Found => None,
            Runner::Named(line) => Some(line.as_str()),
        };
        let command: Command = alembic::find(named, &self.project.root, &options.environment)?;
        let ini = self.project.config_file.as_deref().filter(|name| !name.ends_with(".toml"));
        let ini = ini.and_then(|name| self.project.file(name));
        Some(Alembic {
            command,
            root: self.project.root.clone(),
            ini: ini.map(|file| String::from_utf8_lossy(&file.content).into_owned()),
            section: options.sought.section.clone(),
            environment: options.environment.clone(),
            templates: options.templates.clone(),
            patience: options.patience,
        })
    }

    /// In which aspects a scratch database may differ from the live one.
    fn ignored(&self) -> BTreeSet<Aspect> {
        let mut ignored = self.options.ignore.clone();
        use Aspect::{DatabaseSettings, ExtensionVersions, Populated, Tablespaces};
        ignored.extend([Tablespaces, DatabaseSettings, ExtensionVersions, Populated]);
        if !self.options.with_privileges {
            ignored.extend([Aspect::Owners, Aspect::Privileges, Aspect::SecurityLabels]);
        }
        ignored
    }

    /// The whole version table where everything is applied.
    fn tips(&self) -> BTreeSet<String> {
        self.graph.tips().into_iter().map(str::to_owned).collect()
    }

    /// What `alembic upgrade` is told to reach everything.
    fn everything(&self) -> String {
        match self.graph.heads().as_slice() {
            [one] => (*one).to_owned(),
            _ => String::from("heads"),
        }
    }

    fn created(&self) -> String {
        self.started.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
    }
}
