//! `pgark migrations rollback`: the archive's migration files come back by an exchange of folders.
//!
//! The version row is touched only where the files that come back do not know it, and then by an
//! update that expects exactly one row. Rows of other tables come back only when asked for, through
//! the ordinary restore.

use super::gate::Held;
use super::new_tree::is_below_any;
use super::project::{AlembicProject, Place, Sought};
use super::{archived, consolidate, new_tree};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::enumerate;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::restore::OnExisting;
use crate::ops::{described, restore, verify};
use crate::pg::version_table;
use crate::rules::alembic::graph::Graph;
use crate::rules::renames::Renames;
use crate::rules::schema_diff::{self, Aspect};
use crate::rules::selection::Selection;
use crate::store::project_files::{self, ProjectFile};
use crate::store::tree_swap::ProjectLock;
use chrono::Utc;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    /// Where the files that were there are parked; none where they were the archive's already.
    pub parked: Option<String>,
    /// The version table.
    pub version: Version,
    /// The restore of rows.
    pub data: Option<restore::Summary>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Rolls back.
///
/// # Errors
/// Whatever fails, files and version table are as they were; the message says if rows are not.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    interrupt.explain(roll_back(options, observer, interrupt))
}

fn roll_back(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let (begun, started) = (Instant::now(), Utc::now());
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
    let root = root(&options.sought, &reader)?;
    let lock = ProjectLock::take(&root)?;
    let old = archived::project(&reader, &root)?;
    consolidate::recover(&lock, &old, options.dry_run, observer)?;

    let now = present(&old)?;
    let (files, carried) = together(&old, &now);
    let (revisions, unreadable) = archived::revisions(&files, &old.version_locations);
    let restored = AlembicProject {
        root,
        config_file: old.config_file.clone(),
        script_location: old.script_location.clone(),
        version_locations: old.version_locations.clone(),
        files: now,
        revisions,
        unreadable,
    };
    let graph = restored.graph().map_err(|error| {
        error
            .while_doing("what is newer than the archive does not fit to its files")
            .hint("move these revisions out of the way, and bring them back by hand")
    })?;
    let same = is_same(&restored, &files);

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
        version = decide(options, connection, &reader, &graph, &mut taken, interrupt)?;
        held = Some(taken);
    }
    let stamp = started.format("%Y%m%d-%H%M%S").to_string();
    let parked = new_tree::parking_place(&old, None, &format!("rolled-back-{stamp}"));
    let mut summary = Summary {
        dry_run: options.dry_run,
        archive: reader.manifest().name.clone(),
        revisions: old.revisions.len(),
        carried,
        parked: (!same).then(|| parked.clone()),
        version,
        data: None,
        elapsed: Duration::ZERO,
    };
    if options.dry_run {
        return Ok(Summary { elapsed: begun.elapsed(), ..summary });
    }
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
        summary.data = Some(load(options, held.as_mut(), observer, interrupt)?);
    }
    observer.phase("exchanging the folders", None);
    interrupt.check()?;
    let exchange = staged.map(|staged| staged.exchange()).transpose()?;
    let changed = match (&summary.version, held.as_mut()) {
        (Version::Changed { from, to }, Some(held)) if !options.with_data => {
            version_table::change(&mut held.session, &held.table, from, to)
                .and_then(|()| held.session.execute("COMMIT"))
        }
        _ => Ok(()),
    };
    if let Err(error) = changed {
        return Err(match exchange {
            Some(exchange) => exchange.undone(error),
            None => error,
        });
    }
    if let Some(exchange) = exchange {
        exchange.park()?;
    }
    Ok(Summary { elapsed: begun.elapsed(), ..summary })
}

/// The project's folder, where its configuration is; the migrations themselves may be broken.
fn root(sought: &Sought, reader: &ArchiveReader) -> Result<PathBuf> {
    let named = match &sought.place {
        Place::In(path) if path.is_file() => {
            path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
        }
        Place::In(path) => path.clone(),
        _ => PathBuf::from("."),
    };
    let config = reader.manifest().migrations.as_ref().and_then(|bundle| bundle.config.clone());
    let has = |folder: &Path| match &config {
        Some(config) => project_files::has_file(folder, config),
        None => folder.is_dir(),
    };
    let found = [named.clone(), named.join("..")].into_iter().find(|folder| has(folder));
    found.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("{} is not the folder of the archive's project: it has no {}", named.display(), config.unwrap_or_default()),
        )
        .hint("name the folder with --migrations DIR; pgark extract ARCHIVE --migrations -o FOLDER gives all files into a new one")
    })
}

