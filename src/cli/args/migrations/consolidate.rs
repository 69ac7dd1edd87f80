//! `pgark migrations consolidate` as it is typed.

use crate::cli::args::project::Project;
use crate::cli::args::{Common, Jobs, Locks, Server, aspects};
use crate::rules::schema_diff::Aspect;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Put one proved revision, or a few, in the place of many.
///
/// Puts one revision in the place of all: it has the id of the newest, follows none, and makes the
/// schema from the catalogs, statement by statement. A database that has applied the newest revision
/// needs nothing, a new one gets everything, and one in between is refused by Alembic until it has
/// caught up. The database is never written to.
///
/// In this order: the files must fit together, the database must have applied exactly these, and what
/// the proof needs must be there; a full archive is written and verified; the old revisions and the new
/// one are run in scratch databases, and what they build is compared with each other and with the live
/// database; the folders are exchanged in one step; everything is checked again. Meanwhile the version
/// table is locked. Whatever fails, the old files are whole and the exit code is not 0.
///
/// Rows that the old revisions insert come with the new one. Owners and privileges that they give do
/// too; those that only the live database has do not, unless --with-privileges says so.
///
/// The old files are parked beside the new ones, with an ini file by which Alembic finds them:
/// `alembic -c …/legacy-…/alembic.ini upgrade head` brings a database that was left behind to where
/// the new revision begins. `pgark migrations rollback` puts them back.
#[derive(Debug, Args)]
pub struct Consolidate {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: Server,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub project: Project,
    /// The version table, where the database has several: NAME or SCHEMA.NAME.
    #[arg(long, value_name = "TABLE")]
    pub version_table: Option<String>,
    /// Show what would be done, with all proofs, and write nothing: no archive, no lock, no file.
    ///
    /// It keeps no other run out. Scratch databases are made all the same, on a
    /// server that --scratch or --scratch-here names, too, and dropped again.
    #[arg(long)]
    pub dry_run: bool,
    /// Keep these revisions, and fold the others forward into them, by their old bodies.
    ///
    /// Databases that stand at a revision that stays need nothing. A set that would break a database
    /// or the graph is refused, with the nearest one that does not. What is built up to each revision
    /// that stays is compared with what the old files build.
    #[arg(long, value_name = "REV", value_delimiter = ',')]
    pub keep: Vec<String>,
    /// What the new revision is to build: what the old ones build (chain), which must be what is
    /// live; or what is live, where the old ones cannot be run any more or build something else.
    #[arg(long, value_name = "WHICH", default_value = "chain", conflicts_with = "keep")]
    pub reference: Reference,
    /// Put the live rows of matching tables into the new revision.
    #[arg(long, value_name = "PATTERN", conflicts_with = "keep")]
    pub seed: Vec<String>,
    /// With --reference live, leave out the rows that the old revisions insert into matching tables.
    ///
    /// Where the old revisions can be run, each table into which they insert rows must be named with
    /// --seed or --no-seed.
    #[arg(long, value_name = "PATTERN", conflicts_with = "keep")]
    pub no_seed: Vec<String>,
    /// Give the live database's owners and privileges in the new revision, too.
    ///
    /// The roles must be there wherever it is run.
    #[arg(long, conflicts_with = "keep")]
    pub with_privileges: bool,
    /// Let the live database differ in these aspects; can be given several times.
    #[arg(long, value_name = "ASPECT", value_delimiter = ',', value_parser = aspects())]
    pub ignore: Vec<Aspect>,
    /// Another database that may have applied the revisions; those on the same server are found.
    #[arg(long, value_name = "URL")]
    pub also: Vec<String>,
    /// Server for scratch databases, whose role may create databases.
    ///
    /// Without it, a throw-away server is started from the PostgreSQL programs of this machine.
    #[arg(long, value_name = "URL", conflicts_with_all = ["scratch_here", "scratch_bin"])]
    pub scratch: Option<String>,
    /// Make the scratch databases on the database's own server.
    #[arg(long, conflicts_with = "scratch_bin")]
    pub scratch_here: bool,
    /// Folder of the programs for the throw-away server.
    #[arg(long, value_name = "DIR")]
    pub scratch_bin: Option<PathBuf>,
    /// How Alembic is called, for a shell: 'poetry run alembic', 'alembic -x tenant=a'.
    ///
    /// Without it, alembic is looked for in $VIRTUAL_ENV, in .venv and venv of the project and the
    /// two folders above it, and in PATH. Its database is set in a copy of the ini file, in
    /// DATABASE_URL, in every variable that holds a PostgreSQL URL, and in PGHOST and its company.
    #[arg(long, value_name = "CMD")]
    pub alembic: Option<String>,
    /// Set a variable for Alembic: NAME=TEXT, with {url}, {host}, {port}, {user}, {password} and
    /// {database} of the scratch database.
    #[arg(long, value_name = "NAME=TEXT")]
    pub alembic_env: Vec<String>,
    /// Run no Alembic: the statements of the new revision are run by pgark.
    #[arg(long, conflicts_with_all = ["alembic", "keep"])]
    pub no_alembic: bool,
    /// How many seconds one run of Alembic may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    pub alembic_timeout: u64,
    /// Folder for the old revisions, relative to the project: inside of it, on its file system, and
    /// where Alembic does not look for revisions.
    #[arg(long, value_name = "DIR")]
    pub park: Option<String>,
    /// Go on although the archive cannot carry objects of a class.
    #[arg(long, value_name = "CLASS")]
    pub allow_missing: Vec<String>,
    /// Compression level of the archive.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub level: i32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}

/// What the new revision is to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reference {
    /// What the old revisions build.
    Chain,
    /// What is live.
    Live,
}
