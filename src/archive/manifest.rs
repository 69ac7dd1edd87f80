//! The manifest: everything there is to know about an archive without reading its rows.
//! `docs/format.md` is its specification.

use super::hashing::sha256;
use crate::error::{Error, Result};
use crate::model::condition::Condition;
use crate::model::content::{Content, RowDigest};
use crate::model::lists::exact;
use crate::model::name::QualifiedName;
use crate::model::role::RoleDefinition;
use crate::model::schema::{AccessList, NotCarried, ObjectClass, Purpose, Section, SecurityLabel};
use crate::model::server::{DatabaseProperties, ServerFacts};
use crate::model::table::{Column, SequenceState};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::io;

mod migrations;

pub use migrations::{Ledger, MigrationBundle, MigrationFile, RevisionEntry};

/// The version of the format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The feature of archives in which the operator has chosen among the rows of some tables: whoever
/// did not know of it would take the rows for all that there were.
pub const CHOSEN_ROWS: &str = "chosen-rows";

/// Features of the format, beyond version 1, that this program can read.
const KNOWN_FEATURES: &[&str] = &[CHOSEN_ROWS];

/// The manifest of one archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version and features of the format.
    pub format: Format,
    /// The archive's name: its file is `backups/<name>.tar`.
    pub name: String,
    /// The program that wrote it.
    pub program: String,
    /// When the backup began.
    pub started: DateTime<Utc>,
    /// When the last row had been read.
    pub finished: DateTime<Utc>,
    /// The database and its server.
    pub source: ServerFacts,
    /// What `CREATE DATABASE` says of the database apart from its encoding and locale.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub database: Option<DatabaseProperties>,
    /// The one moment that all rows come from.
    pub snapshot: Snapshot,
    /// What the operator asked for.
    pub options: BackupOptions,
    /// The previous archive of the same database in the same repository.
    pub previous: Option<Previous>,
    /// Roles named by owners, privileges and definitions.
    pub roles: Vec<String>,
    /// What those roles are, and the roles that they are members of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub role_definitions: Vec<RoleDefinition>,
    /// The objects of the schema in the order in which they are restored.
    #[serde(deserialize_with = "exact")]
    pub objects: Vec<ObjectEntry>,
    /// Objects that the archive does not hold because the operator allowed it.
    pub not_carried: Vec<NotCarried>,
    /// What the operator's selection left out, and what no archive can hold, as people write it.
    pub left_out: Vec<String>,
    /// Whether no selection by table, schema or row was made: every table, sequence and large object
    /// of the database is in the archive. All rows of a table may be left out all the same, as its
    /// `data` says.
    pub whole: bool,
    /// The tables.
    #[serde(deserialize_with = "exact")]
    pub tables: Vec<TableEntry>,
    /// The sequences with their positions.
    pub sequences: Vec<SequenceState>,
    /// The large objects.
    pub large_objects: LargeObjects,
    /// The migration project's files.
    pub migrations: Option<MigrationBundle>,
    /// The tables in which migration tools keep their state, with their rows.
    pub ledgers: Vec<Ledger>,
    /// The members that are not chunks, `manifest.json` and `SHA256SUMS` excepted.
    pub files: Vec<Member>,
}

/// Version and features of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// See [`FORMAT_VERSION`].
    pub version: u32,
    /// Named extensions that a reader must know to read the archive.
    pub features: Vec<String>,
}

impl Format {
    /// The format that this program writes, with these features.
    pub fn current(features: Vec<String>) -> Self {
        Self { version: FORMAT_VERSION, features }
    }
}

/// The snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// When it was taken, by the server's clock.
    pub taken: DateTime<Utc>,
    /// Position in the write-ahead log: the last one replayed on a standby.
    pub lsn: String,
}

/// What the operator asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupOptions {
    /// Number of workers.
    pub jobs: usize,
    /// Compression level.
    pub level: i32,
    /// `--table` patterns.
    pub tables: Vec<String>,
    /// The same, of a filter file, for tables and those that inherit from them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tables_and_children: Vec<String>,
    /// `--exclude-table` patterns.
    pub exclude_tables: Vec<String>,
    /// The same, of a filter file, for tables and those that inherit from them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exclude_tables_and_children: Vec<String>,
    /// `--schema` patterns.
    pub schemas: Vec<String>,
    /// `--exclude-schema` patterns.
    pub exclude_schemas: Vec<String>,
    /// `--extension` patterns.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub extensions: Vec<String>,
    /// `--exclude-extension` patterns.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exclude_extensions: Vec<String>,
    /// `--exclude-data` patterns.
    pub exclude_data: Vec<String>,
    /// The same, of a filter file, for tables and those that inherit from them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exclude_data_and_children: Vec<String>,
    /// `--where`: patterns and conditions on the rows of the tables that match.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub filters: Vec<String>,
    /// `--allow-missing` classes.
    pub allow_missing: Vec<ObjectClass>,
    /// Whether values were masked.
    pub masked: bool,
}

