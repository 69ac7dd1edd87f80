//! `pgark migrations …`: from the command line to a verb, and from its result to an exit code.

use super::{class, connection, environment, told};
use crate::cli::args::Common;
use crate::cli::args::migrations::{
    Consolidate, Migrations, MigrationsVerb, MigrationsVerify, Reference, Rollback,
};
use crate::cli::args::project::Project;
use crate::cli::exit::ExitCode;
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::error::{Error, Kind, Result};
use crate::ops::interrupt::Interrupt;
use crate::ops::locate;
use crate::ops::migrations::consolidate::{self, Runner};
use crate::ops::migrations::{consolidated, rollback, scratch, status, verify};
use crate::ops::restore;
use crate::rules::pattern::Pattern;
use crate::rules::secrets;
use std::path::PathBuf;
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
                connection: connection(&args.server, Arc::clone(progress))?,
                sought: args.project.sought(),
                version_tables: args.version_table.clone(),
                lock_timeout: Duration::from_secs(args.locks.lock_timeout),
            };
            let summary = status::run(&options, progress.as_ref(), interrupt)?;
            progress.finish();
            report::status(&summary, args.common.talk.json, args.common.talk.quiet)
        }
        MigrationsVerb::Consolidate(args) => {
            let options = consolidate_options(args, Arc::clone(progress))?;
            let summary = consolidate::run(&options, progress.as_ref(), interrupt)?;
            progress.finish();
            told(
                progress,
                report::consolidate(&summary, args.common.talk.json, args.common.talk.quiet),
            );
            Ok(report::consolidated(&summary))
        }
        MigrationsVerb::Verify(args) => {
            let options = verify_options(args, Arc::clone(progress))?;
            let checks = verify::run(&options, progress.as_ref(), interrupt)?;
            progress.finish();
            report::checklist(&checks, args.common.talk.json, args.common.talk.quiet)
        }
        MigrationsVerb::Rollback(args) => {
            let options = rollback_options(args, Arc::clone(progress))?;
            let summary = rollback::run(&options, progress.as_ref(), interrupt)?;
            progress.finish();
            let code = match summary.data.as_ref().is_none_or(restore::Summary::is_complete) {
                true => ExitCode::Done,
                false => ExitCode::Omissions,
            };
            told(
                progress,
                report::rollback(&summary, code, args.common.talk.json, args.common.talk.quiet),
            );
            Ok(code)
        }
    }
}

/// The archive that was named, or the one that the project's files name.
fn archive(
    named: Option<&str>,
    project: &Project,
    common: &Common,
    person: &Arc<Progress>,
) -> Result<PathBuf> {
    match named {
        Some(named) => locate::archive(named, &common.repo, person.as_ref()),
        None => consolidated::archive(&project.sought(), &common.repo),
    }
}

fn verify_options(args: &MigrationsVerify, person: Arc<Progress>) -> Result<verify::Options> {
    Ok(verify::Options {
        archive: archive(args.archive.as_deref(), &args.project, &args.common, &person)?,
        connection: connection(&args.server, person)?,
        sought: args.project.sought(),
        version_table: args.version_table.clone(),
        ignore: args.ignore.iter().copied().collect(),
        skip: args.skip.clone(),
        commands: args.run.clone(),
        environment: environment::variables(),
        patience: Duration::from_secs(args.run_timeout),
        jobs: usize::from(args.jobs.jobs),
        lock_timeout: Duration::from_secs(args.locks.lock_timeout),
    })
}

fn rollback_options(args: &Rollback, person: Arc<Progress>) -> Result<rollback::Options> {
    Ok(rollback::Options {
        archive: archive(args.archive.as_deref(), &args.project, &args.common, &person)?,
        connection: (!args.files_only).then(|| connection(&args.server, person)).transpose()?,
        sought: args.project.sought(),
        version_table: args.version_table.clone(),
        other_database: args.allow_other_database.clone(),
        with_data: args.with_data,
        dry_run: args.dry_run,
        jobs: usize::from(args.jobs.jobs),
        lock_timeout: Duration::from_secs(args.locks.lock_timeout),
    })
}

fn consolidate_options(args: &Consolidate, person: Arc<Progress>) -> Result<consolidate::Options> {
    let asking = args.server.password;
    let waits = args.server.waits;
    let other = |url: &String| {
        environment::connection(url, asking.into(), Arc::clone(&person) as _)
            .map(|connection| waits.bound(connection))
    };
    let live = connection(&args.server, Arc::clone(&person))?;
    Ok(consolidate::Options {
        repository: args.common.repo.clone(),
        sought: args.project.sought(),
        version_table: args.version_table.clone(),
        keep: args.keep.clone(),
        reference: match args.reference {
            Reference::Chain => consolidate::Reference::Chain,
            Reference::Live => consolidate::Reference::Live,
        },
        seeds: args.seed.iter().map(|text| Pattern::new(text)).collect::<Result<_>>()?,
        without_rows: args.no_seed.iter().map(|text| Pattern::new(text)).collect::<Result<_>>()?,
        with_privileges: args.with_privileges,
        ignore: args.ignore.iter().copied().collect(),
        also: args
            .also
            .iter()
            .map(|url| Ok((secrets::hide(url), other(url)?)))
            .collect::<Result<_>>()?,
        scratch: match (&args.scratch, args.scratch_here) {
            (Some(url), _) => scratch::Place::Server(Box::new(other(url)?)),
            (None, true) => scratch::Place::Server(Box::new(live.clone())),
            (None, false) => scratch::Place::ThrowAway(args.scratch_bin.clone()),
        },
        runner: match (&args.alembic, args.no_alembic) {
            (Some(line), _) => Runner::Named(line.clone()),
            (None, true) => Runner::None,
            (None, false) => Runner::Found,
        },
        templates: args.alembic_env.iter().map(|text| variable(text)).collect::<Result<_>>()?,
        environment: environment::variables(),
        patience: Duration::from_secs(args.alembic_timeout),
        park: args.park.clone(),
        dry_run: args.dry_run,
        jobs: usize::from(args.jobs.jobs),
        level: args.level,
        allow_missing: args.allow_missing.iter().map(|c| class(c)).collect::<Result<_>>()?,
        lock_timeout: Duration::from_secs(args.locks.lock_timeout),
        connection: live,
    })
}

fn variable(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::new(Kind::Usage, format!("--alembic-env {text} is not NAME=TEXT"))),
    }
}
