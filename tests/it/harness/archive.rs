//! An archive taken apart and put together again, by those who want to damage it.

use super::{Database, Repo};
use pgark::archive::hashing::sha256;
use pgark::archive::tar_layout::{END, MemberHeader, padding, read_header};
use pgark::error::Result;
use pgark::ops::interrupt::Interrupt;
use pgark::ops::observer::Silent;
use pgark::ops::verify::{self, Report};
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;

/// A small archive of everything: tables with and without rows and columns, a large object, a
/// sequence, a migration project, a hostile name. Some 30 KB.
pub fn small() -> &'static [u8] {
    static SMALL: OnceLock<Vec<u8>> = OnceLock::new();
    SMALL.get_or_init(|| {
        let repo = Repo::new();
        let project = small_project(repo.path());
        let database = small_database();
        let archive = repo.backup(&database, &["--migrations", &project, "--name", "small"]);
        std::fs::read(archive).unwrap()
    })
}

/// The database of [`small`].
pub fn small_database() -> Database {
    Database::with(
        r#"CREATE TABLE people (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text, born date);
           INSERT INTO people (name, born) VALUES ('Ada', '1815-12-10'), ('Emmy', '1882-03-23'),
             (E'tab\tnew\nline\\', NULL);
           CREATE TABLE no_rows (a int REFERENCES people, b numeric(20,4)[]);
           CREATE TABLE no_columns ();
           INSERT INTO no_columns DEFAULT VALUES;
           INSERT INTO no_columns DEFAULT VALUES;
           CREATE TABLE "../it's "" $(x)
\! y" (a int);
           INSERT INTO "../it's "" $(x)
\! y" SELECT generate_series(1, 10);
           CREATE SEQUENCE counter START 7;
           SELECT nextval('counter');
           CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
           INSERT INTO alembic_version VALUES ('0123456789ab');
           SELECT lo_from_bytea(4711, 'a large object');
           SELECT lo_create(4712);"#,
    )
}

/// Makes a migration project of two files below `folder`, and gives its path.
pub fn small_project(folder: &Path) -> String {
    let project = folder.join("project");
    std::fs::create_dir_all(project.join("migrations/versions")).unwrap();
    let write = |name: &str, text: &str| {
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(project.join(name), text).unwrap();
    };
    write("alembic.ini", "[alembic]\nscript_location = migrations\n");
    write("migrations/versions/0123456789ab_first.py", "revision = '0123456789ab'\n");
    project.to_str().unwrap().to_owned()
}

/// The members of an archive, in their order.
#[derive(Clone)]
pub struct Parts {
    pub members: Vec<(MemberHeader, Vec<u8>)>,
}

impl Parts {
    pub fn of(bytes: &[u8]) -> Self {
        let mut input = bytes;
        let mut members = Vec::new();
        while let Some((header, _)) = read_header(&mut input).unwrap() {
            let content = input[..header.size as usize].to_vec();
            input = &input[(header.size + padding(header.size)) as usize..];
            members.push((header, content));
        }
        Self { members }
    }

    /// The archive: headers with the sizes that the members have now.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, content) in &self.members {
            let header = MemberHeader { size: content.len() as u64, ..header.clone() };
            bytes.extend(header.to_blocks().unwrap());
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.extend(END);
        bytes
    }

    pub fn position(&self, name: &str) -> usize {
        self.members.iter().position(|(header, _)| header.name.contains(name)).unwrap()
    }

    pub fn content(&mut self, name: &str) -> &mut Vec<u8> {
        let position = self.position(name);
        &mut self.members[position].1
    }

    pub fn manifest(&self) -> Value {
        serde_json::from_slice(&self.members[self.position("manifest.json")].1).unwrap()
    }

    /// Puts another manifest in, and mends its checksum: only its meaning can give it away.
    pub fn with_manifest(mut self, json: &[u8]) -> Self {
        *self.content("manifest.json") = json.to_vec();
        let sums = String::from_utf8(self.content("SHA256SUMS").clone()).unwrap();
        let kept: String = sums
            .lines()
            .filter(|l| !l.ends_with("manifest.json"))
            .map(|l| format!("{l}\n"))
            .collect();
        *self.content("SHA256SUMS") =
            format!("{kept}{}  manifest.json\n", sha256(json)).into_bytes();
        self
    }

    /// Changes the manifest's JSON, and mends its checksum.
    pub fn edited(self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut manifest = self.manifest();
        edit(&mut manifest);
        let json = serde_json::to_vec_pretty(&manifest).unwrap();
        self.with_manifest(&json)
    }

    /// Changes one member and mends size and SHA-256 wherever they stand.
    pub fn replaced(mut self, name: &str, content: &[u8]) -> Self {
        fn mend(value: &mut Value, name: &str, content: &[u8]) {
            if value["member"].as_str().is_some_and(|member| member.contains(name)) {
                value["size"] = content.len().into();
                value["sha256"] = sha256(content).into();
            }
            match value {
                Value::Array(values) => values.iter_mut().for_each(|v| mend(v, name, content)),
                Value::Object(fields) => fields.values_mut().for_each(|v| mend(v, name, content)),
                _ => {}
            }
        }
        let full_name = self.members[self.position(name)].0.name.clone();
        let old = sha256(self.content(name));
        *self.content(name) = content.to_vec();
        let sums = String::from_utf8(self.content("SHA256SUMS").clone()).unwrap();
        let line = |sum: &str| format!("{sum}  {full_name}\n");
        *self.content("SHA256SUMS") =
            sums.replace(&line(&old), &line(&sha256(content))).into_bytes();
        self.edited(|manifest| mend(manifest, &full_name, content))
    }
}

/// What `pgark verify` finds in a file.
pub fn check_file(path: &Path) -> Result<Report> {
    verify::check_file(path, None, verify::Depth::Rows, 1, &Silent, &Interrupt::default())
}

/// What `pgark verify` finds in these bytes.
pub fn check(bytes: &[u8]) -> Result<Report> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&path, bytes).unwrap();
    check_file(&path)
}

/// All findings in these bytes, as text; an error counts as one.
pub fn findings(bytes: &[u8]) -> Vec<String> {
    match check(bytes) {
        Ok(report) => report.findings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![format!("{:?}: {error}", error.kind())],
    }
}
