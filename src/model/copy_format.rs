//! The formats in which COPY moves rows.

/// A format of COPY (PostgreSQL, "COPY", File Formats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyFormat {
    /// What archives hold: a line for each row.
    #[default]
    Text,
    /// The values as the types' send functions give them.
    Binary,
}
