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

impl Column {
    /// Whether both are of the same type, whatever version of PostgreSQL wrote its name: a type of
    /// the system's own stands in quotes until the version in which its name becomes a keyword
    /// (`"json"` up to 16, `json` from 17 on).
    pub fn has_type_of(&self, other: &Self) -> bool {
        bare(&self.type_name) == bare(&other.type_name)
    }
}

/// A type's name and what follows it. Without a schema it can only be one of the system's own.
fn bare(type_name: &str) -> (&str, &str) {
    let quoted = type_name.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    match quoted {
        Some((name, rest)) if !rest.starts_with(['.', '"']) => (name, rest),
        Some(_) => (type_name, ""),
        None => type_name.split_at(type_name.find(['(', '[']).unwrap_or(type_name.len())),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        let column = |type_name: &str| Column { name: "c".into(), type_name: type_name.into() };
        column(one).has_type_of(&column(other))
    }

    #[test]
    fn a_type_of_the_systems_is_the_same_with_quotes_and_without() {
        assert!(same("\"json\"", "json"));
        assert!(same("json[]", "\"json\"[]"));
        assert!(same("numeric(38,18)", "numeric(38,18)"));
        assert!(same("\"public\".\"t\"", "\"public\".\"t\""));
    }

    #[test]
    fn other_types_are_not() {
        assert!(!same("\"json\"", "\"jsonb\""));
        assert!(!same("json", "json[]"));
        assert!(!same("\"json\"", "\"json\".\"json\""));
        assert!(!same("numeric(38,18)", "numeric(20,2)"));
        assert!(!same("\"public\".\"t\"", "\"public\".\"u\""));
        assert!(!same("\"a\"\"b\".\"t\"", "\"a\""));
    }
}
