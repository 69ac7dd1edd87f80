//! `pgark migrations consolidate`: gate → archive → proof → exchange of folders → check again.
//!
//! Nothing in the live database is changed, ever: the new revision has the old head's id. Nothing
//! in the project is changed before the proof, and then in one step.

use super::gate::{Behind, Held};
use super::new_tree::Written;
use super::project::{AlembicProject, Sought};
use super::proof::Compared;
use super::scratch;
use crate::error::Result;
use crate::model::connection::Connection;
use crate::model::schema::{NotCarried, ObjectClass, SchemaObject};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::rules::alembic::fold::Kept;
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::runner;
use crate::rules::pattern::Pattern;
use crate::rules::role_names;
use crate::rules::schema_diff::{Aspect, Schema};
use admission::Admitted;
use chrono::{DateTime, Utc};
use prepare::Archived;
use seeds::Seeded;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use swap::Swap;

mod admission;
mod baseline;
mod checks;
mod keep;
mod prepare;
mod seeds;
mod swap;
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
    /// The new revisions, and what was compared for them.
    pub proved: Proved,
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
    /// Databases that have not applied all revisions.
    pub behind: Vec<Behind>,
    /// Databases of the server that could not be looked into, with the reason.
    pub not_looked_into: Vec<(String, String)>,
    /// How long it took.
    pub elapsed: Duration,
}

/// The new revisions, proved.
#[derive(Debug, Default)]
pub struct Proved {
    /// The new files, with their texts.
    pub written: Vec<Written>,
    /// Paths of the files that go.
    pub gone: BTreeSet<String>,
    /// The revisions whose files are gone, in their order.
    pub replaced: Vec<String>,
    /// What stays, and what folded into it; empty for a baseline.
    pub fold: Vec<Kept>,
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
}

/// What the two ways of consolidating work with.
struct Work<'a> {
    options: &'a Options,
    project: &'a AlembicProject,
    graph: &'a Graph,
    held: &'a mut Held,
    /// The schema of the live database.
    live: &'a Schema,
    fold: &'a [Kept],
    seeded: &'a Seeded,
    /// Name of the archive.
    archive: &'a str,
    started: DateTime<Utc>,
    observer: &'a dyn Observer,
}

/// Consolidates.
///
/// # Errors
/// Whatever fails, the project's files and the database are as they were, unless only the old folders
/// could not be parked; the message says so.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    interrupt
        .explain(consolidate(options, observer, interrupt))
        .map_err(|error| options.sought.in_section(error))
}

fn consolidate(
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let begun = Instant::now();
    let mut admitted = admission::pass(options, observer, interrupt)?;
    // What cannot be is said before hours of archiving.
    let (mut bench, old) = prepare::bench(options, &mut admitted, observer, interrupt)?;
    let archived = prepare::archive(options, &mut admitted, observer, interrupt)?;
    let mut work = Work::new(options, &mut admitted, &archived, observer);
    let proved = match options.keep.is_empty() {
        true => baseline::prove(&mut work, &mut bench, old)?,
        false => keep::prove(&mut work, &mut bench, old)?,
    };
    let ignored = work.ignored();
    // Whatever comes now, scratch databases are of no more use.
    drop(bench);
    let mut swap = Swap { options, admitted, archived, proved, ignored };
    if !options.dry_run {
        swap.run(observer, interrupt)?;
        // Nothing was written, and the locks go with it; or with the session, where it is lost.
        drop(swap.admitted.held.session.execute("ROLLBACK"));
    }
    Ok(swap.summary(begun.elapsed()))
}

impl<'a> Work<'a> {
    fn new(
        options: &'a Options,
        admitted: &'a mut Admitted,
        archived: &'a Archived,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            options,
            project: &admitted.project,
            graph: &admitted.graph,
            held: &mut admitted.held,
            live: &archived.live,
            fold: &admitted.fold,
            seeded: &admitted.seeded,
            archive: &archived.name,
            started: admitted.started,
            observer,
        }
    }

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
