//! `pgark migrations …` as it is typed.

use clap::{Args, Subcommand};

mod checked;
mod consolidate;
mod status;

pub use checked::{MigrationsVerify, Rollback};
pub use consolidate::{Consolidate, Reference};
pub use status::Status;

/// Keep migration files and the database in step.
///
/// The files of an Alembic project are read as text: no Python is needed, and nothing of theirs is
/// run. What only Python could compute is said to be so, never guessed.
#[derive(Debug, Args)]
pub struct Migrations {
    /// What to do.
    #[command(subcommand)]
    pub verb: MigrationsVerb,
}

/// The verbs of `pgark migrations`. What each does is said at its arguments.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum MigrationsVerb {
    Status(Status),
    Consolidate(Box<Consolidate>),
    Verify(Box<MigrationsVerify>),
    Rollback(Box<Rollback>),
}

impl Migrations {
    /// What all verbs share.
    pub fn common(&self) -> &super::Common {
        match &self.verb {
            MigrationsVerb::Consolidate(args) => &args.common,
            MigrationsVerb::Verify(args) => &args.common,
            MigrationsVerb::Rollback(args) => &args.common,
            MigrationsVerb::Status(args) => &args.common,
        }
    }
}