impl BackupOptions {
    /// Whether both take the same tables and rows of a database.
    pub fn same_selection(&self, other: &Self) -> bool {
        let plain = |options: &Self| Self {
            jobs: 0,
            level: 0,
            allow_missing: Vec::new(),
            ..options.clone()
        };
        plain(self) == plain(other)
    }
}

/// A link of the chain of manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Its name.
    pub name: String,
    /// SHA-256 of its manifest.
    pub sha256: String,
}

/// One object of the schema. Its statements stand in the section's file, `schema/pre-data.sql`
/// or `schema/post-data.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "as in model::schema::SchemaObject")]
pub struct ObjectEntry {
    pub class: ObjectClass,
    pub section: Section,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part_of: Option<QualifiedName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tablespace: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default, deserialize_with = "exact")]
    pub depends_on: Vec<usize>,
    #[serde(deserialize_with = "exact")]
    pub statements: Vec<StatementEntry>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access: Option<Box<AccessList>>,
}

/// Where in the section's file one statement stands, without its semicolon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementEntry {
    /// Why it is there.
    pub purpose: Purpose,
    /// Byte offset of its first byte.
    pub offset: usize,
    /// Length in bytes.
    pub length: usize,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEntry {
    /// Its schema and name.
    #[serde(flatten)]
    pub name: QualifiedName,
    /// The columns whose values the rows hold, in their order; generated columns are not there.
    #[serde(deserialize_with = "exact")]
    pub columns: Vec<Column>,
    /// Whether the rows are in the archive; if not, `content` is of nothing.
    pub data: bool,
    /// The extension that owns it, for configuration tables: the extension creates the table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub extension: Option<String>,
    /// `WHERE …` that chose the rows: that of an extension for its configuration tables, else the
    /// operator's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<Condition>,
    /// The partitioned table that rows must be loaded through, where the rows' place depends on
    /// values that another server hashes otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub load_through: Option<QualifiedName>,
    /// Rows, bytes of COPY text, and digest.
    #[serde(flatten)]
    pub content: Content,
    /// The members that hold the rows.
    #[serde(deserialize_with = "exact")]
    pub chunks: Vec<Chunk>,
}

impl TableEntry {
    /// The operator's condition, where some of the table's rows were left out by it.
    pub fn chosen_rows(&self) -> Option<&Condition> {
        self.condition.as_ref().filter(|_| self.extension.is_none())
    }

    /// The condition of the table's extension, which makes all other rows.
    pub fn extension_rows(&self) -> Option<&Condition> {
        self.condition.as_ref().filter(|_| self.extension.is_some())
    }
}

/// One chunk: some rows of one table, as COPY text in one zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// The member.
    #[serde(flatten)]
    pub member: Member,
    /// Heap pages that the rows come from, `[from, to)`; `to` is `null` for the last range, and
    /// the field is missing where the table was read whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<(u64, Option<u64>)>,
    /// Rows, bytes of COPY text, and digest.
    #[serde(flatten)]
    pub content: Content,
}

/// One member of the tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Path in the tar.
    pub member: String,
    /// Bytes in the tar.
    pub size: u64,
    /// SHA-256 of those bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl Member {
    /// A member with this content.
    pub fn of(name: &str, content: &[u8]) -> Self {
        Self { member: name.to_owned(), size: content.len() as u64, sha256: sha256(content) }
    }
}

/// All large objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeObjects {
    /// How many there are.
    pub count: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
    /// Sum of the hashes of (OID, content), as for rows.
    pub digest: RowDigest,
    /// Owners, comments and privileges.
    pub objects: Vec<LargeObject>,
    /// COPY text of (loid, offset, data): pieces in order of OID and offset.
    pub chunks: Vec<Chunk>,
}

/// One large object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeObject {
    /// Its OID, which tables refer to.
    pub oid: u32,
    /// Its owner.
    pub owner: String,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
    /// Its privileges, where they are not the default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access: Option<AccessList>,
    /// Its security labels.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub labels: Vec<SecurityLabel>,
}

