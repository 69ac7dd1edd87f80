//! What a database was made from.

use std::fmt;

/// What schema and rows come from, as messages speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// An archive.
    Archive,
    /// The source of a copy.
    Database,
}

impl fmt::Display for Provenance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Archive => "the archive",
            Self::Database => "the source",
        })
    }
}
