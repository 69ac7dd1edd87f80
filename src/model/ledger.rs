//! The tools that keep a ledger of migrations in the database.

/// A migration tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names of tools")]
pub enum Tool {
    Alembic,
    Atlas,
    Dbmate,
    Diesel,
    Django,
    Drizzle,
    Ecto,
    Flyway,
    GolangMigrate,
    Goose,
    Knex,
    Laravel,
    Liquibase,
    NodePgMigrate,
    Prisma,
    Rails,
    Refinery,
    SeaOrm,
    Sequelize,
    Sqitch,
    Sqlx,
    TypeOrm,
}

impl Tool {
    /// The name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alembic => "alembic",
            Self::Atlas => "atlas",
            Self::Dbmate => "dbmate",
            Self::Diesel => "diesel",
            Self::Django => "django",
            Self::Drizzle => "drizzle",
            Self::Ecto => "ecto",
            Self::Flyway => "flyway",
            Self::GolangMigrate => "golang-migrate",
            Self::Goose => "goose",
            Self::Knex => "knex",
            Self::Laravel => "laravel",
            Self::Liquibase => "liquibase",
            Self::NodePgMigrate => "node-pg-migrate",
            Self::Prisma => "prisma",
            Self::Rails => "rails",
            Self::Refinery => "refinery",
            Self::SeaOrm => "sea-orm",
            Self::Sequelize => "sequelize",
            Self::Sqitch => "sqitch",
            Self::Sqlx => "sqlx",
            Self::TypeOrm => "typeorm",
        }
    }
}

/// What a ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// The migrations that are applied, in the tool's order.
    pub applied: Vec<String>,
    /// The one that the tool takes for the newest.
    pub current: Option<String>,
    /// Those that failed or were not finished.
    pub unfinished: Vec<String>,
}