/// The files that are there now.
fn present(old: &AlembicProject) -> Result<Vec<ProjectFile>> {
    let mut paths = BTreeSet::new();
    for folder in std::iter::once(&old.script_location).chain(&old.version_locations) {
        if project_files::has_folder(&old.root, folder) {
            paths.extend(project_files::list(&old.root, folder, false)?);
        }
    }
    paths.iter().map(|path| project_files::read(&old.root, path)).collect()
}

/// The archive's files in the folders of revisions, and those that have come since: not what pgark
/// has written in their place.
fn together(old: &AlembicProject, now: &[ProjectFile]) -> (Vec<ProjectFile>, Vec<String>) {
    let mut files = new_tree::files(old, &BTreeSet::new(), &[]);
    let mut carried = Vec::new();
    let inside = |file: &&ProjectFile| is_below_any(&file.path, &old.version_locations);
    for file in now.iter().filter(inside) {
        let known = files.iter().any(|other| other.path == file.path);
        let written = new_tree::is_sealed(&file.content).is_some();
        if known || written || file.path.ends_with("/.gitkeep") {
            continue;
        }
        carried.push(file.path.clone());
        files.push(file.clone());
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    (files, carried)
}

/// Whether the folders of revisions hold exactly these files already.
fn is_same(now: &AlembicProject, files: &[ProjectFile]) -> bool {
    now.files.iter().filter(|file| is_below_any(&file.path, &now.version_locations)).eq(files)
}

/// What is to become of the version table, when `graph` is what the files say.
fn decide(
    options: &Options,
    connection: &Connection,
    reader: &ArchiveReader,
    graph: &Graph,
    held: &mut Held,
    interrupt: &Interrupt,
) -> Result<Version> {
    let rows = held.rows()?;
    let unknown: Vec<String> =
        rows.iter().filter(|row| graph.get(row).is_none()).cloned().collect();
    if options.with_data || (unknown.is_empty() && !rows.is_empty()) {
        return Ok(Version::Kept(rows));
    }
    let database = held.session.facts.database.clone();
    let before = archived::ledger(reader, options.version_table.as_deref());
    let before = before.map(|ledger| ledger.revisions.as_slice()).unwrap_or_default();
    let ([from], [to]) = (rows.as_slice(), before) else {
        return Err(Error::refused(format!(
            "the version table of \"{database}\" says {}, and {} in the archive: exactly one row is expected on both sides",
            shown(&rows),
            shown(before)
        ))
        .hint("mend the version table with alembic stamp, or bring the files back alone with --files-only"));
    };
    // A row must never say what the schema is not.
    let live = described::database(connection, None, options.lock_timeout, interrupt)?;
    let ignore = BTreeSet::from([Aspect::Owners, Aspect::Privileges, Aspect::Populated]);
    let found = schema_diff::compare(&described::archive(reader)?, &live, &ignore);
    if !found.differences.is_empty() {
        let lines: Vec<String> = found.differences.iter().map(super::proof::headline).collect();
        return Err(Error::new(
            Kind::Refused,
            format!("\"{database}\" is at {from}, which the archive's files do not know, and its schema is not the archive's: {}", enumerate(&lines)),
        )
        .hint("bring the schema back first, or the files alone with --files-only"));
    }
    Ok(Version::Changed { from: from.clone(), to: to.clone() })
}

fn shown(rows: &[String]) -> String {
    if rows.is_empty() { String::from("nothing") } else { enumerate(rows) }
}

/// The rows of all tables, in one transaction, proved. The version table is among them, and cannot
/// be held meanwhile.
fn load(
    options: &Options,
    held: Option<&mut Held>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<restore::Summary> {
    let (Some(connection), Some(held)) = (&options.connection, held) else {
        return Err(Error::new(Kind::Usage, "rows come back into a database: give its --url"));
    };
    held.session.execute("ROLLBACK")?;
    restore::run(
        &restore::Options {
            archive: options.archive.clone(),
            connection: connection.clone(),
            mode: restore::Mode::DataOnly(OnExisting::Truncate),
            jobs: options.jobs,
            selection: Selection::default(),
            no_owner: false,
            no_privileges: false,
            no_security_labels: false,
            role_map: Renames::new(&[])?,
            tablespace_map: Renames::new(&[])?,
            no_tablespaces: false,
            locale: None,
            leave_out: Vec::new(),
            create_roles: false,
            // The files come back, too: those at hand say nothing.
            migrations: Sought { place: Place::None, ..options.sought.clone() },
            allow_revision_mismatch: false,
            lock_timeout: options.lock_timeout,
        },
        observer,
        interrupt,
    )
    .map_err(|error| error.while_doing("the rows did not come back; the files are as they were"))
}
