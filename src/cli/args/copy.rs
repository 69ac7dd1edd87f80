//! `pgark copy` as it is typed.

use super::{Adapting, Choosing, Gentleness, Jobs, Locks, PasswordPrompt, Talk, Waits};
use clap::Args;

/// Copy a database into another one, and prove the copy equal.
///
/// Takes ACCESS SHARE locks and one snapshot of SOURCE, as a backup does, and makes of TARGET what a
/// restore of that backup would: an empty database is filled; with --create, a new one is filled beside the
/// target, proved, and then given its name. Rows go straight from one server to the other, and no archive
/// is left: a copy is no backup.
///
/// After the copy the content of all tables is read back and compared with what was read from SOURCE.
/// SOURCE is only read. What it needs of the role is said in `pgark backup --help`, what TARGET needs in
/// `pgark restore --help`.
///
/// TARGET's server may be newer, not older. DATABASE_URL and pgark.toml's connection are not looked at;
/// what a string leaves open comes from PGHOST, .pgpass and so on, for both sides alike, so let .pgpass
/// hold passwords that differ.
#[derive(Debug, Args)]
pub struct Copy {
    /// The database to read, a connection string that names it:
    /// postgresql://user@host:5432/database, or host=… dbname=….
    pub source: String,
    /// The database to fill, a connection string that names it.
    pub target: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub password: PasswordPrompt,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub waits: Waits,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub talk: Talk,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub gentleness: Gentleness,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub choosing: Choosing,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub adapting: Adapting,
    /// Copy although the database that is replaced is at another revision of its migrations.
    #[arg(long, requires = "swap")]
    pub allow_revision_mismatch: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}
