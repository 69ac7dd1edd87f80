//! `pgark backup`: one snapshot of a database becomes one archive.
//!
//! Locks → snapshot → schema → rows (workers read chunks, one writer appends them) → manifest →
//! sync → read again and verify → publish. Until the last step nothing of it exists for anybody.

use super::interrupt::Interrupt;
use super::migrations::project;
use super::observer::Observer;
use super::{plan, verify};
use crate::archive::manifest::{
    BackupOptions, CHOSEN_ROWS, Format, Manifest, Member, Previous, Snapshot as SnapshotEntry,
    TableEntry,
};
use crate::archive::reader::{POST_DATA, PRE_DATA};
use crate::archive::writer::ArchiveWriter;
use crate::archive::{descriptions, hashing, schema_text};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::schema::ObjectClass;
use crate::pg::roles;
use crate::rules::pattern::Pattern;
use crate::rules::selection::Selection;
use crate::store::place;
use crate::store::repository::Repository;
use chrono::{DateTime, Utc};
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod by_hand;
pub(super) mod filter;
pub(super) mod migrations;
pub(super) mod read;
pub(super) mod schema;

/// What to read of which database.
pub struct Source {
    /// The database.
    pub connection: Connection,
    /// Which tables.
    pub selection: Selection,
    /// Classes of objects that may be missing.
    pub allow_missing: Vec<ObjectClass>,
    /// How long to wait for locks on tables.
    pub lock_timeout: Duration,
}

impl Source {
    /// Whether every table, sequence and large object is read, with all rows of a table or with none.
    pub fn is_whole(&self) -> bool {
        self.selection.is_everything() && self.selection.filters.is_empty()
    }
}

/// What to back up, and where to.
pub struct Options {
    /// What to read.
    pub source: Source,
    /// The repository's folder.
    pub repository: PathBuf,
    /// Name of the archive instead of database and time.
    pub name: Option<String>,
    /// Number of workers, at least 1.
    pub jobs: usize,
    /// Compression level, 1 to 19.
    pub level: i32,
    /// The migration project.
    pub migrations: project::Sought,
    /// Fail unless the project's files and the database agree.
    pub require_migrations: bool,
}

/// What a backup did.
#[derive(Debug)]
pub struct Summary {
    /// The archive.
    pub archive: PathBuf,
    /// Its manifest.
    pub manifest_path: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the manifest, which fixes every byte of the archive.
    pub manifest_sha256: String,
    /// Bytes of the archive.
    pub size: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Backs up a database.
///
/// # Errors
/// Whatever fails, the repository holds what it held before.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    backup(options, observer, interrupt).map_err(|error| {
        interrupt.leaving(error, "nothing was published, and nothing half-written was left")
    })
}

