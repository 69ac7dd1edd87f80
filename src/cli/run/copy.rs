//! `pgark copy`.

use super::{adapted, classes, gently, told};
use crate::cli::exit::ExitCode;
use crate::cli::progress::Progress;
use crate::cli::{args, environment, report, selection};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::ops::interrupt::Interrupt;
use crate::ops::{backup, connection_string, copy, restore};
use std::sync::Arc;
use std::time::Duration;

pub fn run(
    args: &args::copy::Copy,
    progress: &Arc<Progress>,
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    for (name, string) in [("SOURCE", &args.source), ("TARGET", &args.target)] {
        if !connection_string::names_database(string)? {
            return Err(Error::new(Kind::Usage, format!("{name} does not name a database"))
                .hint("name it in the connection string: postgresql://user@host/database"));
        }
    }
    let lock_timeout = Duration::from_secs(args.locks.lock_timeout);
    let options = copy::Options {
        source: backup::Source {
            connection: connection(&args.source, "the source", args, progress)?,
            selection: selection::of_database(&args.choosing, interrupt)?,
            allow_missing: classes(&args.choosing.allow_missing)?,
            lock_timeout,
        },
        target: restore::Options {
            jobs: usize::from(args.jobs.jobs),
            allow_revision_mismatch: args.allow_revision_mismatch,
            lock_timeout,
            ..adapted(&args.adapting, connection(&args.target, "the target", args, progress)?)?
        },
    };
    let summary = gently(&args.gentleness, progress, interrupt, |observer| {
        copy::run(&options, observer, interrupt)
    })?;
    progress.finish();
    let code = match summary.is_complete() {
        true => ExitCode::Done,
        false => ExitCode::Omissions,
    };
    told(progress, report::copy(&summary, code, args.talk.json, args.talk.quiet));
    Ok(code)
}

fn connection(
    string: &str,
    called: &'static str,
    args: &args::copy::Copy,
    progress: &Arc<Progress>,
) -> Result<Connection> {
    let person = Arc::clone(progress);
    let connection = environment::connection(string, args.password.into(), person)?;
    Ok(Connection { called: Some(called), ..args.waits.bound(connection) })
}
