//! `pgark migrations consolidate`: gate → archive → proof → exchange of folders → check again.
//!
//! Nothing in the live database is changed, ever: the new revision has the old head's id. Nothing
//! in the project is changed before the proof, and then in one step.

use super::gate::{self, Behind, Held};
use super::new_tree::{self, Written};
use super::project::{self, AlembicProject, Sought};
use super::proof::Compared;
use super::{scratch, unfit};
use crate::archive::reader::ArchiveReader;
use crate::error::Result;
use crate::model::connection::Connection;
use crate::model::schema::{NotCarried, ObjectClass, SchemaObject};
use crate::ops::described;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::version_table::Hold;
use crate::rules::alembic::fold::Kept;
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::runner;
use crate::rules::pattern::Pattern;
use crate::rules::role_names;
use crate::rules::schema_diff::{Aspect, Schema};
use crate::store::tree_swap::{self, NewTree, ProjectLock, Recovered, Staged};
use chrono::{DateTime, Utc};
use seeds::Seeded;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod baseline;
mod checks;
mod keep;
mod prepare;
mod seeds;
mod varying;

/// What belongs to whoever runs the revisions, and where.
const RIGHTS: [Aspect; 3] = [Aspect::Owners, Aspect::Privileges, Aspect::SecurityLabels];

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
    /// Tables whose rows the old revisions insert and the new one does not.
    pub without_rows: Vec<Pattern>,
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
    /// The project's folder, as it was named; paths are relative to it.
    pub root: PathBuf,
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
    pub legacy_ini: String,
    /// The section of the ini file.
    pub section: String,
    /// The archive.
    pub archive: Option<PathBuf>,
    /// What it does not carry, as allowed.
    pub not_carried: Vec<NotCarried>,
    /// What was compared.
    pub compared: Vec<Compared>,
    /// What could not be compared, with the reason.
    pub uncompared: Vec<String>,
    /// What no statement of the new revision makes.
    pub left_out: Vec<String>,
    /// What is worth to know, and keeps nothing from being right.
    pub notes: Vec<String>,
    /// How many rows go into the new revision, by table.
    pub seeds: Vec<(String, u64)>,
    /// Databases that have not applied all revisions.
    pub behind: Vec<Behind>,
    /// Databases of the server that could not be looked into, with the reason.
    pub not_looked_into: Vec<(String, String)>,
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
    fold: &'a [Kept],
    seeded: &'a Seeded,
    /// Name of the archive.
    archive: String,
    started: DateTime<Utc>,
    observer: &'a dyn Observer,
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
    notes: Vec<String>,
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
    let lock = ProjectLock::take(&gate::root(&options.sought)?, options.dry_run)?;
    recover(&lock, options.dry_run, observer)?;
    let project = gate::load(&options.sought, observer)?;
    unfit::check(&project)?;
    let graph = project.graph()?;
    checks::check_project(&project, &graph, &options.keep)?;
    let stamp = started.format("%Y%m%d-%H%M%S").to_string();
    let parked =
        new_tree::parking_place(&project, options.park.as_deref(), &format!("legacy-{stamp}"));
    checks::check_parking(&project, options.park.as_deref(), &parked)?;

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
    gate::check_at_head(&graph, &rows, &database)
        .map_err(|error| checks::in_section(error, &options.sought.section))?;
    let others = gate::others(&mut held, &options.connection, &options.also, &graph, observer)?;
    checks::check_version_tables(&held, &others, options)?;
    let seeded = Seeded::find(options, &held)?;
    let fold = match options.keep.is_empty() {
        true => Vec::new(),
        false => keep::plan(&graph, &options.keep, &others.behind)?,
    };
    foretell(&fold, &others.behind, observer);
    // What cannot be is said before hours of archiving.
    let (mut bench, old) = prepare::bench(options, &project, &mut held, observer, interrupt)?;

    let (archive, live) = match options.dry_run {
        true => {
            observer.phase("reading the schema", None);
            let patience = options.lock_timeout;
            (None, described::database(&options.connection, None, patience, interrupt)?)
        }
        false => {
            let archive = prepare::archive(options, &project, &rows, observer, interrupt)?;
            let live = described::archive(&ArchiveReader::open(&archive.path)?)?;
            // From here on Alembic is held out: it could not be told from one that is lost.
            held.hold(Hold::Alone)?;
            (Some(archive), live)
        }
    };
    let name = archive.as_ref().and_then(|archive| archive.path.file_stem());
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
        fold: &fold,
        seeded: &seeded,
        archive: name.clone(),
        started,
        observer,
    };
    let proved = match options.keep.is_empty() {
        true => baseline::prove(&mut work, &mut bench, old)?,
        false => keep::prove(&mut work, &mut bench, old)?,
    };
    // Whatever comes now, scratch databases are of no more use.
    drop(bench);
    let (ignored, live) = (work.ignored(), work.live);
    let mut uncompared = proved.uncompared;
    let unread = live.not_carried.iter();
    uncompared.extend(
        unread
            .map(|object| format!("{} {}, which pgark does not carry", object.class, object.name)),
    );
    let (legacy_ini, companion) = new_tree::legacy_ini(&project, &options.sought.section, &parked);
    let (archive, not_carried) = match archive {
        Some(archive) => (Some(archive.path), archive.not_carried),
        None => (None, Vec::new()),
    };
    let summary = Summary {
        dry_run: options.dry_run,
        root: project.root.clone(),
        database,
        heads: graph.tips().into_iter().map(str::to_owned).collect(),
        replaced: proved.replaced,
        fold: proved.fold,
        written: proved.written.clone(),
        parked: parked.clone(),
        legacy_ini,
        section: options.sought.section.clone(),
        archive,
        not_carried,
        compared: proved.compared,
        uncompared,
        left_out: proved.left_out,
        notes: proved.notes,
        seeds: proved.seeds,
        behind: others.behind.clone(),
        not_looked_into: others.not_looked_into,
        elapsed: Duration::ZERO,
    };
    if !options.dry_run {
        observer.phase("exchanging the folders", None);
        interrupt.check()?;
        let files = new_tree::files(&project, &proved.gone, &proved.written);
        let trees = new_tree::swaps(&project, &files, &parked, Some(companion))?;
        checks::check_unchanged(&project, options, observer)?;
        let exchange = stage(&lock, trees, observer)?.exchange(&name)?;
        // Nobody finds the old files by their names any more, and all can still be undone.
        let checked = exchange
            .check_old(&project.files)
            .map_err(|error| error.hint("run again when nobody works on the migrations"))
            .and_then(|()| {
                checks::check_again(&summary, &graph, &rows, &mut held, options, observer)
            })
            .and_then(|()| checks::check_live(&live, &ignored, &mut held));
        if let Err(error) = checked {
            return Err(exchange.undone(error));
        }
        exchange.park()?;
        checks::check_again(&summary, &graph, &rows, &mut held, options, observer)
            .map_err(|error| checks::after_parking(error, &name))?;
    }
    // Nothing was written; the locks go with it.
    held.session.execute("ROLLBACK")?;
    Ok(Summary { elapsed: begun.elapsed(), ..summary })
}

