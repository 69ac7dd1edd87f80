//! From the command line to a verb, and from its result to an exit code.

use super::args::{self, Arguments, Verb};
use super::exit::{self, ExitCode};
use super::progress::{Manner, Progress};
use super::{environment, ignored_signals, manual, output, report, selection, setup};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::schema::ObjectClass;
use crate::ops::interrupt::{Interrupt, signal_name};
use crate::ops::observer::Observer;
use crate::ops::pace::Paced;
use crate::ops::{
    backup, check, compare, connection_string, extract, list, locate, restore, show, verify,
};
use crate::pg::database::Locale;
use crate::pg::search_path::SearchPath;
use crate::rules::leave_out::LeaveOut;
use crate::rules::renames::Renames;
use crate::rules::selection::nearest;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

mod copy;
mod migrations;

/// Runs what was asked for.
pub fn run(arguments: Arguments) -> ExitCode {
    if let Verb::ExitCodes = arguments.verb {
        return report::text(exit::EXPLAINED);
    }
    let progress =
        Arc::new(Progress::new(talk(&arguments.verb).map_or_else(Manner::default, |talk| {
            Manner {
                quiet: talk.quiet,
                verbose: talk.verbose,
                json: talk.json,
                every: Duration::from_secs(talk.progress),
            }
        })));
    let json = talk(&arguments.verb).is_some_and(|talk| talk.json);
    let interrupt = Arc::new(Interrupt::default());
    let (only_prints, left_behind) = (only_prints(&arguments.verb), left_behind(&arguments.verb));
    let result = listen(&interrupt, &progress, left_behind).and_then(|()| {
        let (progress, interrupt) = (Arc::clone(&progress), Arc::clone(&interrupt));
        let signals = Arc::clone(&interrupt);
        let work = move || {
            // A defect must not look like anything else; what is half done is undone while
            // unwinding.
            catch_unwind(AssertUnwindSafe(|| dispatch(&arguments, &progress, &interrupt)))
                .unwrap_or_else(|_| {
                    Err(Error::failed("pgark broke off; this is a defect of pgark"))
                })
        };
        match only_prints {
            // Whoever reads may have stopped, and a write to a full pipe hears no signal.
            true => signals
                .wait_for(work)
                .map_err(|error| signals.leaving(error, "what was printed is not whole")),
            false => work(),
        }
    });
    progress.finish();
    match result {
        Ok(code) => code,
        Err(error) => {
            // The thread that was left behind may keep standard output.
            let is_held = only_prints && matches!(error.kind(), Kind::Interrupted(_));
            report::error(&error, json && !is_held);
            ExitCode::from(error.kind())
        }
    }
}

/// Whether a verb only prints, and so leaves nothing half done wherever it is left.
fn only_prints(verb: &Verb) -> bool {
    match verb {
        Verb::List(_) | Verb::Show(_) | Verb::Config(_) | Verb::Completions(_) => true,
        Verb::Extract(args) => args.file().is_none(),
        _ => false,
    }
}

/// What a verb leaves that is ended at once.
fn left_behind(verb: &Verb) -> &'static str {
    match verb {
        Verb::Backup(_) => ": what was half written was not removed, the next backup does that",
        Verb::Restore(_) | Verb::Copy(_) => {
            ": what was half restored was not removed, the next restore does that or names it"
        }
        Verb::Extract(args) if args.file().is_some() => {
            ": what was half written was not removed, and ends in .partial"
        }
        _ => "",
    }
}

/// How much most verbs say.
fn talk(verb: &Verb) -> Option<&args::Talk> {
    Some(match verb {
        Verb::Backup(args) => &args.common.talk,
        Verb::Restore(args) => &args.common.talk,
        Verb::Copy(args) => &args.talk,
        Verb::Verify(args) => &args.common.talk,
        Verb::Compare(args) => &args.common.talk,
        Verb::Check(args) => &args.backup.common.talk,
        Verb::List(args) => &args.common.talk,
        Verb::Show(args) => &args.common.talk,
        Verb::Extract(args) => &args.common.talk,
        Verb::Migrations(args) => &args.common().talk,
        Verb::Config(args) => &args.backup.common.talk,
        Verb::Init(_) | Verb::Completions(_) | Verb::Man(_) | Verb::ExitCodes => return None,
    })
}

