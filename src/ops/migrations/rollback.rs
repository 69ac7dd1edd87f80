//! `pgark migrations rollback`: the archive's migration files come back by an exchange of folders.
//!
//! The version row is touched only where the files that come back do not know it, and then by an
//! update that expects exactly one row. Rows of other tables come back only when asked for, through
//! the ordinary restore.

use super::gate::Held;
use super::project::{AlembicProject, Sought};
use super::{archived, consolidated, exchange, new_tree};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::restore::preview::Replacement;
use crate::ops::{restore, verify};
use crate::pg::version_table;
use crate::rules::alembic::graph::Graph;
use crate::store::project_files::{self, ProjectFile};
use crate::store::tree_swap::{self, Added, Exchange, NewTree, ProjectLock, Staged};
use chrono::{DateTime, Utc};
use files::Frame;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod database;
mod files;
mod identity;

/// What to roll back.
pub struct Options {
    /// The live database; `None` is files alone.
    pub connection: Option<Connection>,
    /// The archive.
    pub archive: PathBuf,
    /// The project.
    pub sought: Sought,
    /// The version table, if it is not the only one.
    pub version_table: Option<String>,
    /// A database that is not the archive's, and may be changed all the same.
    pub other_database: Option<String>,
    /// Whether the rows of all tables come back, too.
    pub with_data: bool,
    /// Show everything, write nothing.
    pub dry_run: bool,
    /// Number of workers.
    pub jobs: usize,
    /// How long to wait for locks.
    pub lock_timeout: Duration,
}

/// What became of the version table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// It was not looked at.
    NotSeen,
    /// It says what it said.
    Kept(Vec<String>),
    /// It was empty, and took the archive's rows with the other tables.
    Filled(Vec<String>),
    /// Its one row was changed.
    Changed {
        /// What it said.
        from: String,
        /// What it says.
        to: String,
    },
}

/// What was done.
#[derive(Debug)]
pub struct Summary {
    /// Whether it was only shown.
    pub dry_run: bool,
    /// The archive's name.
    pub archive: String,
    /// Revisions that came back.
    pub revisions: usize,
    /// Files that were newer than the archive, and stay.
    pub carried: Vec<String>,
    /// Files outside of the folders of revisions that were gone, and came back.
    pub added: Vec<String>,
    /// Files there that are not the archive's, and stay as they are.
    pub different: Vec<String>,
    /// Where the files that were there are parked; none where they were the archive's already.
    pub parked: Option<String>,
    /// The version table.
    pub version: Version,
    /// What the archive's rows would replace; none unless that was to be shown.
    pub replaced: Option<Replacement>,
    /// The restore of rows.
    pub data: Option<restore::Summary>,
    /// How long it took.
    pub elapsed: Duration,
}

const NOTHING_CHANGED: &str = "nothing was changed: files, version table and rows are as they were";

/// Rolls back.
///
/// # Errors
/// There is nothing to do. Whatever fails, files and version table are as they were, unless only the
/// old folders could not be parked; the message says so, and if rows are not.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    rollback(options, observer, interrupt).map_err(|error| options.sought.in_section(error))
}

fn rollback(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let begun = Instant::now();
    let nothing_changed = |error| interrupt.leaving(error, NOTHING_CHANGED);
    let plan = plan(options, observer, interrupt).map_err(nothing_changed)?;
    let summary = match options.dry_run {
        true => plan.summary,
        false => {
            let prepared = plan.prepare(options, observer, interrupt).map_err(nothing_changed)?;
            observer.phase("exchanging the folders", None);
            prepared.finish(interrupt)?
        }
    };
    Ok(Summary { elapsed: begun.elapsed(), ..summary })
}

/// What is to be done.
struct Plan {
    /// What will have been done.
    summary: Summary,
    lock: ProjectLock,
    /// The archive's project.
    old: AlembicProject,
    /// The files that are there.
    now: Vec<ProjectFile>,
    /// Files outside of the folders of revisions that are to be added.
    missing: Vec<ProjectFile>,
    /// The folders to exchange; none where they hold the right files already.
    trees: Vec<NewTree>,
    held: Option<Held>,
}

/// What is ready to be done in one step; the rows are back by then. Dropped, it leaves no trace.
struct Prepared {
    staged: Option<Staged>,
    added: Added,
    // Its lock outlives them.
    plan: Plan,
}

