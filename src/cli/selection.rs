//! Which tables: flags and filter files as one selection.

use super::args;
use crate::error::{Error, Kind, Result};
use crate::ops::interrupt::Interrupt;
use crate::rules::filter_file::FilterFile;
use crate::rules::pattern::Pattern;
use crate::rules::selection::{RowFilter, Selection};
use std::path::Path;

/// `--table` and `--exclude-table`.
///
/// # Errors
/// [`Kind::Usage`](crate::error::Kind::Usage) for a pattern that cannot be read.
pub fn of_tables(args: &args::Selection) -> Result<Selection> {
    Ok(Selection {
        tables: patterns(&args.table)?,
        exclude_tables: patterns(&args.exclude_table)?,
        ..Selection::default()
    })
}

/// All that a backup or a copy selects by.
///
/// # Errors
/// [`Kind::Usage`](crate::error::Kind::Usage) for a pattern, condition or filter file that cannot
/// be understood; those of reading a filter file, and the interruption of it.
pub fn of_database(args: &args::Choosing, interrupt: &Interrupt) -> Result<Selection> {
    let mut selection = Selection {
        schemas: plain(&args.schema)?,
        exclude_schemas: plain(&args.exclude_schema)?,
        extensions: plain(&args.extension)?,
        exclude_extensions: plain(&args.exclude_extension)?,
        exclude_data: patterns(&args.exclude_data)?,
        filters: args.filters.iter().map(|text| RowFilter::new(text)).collect::<Result<_>>()?,
        ..of_tables(&args.selection)?
    };
    for path in &args.filter {
        let doing = format!("cannot use filter file {}", path.display());
        let file =
            FilterFile::read(&text(path, interrupt)?).map_err(|error| error.while_doing(doing))?;
        // As from a command before the pipe that failed: it would take everything.
        if file == FilterFile::default() {
            let text = format!("there is no pattern in filter file {}", path.display());
            return Err(
                Error::new(Kind::Usage, text).hint("to take everything, leave --filter away")
            );
        }
        selection.tables.extend(patterns(&file.tables)?);
        selection.tables.extend(with_children(&file.tables_and_children)?);
        selection.exclude_tables.extend(patterns(&file.exclude_tables)?);
        selection.exclude_tables.extend(with_children(&file.exclude_tables_and_children)?);
        selection.schemas.extend(plain(&file.schemas)?);
        selection.exclude_schemas.extend(plain(&file.exclude_schemas)?);
        selection.extensions.extend(plain(&file.extensions)?);
        selection.exclude_extensions.extend(plain(&file.exclude_extensions)?);
        selection.exclude_data.extend(patterns(&file.exclude_data)?);
        selection.exclude_data.extend(with_children(&file.exclude_data_and_children)?);
    }
    Ok(selection)
}

/// The text of a filter file. A terminal or a pipe may never say anything.
fn text(path: &Path, interrupt: &Interrupt) -> Result<String> {
    let path = path.to_owned();
    let read = move || {
        let read = match path.as_os_str() == "-" {
            true => std::io::read_to_string(std::io::stdin()),
            false => std::fs::read_to_string(&path),
        };
        read.map_err(|error| {
            Error::io(format!("cannot read filter file {}", path.display()), error)
        })
    };
    interrupt.wait_for(read).map_err(|error| interrupt.leaving(error, "nothing was begun"))
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

fn with_children(texts: &[String]) -> Result<Vec<Pattern>> {
    let mut patterns = patterns(texts)?;
    for pattern in &mut patterns {
        pattern.and_children = true;
    }
    Ok(patterns)
}

/// Patterns of names that lie in no schema.
fn plain(texts: &[String]) -> Result<Vec<Pattern>> {
    texts.iter().map(|text| Pattern::plain_names(text)).collect()
}