/// The first signal ends the run in order, the second at once.
fn listen(
    interrupt: &Arc<Interrupt>,
    progress: &Arc<Progress>,
    left_behind: &'static str,
) -> Result<()> {
    let ending = [SIGINT, SIGTERM, SIGHUP];
    let ignored = ignored_signals::among(&ending);
    let mut signals = Signals::new(ending.iter().filter(|signal| !ignored.contains(signal)))
        .map_err(|error| Error::io("cannot listen for signals", error))?;
    // At a limit on the size of files (`ulimit -f`) a write must fail, not end the process.
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, ignored)
        .map_err(|error| Error::io("cannot listen for signals", error))?;
    let (interrupt, progress) = (Arc::clone(interrupt), Arc::clone(progress));
    std::thread::spawn(move || {
        let mut before = false;
        for signal in signals.forever() {
            if before {
                progress.break_off(format!(
                    "pgark: ended at once by a second signal ({}){left_behind}",
                    signal_name(signal)
                ));
                std::process::exit(128 + signal);
            }
            before = true;
            output::end_soon();
            // The cancel request itself may hang, and must not keep the second signal waiting.
            let interrupt = Arc::clone(&interrupt);
            std::thread::spawn(move || interrupt.raise(signal));
        }
    });
    Ok(())
}

fn dispatch(
    arguments: &Arguments,
    progress: &Arc<Progress>,
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    let person = Arc::clone(progress);
    let progress = progress.as_ref();
    match &arguments.verb {
        Verb::Backup(args) => {
            let options = backup_options(args, person, interrupt)?;
            let summary = gently(&args.gentleness, progress, interrupt, |observer| {
                backup::run(&options, observer, interrupt)
            })?;
            progress.finish();
            let code = match summary.manifest.not_carried.is_empty() {
                true => ExitCode::Done,
                false => ExitCode::Omissions,
            };
            told(
                progress,
                report::backup(&summary, code, args.common.talk.json, args.common.talk.quiet),
            );
            Ok(code)
        }
        Verb::Restore(args) => {
            let options = restore_options(args, person)?;
            let archive = locate::archive(&args.archive, &args.common.repo, progress)?;
            let summary = gently(&args.gentleness, progress, interrupt, |observer| {
                restore::run(&archive, &options, observer, interrupt)
            })?;
            progress.finish();
            let code = match summary.is_complete() {
                true => ExitCode::Done,
                false => ExitCode::Omissions,
            };
            told(
                progress,
                report::restore(&summary, code, args.common.talk.json, args.common.talk.quiet),
            );
            Ok(code)
        }
        Verb::Copy(args) => copy::run(args, &person, interrupt),
        Verb::Verify(args) => {
            let (repo, jobs) = (&args.common.repo, usize::from(args.jobs.jobs));
            let reports = verify::run(&args.archives, repo, jobs, progress, interrupt)?;
            progress.finish();
            report::verify(&reports, args.common.talk.json, args.common.talk.quiet)
        }
        Verb::Compare(args) => {
            let options = compare::Options {
                left: compared(&args.what, args, Arc::clone(&person))?,
                right: compared(&args.with, args, person)?,
                rows: args.rows || !args.schema,
                schema: args.schema.then(|| args.ignore.iter().copied().collect()),
                allow_conditions: args.allow_conditions,
                jobs: usize::from(args.jobs.jobs),
                lock_timeout: Duration::from_secs(args.locks.lock_timeout),
            };
            let summary = compare::run(&options, progress, interrupt)?;
            progress.finish();
            report::compare(&summary, args.common.talk.json, args.common.talk.quiet)
        }
        Verb::Check(args) => {
            let options = backup_options(&args.backup, person, interrupt)?;
            let checked = check::run(&options, progress, interrupt)?;
            progress.finish();
            report::check(&checked, args.backup.common.talk.json, args.backup.common.talk.quiet)
        }
        Verb::List(args) => {
            let options = list::Options {
                database: args.database.clone(),
                since: args.since,
                until: args.until,
                sort: args.sort.into(),
                limit: args.limit.map(|limit| limit as usize),
            };
            let listing = list::run(&args.common.repo, &options)?;
            report::list(&listing, args.common.talk.json, args.common.talk.quiet)?;
            Ok(ExitCode::Done)
        }
        Verb::Show(args) => {
            let shown = show::run(&args.archive, &args.common.repo, progress)?;
            report::show(&shown, args.tables, args.common.talk.json, args.common.talk.quiet)
        }
        Verb::Extract(args) => extract(args, progress, interrupt),
        Verb::Migrations(args) => migrations::run(args, &person, interrupt),
        Verb::Config(args) => {
            report::config(&arguments.in_force, args.backup.common.talk.json)?;
            Ok(ExitCode::Done)
        }
        Verb::Init(args) => {
            report::to_stdout(&report::shown(&setup::init(args)?))?;
            Ok(ExitCode::Done)
        }
        Verb::Completions(args) => {
            report::stream()(&setup::completions(args.shell))?;
            Ok(ExitCode::Done)
        }
        Verb::Man(args) => {
            let pages = manual::write(args)?;
            report::to_stdout(&format!("{}: {pages} pages", report::shown(&args.folder)))?;
            Ok(ExitCode::Done)
        }
        Verb::ExitCodes => Ok(report::text(exit::EXPLAINED)),
    }
}

