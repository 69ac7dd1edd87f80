//! What a manifest says of migrations: the project's files, its revisions, the ledgers.

use crate::model::name::QualifiedName;
use serde::{Deserialize, Serialize};

/// The files of a migration project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationBundle {
    /// `alembic`.
    pub tool: String,
    /// Configuration file, relative to the project.
    pub config: Option<String>,
    /// Folder of `env.py`, relative to the project.
    pub script_location: Option<String>,
    /// Folders of revisions, relative to the project.
    pub version_locations: Vec<String>,
    /// The files; each is a member `migrations/<path>`.
    pub files: Vec<MigrationFile>,
    /// What the files of revisions say; missing in archives of earlier versions.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub revisions: Vec<RevisionEntry>,
}

/// What one file in the folders of revisions says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionEntry {
    /// Path relative to the project.
    pub path: String,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The revisions that it follows.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub down: Vec<String>,
    /// Its branch labels.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub branch_labels: Vec<String>,
    /// Other revisions, or branch labels, that it depends on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub depends_on: Vec<String>,
    /// Why all that cannot be told, with the line; only `path` is there besides.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cannot_tell: Option<String>,
}

/// One file of a migration project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationFile {
    /// Path relative to the project.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// A table in which a migration tool keeps its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// `alembic`, `django`, `flyway` …
    pub tool: String,
    /// The table.
    pub table: QualifiedName,
    /// For Alembic its rows, sorted; for other tools the migrations that are applied, in their order.
    pub revisions: Vec<String>,
    /// The migration that a tool other than Alembic takes for the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current: Option<String>,
    /// Migrations that failed or were not finished.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unfinished: Vec<String>,
}

impl Ledger {
    /// Where the database stands, as few words as say it.
    pub fn position(&self) -> String {
        match (&self.current, self.revisions.as_slice()) {
            (_, []) => String::from("nothing"),
            (None, revisions) => revisions.join(", "),
            (Some(current), [_]) => current.clone(),
            (Some(current), more) => format!("{current} ({} applied)", more.len()),
        }
    }
}
