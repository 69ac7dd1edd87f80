//! `pgark migrations …` as it is typed.

use clap::{Args, Subcommand};

mod consolidate;

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
}

impl Migrations {
    /// What all verbs share.
    pub fn common(&self) -> &super::Common {
        match &self.verb {
            MigrationsVerb::Consolidate(args) => &args.common,
        }
    }
}
