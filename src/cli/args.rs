//! The command line as it is typed. The help texts are the manual.

use super::exit;
use crate::ops::restore::OnExisting;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Archives PostgreSQL databases into checksummed, verified files and brings them back.
///
/// pgark reads tables straight over SQL under one snapshot, and needs no pg_dump and no psql.
/// A backup exists when its manifest is in manifests/; whatever fails before that leaves no trace.
#[derive(Debug, Parser)]
#[command(name = "pgark", version, after_help = exit::TABLE, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Back up a database into one archive.
    Backup(Backup),
    /// Restore an archive, and prove the database equal to it.
    Restore(Restore),
    /// Check every byte of archives against their manifests, offline.
    Verify(Verify),
    /// Compare an archive with a database or with another archive.
    Compare(Compare),
    /// List the archives of a repository.
    List(List),
}

/// What all verbs share.
#[derive(Debug, Args)]
pub struct Common {
    /// Folder that holds backups/ and manifests/.
    #[arg(long, value_name = "DIR", default_value = ".", env = "PGARK_REPO")]
    pub repo: PathBuf,
    /// Print the result as JSON on standard output.
    #[arg(long)]
    pub json: bool,
    /// Say nothing but warnings and errors.
    #[arg(long, short)]
    pub quiet: bool,
}

/// How to reach a database.
#[derive(Debug, Args)]
pub struct Server {
    /// Connection string: postgresql://user@host:5432/database, or host=… dbname=….
    ///
    /// What it leaves open comes from PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGOPTIONS and
    /// PGAPPNAME.
    #[arg(
        long,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub url: String,
}

/// How many workers.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Number of workers, each with a connection of its own.
    #[arg(long, short, value_name = "N", default_value_t = default_jobs(), value_parser = clap::value_parser!(u16).range(1..=512))]
    pub jobs: u16,
}

fn default_jobs() -> u16 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)) as u16
}

/// How long to wait for locks.
#[derive(Debug, Args)]
pub struct Locks {
    /// How many seconds to wait for locks on tables, 1 to 2147483.
    // The server counts its own timeouts in milliseconds, in 31 bits.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=2_147_483))]
    pub lock_timeout: u64,
}

/// `pgark backup`.
///
/// Takes ACCESS SHARE locks on all tables, then one snapshot that all workers share, so that all
/// rows are of one moment. The archive is written, synced, read again and verified before it is
/// published as backups/<database>-<time>.tar with its manifest.
///
/// The role needs pg_read_all_data (PostgreSQL 14 and later) or SELECT on every table, and
/// BYPASSRLS where tables have row-level security.
#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: Server,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    /// Take only what lies in matching schemas.
    #[arg(long, short = 'n', value_name = "PATTERN")]
    pub schema: Vec<String>,
    /// Leave out matching schemas.
    #[arg(long, short = 'N', value_name = "PATTERN")]
    pub exclude_schema: Vec<String>,
    /// Take matching tables without their rows.
    #[arg(long, value_name = "PATTERN")]
    pub exclude_data: Vec<String>,
    /// Go on without objects of a class that this version cannot carry.
    ///
    /// The manifest lists them, and the exit code is 3.
    #[arg(long, value_name = "CLASS")]
    pub allow_missing: Vec<String>,
    /// Folder of the Alembic project whose files go into the archive.
    ///
    /// Without it, the project is looked for in the current folder (alembic.ini, pyproject.toml).
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,
    /// Do not look for a migration project.
    #[arg(long, conflicts_with = "migrations")]
    pub no_migrations: bool,
    /// Compression level of zstd.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub level: i32,
    /// Name of the archive instead of database and time.
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}

/// Which tables.
#[derive(Debug, Args)]
pub struct Selection {
    /// Take only matching tables; a partitioned table stands for its partitions.
    ///
    /// Patterns are those of psql and pg_dump: * and ?, schema.table, "Quoted". Without a schema,
    /// the pattern matches in every schema. Can be given several times.
    #[arg(long, short, value_name = "PATTERN")]
    pub table: Vec<String>,
    /// Leave out matching tables.
    #[arg(long, short = 'T', value_name = "PATTERN")]
    pub exclude_table: Vec<String>,
}

/// `pgark restore`.
///
/// Without options, restores schema and rows into an empty database. With --data-only, loads rows
/// into tables that are there, in one transaction. With --create, restores into a new database
/// beside the target, proves it, and then gives it the target's name.
///
/// After every restore the content of all tables is computed again and compared with the manifest.
#[derive(Debug, Args)]
pub struct Restore {
    /// Path of the archive, its name, a unique beginning of it, latest:DATABASE, or latest
    /// where all archives are of one database.
    pub archive: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: Server,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    /// Load rows into the tables of an existing schema.
    #[arg(long, conflicts_with = "create")]
    pub data_only: bool,
    /// What to do with rows that are there.
    #[arg(long, value_name = "WAY", default_value = "error", requires = "data_only")]
    pub on_existing: Existing,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    /// Restore into a new database that takes the target's name in the end.
    #[arg(long)]
    pub create: bool,
    /// Keep a target that exists under a dated name, and put the new database in its place.
    #[arg(long, requires = "create")]
    pub swap: bool,
    /// End the sessions of the target's users at the swap.
    #[arg(long, requires = "swap")]
    pub disconnect: bool,
    /// Database to connect to while databases are created and renamed.
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    pub maintenance_db: String,
    /// Let the restoring role own everything.
    #[arg(long, short = 'O')]
    pub no_owner: bool,
    /// Do not grant privileges.
    #[arg(long, short = 'x')]
    pub no_privileges: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}

/// What a data-only restore does with rows that are there.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Existing {
    /// Refuse, with nothing written.
    Error,
    /// Empty the tables first.
    Truncate,
    /// Keep them and add the archive's rows.
    Append,
    /// Keep them, and add those rows whose primary keys are not there.
    Skip,
    /// Add the archive's rows, and give rows with the same primary key the archive's values.
    Upsert,
}

impl From<Existing> for OnExisting {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Error => Self::Error,
            Existing::Truncate => Self::Truncate,
            Existing::Append => Self::Append,
            Existing::Skip => Self::Skip,
            Existing::Upsert => Self::Upsert,
        }
    }
}

/// `pgark verify`.
///
/// Reads every byte: headers, checksums, zstd frames, row counts and digests, the manifest inside
/// against the one in manifests/, and the chain to the previous manifest. Lists all findings.
#[derive(Debug, Args)]
pub struct Verify {
    /// Archives: paths, names, unique beginnings, latest:DATABASE, latest.
    #[arg(required = true)]
    pub archives: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
}

/// `pgark compare`.
///
/// Compares rows, content digests, columns, sequences and large objects. The exit code is 0 when
/// everything is equal, 4 when not.
#[derive(Debug, Args)]
pub struct Compare {
    /// Path of the archive, its name, a unique beginning of it, latest:DATABASE, or latest.
    pub archive: String,
    /// What to compare with: a connection string, or another archive.
    #[arg(long, value_name = "URL|ARCHIVE")]
    pub with: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}

/// `pgark list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}
