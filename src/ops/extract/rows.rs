//! The rows of a table, as COPY text or CSV.

use super::Take;
use crate::archive::manifest::TableEntry;
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::ops::observer::Observer;
use crate::ops::verify;
use crate::rules::copy_csv::{self, CsvWriter};
use crate::rules::copy_text;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// COPY text, as the archive has it.
    Copy,
    /// CSV, as `COPY … WITH (FORMAT csv)` reads it.
    Csv,
}

/// How they are written, in full.
pub struct Options {
    pub format: Format,
    pub header: bool,
}

/// Writes all rows, in the archive's encoding, and gives their number. Before any byte of a chunk is
/// handed on, its SHA-256 has been compared; its digest is compared when it has ended.
pub fn write(
    reader: &ArchiveReader,
    entry: &TableEntry,
    options: &Options,
    take: Take<'_>,
    observer: &dyn Observer,
) -> Result<u64> {
    observer.phase(&format!("extracting {}", entry.name), Some(entry.content.bytes));
    if options.header {
        take(&header(reader, entry, options.format)?)?;
    }
    let mut csv = CsvWriter::default();
    let mut converted = Vec::new();
    for chunk in &entry.chunks {
        let frame = reader.member(&chunk.member)?;
        let damaged = |error: Error| {
            error.while_doing(format!("cannot extract from {}", chunk.member.member))
        };
        verify::check_chunk(chunk, &frame, &mut |piece| match options.format {
            Format::Copy => take(piece),
            Format::Csv => {
                csv.update(piece, &mut converted)?;
                take(&converted)?;
                converted.clear();
                Ok(())
            }
        })
        .map_err(damaged)?;
        observer.moved(chunk.content.rows, chunk.content.bytes);
    }
    if !csv.at_row_end() {
        return Err(Error::damaged(format!("the last row of {} does not end", entry.name)));
    }
    Ok(entry.content.rows)
}

/// The names are UTF-8, and the rows may not be.
fn header(reader: &ArchiveReader, entry: &TableEntry, format: Format) -> Result<Vec<u8>> {
    let names = || entry.columns.iter().map(|column| column.name.as_str());
    let encoding = &reader.manifest().source.encoding;
    if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") && !names().all(str::is_ascii) {
        let text = format!("the rows are in {encoding}, and names of columns are beyond ASCII");
        return Err(Error::new(Kind::Usage, text).hint("leave --header away"));
    }
    Ok(match format {
        Format::Csv => copy_csv::header(names()),
        Format::Copy => copy_text::row(names()),
    })
}
