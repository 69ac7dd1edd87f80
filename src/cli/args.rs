//! The command line as it is typed. The help texts are the manual.

use super::configuration::InForce;
use super::exit;
use crate::model::connection::Asking;
use crate::ops::restore::OnExisting;
use crate::rules::schema_diff::Aspect;
use bytesize::ByteSize;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

mod adapting;
pub mod check;
mod choosing;
pub mod copy;
pub mod extract;
pub mod list;
pub mod migrations;
pub mod project;
pub mod setup;
pub mod show;
mod waits;

pub use adapting::Adapting;
pub use choosing::Choosing;
pub use waits::Waits;

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
    /// File of settings, instead of pgark.toml in the current folder; an empty name is no file.
    #[arg(long, global = true, value_name = "FILE", env = "PGARK_CONFIG", display_order = 900)]
    pub config: Option<OsString>,
    /// The settings that are in force, for `pgark config`.
    #[arg(skip)]
    pub in_force: Vec<InForce>,
}

/// The verbs. What each does is said at its arguments, where the manual takes it from.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum Verb {
    Backup(Backup),
    Restore(Restore),
    Copy(copy::Copy),
    Verify(Verify),
    Compare(Compare),
    Check(check::Check),
    List(list::List),
    Show(show::Show),
    Extract(extract::Extract),
    Migrations(migrations::Migrations),
    Init(setup::Init),
    Config(setup::Config),
    Completions(setup::Completions),
    Man(setup::Man),
    /// The exit codes and what they mean.
    #[command(name = "exit-codes", long_about = exit::EXPLAINED, hide = true, disable_help_flag = true, help_template = "{about}")]
    ExitCodes,
}

/// What all verbs share that have to do with archives.
#[derive(Debug, Args)]
pub struct Common {
    /// Folder that holds backups/ and manifests/.
    #[arg(long, value_name = "DIR", default_value = ".", env = "PGARK_REPO")]
    pub repo: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub talk: Talk,
}

/// How much is said, and how.
#[derive(Debug, Args)]
pub struct Talk {
    /// Print events as JSON on standard output, one a line, and the result last.
    ///
    /// With --quiet, the result alone. docs/json.md says what is in them.
    #[arg(long)]
    pub json: bool,
    /// Say nothing but warnings and errors; what list, show and config are asked for is printed.
    #[arg(long, short)]
    pub quiet: bool,
    /// Say everything: each table, decisions, the server's notices.
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
    /// How often a run without a terminal says where it is, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub progress: u64,
}

/// How to reach a database.
#[derive(Debug, Args)]
pub struct Server {
    /// Connection string: postgresql://user@host:5432/database, or host=… dbname=….
    ///
    /// All parameters of libpq that concern a client are understood, as psql understands them:
    /// several hosts, sslmode and its company, channel_binding, target_session_attrs, options,
    /// service. What the string leaves open comes from the service file, from PGHOST, PGPORT, PGUSER,
    /// PGPASSWORD, PGDATABASE, PGSSLMODE and libpq's other variables, and the password from .pgpass.
    /// A password in the string can be seen in the system's list of processes.
    #[arg(
        long,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub url: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub password: PasswordPrompt,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub waits: Waits,
}

/// Whether to ask for a password.
#[derive(Clone, Copy, Debug, Args)]
pub struct PasswordPrompt {
    /// Never ask for a password.
    #[arg(long, short = 'w')]
    pub no_password: bool,
    /// Ask for the password before connecting.
    ///
    /// Without this, it is asked for when the server wants one and none was found.
    #[arg(long = "password", short = 'W', conflicts_with = "no_password")]
    pub ask_password: bool,
}

impl From<PasswordPrompt> for Asking {
    fn from(prompt: PasswordPrompt) -> Self {
        match (prompt.no_password, prompt.ask_password) {
            (true, _) => Self::Never,
            (_, true) => Self::First,
            _ => Self::IfNeeded,
        }
    }
}

/// How many workers.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Number of workers, each with a connection of its own; by default one for each processor
    /// of this machine, up to 8.
    #[arg(long, short, value_name = "N", default_value_t = default_jobs(), value_parser = clap::value_parser!(u16).range(1..=512))]
    pub jobs: u16,
}

fn default_jobs() -> u16 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)) as u16
}

/// How much a run may disturb others.
#[derive(Debug, Args)]
pub struct Gentleness {
    /// Move at most so many bytes of rows per second: 500K, 20M, 1GiB.
    ///
    /// All workers share the limit. A backup holds its snapshot longer then.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub rate_limit: Option<u64>,
    /// Give way to other programs on this machine: 0 (not at all) to 19.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=19))]
    pub nice: Option<u8>,
}

fn bytes(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err(String::from("nothing would ever move")),
        Ok(size) => Ok(size.as_u64()),
        Err(_) => Err(String::from("a number of bytes is wanted, such as 500K, 20M or 1GiB")),
    }
}

