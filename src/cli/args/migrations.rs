//! `pgark migrations …` as it is typed.

use clap::{Args, Subcommand};

mod checked;
mod consolidate;

pub use checked::{MigrationsVerify, Rollback};
pub use consolidate::{Consolidate, Project, Reference};

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
    /// Put one revision, or a few, in the place of many.
    Consolidate(Box<Consolidate>),
    /// Go through a checklist against the archive of before a consolidation.
    Verify(Box<MigrationsVerify>),
    /// Put an archive's migration files back.
    Rollback(Box<Rollback>),
}

impl Migrations {
    /// What all verbs share.
    pub fn common(&self) -> &super::Common {
        match &self.verb {
            MigrationsVerb::Consolidate(args) => &args.common,
            MigrationsVerb::Verify(args) => &args.common,
            MigrationsVerb::Rollback(args) => &args.common,
        }
    }
}
