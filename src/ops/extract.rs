//! `pgark extract`: one part of an archive as plain files, checked while it is read.

use super::interrupt::Interrupt;
use super::observer::Observer;
use crate::archive::manifest::{Manifest, TableEntry};
use crate::archive::reader::{ArchiveReader, POST_DATA, PRE_DATA};
use crate::error::{Error, Kind, Result};
use crate::model::name::{Printable, enumerate};
use crate::model::schema::ObjectClass;
use crate::rules::pattern::Pattern;
use crate::rules::selection;
use crate::store::durable::StagedFile;
use crate::store::output;
use std::io::Write;
use std::path::{Path, PathBuf};

mod large_object;
mod migrations;
mod rows;

pub use rows::Format;

/// What to take out.
#[derive(Debug)]
pub enum Part {
    /// The rows of the one table that matches.
    Rows {
        /// Its name.
        table: Pattern,
        /// How they are written.
        format: Format,
        /// Whether a line with the names of the columns comes first.
        header: bool,
    },
    /// The statements that make the schema: before the rows, after them.
    Schema {
        /// What comes before the rows.
        before: bool,
        /// What comes after the rows.
        after: bool,
    },
    /// The content of one large object.
    LargeObject(u32),
    /// The files of the migration project.
    Migrations,
}

/// Takes pieces of what is extracted.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// Where it goes.
pub enum Destination<'a> {
    /// Away, piece by piece.
    Stream(Take<'a>),
    /// A file, or for migrations a folder, that is there whole or not at all.
    Path {
        /// Its place.
        path: PathBuf,
        /// Whether a file that is there is replaced.
        replace: bool,
    },
}

/// What was extracted.
#[derive(Debug)]
pub struct Summary {
    /// `rows of public.t`, `schema` …
    pub what: String,
    /// Rows, for those of a table.
    pub rows: Option<u64>,
    /// Files, for those of a project.
    pub files: Option<usize>,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Extracts.
///
/// # Errors
/// [`Kind::NotFound`] when the archive has no such part; [`Kind::Damaged`] as soon as a checksum is
/// wrong, and no file is left then.
pub fn run(
    archive: &Path,
    part: &Part,
    to: Destination<'_>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let reader = ArchiveReader::open(archive)?;
    if let Part::Migrations = part {
        return match to {
            Destination::Path { path, replace: false } => migrations::unpack(&reader, &path),
            _ => Err(Error::new(Kind::Usage, "a migration project is extracted into a new folder")
                .hint("name it with --output, without --force")),
        };
    }
    let (path, replace) = match to {
        Destination::Stream(take) => {
            return write(&reader, part, take, observer, interrupt).map_err(|error| {
                match error.kind() {
                    Kind::Damaged => error.hint("what was written so far is not whole"),
                    _ => error,
                }
            });
        }
        Destination::Path { path, replace } => (path, replace),
    };
    output::check_place(&path, archive, replace)?;
    write_file(&reader, part, &path, replace, observer, interrupt)
        .map_err(|error| interrupt.leaving(error, "no file was written"))
}

fn write_file(
    reader: &ArchiveReader,
    part: &Part,
    path: &Path,
    replace: bool,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let staged = StagedFile::create(path)?;
    let mut out = staged.writer()?;
    let failed = |error| Error::io(format!("cannot write {}", path.display()), error);
    let mut take = |piece: &[u8]| out.write_all(piece).map_err(failed);
    let summary = write(reader, part, &mut take, observer, interrupt)?;
    out.flush().map_err(failed)?;
    staged.sync()?;
    interrupt.check()?;
    match replace {
        true => staged.replace()?,
        false => staged.publish()?,
    }
    Ok(summary)
}

fn write(
    reader: &ArchiveReader,
    part: &Part,
    take: Take<'_>,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let mut bytes = 0;
    let mut counted = |piece: &[u8]| {
        interrupt.check()?;
        bytes += piece.len() as u64;
        take(piece)
    };
    let (what, rows) = match part {
        Part::Rows { table, format, header } => {
            let entry = find_table(reader.manifest(), table)?;
            let options = rows::Options { format: *format, header: *header };
            let rows = rows::write(reader, entry, &options, &mut counted, observer)?;
            (format!("rows of {}", entry.name), Some(rows))
        }
        Part::Schema { before, after } => {
            for (wanted, member) in [(before, PRE_DATA), (after, POST_DATA)] {
                if *wanted {
                    counted(&reader.file(member)?)?;
                }
            }
            (String::from("the schema"), None)
        }
        Part::LargeObject(oid) => {
            large_object::write(reader, *oid, &mut counted)?;
            (format!("large object {oid}"), None)
        }
        Part::Migrations => return Err(Error::failed("a folder is not a stream")),
    };
    Ok(Summary { what, rows, files: None, bytes })
}

/// The one table that matches and whose rows are in the archive.
fn find_table<'a>(manifest: &'a Manifest, wanted: &Pattern) -> Result<&'a TableEntry> {
    wanted.check_database(&manifest.source.database)?;
    let found: Vec<&TableEntry> =
        manifest.tables.iter().filter(|table| wanted.matches(&table.name)).collect();
    match found.as_slice() {
        [] => Err(no_table(manifest, wanted)),
        [table] if !table.data => Err(Error::new(
            Kind::NotFound,
            format!("the archive has the table {} without its rows", table.name),
        )),
        [table] => Ok(table),
        several => {
            let names: Vec<String> = several.iter().map(|table| table.name.to_string()).collect();
            Err(Error::new(
                Kind::Usage,
                format!("\"{}\" is {} tables: {}", wanted.text(), names.len(), enumerate(&names)),
            )
            .hint("extract them one by one"))
        }
    }
}

fn no_table(manifest: &Manifest, wanted: &Pattern) -> Error {
    let is_partitioned = manifest.objects.iter().any(|object| {
        object.class == ObjectClass::Table
            && object.schema.as_ref().is_some_and(|schema| {
                wanted.matches(&crate::model::name::QualifiedName::new(schema, &object.name))
            })
    });
    let lists = format!("`pgark show {} --tables` lists the tables", manifest.name);
    if is_partitioned {
        let text = format!("{} is partitioned, and has no rows of its own", wanted.text());
        return Error::new(Kind::NotFound, text)
            .hint(format!("{lists}; extract the partitions one by one"));
    }
    let text = format!("no table in the archive matches \"{}\"", Printable(wanted.text()));
    let error = Error::new(Kind::NotFound, text);
    match selection::meant(wanted, manifest.tables.iter().map(|table| &table.name)) {
        Some(meant) => error.hint(meant),
        None => error.hint(lists),
    }
}