/// How long to wait for locks.
#[derive(Debug, Args)]
pub struct Locks {
    /// How many seconds to wait for locks on tables, 1 to 2147483.
    // The server counts its own timeouts in milliseconds, in 31 bits.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=2_147_483))]
    pub lock_timeout: u64,
}

/// Back up a database into one archive.
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
    pub choosing: Choosing,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub project: project::Project,
    /// Fail, before any row is read, unless the project's files and the database agree.
    ///
    /// Every revision of the files must be applied, and nothing else: what `pgark migrations status`
    /// tells, but for several heads, which may all be applied. Without this, it is a warning.
    #[arg(long, conflicts_with = "no_migrations")]
    pub require_migrations: bool,
    /// Compression level of zstd: 1 keeps up with the server; more takes longer, and makes long
    /// texts smaller, not numbers and identifiers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub level: i32,
    /// Name of the archive instead of database and time.
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub gentleness: Gentleness,
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

/// Restore an archive, and prove the database equal to it.
///
/// Without options, restores schema and rows into an empty database. With --data-only, loads rows
/// into tables that are there, in one transaction. With --create, restores into a new database
/// beside the target, proves it, and then gives it the target's name.
///
/// After every restore the content of all tables is computed again and compared with the manifest.
///
/// The schema of an archive is SQL, and a restore runs it with all rights of the role: restore archives
/// of people whom you trust. With --data-only nothing of the archive's SQL is run.
///
/// A role that is no superuser grants CREATE on schemas and the database, or USAGE on foreign-data
/// wrappers, to owners who lack it, and revokes that before it sets the privileges of the archive.
///
/// A statement that waits for somebody else's lock longer than --lock-timeout fails the restore: let
/// nobody use the target meanwhile.
///
/// The target is named with --url, or by DATABASE_URL and PG* as for all verbs; it is said before
/// anything is changed. What replaces a database or rows (--swap, --on-existing truncate and upsert)
/// takes it from --url alone.
///
/// The archive's revision is compared with the target's ledger, if there is one with rows, and with
/// the files of the migration project, if one is named. Another revision is refused, both are named.
/// Files of a project in the current folder are compared, too, with a warning alone.
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
    #[command(flatten)]
    #[allow(missing_docs)]
    pub gentleness: Gentleness,
    /// Load rows into the tables of an existing schema.
    #[arg(long, conflicts_with_all = ["create", "create_roles", "leave_out"])]
    pub data_only: bool,
    /// What to do with rows that are there.
    #[arg(long, value_name = "WAY", default_value = "error", requires = "data_only")]
    pub on_existing: Existing,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub project: project::Project,
    /// Restore although the archive is at another revision than the target or the files.
    ///
    /// With --data-only, the target's ledger stays as it is, since it says what its tables are like.
    #[arg(long)]
    pub allow_revision_mismatch: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub adapting: Adapting,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
    /// Whether --url was typed.
    #[arg(skip)]
    pub url_is_typed: bool,
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

/// Check every byte of archives against their manifests, offline.
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

/// Compare an archive with a database or another archive, or the schemas of any two.
///
/// Compares rows, content digests, columns, sequences and large objects. The exit code is 0 when
/// everything is equal, 4 when not.
///
/// With --schema, compares instead what the objects are, property by property: of two archives, two
/// databases, or one of each. Objects that cannot be compared are named, and the exit code is 3 if
/// nothing else differs.
#[derive(Debug, Args)]
pub struct Compare {
    /// Path of the archive, its name, a unique beginning of it, latest:DATABASE, or latest. With
    /// --schema also a connection string.
    #[arg(value_name = "ARCHIVE|URL")]
    pub what: String,
    /// What to compare with: a connection string as in `pgark backup --help`, or
    /// another archive.
    #[arg(long, value_name = "URL|ARCHIVE")]
    pub with: String,
    /// Compare the schemas.
    #[arg(long)]
    pub schema: bool,
    /// Compare the rows besides the schemas.
    #[arg(long, requires = "schema")]
    pub rows: bool,
    /// Let the server run the conditions that stand in the archive.
    ///
    /// An archive of chosen rows (`pgark backup --where`) holds their conditions, which are SQL and can
    /// call any function that the role may. Without this flag such an archive is compared with other
    /// archives alone. The other side's rows are read in a transaction that is for reading only.
    #[arg(long)]
    pub allow_conditions: bool,
    /// Let the schemas differ in these aspects; can be given several times.
    #[arg(long, value_name = "ASPECT", value_delimiter = ',', requires = "schema", value_parser = aspects())]
    pub ignore: Vec<Aspect>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub password: PasswordPrompt,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub waits: Waits,
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

pub(in crate::cli) fn aspects() -> impl TypedValueParser<Value = Aspect> {
    PossibleValuesParser::new(Aspect::IGNORABLE.map(Aspect::name)).try_map(|name| {
        let found = Aspect::IGNORABLE.into_iter().find(|aspect| aspect.name() == name);
        found.ok_or("there is no such aspect")
    })
}