impl Manifest {
    /// Deterministic JSON: fields in the order of the specification, two spaces, a final newline.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::failed("cannot write the manifest").caused_by(error);
        // Measured first: ten thousand tables make 20 MB, and a list that grows is there twice.
        let mut size = Size(1);
        serde_json::to_writer_pretty(&mut size, self).map_err(failed)?;
        let mut json = Vec::with_capacity(size.0);
        serde_json::to_writer_pretty(&mut json, self).map_err(failed)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Reads a manifest and checks that it does not contradict itself.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::error::Kind::Damaged) for what is not a manifest,
    /// [`Kind::Refused`](crate::error::Kind::Refused) for a newer format.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        check_format(json)?;
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|error| Error::damaged("the manifest cannot be read").caused_by(error))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether all tables are there with all their rows: `whole` alone says nothing of rows.
    pub fn is_whole(&self) -> bool {
        let BackupOptions { exclude_data, exclude_data_and_children, filters, .. } = &self.options;
        let given = [exclude_data, exclude_data_and_children, filters];
        self.whole && given.iter().all(|given| given.is_empty())
    }

    /// Every member that the tar must hold besides `manifest.json` and `SHA256SUMS`.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let chunks = self.tables.iter().flat_map(|table| &table.chunks);
        self.files.iter().chain(chunks.chain(&self.large_objects.chunks).map(|chunk| &chunk.member))
    }

    fn check(&self) -> Result<()> {
        let contradiction = |what: String| Err(Error::damaged(format!("the manifest: {what}")));
        let mut members = HashMap::new();
        for member in self.members() {
            if members.insert(member.member.as_str(), member).is_some() {
                return contradiction(format!("member {} is listed twice", member.member));
            }
            if !is_sha256(&member.sha256) {
                return contradiction(format!("member {} has no SHA-256", member.member));
            }
        }
        for file in self.migrations.iter().flat_map(|bundle| &bundle.files) {
            let same = members
                .get(format!("migrations/{}", file.path).as_str())
                .is_some_and(|m| m.size == file.size && m.sha256 == file.sha256);
            if !same || file.mode > 0o777 {
                return contradiction(format!("migration file {} is not its member", file.path));
            }
        }
        if let Some(bundle) = &self.migrations {
            let is_file = |path: &str| bundle.files.iter().any(|file| file.path == path);
            if let Some(entry) = bundle.revisions.iter().find(|entry| !is_file(&entry.path)) {
                return contradiction(format!("revision {} is in no file", entry.path));
            }
        }
        if self.previous.as_ref().is_some_and(|previous| !is_sha256(&previous.sha256)) {
            return contradiction(String::from("the previous manifest has no SHA-256"));
        }
        // Whoever adds up afterwards cannot overflow.
        if self.members().try_fold(0_u64, |sum, file| sum.checked_add(file.size)).is_none() {
            return contradiction(String::from("its members are larger than a file can be"));
        }
        let mut total = Content::default();
        let large_objects = self.large_objects.chunks.iter();
        let chunks = self.tables.iter().flat_map(|table| &table.chunks).chain(large_objects);
        for content in chunks.map(|chunk| chunk.content) {
            let (Some(rows), Some(bytes)) =
                (total.rows.checked_add(content.rows), total.bytes.checked_add(content.bytes))
            else {
                return contradiction(String::from("it counts more rows than there can be"));
            };
            (total.rows, total.bytes) = (rows, bytes);
        }
        let mut names = HashSet::new();
        for table in &self.tables {
            if !names.insert(&table.name) {
                return contradiction(format!("table {} is listed twice", table.name));
            }
            let mut sum = Content::default();
            for chunk in &table.chunks {
                sum += chunk.content;
            }
            if sum != table.content {
                return contradiction(format!("table {} is not the sum of its chunks", table.name));
            }
            if !table.data && !table.chunks.is_empty() {
                return contradiction(format!("table {} has rows that it should not", table.name));
            }
            if let Some(condition) = table.chosen_rows()
                && (condition.expression().is_none()
                    || !self.format.features.iter().any(|feature| feature == CHOSEN_ROWS))
            {
                return contradiction(format!("the condition on {} is not one", table.name));
            }
        }
        for (position, object) in self.objects.iter().enumerate() {
            if object.depends_on.iter().any(|needed| *needed >= position) {
                return contradiction(format!(
                    "object {} stands before what it needs",
                    object.name
                ));
            }
        }
        Ok(())
    }
}

/// Counts the bytes that are written, and keeps none.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_sha256(text: &str) -> bool {
    let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.len() == 64 && text.chars().all(lower_hex)
}

/// Looks at the version before anything else, so that a newer format gives a clear answer.
fn check_format(json: &[u8]) -> Result<()> {
    // A newer format may say more, and say it otherwise: only the version is read strictly.
    #[derive(Deserialize)]
    struct Head {
        format: HeadFormat,
    }
    #[derive(Deserialize)]
    struct HeadFormat {
        version: u64,
        #[serde(default)]
        features: Vec<serde_json::Value>,
    }
    let head: Head = serde_json::from_slice(json)
        .map_err(|error| Error::damaged("the manifest cannot be read").caused_by(error))?;
    if head.format.version == 0 {
        return Err(Error::damaged("the manifest: there is no format version 0"));
    }
    if head.format.version > u64::from(FORMAT_VERSION) {
        return Err(Error::refused(format!(
            "the archive has format version {}, and this pgark reads up to {FORMAT_VERSION}",
            head.format.version
        ))
        .hint("use the version of pgark that wrote it, or a newer one"));
    }
    let features = head.format.features.iter().filter_map(serde_json::Value::as_str);
    let unknown = features.into_iter().find(|name| !KNOWN_FEATURES.contains(name));
    match unknown {
        Some(feature) => Err(Error::refused(format!(
            "the archive uses the feature \"{feature}\", which this pgark does not know"
        ))
        .hint("use the version of pgark that wrote it, or a newer one")),
        None => Ok(()),
    }
}