fn backup(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let begun = Instant::now();
    let started = Utc::now();
    let given = options.name.as_deref().map(checked_name).transpose()?;
    let repository = Repository::at(&options.repository)?;
    warn_of_storage(&repository, observer);
    let lock = repository.lock()?;
    let swept = repository.sweep(&lock)?;
    for name in swept.published {
        observer.note(&format!(
            "{name} is whole, and its run was killed as it was to be listed: listed it"
        ));
    }
    for path in swept.removed {
        observer.note(&format!("removed {}, left over from a run that was killed", path.display()));
    }
    for path in repository.unlisted()? {
        observer.warn(&format!(
            "{} has no manifest in manifests/, so it is not listed; `pgark verify` tells whether it is whole",
            path.display()
        ));
    }

    let (mut leader, mut taken) = schema::open(&options.source, observer, interrupt)?;
    let bundle = migrations::project(&options.migrations, options.require_migrations, observer)?;
    let ledgers = migrations::ledgers(&mut leader, &taken.tables)?;
    let (sought, required) = (&options.migrations, options.require_migrations);
    migrations::check(bundle.as_ref(), &ledgers, sought, required, observer)?;
    let plan = plan::make(&taken.tables, &taken.choices, leader.facts.major());
    observer.detail(&format!(
        "{} tables of PostgreSQL {}, in {} pieces of work, by {} workers",
        plan.tables.len(),
        leader.facts.server_version,
        plan.tasks.len(),
        options.jobs.min(plan.tasks.len())
    ));

    let name = match given {
        Some(name) => name,
        None => free_name(&repository, &leader.facts.database, started, interrupt)?,
    };
    let staged = repository.stage_archive(&lock, &name)?;
    let mtime = u64::try_from(started.timestamp()).unwrap_or_default();
    let mut archive = ArchiveWriter::new(staged.writer()?, mtime);
    let mut files = Vec::new();
    // The schema of ten thousand tables is large, and not needed again.
    let objects = std::mem::take(&mut taken.objects);
    let text = schema_text::write(&objects, &name);
    files.push(archive.add("README.txt", by_hand::readme(&name, &leader.facts).as_bytes())?);
    files.push(archive.add(PRE_DATA, text.pre_data.as_bytes())?);
    files.push(archive.add(POST_DATA, text.post_data.as_bytes())?);
    let described = descriptions::write(&objects, options.level)?;
    files.push(archive.add(descriptions::MEMBER, &described)?);
    drop((objects, text.pre_data, text.post_data, described));
    let bundle = migrations::append(bundle, &mut archive, &mut files)?;

    observer.phase("reading the rows", Some(plan.estimated_bytes));
    let rows = read::read_all(
        &read::Context {
            connection: &options.source.connection,
            snapshot: &taken.snapshot,
            jobs: options.jobs,
            level: options.level,
            observer,
            interrupt,
        },
        &mut leader,
        &plan,
        &mut archive,
        taken.with_large_objects,
    )?;
    observer.phase("writing the manifest", None);
    let named = taken.all_roles(&rows.large_objects.objects);
    let role_definitions = roles::definitions(&mut leader.client, &named)?;
    taken.end(&mut leader)?;
    let finished = Utc::now();

    let tables: Vec<TableEntry> = rows.tables;
    files.push(add_text(
        &mut archive,
        by_hand::SEQUENCES,
        &by_hand::sequences_sql(&taken.sequences),
    )?);
    if !rows.large_objects.objects.is_empty() {
        let sql = by_hand::large_objects_sql(&rows.large_objects);
        files.push(add_text(&mut archive, by_hand::LARGE_OBJECTS, &sql)?);
    }
    let script = by_hand::script(&name, &leader.facts, &tables, &rows.large_objects);
    files.push(add_text(&mut archive, by_hand::SCRIPT, &script)?);
    let manifest = Manifest {
        format: Format::current(features(&options.source.selection)),
        name: name.clone(),
        program: concat!("pgark ", env!("CARGO_PKG_VERSION")).to_owned(),
        started,
        finished,
        source: leader.facts.clone(),
        database: Some(taken.database),
        snapshot: SnapshotEntry { taken: taken.snapshot.taken, lsn: taken.snapshot.lsn.clone() },
        options: recorded(&options.source, options.jobs, options.level),
        previous: previous(&repository, &leader.facts.database, observer)?,
        roles: named,
        role_definitions,
        objects: text.objects,
        not_carried: taken.not_carried,
        left_out: taken.left_out,
        whole: options.source.is_whole(),
        tables,
        sequences: taken.sequences,
        large_objects: rows.large_objects,
        migrations: bundle,
        ledgers,
        files,
    };
    let (writer, json) = archive.finish(&manifest)?;
    // What is told of it in the end is what the disk gives back.
    drop(manifest);
    writer
        .into_inner()
        .map_err(|error| Error::io("cannot write the archive", error.into_error()))?;

    observer.phase("syncing", None);
    staged.sync()?;
    observer.phase("reading the archive again", None);
    let check = verify::check_file(
        staged.path(),
        Some(&json),
        verify::Depth::Rows,
        options.jobs,
        observer,
        interrupt,
    )?;
    if let Some(finding) = check.findings.first() {
        return Err(Error::damaged(format!("the disk does not hold what was written: {finding}"))
            .hint("nothing was published; check the disk before the next backup"));
    }
    let manifest = check.manifest.ok_or_else(|| Error::damaged("the archive has no manifest"))?;
    interrupt.check()?;
    let size = check.bytes;
    observer.phase("publishing", None);
    repository.publish(&name, staged, &json)?;
    Ok(Summary {
        archive: repository.archive_path(&name),
        manifest_path: repository.manifest_path(&name),
        manifest_sha256: hashing::sha256(&json),
        manifest,
        size,
        elapsed: begun.elapsed(),
    })
}

