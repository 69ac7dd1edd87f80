//! Which tables: flags and filter files as one selection.

use super::args;
use crate::error::{Error, Result};
use crate::rules::filter_file::FilterFile;
use crate::rules::pattern::Pattern;
use crate::rules::selection::{RowFilter, Selection};
use std::io::Read;
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

/// All that `pgark backup` selects by.
///
/// # Errors
/// [`Kind::Usage`](crate::error::Kind::Usage) for a pattern, condition or filter file that cannot
/// be understood; those of reading a filter file.
pub fn of_backup(args: &args::Backup) -> Result<Selection> {
    let mut selection = Selection {
        schemas: patterns(&args.schema)?,
        exclude_schemas: patterns(&args.exclude_schema)?,
        exclude_data: patterns(&args.exclude_data)?,
        filters: args.filters.iter().map(|text| RowFilter::new(text)).collect::<Result<_>>()?,
        ..of_tables(&args.selection)?
    };
    for path in &args.filter {
        let doing = format!("cannot use filter file {}", path.display());
        let file = FilterFile::read(&text(path)?).map_err(|error| error.while_doing(doing))?;
        selection.tables.extend(patterns(&file.tables)?);
        selection.exclude_tables.extend(patterns(&file.exclude_tables)?);
        selection.schemas.extend(patterns(&file.schemas)?);
        selection.exclude_schemas.extend(patterns(&file.exclude_schemas)?);
        selection.exclude_data.extend(patterns(&file.exclude_data)?);
    }
    Ok(selection)
}

fn text(path: &Path) -> Result<String> {
    let read = match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(path),
    };
    read.map_err(|error| Error::io(format!("cannot read filter file {}", path.display()), error))
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}