fn extract(
    args: &args::extract::Extract,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    let archive = locate::archive(&args.archive, &args.common.repo, progress)?;
    let part = args.part()?;
    match args.file() {
        Some(path) => {
            let to = extract::Destination::Path { path: path.to_owned(), replace: args.force };
            let summary = extract::run(&archive, &part, to, progress, interrupt)?;
            progress.finish();
            let told =
                report::extract(&summary, path, args.common.talk.json, args.common.talk.quiet);
            self::told(progress, told);
        }
        None if args.common.talk.json => {
            return Err(Error::new(
                Kind::Usage,
                "--json goes with --output: standard output is for what is extracted",
            ));
        }
        None => {
            report::check_stream()?;
            let mut stream = report::stream();
            let to = extract::Destination::Stream(&mut stream);
            extract::run(&archive, &part, to, progress, interrupt)?;
        }
    }
    Ok(ExitCode::Done)
}

/// Runs `verb` as gently as was asked for.
fn gently<T>(
    how: &args::Gentleness,
    progress: &Progress,
    interrupt: &Interrupt,
    verb: impl FnOnce(&dyn Observer) -> Result<T>,
) -> Result<T> {
    if let Some(nice) = how.nice {
        // Before any worker is there: on Linux, niceness is a thread's own, and inherited.
        nice_by(i32::from(nice))?;
    }
    match how.rate_limit {
        Some(limit) => verb(&Paced::new(limit, progress, interrupt)),
        None => verb(progress),
    }
}

fn nice_by(nice: i32) -> Result<()> {
    rustix::process::nice(nice)
        .map(drop)
        .map_err(|error| Error::io("cannot give way to other programs", error.into()))
}

/// A backup or restore that is done is done, whether or not its summary could be printed.
fn told(progress: &Progress, result: Result<()>) {
    if let Err(error) = result {
        progress.warn(&error.to_string());
    }
}

fn connection(server: &args::Server, person: Arc<Progress>) -> Result<Connection> {
    let connection = environment::connection(&server.url, server.password.into(), person)?;
    Ok(server.waits.bound(connection))
}

fn backup_options(
    args: &args::Backup,
    person: Arc<Progress>,
    interrupt: &Interrupt,
) -> Result<backup::Options> {
    Ok(backup::Options {
        source: backup::Source {
            connection: connection(&args.server, person)?,
            selection: selection::of_database(&args.choosing, interrupt)?,
            allow_missing: classes(&args.choosing.allow_missing)?,
            lock_timeout: Duration::from_secs(args.locks.lock_timeout),
        },
        repository: args.common.repo.clone(),
        name: args.name.clone(),
        jobs: usize::from(args.jobs.jobs),
        level: args.level,
        migrations: args.project.sought(),
        require_migrations: args.require_migrations,
    })
}

/// Fails where something would be replaced in a database that only the environment names, which may
/// be the one that is backed up.
fn check_target(args: &args::Restore) -> Result<()> {
    let replaces = match args.on_existing {
        _ if args.adapting.swap => "--swap",
        args::Existing::Truncate => "--on-existing truncate",
        args::Existing::Upsert => "--on-existing upsert",
        args::Existing::Error | args::Existing::Append | args::Existing::Skip => return Ok(()),
    };
    if args.url_is_typed && connection_string::names_database(&args.server.url)? {
        return Ok(());
    }
    Err(Error::new(
        Kind::Usage,
        format!("{replaces} replaces what is there, and --url does not say in which database"),
    )
    .hint("name the target on the command line: --url postgresql://user@host/database"))
}

