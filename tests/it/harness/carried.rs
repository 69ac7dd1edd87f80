//! The main job on one database: backup, verify, restore into an empty one, compare; and a copy that
//! needs no archive.

use super::{Database, Repo, Run, pg_dump_schema};
use serde_json::Value;
use std::path::PathBuf;

/// A database that has been archived, and the one that the archive became.
pub struct Carried {
    pub repo: Repo,
    pub archive: PathBuf,
    pub target: Database,
}

/// Carries rows and schema, and fails unless both come back equal, and are so in a copy.
#[track_caller]
pub fn carry(source: &Database) -> Carried {
    let carried = carry_rows(source, &[], Database::empty_on(source.server));
    let schema = pg_dump_schema(source);
    assert_eq!(schema, pg_dump_schema(&carried.target));
    let target = Database::empty_on(source.server);
    copy(source, &target, &[]).expect_code(0);
    carried.repo.ok(&["compare", "latest", "--with", &target.url()]);
    assert_eq!(schema, pg_dump_schema(&target), "the copy");
    carried
}

/// Runs `pgark copy`.
pub fn copy(source: &Database, target: &Database, more: &[&str]) -> Run {
    let mut command = super::pgark();
    command.args(["copy", &source.url(), &target.url()]).args(more);
    Run::from(command.output().unwrap())
}

/// Carries into `target`, and fails unless rows, sequences and large objects come back equal.
#[track_caller]
pub fn carry_rows(source: &Database, backup: &[&str], target: Database) -> Carried {
    let repo = Repo::new();
    let archive = repo.backup(source, backup);
    repo.ok(&["verify", "latest"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    let equal = repo.ok(&["compare", "latest", "--with", &target.url()]);
    assert!(equal.stdout.starts_with("equal: "), "{}", equal.stdout);
    Carried { repo, archive, target }
}

impl Carried {
    /// The manifest.
    pub fn manifest(&self) -> Value {
        manifest(&self.repo)
    }
}

/// The manifest of a repository's only archive.
#[track_caller]
pub fn manifest(repo: &Repo) -> Value {
    let files = repo.files();
    let manifests: Vec<_> = files.iter().filter(|(name, _)| name.ends_with(".json")).collect();
    assert_eq!(manifests.len(), 1, "one manifest");
    serde_json::from_slice(&manifests[0].1).unwrap()
}

/// A table's entry in a manifest, `schema.name`.
#[track_caller]
pub fn table<'a>(manifest: &'a Value, name: &str) -> &'a Value {
    let (schema, name) = name.split_once('.').unwrap();
    let tables = manifest["tables"].as_array().unwrap();
    let found = tables.iter().find(|t| t["schema"] == schema && t["name"] == name);
    found.unwrap_or_else(|| panic!("no table {schema}.{name} in the manifest"))
}

/// A member of an archive, as text.
#[track_caller]
pub fn member(archive: &std::path::Path, name: &str) -> String {
    use std::io::Read;
    let mut tar = tar::Archive::new(std::fs::File::open(archive).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().to_str() == Some(name) {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return text;
        }
    }
    panic!("no member {name} in {}", archive.display());
}

/// What `COPY … TO STDOUT` gives.
#[track_caller]
pub fn copy_out(client: &mut postgres::Client, sql: &str) -> Vec<u8> {
    use std::io::Read;
    let mut rows = Vec::new();
    client.copy_out(sql).unwrap().read_to_end(&mut rows).unwrap();
    rows
}

/// What `COPY … TO STDOUT` gives, as text.
#[track_caller]
pub fn copy_text(client: &mut postgres::Client, sql: &str) -> String {
    String::from_utf8(copy_out(client, sql)).unwrap()
}

/// Runs `COPY … FROM STDIN`.
#[track_caller]
pub fn copy_in(client: &mut postgres::Client, sql: &str, rows: &[u8]) {
    use std::io::Write;
    let mut writer = client.copy_in(sql).unwrap();
    writer.write_all(rows).unwrap();
    writer.finish().unwrap();
}

/// The first column of the first row, as text, in this session.
#[track_caller]
pub fn ask(client: &mut postgres::Client, sql: &str) -> String {
    let sql = format!("SELECT ({sql})::text");
    let row = client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    row.get::<_, Option<String>>(0).unwrap_or_else(|| String::from("NULL"))
}

/// The same in a session of pgark's.
#[track_caller]
pub fn ask_own(session: &mut pgark::pg::session::Session, sql: &str) -> String {
    session.client.query_one(&format!("SELECT ({sql})::text"), &[], |row| row.at(0)).unwrap()
}