/// An archive is of no use where it does not outlive what it is kept for.
fn warn_of_storage(repository: &Repository, observer: &dyn Observer) {
    let places = repository.folders().into_iter().filter_map(|folder| place::survey(&folder).ok());
    let mut passing = places.filter_map(|place| Some((place.gone_when()?, place)));
    if let Some((when, place)) = passing.next() {
        observer.warn(&format!(
            "the archive will be gone when {when}: {place}; give --repo a folder on a disk or volume that stays"
        ));
    }
}

fn add_text<W: std::io::Write>(
    archive: &mut ArchiveWriter<W>,
    name: &str,
    text: &str,
) -> Result<Member> {
    archive.add(name, text.as_bytes())
}

/// A name that no archive has: whoever comes in the same second as another waits for the next.
fn free_name(
    repository: &Repository,
    database: &str,
    started: DateTime<Utc>,
    interrupt: &Interrupt,
) -> Result<String> {
    let mut moment = started;
    loop {
        let name = archive_name(database, moment);
        if repository.taken(&name).is_none() {
            return Ok(name);
        }
        interrupt.check()?;
        std::thread::sleep(Duration::from_millis(200));
        moment = Utc::now();
    }
}

/// `<database>-<UTC time>`; a database may have any name, a file may not.
fn archive_name(database: &str, started: DateTime<Utc>) -> String {
    format!("{}-{}", plan::slug(database), started.format("%Y%m%dT%H%M%SZ"))
}

/// A name that an operator gives an archive.
///
/// # Errors
/// [`Kind::Usage`] for what is no name of a file that pgark would make.
pub fn checked_name(name: &str) -> Result<String> {
    let sound = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if sound {
        return Ok(name.to_owned());
    }
    Err(Error::new(Kind::Usage, format!("\"{name}\" is no name for an archive"))
        .hint("use letters, digits, -, _ and dots, not at the beginning"))
}

/// What a reader must know to understand the archive.
pub(super) fn features(selection: &Selection) -> Vec<String> {
    let chosen_rows = (!selection.filters.is_empty()).then(|| CHOSEN_ROWS.to_owned());
    chosen_rows.into_iter().collect()
}

/// The options as the manifest keeps them.
pub fn recorded(source: &Source, jobs: usize, level: i32) -> BackupOptions {
    let selection = &source.selection;
    let of = |patterns: &[Pattern], and_children: bool| {
        let patterns = patterns.iter().filter(|pattern| pattern.and_children == and_children);
        patterns.map(|pattern| pattern.text().to_owned()).collect()
    };
    let texts = |patterns: &[Pattern]| of(patterns, false);
    let with_children = |patterns: &[Pattern]| of(patterns, true);
    BackupOptions {
        jobs,
        level,
        tables: texts(&selection.tables),
        tables_and_children: with_children(&selection.tables),
        exclude_tables: texts(&selection.exclude_tables),
        exclude_tables_and_children: with_children(&selection.exclude_tables),
        schemas: texts(&selection.schemas),
        exclude_schemas: texts(&selection.exclude_schemas),
        extensions: texts(&selection.extensions),
        exclude_extensions: texts(&selection.exclude_extensions),
        exclude_data: texts(&selection.exclude_data),
        exclude_data_and_children: with_children(&selection.exclude_data),
        filters: selection.filters.iter().map(|f| f.text().to_owned()).collect(),
        allow_missing: source.allow_missing.clone(),
        masked: false,
    }
}

/// The newest archive of the same database, by the time in its manifest.
fn previous(
    repository: &Repository,
    database: &str,
    observer: &dyn Observer,
) -> Result<Option<Previous>> {
    let mut newest: Option<(DateTime<Utc>, Previous)> = None;
    for name in repository.names()? {
        let Some(json) = repository.manifest(&name)? else { continue };
        match Manifest::from_json(&json) {
            Ok(manifest) if manifest.source.database == database => {
                if newest.as_ref().is_none_or(|(started, _)| *started < manifest.started) {
                    let sha256 = hashing::sha256(&json);
                    newest = Some((manifest.started, Previous { name, sha256 }));
                }
            }
            Ok(_) => {}
            Err(error) => {
                observer.warn(&format!("manifest {name}.json cannot be read: {error}"));
            }
        }
    }
    Ok(newest.map(|(_, previous)| previous))
}