fn plan(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Plan> {
    let started = Utc::now();
    let reader = sound(options, observer, interrupt)?;
    if options.with_data {
        database::check_rows(reader.manifest())?;
    }
    let archive = reader.manifest().name.clone();
    let root = identity::root(&options.sought, &reader)?;
    let lock = ProjectLock::take(&root, options.dry_run)?;
    let old = archived::project(&reader, &root)?;
    let recovered = exchange::recover(&lock, options.dry_run, observer)?;

    let now = files::present(&old)?;
    let written = consolidated::find(&now, &old.version_locations);
    identity::check(&old, &archive, &now, &written)?;
    let (files, carried) = files::together(&old, &now, &written);
    let same = files::is_same(&old, &now, &files);
    if !(same && recovered) {
        consolidated::check_before(&old, &archive, &written)?;
    }
    let parks = if options.dry_run { "would be" } else { "is" };
    for changed in written.iter().filter(|written| !same && written.intact != Some(true)) {
        let path = &changed.file.path;
        observer
            .warn(&format!("{path} was changed after pgark had written it; it {parks} parked so"));
    }
    let Frame { missing, different } = files::frame(&old, &now);
    let (restored, graph) = restored(&old, &files, now.iter().chain(&missing))?;
    let (held, version, replaced) = match &options.connection {
        None => (None, Version::NotSeen, None),
        Some(connection) => {
            let mut held = hold(options, connection, interrupt)?;
            let version =
                database::decide(options, connection, &reader, &graph, &mut held, interrupt)?;
            let replaced = (options.dry_run && options.with_data)
                .then(|| {
                    let held = &mut held;
                    database::would_replace(options, connection, &reader, held, observer, interrupt)
                })
                .transpose()?;
            (Some(held), version, replaced)
        }
    };
    let changes_row = matches!(version, Version::Changed { .. });
    if same && missing.is_empty() && !recovered && !options.with_data && !changes_row {
        return Err(Error::refused(format!(
            "there is nothing to roll back: the files are those of {archive} already"
        )));
    }
    let (parked, trees) = match same {
        true => (None, Vec::new()),
        false => {
            let (parked, trees) = exchange_of(&restored, &files, started)?;
            (Some(parked), trees)
        }
    };
    let summary = Summary {
        dry_run: options.dry_run,
        archive,
        revisions: old.revisions.len(),
        carried,
        added: missing.iter().map(|file| file.path.clone()).collect(),
        different,
        parked,
        version,
        replaced,
        data: None,
        elapsed: Duration::ZERO,
    };
    Ok(Plan { summary, lock, old, now, missing, trees, held })
}

fn hold(options: &Options, connection: &Connection, interrupt: &Interrupt) -> Result<Held> {
    let (table, patience) = (options.version_table.as_deref(), options.lock_timeout);
    Held::take(connection, table, patience, options.dry_run, interrupt)
}

/// Where the folders of revisions go, and those that take their place and hold `files`.
fn exchange_of(
    restored: &AlembicProject,
    files: &[ProjectFile],
    started: DateTime<Utc>,
) -> Result<(String, Vec<NewTree>)> {
    let stamp = started.format("%Y%m%d-%H%M%S");
    let parked = free_place(restored, &format!("rolled-back-{stamp}"));
    let trees = new_tree::swaps(restored, files, &parked, None)?;
    // One that is gone is made anew.
    let there = |folder: &&String| project_files::has_folder(&restored.root, folder);
    let folders: Vec<String> =
        trees.iter().map(|tree| &tree.folder).filter(there).cloned().collect();
    let locations: Vec<String> = restored.version_locations.iter().filter(there).cloned().collect();
    tree_swap::check_parking(&restored.root, &parked, &folders, &locations)?;
    Ok((parked, trees))
}

/// The archive, verified.
fn sound(
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<ArchiveReader> {
    observer.phase("verifying the archive", None);
    let reader = ArchiveReader::open(&options.archive)?;
    let depth = verify::Depth::Rows;
    verify::check_open(&reader, depth, options.jobs, observer, interrupt)?.check_sound()?;
    Ok(reader)
}

/// The project as it will be, when its folders of revisions hold `revisions`.
fn restored<'a>(
    old: &AlembicProject,
    revisions: &[ProjectFile],
    files: impl Iterator<Item = &'a ProjectFile>,
) -> Result<(AlembicProject, Graph)> {
    let (revisions, unreadable) = archived::revisions(revisions, &old.version_locations);
    let restored = AlembicProject {
        root: old.root.clone(),
        config_file: old.config_file.clone(),
        script_location: old.script_location.clone(),
        version_locations: old.version_locations.clone(),
        files: files.cloned().collect(),
        revisions,
        unreadable,
    };
    let graph = restored.graph().map_err(|error| {
        error
            .while_doing("what is newer than the archive does not fit to its files")
            .hint("move these revisions out of the way, and bring them back by hand")
    })?;
    Ok((restored, graph))
}

impl Plan {
    fn prepare(
        mut self,
        options: &Options,
        observer: &dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<Prepared> {
        let added = self.lock.add(&self.missing)?;
        let trees = std::mem::take(&mut self.trees);
        let staged = match trees.is_empty() {
            true => None,
            false => {
                for folder in &self.old.version_locations {
                    self.lock.ensure_folder(folder)?;
                }
                Some(exchange::stage(&self.lock, trees, observer)?)
            }
        };
        if options.with_data {
            let data = database::load(options, self.held.as_mut(), observer, interrupt)?;
            self.summary.data = Some(data);
        }
        Ok(Prepared { staged, added, plan: self })
    }
}

impl Prepared {
    fn finish(mut self, interrupt: &Interrupt) -> Result<Summary> {
        let exchanged = self
            .look_again()
            .map_err(|error| interrupt.reason(error))
            .and_then(|()| exchange(self.staged.take(), &mut self.plan, interrupt));
        let exchange = exchanged.map_err(|error| left(error, &self.plan.summary))?;
        self.added.keep();
        if let Some(exchange) = exchange {
            exchange.park()?;
        }
        Ok(self.plan.summary)
    }

    /// Files and version table must be what was decided upon: the rows may have taken hours.
    fn look_again(&mut self) -> Result<()> {
        let Plan { summary, held, old, now, .. } = &mut self.plan;
        if let (Some(_), Some(held)) = (&summary.data, held)
            && let Version::Kept(rows) | Version::Filled(rows) = &summary.version
        {
            database::hold_again(held, rows)?;
        }
        files::check_revisions_unchanged(old, now).map_err(|error| match summary.data {
            Some(_) => error,
            None => error.hint("roll back again"),
        })
    }
}

/// A parking place that nothing has: there may be two rollbacks in a second.
fn free_place(old: &AlembicProject, name: &str) -> String {
    let mut place = new_tree::parking_place(old, None, name);
    for number in 2.. {
        if !project_files::exists(&old.root, &place) {
            break;
        }
        place = new_tree::parking_place(old, None, &format!("{name}-{number}"));
    }
    place
}

/// Exchanges the folders and changes the version row, both or neither.
fn exchange(
    staged: Option<Staged>,
    plan: &mut Plan,
    interrupt: &Interrupt,
) -> Result<Option<Exchange>> {
    interrupt.check()?;
    let exchange = staged.map(|staged| staged.exchange(&plan.summary.archive)).transpose()?;
    let unchanged = exchange.as_ref().map_or(Ok(()), |exchange| {
        let there: Vec<ProjectFile> = plan.now.iter().chain(&plan.missing).cloned().collect();
        exchange.check_old(&there)
    });
    let changed = unchanged.and_then(|()| match (&plan.summary.version, &mut plan.held) {
        (Version::Changed { from, to }, Some(held)) => change_row(held, from, to),
        _ => Ok(()),
    });
    match (changed.map_err(|error| interrupt.reason(error)), exchange) {
        (Ok(()), exchange) => Ok(exchange),
        (Err(error), Some(exchange)) => Err(exchange.undone(error)),
        (Err(error), None) => Err(error),
    }
}

fn change_row(held: &mut Held, from: &str, to: &str) -> Result<()> {
    held.session.execute("SET LOCAL synchronous_commit = on")?;
    version_table::change(&mut held.session, &held.table, from, to)?;
    held.session.execute("COMMIT").map_err(|error| {
        error
            .hint("whether the version row was changed is not known: pgark migrations status tells")
    })
}

/// What failed in the last step, and what it has left: the rows may be back already.
fn left(error: Error, summary: &Summary) -> Error {
    let interrupted = matches!(error.kind(), Kind::Interrupted(_));
    let hint = match (&summary.data, interrupted) {
        (None, true) => NOTHING_CHANGED,
        (None, false) => return error,
        (Some(_), _) => "the files are as they were: roll back again without --with-data",
    };
    let error = match error.next_step() {
        None => error.hint(hint),
        Some(_) => error,
    };
    match summary.data {
        None => error,
        Some(_) => error.while_doing(format!(
            "the rows of {} came back, committed and proved, and the files did not",
            summary.archive
        )),
    }
}