/// Says what is to become of revisions that are kept, and of databases, while it can be left.
fn foretell(fold: &[Kept], behind: &[Behind], observer: &dyn Observer) {
    for kept in fold {
        observer.note(&kept.to_string());
    }
    // With --keep, each stands at a revision that stays.
    for database in behind.iter().filter(|_| fold.is_empty()) {
        observer.warn(&format!(
            "{} is at {}: after the exchange, Alembic refuses it until the parked revisions have brought it on",
            database.database,
            database.revisions.join(", ")
        ));
    }
}

/// Ends or undoes what a killed run has begun in a project; the answer is whether there was anything.
pub(super) fn recover(
    lock: &ProjectLock,
    look_only: bool,
    observer: &dyn Observer,
) -> Result<bool> {
    if look_only {
        return project::check_settled(lock.root()).map(|()| false);
    }
    let Some(archive) = tree_swap::pending_archive(lock.root())? else { return Ok(false) };
    let done = match lock.recover()? {
        None => return Ok(false),
        Some(Recovered::Finished) => {
            String::from("exchanged the folders of the migrations: parked the old ones")
        }
        Some(Recovered::Undone(others)) => {
            let done = "begun to exchange the folders of the migrations: undid that";
            match others.is_empty() {
                true => String::from(done),
                false => format!(
                    "{done}, and kept what others had put into the new ones: {}",
                    tree_swap::named(&others)
                ),
            }
        }
    };
    observer.warn(&format!("a run that was killed had {done}; its archive is {archive}"));
    Ok(true)
}

/// Writes the new folders beside the old ones, and says what was in their way.
pub(super) fn stage(
    lock: &ProjectLock,
    trees: Vec<NewTree>,
    observer: &dyn Observer,
) -> Result<Staged> {
    let staged = lock.stage(trees)?;
    for place in staged.set_aside() {
        observer.warn(&format!(
            "{} is what a run that was killed has left, the old revisions perhaps, and its journal is gone: look at it before it is removed",
            place.display()
        ));
    }
    Ok(staged)
}

impl Work<'_> {
    /// In which aspects a scratch database may differ from the live one.
    fn ignored(&self) -> BTreeSet<Aspect> {
        let mut ignored = self.options.ignore.clone();
        use Aspect::{DatabaseSettings, ExtensionVersions, Populated, Tablespaces};
        ignored.extend([Tablespaces, DatabaseSettings, ExtensionVersions, Populated]);
        if !self.options.with_privileges {
            ignored.extend(RIGHTS);
        }
        ignored
    }

    /// The same in comparisons with what the old revisions build: their owners and privileges are those
    /// of the role that runs them in a scratch database.
    fn ignored_beside_rights(&self) -> BTreeSet<Aspect> {
        let mut ignored = self.ignored();
        ignored.extend(RIGHTS);
        ignored
    }

    /// In which aspects the new revision may differ from the old ones, both built by one role.
    fn ignored_of_chain(&self) -> BTreeSet<Aspect> {
        match self.options.with_privileges {
            true => BTreeSet::from(RIGHTS),
            false => BTreeSet::new(),
        }
    }

    /// The roles that the live schema names.
    fn roles(&self) -> BTreeSet<String> {
        self.live.objects.iter().flat_map(role_names::named).collect()
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
    /// A schema that `runner` has made in a scratch database, as the role that runs the live revisions
    /// would have: the version table is that role's.
    fn as_run_live(&self, schema: &Schema, runner: Option<&str>) -> Schema {
        let table = &self.held.table;
        let is_version_table = |object: &&SchemaObject| {
            object.class == ObjectClass::Table
                && object.schema.as_ref() == Some(&table.schema)
                && object.name == table.name
        };
        let owner = self.live.objects.iter().find(is_version_table);
        match runner.zip(owner.and_then(|table| table.owner.as_deref())) {
            Some((runner, role)) => runner::as_run_by(schema, runner, role),
            None => schema.clone(),
        }
    }
}
