//! `pgark migrations …` as it is typed.

use clap::{Args, Subcommand};

mod status;

pub use status::Status;

/// `pgark migrations`.
#[derive(Debug, Args)]
pub struct Migrations {
    /// What to do.
    #[command(subcommand)]
    pub verb: MigrationsVerb,
}

/// The verbs of `pgark migrations`.
#[derive(Debug, Subcommand)]
pub enum MigrationsVerb {
    /// Compare the migration files with the database: is everything applied, and nothing else?
    Status(Status),
}

impl Migrations {
    /// What all verbs share.
    pub fn common(&self) -> &super::Common {
        match &self.verb {
            MigrationsVerb::Status(args) => &args.common,
        }
    }
}
