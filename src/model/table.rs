//! Tables, their columns, and sequences.

use super::name::QualifiedName;
use serde::{Deserialize, Serialize};

/// A column whose values travel with the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it, with its modifier: `numeric(38,18)`.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// A sequence and its position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceState {
    /// Its schema and name.
    #[serde(flatten)]
    pub name: QualifiedName,
    /// The table column that owns it, for serial and identity columns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owned_by: Option<OwnedBy>,
    /// `last_value`, which `nextval` gives next if `is_called` is false.
    pub last_value: i64,
    /// Whether `last_value` has been given out.
    pub is_called: bool,
    /// Whether the sequence counts down.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub descending: bool,
}

/// The column that owns a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedBy {
    /// The table.
    pub table: QualifiedName,
    /// The column's name.
    pub column: String,
}
