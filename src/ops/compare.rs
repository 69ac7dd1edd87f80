//! `pgark compare`: rows of an archive against a database or another archive; schemas of any two.

use super::described;
use super::interrupt::Interrupt;
use super::observer::Observer;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::pg::session::Purpose;
use crate::rules::schema_diff::{self, Aspect, Comparison};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

mod rows;

pub use rows::{Difference, Restored, Rows, with_restored};

/// What can be compared.
pub enum Input {
    /// An archive.
    Archive(PathBuf),
    /// A live database.
    Database(Connection),
}

/// What to compare.
pub struct Options {
    /// The one side.
    pub left: Input,
    /// The other side.
    pub right: Input,
    /// Whether to compare rows, sequences and large objects.
    pub rows: bool,
    /// Whether to compare the schemas, and in which aspects they may differ.
    pub schema: Option<BTreeSet<Aspect>>,
    /// Whether the server may run the conditions by which the archive's rows were chosen.
    pub allow_conditions: bool,
    /// Number of workers.
    pub jobs: usize,
    /// How long to wait for locks on tables.
    pub lock_timeout: Duration,
}

/// What was compared, and what was found.
#[derive(Debug)]
pub struct Summary {
    /// The one side, for people.
    pub left: Named,
    /// The other side.
    pub right: Named,
    /// The rows, if they were compared.
    pub rows: Option<Rows>,
    /// The schemas, if they were compared.
    pub schema: Option<Comparison>,
}

/// A side of a comparison as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The archive's name, or `database "x"`.
    pub name: String,
    /// The version of the server that it came from.
    pub server_version: String,
}

/// Compares.
///
/// # Errors
/// When a side cannot be read, or [`Kind::Usage`] for rows of two databases; differences are in the
/// summary.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let left = "nothing was changed, and whether both are equal is not known: compare again";
    compare(options, observer, interrupt).map_err(|error| interrupt.leaving(error, left))
}

fn compare(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let (left, right) = (named(&options.left, interrupt)?, named(&options.right, interrupt)?);
    let schema = match &options.schema {
        None => None,
        Some(ignore) => {
            observer.phase("reading the schemas", None);
            let read = |input: &Input| match input {
                Input::Archive(path) => described::archive(&ArchiveReader::open(path)?),
                Input::Database(connection) => {
                    described::database(connection, None, options.lock_timeout, interrupt)
                }
            };
            // The right one is a database more often, and reading one needs more memory than holding it.
            let theirs = read(&options.right)?;
            let ours = read(&options.left)?;
            Some(schema_diff::compare(ours, theirs, ignore))
        }
    };
    let rows = match &options.left {
        _ if !options.rows => None,
        Input::Archive(path) => {
            let reader = ArchiveReader::open(path)?;
            Some(rows::compare(&reader, &options.right, options, observer, interrupt)?)
        }
        Input::Database(_) => {
            return Err(Error::new(Kind::Usage, "rows are compared with those of an archive")
                .hint("name the archive first, or compare the schemas alone with --schema"));
        }
    };
    Ok(Summary { left, right, rows, schema })
}

fn named(input: &Input, interrupt: &Interrupt) -> Result<Named> {
    let (name, facts) = match input {
        Input::Archive(path) => {
            let reader = ArchiveReader::open(path)?;
            (reader.manifest().name.clone(), reader.manifest().source.clone())
        }
        Input::Database(connection) => {
            let session = interrupt.open(connection, None, Purpose::Catalog)?;
            (format!("database \"{}\"", session.facts.database), session.facts)
        }
    };
    Ok(Named { name, server_version: facts.server_version })
}
