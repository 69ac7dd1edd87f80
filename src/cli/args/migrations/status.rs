//! `pgark migrations status` as it is typed.

use crate::cli::args::project::Project;
use crate::cli::args::{Common, Locks, Server};
use clap::Args;

/// Compare the migration files with the database: is everything applied, and nothing else?
///
/// Compares the files of an Alembic project with the version table of the database, which is found
/// by its shape, whatever its name and schema. The exit code is 0 only if the files end in one head
/// and the database is at it. Everything else has exit code 4, and says what to do: revisions that
/// are not applied, several heads, a row that no file knows, a row that is only the beginning of an
/// id, the same row twice, rows of which one needs the other, an empty version table, none at all.
///
/// Revisions whose files contradict each other, or that only Python could compute, have exit code
/// 15 and are named with file and line.
///
/// Ledgers of other tools are shown with what is applied: Atlas, dbmate, diesel, Django, Drizzle,
/// Ecto, Flyway, golang-migrate, goose, Knex, Laravel, Liquibase, node-pg-migrate, Prisma, Rails,
/// refinery, SeaORM, Sequelize, sqitch, sqlx, TypeORM. A migration of theirs that failed or did not
/// end has exit code 4, too. pgark never writes to them.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: Server,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub project: Project,
    /// A version table of this project, NAME or SCHEMA.NAME, where the database has several.
    ///
    /// Without it, all of them are expected to be at the head, as those of several tenants are. Can
    /// be given several times.
    #[arg(long, value_name = "TABLE")]
    pub version_table: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locks: Locks,
}
