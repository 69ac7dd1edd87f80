//! `pgark restore`: an archive becomes a database again, and is proved equal to it.

use super::interrupt::Interrupt;
use super::migrations::project::Sought;
use super::observer::Observer;
use super::verify;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::enumerate;
use crate::model::provenance::Provenance;
use crate::model::server::ServerFacts;
use crate::pg::connect::Target;
use crate::pg::database::Locale;
use crate::pg::search_path::SearchPath;
use crate::pg::session::{Purpose, Session};
use crate::pg::target;
use crate::rules::leave_out::LeaveOut;
use crate::rules::renames::Renames;
use crate::rules::selection::Selection;
use origin::Origin;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) mod adapt;
mod analyze;
mod data_only;
mod early;
mod extensions;
mod finish;
mod full;
mod key_pieces;
mod keys;
mod late;
pub(super) mod load;
pub(super) mod origin;
mod owners;
mod piecemeal;
mod preflight;
pub mod preview;
mod prove;
mod references;
mod refusals;
mod revisions;
mod roles;
mod rows;
mod swap;
mod targets;
pub(super) mod through_roots;

/// What a data-only restore does with rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExisting {
    /// Refuse, with nothing written.
    Error,
    /// Empty the tables first.
    Truncate,
    /// Keep them and add the archive's.
    Append,
    /// Keep them, and add those of the archive whose primary keys are not there.
    Skip,
    /// Add the archive's, and give rows with the same primary key the archive's values.
    Upsert,
}

/// Where the archive goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Schema and rows into an empty database.
    Empty,
    /// Rows into tables that are there.
    DataOnly(OnExisting),
    /// Schema and rows into a new database, which then takes the target's name.
    Create {
        /// Whether a target that is there is kept under another name.
        swap: bool,
        /// Whether its sessions are ended for that.
        disconnect: bool,
        /// A database to connect to meanwhile.
        maintenance: String,
    },
}

/// Where to, and how.
pub struct Options {
    /// The target.
    pub connection: Connection,
    /// Where it goes.
    pub mode: Mode,
    /// Number of workers.
    pub jobs: usize,
    /// Which tables, for a data-only restore.
    pub selection: Selection,
    /// Leave everything to the role that restores.
    pub no_owner: bool,
    /// Grant nothing.
    pub no_privileges: bool,
    /// Set no security labels.
    pub no_security_labels: bool,
    /// Make roles that the archive names and the server lacks.
    pub create_roles: bool,
    /// Other names for the archive's roles.
    pub role_map: Renames,
    /// Other names for the archive's tablespaces.
    pub tablespace_map: Renames,
    /// Put everything into the target database's own tablespace.
    pub no_tablespaces: bool,
    /// Another locale for a new database.
    pub locale: Option<Locale>,
    /// Objects to do without, and without what needs them.
    pub leave_out: Vec<LeaveOut>,
    /// Where functions look for what they name without a schema while rows are loaded, and, if they
    /// did not find it, once more after the rows.
    pub search_path: SearchPath,
    /// Load rows of partitions through the partitioned tables at the top.
    pub through_roots: bool,
    /// The migration project whose files the archive's revision is compared with.
    pub migrations: Sought,
    /// Go on although the archive is at another revision than the target or the files.
    pub allow_revision_mismatch: bool,
    /// How long to wait for locks on tables.
    pub lock_timeout: Duration,
}

impl Options {
    /// Everything as it was, by one worker.
    pub fn new(connection: Connection, mode: Mode) -> Self {
        Self {
            connection,
            mode,
            jobs: 1,
            selection: Selection::default(),
            no_owner: false,
            no_privileges: false,
            no_security_labels: false,
            create_roles: false,
            role_map: Renames::default(),
            tablespace_map: Renames::default(),
            no_tablespaces: false,
            locale: None,
            leave_out: Vec::new(),
            search_path: SearchPath::default(),
            through_roots: false,
            migrations: Sought::none(),
            allow_revision_mismatch: false,
            lock_timeout: Duration::from_secs(60),
        }
    }
}

/// What has been proved in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The tables hold exactly the archive's rows.
    Equal,
    /// The tables hold what they held, and all of the archive's rows.
    Added,
    /// The tables hold what they held, and those of the archive's rows whose keys were not there.
    AddedNew,
    /// The tables hold all of the archive's rows; other rows are as they were.
    Contained,
}

/// What a restore did.
#[derive(Debug)]
pub struct Summary {
    /// The archive's name.
    pub archive: String,
    /// The database that holds it now.
    pub database: String,
    /// The name under which the old database was kept.
    pub kept_as: Option<String>,
    /// Tables that were loaded.
    pub tables: usize,
    /// Rows that were put into tables.
    pub rows: u64,
    /// Sequences that were set.
    pub sequences: usize,
    /// Large objects that were restored.
    pub large_objects: u64,
    /// Objects of the schema that were created.
    pub objects: usize,
    /// Objects that were left out, as was asked for.
    pub left_out: Vec<String>,
    /// Roles that were created.
    pub created_roles: Vec<String>,
    /// How constraints and triggers were handled, for a data-only restore.
    pub way: Option<String>,
    /// What the proof says.
    pub proof: Proof,
    /// Rows of the archive whose keys were there already.
    pub skipped: u64,
    /// Materialized views that read restored tables and could not be filled anew.
    pub stale: Vec<String>,
    /// What the server refused: settings of the database; comments, owners and settings of what is there.
    pub refused_settings: Vec<String>,
    /// What was changed in members of extensions, and is not here.
    pub changed_members: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether the archive holds all tables of its database with all their rows.
    pub whole: bool,
    /// What the archive was made without.
    pub not_in_archive: Vec<String>,
}

