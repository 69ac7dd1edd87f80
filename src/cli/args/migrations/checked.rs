//! `pgark migrations verify` and `rollback` as they are typed.

use crate::cli::args::project::Project;
use crate::cli::args::{Common, Jobs, Locks, Server, aspects};
use crate::ops::migrations::verify::CHECKS;
use crate::rules::schema_diff::Aspect;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

/// Go through a checklist against the archive of before a consolidation.
///
/// Goes through a list after a consolidation, against the archive that it has written: is the
/// archive whole; do the files fit together, is what pgark wrote unchanged, is every old revision
/// there or stood for, are all other files the archive's; does the version table say what it said;
/// are tables, columns, constraints, indexes, functions, triggers, views and sequences as they were;
/// is no sequence behind its column; has every table as many rows, of the same content. The exit code
/// is 4 when something is not as it should be.
///
/// Rows are compared with those in the archive: where an application has written since, leave these
/// checks out with --skip rows,digests.
#[derive(Debug, Args)]
pub struct MigrationsVerify {
    /// The archive of before the consolidation: its path, its name, a unique beginning of it,
    /// latest:DATABASE, or latest; by default the one that the file written by consolidate names.
    pub archive: Option<String>,
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
    /// Leave a check out; can be given several times.
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = checks())]
    pub skip: Vec<String>,
    /// Let the schema differ in these aspects; can be given several times.
    #[arg(long, value_name = "ASPECT", value_delimiter = ',', value_parser = aspects())]
    pub ignore: Vec<Aspect>,
    /// Run a command of your own as one more check: --run 'pytest -q'; can be given several times.
    #[arg(long, value_name = "CMD")]
    pub run: Vec<String>,
    /// How many seconds a command may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    pub run_timeout: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}

/// Put an archive's migration files back.
///
/// Puts the archive's migration files back, by an exchange of folders in one step. Revisions that
/// were added since stay; what was there is parked beside, never deleted. Other files of the project
/// (alembic.ini, env.py) come back where they are gone; where they differ, they stay and are named.
/// Archives of another project are refused, and so are those from after the consolidation.
///
/// The version table is left alone as long as it says a revision that the files know, as it does
/// after a consolidation. Else its one row is set to what the archive says, if the database is the
/// one that the archive was made of and the schema is the archive's; never more than one row.
///
/// Where there is nothing to do, the exit code is 15.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The archive: its path, its name, a unique beginning of it, latest:DATABASE, or latest; by
    /// default the one that the file written by consolidate names.
    pub archive: Option<String>,
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
    /// Bring the rows of all tables back, too: as pgark restore --data-only --on-existing truncate.
    /// An archive of a part of its rows is refused.
    #[arg(long, conflicts_with = "files_only")]
    pub with_data: bool,
    /// Change the version row or rows of a database that the archive was not made of, as after a
    /// restore on another server: its name.
    #[arg(long, value_name = "NAME", conflicts_with = "files_only")]
    pub allow_other_database: Option<String>,
    /// Look at no database.
    #[arg(long)]
    pub files_only: bool,
    /// Show what would be done, write nothing and lock nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub jobs: Jobs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}

/// The checks of `verify`, with what each is about.
fn checks() -> PossibleValuesParser {
    CHECKS.iter().map(|(name, about)| PossibleValue::new(*name).help(*about)).into()
}
