//! What a proof needs, made and tried before the archive is written; and the archive.

use super::admission::Admitted;
use super::{Options, Reference, Runner, checks};
use crate::archive::hashing;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::schema::NotCarried;
use crate::ops::interrupt::Interrupt;
use crate::ops::migrations::alembic::{self, Alembic};
use crate::ops::migrations::project::{self, AlembicProject, Sought};
use crate::ops::migrations::proof::Bench;
use crate::ops::migrations::reach::Reach;
use crate::ops::migrations::scratch::Scratch;
use crate::ops::observer::Observer;
use crate::ops::{backup, described};
use crate::pg::version_table::Hold;
use crate::rules::schema_diff::Schema;
use crate::rules::selection::Selection;
use std::path::PathBuf;

/// Scratch databases and the project's Alembic, which has been seen to go where it is sent; and the
/// first scratch database, which is empty.
///
/// # Errors
/// No server, no Alembic where one is needed, or one that goes elsewhere.
pub(super) fn bench<'a>(
    options: &Options,
    admitted: &mut Admitted,
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
) -> Result<(Bench<'a>, Reach)> {
    let Admitted { project, held, .. } = admitted;
    let alembic = alembic(options, project)?;
    observer.phase("preparing scratch databases", None);
    let scratch = Scratch::open(
        &options.scratch,
        &held.session.facts,
        &options.environment,
        observer,
        interrupt,
    )?;
    if !options.dry_run {
        scratch.sweep()?;
    }
    let version_tables = held.tables.clone();
    let version_table = held.table.clone();
    let mut bench = Bench { scratch, alembic, version_table, version_tables, observer, interrupt };
    let old = bench.database("old")?;
    if bench.alembic.is_some() {
        bench
            .check_aim(&old, (!options.dry_run).then_some(&mut held.session))
            .map_err(|error| without_it(error, options))?;
    }
    Ok((bench, old))
}

/// What failed in Alembic, with the way without it where the proof does not need it.
fn without_it(error: Error, options: &Options) -> Error {
    let is_its_own = error.kind() == Kind::Failed && error.next_step().is_none();
    match options.reference {
        Reference::Live if is_its_own && options.keep.is_empty() => error.hint(
            "name an Alembic that runs with --alembic 'CMD', or do without it: --no-alembic takes the live database alone for the truth",
        ),
        _ => error,
    }
}

/// The project's Alembic, if there is one.
fn alembic(options: &Options, project: &AlembicProject) -> Result<Option<Alembic>> {
    let named = match &options.runner {
        Runner::None => None,
        Runner::Found => Some(None),
        Runner::Named(line) => Some(Some(line.as_str())),
    };
    let found = named.and_then(|named| alembic::find(named, &project.root, &options.environment));
    let Some(command) = found else {
        return match (options.keep.is_empty(), options.reference) {
            (true, Reference::Live) => Ok(None),
            (true, Reference::Chain) => Err(Error::refused(
                "the old revisions cannot be proved: no Alembic runs them",
            )
            .hint("name it with --alembic 'CMD'; it is looked for in .venv, venv and PATH; or take the live database for the truth with --reference live")),
            (false, _) => Err(Error::refused(
                "a consolidation with --keep can only be proved with the project's Alembic",
            )
            .hint("name it with --alembic 'CMD'; it is looked for in .venv, venv and PATH")),
        };
    };
    let ini = project.config_file.as_deref().filter(|name| !name.ends_with(".toml"));
    let ini = ini.and_then(|name| project.file(name));
    Ok(Some(Alembic {
        command,
        root: project.root.clone(),
        folder: project::run_in(project, &options.sought)?,
        script_location: project.script_location.clone(),
        ini: ini.map(|file| String::from_utf8_lossy(&file.content).into_owned()),
        section: options.sought.section.clone(),
        environment: options.environment.clone(),
        templates: options.templates.clone(),
        patience: options.patience,
    }))
}

/// The live schema, and the archive that holds it.
pub(super) struct Archived {
    /// The archive's name.
    pub name: String,
    /// Where it is; nowhere in a dry run.
    pub path: Option<PathBuf>,
    pub not_carried: Vec<NotCarried>,
    pub live: Schema,
}

/// The archive, after which Alembic is held out; in a dry run the live schema alone.
pub(super) fn archive(
    options: &Options,
    admitted: &mut Admitted,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Archived> {
    if options.dry_run {
        observer.phase("reading the schema", None);
        let patience = options.lock_timeout;
        return Ok(Archived {
            name: String::from("(no archive: a dry run)"),
            path: None,
            not_carried: Vec::new(),
            live: described::database(&options.connection, None, patience, interrupt)?,
        });
    }
    let archived = write_archive(options, admitted, observer, interrupt)?;
    // It could not be told from one that has gone to the live database instead of a scratch one.
    admitted.held.hold(Hold::Alone)?;
    Ok(archived)
}

/// The archive, verified, with the project's files and the version table's rows in it.
fn write_archive(
    options: &Options,
    admitted: &Admitted,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Archived> {
    let Admitted { project, rows, .. } = admitted;
    let summary = backup::run(
        &backup::Options {
            source: backup::Source {
                connection: options.connection.clone(),
                selection: Selection::default(),
                allow_missing: options.allow_missing.clone(),
                lock_timeout: options.lock_timeout,
            },
            repository: options.repository.clone(),
            name: None,
            jobs: options.jobs,
            level: options.level,
            migrations: Sought {
                place: checks::place_of(options, project),
                ..options.sought.clone()
            },
            require_migrations: false,
        },
        observer,
        interrupt,
    )
    .map_err(|error| error.while_doing("no archive, no consolidation: the backup failed"))?;
    let bundle = summary.manifest.migrations.as_ref();
    let same_files = bundle.is_some_and(|bundle| {
        bundle.files.len() == project.files.len()
            && bundle.files.iter().zip(&project.files).all(|(archived, file)| {
                archived.path == file.path && archived.sha256 == hashing::sha256(&file.content)
            })
    });
    let same_rows = summary.manifest.ledgers.iter().any(|ledger| ledger.revisions == *rows);
    if !same_files || !same_rows {
        return Err(Error::failed(
            "the migrations changed while the archive was written; nothing else was done",
        ));
    }
    Ok(Archived {
        name: summary.manifest.name,
        live: described::archive(&ArchiveReader::open(&summary.archive)?)?,
        path: Some(summary.archive),
        not_carried: summary.manifest.not_carried,
    })
}