fn restore_options(args: &args::Restore, person: Arc<Progress>) -> Result<restore::Options> {
    check_target(args)?;
    let selection = selection::of_tables(&args.selection)?;
    if !args.data_only && !selection.is_everything() {
        return Err(Error::new(Kind::Usage, "--table and --exclude-table go with --data-only"));
    }
    let merges = matches!(args.on_existing, args::Existing::Skip | args::Existing::Upsert);
    if merges && args.adapting.search_path.is_some() {
        return Err(Error::new(
            Kind::Usage,
            "--search-path does not go with --on-existing skip and upsert",
        ));
    }
    let mode = match args.data_only {
        true => restore::Mode::DataOnly(args.on_existing.into()),
        false => mode(&args.adapting),
    };
    Ok(restore::Options {
        mode,
        jobs: usize::from(args.jobs.jobs),
        selection,
        migrations: args.project.sought(),
        allow_revision_mismatch: args.allow_revision_mismatch,
        lock_timeout: Duration::from_secs(args.locks.lock_timeout),
        ..adapted(&args.adapting, connection(&args.server, person)?)?
    })
}

/// What is to be other in the database that is made.
fn adapted(args: &args::Adapting, connection: Connection) -> Result<restore::Options> {
    Ok(restore::Options {
        no_owner: args.no_owner,
        no_privileges: args.no_privileges,
        no_security_labels: args.no_security_labels,
        create_roles: args.create_roles,
        role_map: Renames::new(&args.role_map)?,
        tablespace_map: Renames::new(&args.tablespace_map)?,
        no_tablespaces: args.no_tablespaces,
        locale: args.locale.as_deref().map(locale),
        leave_out: args.leave_out.iter().map(|what| unwanted(what)).collect::<Result<_>>()?,
        through_roots: args.load_via_partition_root,
        search_path: args
            .search_path
            .as_deref()
            .map(SearchPath::new)
            .transpose()?
            .unwrap_or_default(),
        ..restore::Options::new(connection, mode(args))
    })
}

/// Where schema and rows go.
fn mode(args: &args::Adapting) -> restore::Mode {
    match args.create {
        true => restore::Mode::Create {
            swap: args.swap,
            disconnect: args.disconnect,
            maintenance: args.maintenance_db.clone(),
        },
        false => restore::Mode::Empty,
    }
}

/// `LOCALE`, `icu:LOCALE`, `builtin:LOCALE`.
fn locale(text: &str) -> Locale {
    let of = |provider, name: &str| Locale { provider, name: name.to_owned() };
    match text.split_once(':') {
        Some(("icu", name)) => of('i', name),
        Some(("builtin", name)) => of('b', name),
        Some(("libc", name)) => of('c', name),
        _ => of('c', text),
    }
}

fn classes(names: &[String]) -> Result<Vec<ObjectClass>> {
    names.iter().map(|name| class(name)).collect()
}

/// `CLASS` or `CLASS:NAME`.
fn unwanted(what: &str) -> Result<LeaveOut> {
    match what.split_once(':') {
        Some((class_name, name)) => LeaveOut::named(class(class_name)?, name),
        None => class(what).map(LeaveOut::class),
    }
}

fn class(name: &str) -> Result<ObjectClass> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|error| {
        // serde lists all classes in its message.
        let listed = error.to_string();
        let classes = listed.split('`').skip(1).step_by(2).skip(1).map(str::to_owned);
        let wrong = Error::new(Kind::Usage, format!("there is no class of objects \"{name}\""));
        match nearest(name, classes) {
            Some(near) => wrong.hint(format!("did you mean \"{near}\"?")),
            None => wrong.hint("messages and manifests name the classes"),
        }
    })
}

/// A connection string has `://` or `=` in it; an archive's name or path that has too can be given
/// with its folder.
fn compared(what: &str, args: &args::Compare, person: Arc<Progress>) -> Result<compare::Input> {
    let is_connection = what.contains("://") || what.contains('=');
    if is_connection && !Path::new(what).exists() {
        let connection = environment::connection(what, args.password.into(), person)?;
        return Ok(compare::Input::Database(args.waits.bound(connection)));
    }
    Ok(compare::Input::Archive(locate::archive(what, &args.common.repo, person.as_ref())?))
}
