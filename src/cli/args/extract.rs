//! `pgark extract` as it is typed.

use super::Common;
use crate::error::Result;
use crate::ops::extract::{Format, Part};
use crate::rules::pattern::Pattern;
use clap::{ArgGroup, Args, ValueEnum};
use std::path::PathBuf;

/// Take one part out of an archive: a table's rows, the schema, migrations, a large object.
///
/// Takes one part out of an archive, to a file or to standard output. Checksums are compared before
/// anything is handed on: at the first that is wrong the exit code is 13, and no file is left. A
/// file appears under its name when it is whole and synced.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("part").required(true))]
pub struct Extract {
    /// Path of the archive, its name, a unique beginning of it, latest:DATABASE, or latest.
    pub archive: String,
    /// The rows of one table, in the encoding of the database that they come from.
    #[arg(long, short, value_name = "TABLE", group = "part")]
    pub table: Option<String>,
    /// How the rows are written: as COPY text, which is the default, or as CSV that COPY reads.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["schema", "migrations", "large_object"])]
    pub format: Option<Written>,
    /// Begin with a line that names the columns.
    #[arg(long, conflicts_with_all = ["schema", "migrations", "large_object"])]
    pub header: bool,
    /// The statements that make the schema; --schema=before and --schema=after give those that come
    /// before and after the rows.
    #[arg(
        long,
        value_name = "WHICH",
        group = "part",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    pub schema: Option<Section>,
    /// The files of the migration project, into the folder that --output names.
    #[arg(long, group = "part", requires = "output", conflicts_with = "force")]
    pub migrations: bool,
    /// The content of one large object.
    #[arg(long, value_name = "OID", group = "part")]
    pub large_object: Option<u32>,
    /// File to write, instead of standard output.
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, short, requires = "output")]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Written {
    /// COPY text.
    Copy,
    /// CSV.
    Csv,
}

/// Which statements.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Section {
    /// All.
    All,
    /// Those that come before the rows.
    Before,
    /// Those that come after the rows.
    After,
}

impl Extract {
    /// What is to be extracted.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) for a name of a table that cannot be read.
    pub fn part(&self) -> Result<Part> {
        if let Some(table) = &self.table {
            let format = match self.format {
                Some(Written::Csv) => Format::Csv,
                Some(Written::Copy) | None => Format::Copy,
            };
            return Ok(Part::Rows { table: Pattern::new(table)?, format, header: self.header });
        }
        Ok(match (self.schema, self.large_object) {
            (Some(section), _) => Part::Schema {
                before: matches!(section, Section::All | Section::Before),
                after: matches!(section, Section::All | Section::After),
            },
            (None, Some(oid)) => Part::LargeObject(oid),
            (None, None) => Part::Migrations,
        })
    }
}
