//! `pgark list`: what is in a repository.

use crate::archive::manifest::{Ledger, Manifest};
use crate::archive::size;
use crate::error::{Error, Kind, Result};
use crate::rules::selection::nearest;
use crate::store::repository::Repository;
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};

/// Which archives, and in which order.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of this database alone.
    pub database: Option<String>,
    /// Begun at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this time.
    pub until: Option<DateTime<Utc>>,
    /// The order.
    pub sort: Sort,
    /// The last so many in that order.
    pub limit: Option<usize>,
}

/// An order of archives, the smallest or oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By the begin of the backup.
    #[default]
    Time,
    /// By name.
    Name,
    /// By database, then by time.
    Database,
    /// By the size of the file.
    Size,
    /// By the number of rows.
    Rows,
    /// By the number of tables.
    Tables,
}

/// One archive of a repository.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What its manifest says, or why that cannot be read.
    pub facts: Result<Facts, String>,
    /// Bytes of its file, if that is there.
    pub size: Option<u64>,
}

/// What a manifest says, in short.
#[derive(Debug)]
pub struct Facts {
    /// The database.
    pub database: String,
    /// The version of its server.
    pub server_version: String,
    /// When the backup began.
    pub started: DateTime<Utc>,
    /// When its last row had been read; after that it was verified.
    pub finished: DateTime<Utc>,
    /// Tables.
    pub tables: usize,
    /// Their rows.
    pub rows: u64,
    /// What migration tools' ledgers say.
    pub revisions: Vec<String>,
    /// Whether nothing was left out by a selection.
    pub whole: bool,
    /// Bytes that the file had when it was written and verified.
    pub written_size: u64,
}

/// What is known of an archive's bytes without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its file has the size that it had when it was verified, before it was published.
    VerifiedWhenWritten,
    /// Its file has another size.
    OtherSize,
    /// Its file is gone.
    Missing,
    /// Its manifest cannot be read.
    Unreadable,
}

impl Listed {
    /// What is known of its bytes.
    pub fn state(&self) -> State {
        match (&self.facts, self.size) {
            (Err(_), _) => State::Unreadable,
            (Ok(_), None) => State::Missing,
            (Ok(facts), Some(size)) if size != facts.written_size => State::OtherSize,
            _ => State::VerifiedWhenWritten,
        }
    }

    fn started(&self) -> DateTime<Utc> {
        self.facts.as_ref().map(|facts| facts.started).unwrap_or_default()
    }
}

/// What is in a repository.
#[derive(Debug)]
pub struct Listing {
    /// The archives that were asked for.
    pub archives: Vec<Listed>,
    /// How many there are in all.
    pub total: usize,
    /// Archive files without a manifest.
    pub unlisted: Vec<PathBuf>,
}

/// Lists. An archive whose manifest cannot be read is among any that are asked for.
///
/// # Errors
/// [`Kind::NotFound`] without such a repository, or archives of such a database.
pub fn run(repository: &Path, options: &Options) -> Result<Listing> {
    let repository = Repository::at(repository)?;
    let mut archives = Vec::new();
    for name in repository.names()? {
        let Some(json) = repository.manifest(&name)? else { continue };
        let size = repository.archive_size(&name);
        let facts = facts(&json).map_err(|error| error.to_string());
        archives.push(Listed { name, facts, size });
    }
    let total = archives.len();
    if let Some(database) = &options.database {
        check_database(database, &archives)?;
    }
    let wanted = |facts: &Facts| {
        options.database.as_ref().is_none_or(|database| *database == facts.database)
            && options.since.is_none_or(|since| facts.started >= since)
            && options.until.is_none_or(|until| facts.started < until)
    };
    archives.retain(|archive| archive.facts.as_ref().map_or(true, wanted));
    sort(&mut archives, options.sort);
    if let Some(limit) = options.limit {
        archives.drain(..archives.len().saturating_sub(limit));
    }
    Ok(Listing { archives, total, unlisted: repository.unlisted()? })
}

fn facts(json: &[u8]) -> Result<Facts> {
    let manifest = Manifest::from_json(json)?;
    Ok(Facts {
        written_size: size::of_archive(&manifest, json.len() as u64)?,
        server_version: manifest.source.server_version,
        database: manifest.source.database,
        started: manifest.started,
        finished: manifest.finished,
        tables: manifest.tables.len(),
        rows: manifest.tables.iter().map(|table| table.content.rows).sum(),
        revisions: manifest.ledgers.into_iter().flat_map(stand).collect(),
        whole: manifest.whole,
    })
}

/// The rows of Alembic's ledgers, and the newest migration of others.
fn stand(ledger: Ledger) -> Vec<String> {
    match ledger.current {
        Some(current) => vec![current],
        None => ledger.revisions,
    }
}

fn check_database(wanted: &str, archives: &[Listed]) -> Result<()> {
    let mut names = archives.iter().filter_map(|archive| archive.facts.as_ref().ok());
    if names.any(|facts| facts.database == wanted) {
        return Ok(());
    }
    let names = archives.iter().filter_map(|archive| archive.facts.as_ref().ok());
    let text = format!("there is no archive of database \"{wanted}\" in the repository");
    let error = Error::new(Kind::NotFound, text);
    Err(match nearest(wanted, names.map(|facts| facts.database.clone())) {
        Some(name) => error.hint(format!("did you mean \"{name}\"?")),
        None => error,
    })
}

fn sort(archives: &mut [Listed], by: Sort) {
    let facts = |archive: &Listed, number: fn(&Facts) -> u64| {
        archive.facts.as_ref().map(number).unwrap_or_default()
    };
    // Names are in order already; archives that are equal stay so.
    archives.sort_by_key(Listed::started);
    match by {
        Sort::Time => {}
        Sort::Name => archives.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::Database => archives.sort_by_key(|archive| {
            archive.facts.as_ref().map(|facts| facts.database.clone()).unwrap_or_default()
        }),
        Sort::Size => archives.sort_by_key(|archive| archive.size.unwrap_or_default()),
        Sort::Rows => archives.sort_by_key(|archive| facts(archive, |facts| facts.rows)),
        Sort::Tables => archives.sort_by_key(|archive| facts(archive, |f| f.tables as u64)),
    }
}
