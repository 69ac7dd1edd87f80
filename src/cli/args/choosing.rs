//! What of a database is read.

use super::Selection;
use clap::Args;
use std::path::PathBuf;

/// What of a database is read.
#[derive(Debug, Args)]
pub struct Choosing {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    /// Take only what lies in matching schemas.
    #[arg(long, short = 'n', value_name = "PATTERN")]
    pub schema: Vec<String>,
    /// Leave out matching schemas.
    #[arg(long, short = 'N', value_name = "PATTERN")]
    pub exclude_schema: Vec<String>,
    /// Of the extensions, take only matching ones, with the rows that they mark as the user's own.
    #[arg(long, short = 'e', value_name = "PATTERN")]
    pub extension: Vec<String>,
    /// Leave out matching extensions.
    #[arg(long, value_name = "PATTERN")]
    pub exclude_extension: Vec<String>,
    /// Take matching tables without their rows.
    #[arg(long, visible_alias = "exclude-table-data", value_name = "PATTERN")]
    pub exclude_data: Vec<String>,
    /// Take of matching tables only the rows that meet a condition; can be given several times.
    ///
    /// TABLE is a pattern as above, CONDITION an SQL expression on the columns, with the names of
    /// functions and types written with their schema: "app.events=at >= date '2026-01-01'". An
    /// archive's manifest names both. Where the rows go, foreign keys cannot be added to rows that
    /// were not taken.
    #[arg(long = "where", value_name = "TABLE=CONDITION")]
    pub filters: Vec<String>,
    /// Read patterns from a file, as pg_dump does; can be given several times.
    ///
    /// Each line is `include` or `exclude`, then `table`, `table_and_children`, `schema` or `extension`, or
    /// `exclude table_data` or `table_data_and_children`, then a pattern. # begins a comment, and - is
    /// standard input.
    #[arg(long, value_name = "FILE")]
    pub filter: Vec<PathBuf>,
    /// Go on without objects of a class that this version cannot carry.
    ///
    /// An archive's manifest lists them, a copy's result does, and the exit code is 3.
    #[arg(long, value_name = "CLASS")]
    pub allow_missing: Vec<String>,
}