impl Summary {
    /// Whether everything that was to come back did.
    pub fn is_complete(&self) -> bool {
        self.stale.is_empty()
            && self.refused_settings.is_empty()
            && self.changed_members.is_empty()
            && self.left_out.is_empty()
    }
}

/// Restores an archive.
///
/// # Errors
/// The target is then as it was before, or marked as half restored, or, with `--create`, untouched.
pub fn run(
    archive: &Path,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let begun = Instant::now();
    let reader = checked(archive, options, observer, interrupt)
        .map_err(|error| interrupt.leaving(error, NOTHING_WRITTEN))?;
    let archived = reader.manifest();
    let (whole, not_in_archive) = (archived.is_whole(), archived.left_out.clone());
    if !whole {
        observer.warn(&format!(
            "the archive holds a part of its database; it was made without {}",
            enumerate(&not_in_archive)
        ));
    }
    let restored = match options.mode {
        Mode::DataOnly(on_existing) => {
            data_only::run(&reader, options, on_existing, observer, interrupt)
        }
        Mode::Empty | Mode::Create { .. } => make(&reader, options, observer, interrupt),
    };
    let mut summary = interrupt.explain(restored)?;
    summary.elapsed = begun.elapsed();
    (summary.whole, summary.not_in_archive) = (whole, not_in_archive);
    Ok(summary)
}

/// Makes a database from what `origin` has: an empty one, or a new one.
///
/// # Errors
/// Those of [`run`].
pub(super) fn make(
    origin: &dyn Origin,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    match &options.mode {
        Mode::Create { swap, disconnect, maintenance } => {
            let how = swap::How { swap: *swap, disconnect: *disconnect, maintenance };
            swap::run(origin, options, &how, observer, interrupt)
        }
        Mode::Empty => {
            full::into_empty(origin, options, None, observer, interrupt).map_err(Error::from)
        }
        Mode::DataOnly(_) => Err(Error::new(Kind::Usage, "rows alone come from an archive")),
    }
}

/// A session of the target's server.
pub(super) fn open(options: &Options, interrupt: &Interrupt) -> Result<Session> {
    match &options.mode {
        Mode::Create { maintenance, .. } => {
            interrupt.open(&options.connection, Some(maintenance), Purpose::Write)
        }
        Mode::Empty | Mode::DataOnly(_) => full::open(options, None, interrupt),
    }
}

/// Looks whether a database that is to be filled, or its place, can take what comes from `source`.
///
/// # Errors
/// The server's, and [`Kind::Refused`] for an older server, a database that is not empty, and one that
/// is there and not to be replaced.
pub(super) fn look(session: &mut Session, options: &Options, source: &ServerFacts) -> Result<()> {
    preflight::check_version(&session.facts, source, Provenance::Database)?;
    match &options.mode {
        Mode::Create { swap, disconnect, maintenance } => {
            let how = swap::How { swap: *swap, disconnect: *disconnect, maintenance };
            swap::check_place(session, &how, &options.connection)
        }
        Mode::Empty | Mode::DataOnly(_) if target::is_marked(&mut session.client)? => Ok(()),
        Mode::Empty | Mode::DataOnly(_) => preflight::check_empty(session, Provenance::Database),
    }
}

/// Says which database is going to be changed.
fn tell_target(what: &str, database: &str, session: &Session, observer: &dyn Observer) {
    let target = Target { database: database.to_owned(), ..session.target().clone() };
    observer.note(&format!("{what} {}", target.describe()));
}

/// What an interruption says before a restore has begun.
const NOTHING_WRITTEN: &str = "nothing was restored, and nothing was written to the database";

/// The archive. Nothing is written to a database before every byte of it has been checked. What the
/// bytes decode to is seen as it is loaded into a database that nobody uses yet, and proved in the
/// end; before rows go among a user's own, it is seen first.
fn checked(
    archive: &Path,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<ArchiveReader> {
    const OTHER: &str = "`pgark verify` lists all findings; restore from another archive";
    let mut reader = ArchiveReader::open(archive).map_err(|error| match error.kind() {
        Kind::Damaged => error.hint(OTHER),
        _ => error,
    })?;
    observer.phase("verifying the archive", None);
    let depth = match options.mode {
        Mode::DataOnly(_) => verify::Depth::Rows,
        Mode::Empty | Mode::Create { .. } => verify::Depth::Bytes,
    };
    let check = verify::check_open(&reader, depth, options.jobs, observer, interrupt)?;
    check.check_sound().map_err(|error| error.hint(OTHER))?;
    for table in &reader.manifest().tables {
        if let Some(condition) = table.chosen_rows() {
            observer.warn(&format!(
                "the archive holds only the rows {condition} of {}: foreign keys fail if rows point at others",
                table.name
            ));
        }
    }
    revisions::check_files(reader.manifest(), options, observer)?;
    adapt::check_roles(reader.manifest(), Provenance::Archive, &options.role_map)?;
    reader.adapt(|manifest| adapt::rename_roles(manifest, &options.role_map));
    Ok(reader)
}
