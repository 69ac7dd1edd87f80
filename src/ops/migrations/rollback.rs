//! `pgark migrations rollback`: the archive's migration files come back by an exchange of folders.
//!
//! The version row is touched only where the files that come back do not know it, and then by an
//! update that expects exactly one row. Rows of other tables come back only when asked for, through
//! the ordinary restore.

use super::gate::Held;
use super::project::{AlembicProject, Sought};
use super::{archived, consolidate, in_place, new_tree};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::{restore, verify};
use crate::pg::version_table;
use crate::store::project_files;
use crate::store::tree_swap::{Added, Exchange, ProjectLock, Staged};
use chrono::Utc;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod database;
mod files;
mod whose;

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
    /// The restore of rows.
    pub data: Option<restore::Summary>,
    /// How long it took.
    pub elapsed: Duration,
}

const NOTHING_CHANGED: &str = "nothing was changed: files, version table and rows are as they were";

/// Rolls back.
///
/// # Errors
/// There is nothing to do. Whatever fails, files and version table are as they were; the message says
/// if rows are not.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let begun = Instant::now();
    let prepared = prepare(options, observer, interrupt)
        .map_err(|error| interrupt.leaving(error, NOTHING_CHANGED))?;
    let Prepared { summary, _lock, mut held, added, staged } = prepared;
    if !options.dry_run {
        observer.phase("exchanging the folders", None);
        let exchange = finish(staged, &summary.version, held.as_mut(), interrupt)
            .map_err(|error| left(error, &summary))?;
        added.keep();
        if let Some(exchange) = exchange {
            exchange.park()?;
        }
    }
    Ok(Summary { elapsed: begun.elapsed(), ..summary })
}

/// What is ready to be done in one step; the rows are back by then. Dropped, it leaves no trace.
struct Prepared {
    summary: Summary,
    _lock: ProjectLock,
    held: Option<Held>,
    added: Added,
    staged: Option<Staged>,
}

fn prepare(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Prepared> {
    let started = Utc::now();
    observer.phase("verifying the archive", None);
    let reader = ArchiveReader::open(&options.archive)?;
    let check = verify::check_file(
        &options.archive,
        None,
        verify::Depth::Rows,
        options.jobs,
        observer,
        interrupt,
    )?;
    check.check_sound()?;
    let archive = reader.manifest().name.clone();
    let root = whose::root(&options.sought, &reader)?;
    let lock = ProjectLock::take(&root)?;
    let old = archived::project(&reader, &root)?;
    let recovered = consolidate::recover(&lock, &old, options.dry_run, observer)?;

    let now = files::present(&old)?;
    let written = in_place::find(&now, &old.version_locations);
    whose::check(&old, &archive, &now, &written)?;
    let (files, carried) = files::together(&old, &now, &written);
    let same = files::is_same(&now, &old.version_locations, &files);
    if !(same && recovered) {
        in_place::check_before(&old, &archive, &written)?;
    }
    for changed in written.iter().filter(|written| !same && written.intact != Some(true)) {
        let path = &changed.file.path;
        observer.warn(&format!("{path} was changed after pgark had written it; it is parked so"));
    }
    let frame = files::frame(&old, &now);
    let (revisions, unreadable) = archived::revisions(&files, &old.version_locations);
    let restored = AlembicProject {
        root,
        config_file: old.config_file.clone(),
        script_location: old.script_location.clone(),
        version_locations: old.version_locations.clone(),
        files: now.iter().chain(&frame.missing).cloned().collect(),
        revisions,
        unreadable,
    };
    let graph = restored.graph().map_err(|error| {
        error
            .while_doing("what is newer than the archive does not fit to its files")
            .hint("move these revisions out of the way, and bring them back by hand")
    })?;

    let mut version = Version::NotSeen;
    let mut held = None;
    if let Some(connection) = &options.connection {
        let mut taken = Held::take(
            connection,
            options.version_table.as_deref(),
            options.lock_timeout,
            options.dry_run,
            interrupt,
        )?;
        version = database::decide(options, connection, &reader, &graph, &mut taken, interrupt)?;
        held = Some(taken);
    }
    let changes_row = matches!(version, Version::Changed { .. });
    if same && frame.missing.is_empty() && !recovered && !options.with_data && !changes_row {
        return Err(Error::refused(format!(
            "there is nothing to roll back: the files are those of {archive} already"
        )));
    }
    let stamp = started.format("%Y%m%d-%H%M%S").to_string();
    let parked = free_place(&old, &format!("rolled-back-{stamp}"));
    let mut summary = Summary {
        dry_run: options.dry_run,
        archive,
        revisions: old.revisions.len(),
        carried,
        added: frame.missing.iter().map(|file| file.path.clone()).collect(),
        different: frame.different,
        parked: (!same).then(|| parked.clone()),
        version,
        data: None,
        elapsed: Duration::ZERO,
    };
    if options.dry_run {
        let added = Added::default();
        return Ok(Prepared { summary, _lock: lock, held, added, staged: None });
    }
    let added = lock.add(&frame.missing)?;
    let staged = match same {
        true => None,
        false => {
            for folder in &old.version_locations {
                lock.ensure_folder(folder)?;
            }
            Some(lock.stage(new_tree::swaps(&restored, &files, &parked, None)?)?)
        }
    };
    if options.with_data {
        summary.data = Some(database::load(options, held.as_mut(), observer, interrupt)?);
    }
    Ok(Prepared { summary, _lock: lock, held, added, staged })
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
fn finish(
    staged: Option<Staged>,
    version: &Version,
    held: Option<&mut Held>,
    interrupt: &Interrupt,
) -> Result<Option<Exchange>> {
    interrupt.check()?;
    let exchange = staged.map(Staged::exchange).transpose()?;
    let changed = match (version, held) {
        (Version::Changed { from, to }, Some(held)) => change_row(held, from, to),
        _ => Ok(()),
    };
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
