//! `pgark migrations …`: from the command line to a verb, and from its result to an exit code.

use super::connection;
use crate::cli::args::migrations::{Migrations, MigrationsVerb};
use crate::cli::exit::ExitCode;
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::error::Result;
use crate::ops::interrupt::Interrupt;
use crate::ops::migrations::status;
use std::sync::Arc;
use std::time::Duration;

/// Runs a verb.
pub(super) fn run(
    args: &Migrations,
    progress: &Arc<Progress>,
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    match &args.verb {
        MigrationsVerb::Status(args) => {
            let options = status::Options {
                connection: connection(&args.server, Arc::clone(progress)),
                sought: args.project.sought(),
                version_tables: args.version_table.clone(),
                lock_timeout: Duration::from_secs(args.locks.lock_timeout),
            };
            let summary = status::run(&options, progress.as_ref(), interrupt)?;
            progress.finish();
            report::status(&summary, args.common.json, args.common.quiet)
        }
    }
}
