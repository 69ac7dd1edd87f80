//! The migration project travels with the archive: its files byte for byte, and its ledger.

use crate::harness::archive::Parts;
use crate::harness::{Database, Repo, project};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn ledger() -> Database {
    Database::with(
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
         INSERT INTO alembic_version VALUES ('abc');",
    )
}

/// A member below `migrations/`: name, mode, content.
type File = (String, u32, Vec<u8>);

/// Backs up with a project, and gives the manifest and the members below `migrations/`.
fn bundle(repo: &Repo, database: &Database, folder: &Path) -> (Value, Vec<File>) {
    let archive = repo.backup(database, &["--migrations", folder.to_str().unwrap()]);
    let parts = Parts::of(&std::fs::read(&archive).unwrap());
    let manifest = parts.manifest();
    let files = parts.members.into_iter().filter_map(|(header, content)| {
        let name = header.name.strip_prefix("migrations/")?.to_owned();
        Some((name, header.mode, content))
    });
    (manifest, files.collect())
}

fn names(files: &[File]) -> Vec<&str> {
    files.iter().map(|(name, ..)| name.as_str()).collect()
}

#[test]
fn the_examples_project_is_carried_byte_for_byte_with_its_modes() {
    let (repo, database) = (Repo::new(), Database::fintrack(1));
    let example = project().join("examples/fintrack");
    let (manifest, files) = bundle(&repo, &database, &example);
    for (name, mode, content) in &files {
        let path = example.join(name);
        assert_eq!(&std::fs::read(&path).unwrap(), content, "{name}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, *mode, "{name}");
        assert!(!name.contains(".pyc") && !name.contains("__pycache__"), "{name}");
    }
    for name in ["alembic.ini", "migrations/env.py", "migrations/script.py.mako"] {
        assert!(names(&files).contains(&name), "{name}");
    }
    let versions = names(&files).iter().filter(|name| name.contains("/versions/")).count();
    assert_eq!(versions, 18, "{:?}", names(&files));
    assert_eq!(manifest["migrations"]["tool"], "alembic");
    let revision = database.one("SELECT version_num FROM alembic_version");
    assert_eq!(manifest["ledgers"][0]["revisions"], json!([revision]));
}

#[test]
fn a_project_in_the_current_folder_is_found_by_itself() {
    let (repo, database) = (Repo::new(), ledger());
    write(repo.path().join("alembic.ini"), "[alembic]\nscript_location = %(here)s/db\n");
    write(repo.path().join("db/env.py"), "# env\n");
    write(repo.path().join("db/versions/abc_first.py"), "revision = 'abc'\n");
    write(repo.path().join("db/versions/__pycache__/abc_first.cpython-311.pyc"), "compiled");
    write(repo.path().join("db/versions/old.pyc"), "compiled");
    let archive = repo.backup(&database, &[]);
    let parts = Parts::of(&std::fs::read(archive).unwrap());
    let found: Vec<&str> =
        parts.members.iter().filter_map(|(h, _)| h.name.strip_prefix("migrations/")).collect();
    assert_eq!(found, ["alembic.ini", "db/env.py", "db/versions/abc_first.py"]);
}

#[test]
fn pyproject_and_two_version_locations_and_side_files_are_understood() {
    let (repo, database) = (Repo::new(), ledger());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root.join("pyproject.toml"),
        "[tool.alembic]\nscript_location = \"db\"\nversion_locations = [\"db/versions\", \"%(here)s/more\"]\n",
    );
    write(root.join("db/env.py"), "");
    write(root.join("db/versions/a.py"), "");
    write(root.join("db/versions/data.sql"), "SELECT 1;\n");
    write(root.join("more/b.py"), "");
    write(root.join("elsewhere/c.py"), "");
    std::fs::set_permissions(root.join("more/b.py"), PermissionsExt::from_mode(0o750)).unwrap();
    let (manifest, files) = bundle(&repo, &database, root);
    let expected =
        ["db/env.py", "db/versions/a.py", "db/versions/data.sql", "more/b.py", "pyproject.toml"];
    assert_eq!(names(&files), expected);
    assert_eq!(files[3].1, 0o750);
    assert_eq!(manifest["migrations"]["version_locations"], json!(["db/versions", "more"]));
}

#[test]
fn what_cannot_be_carried_fails_the_backup_with_its_name() {
    let (repo, database) = (Repo::new(), ledger());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let url = database.url();
    let refused = |code: i32, says: &[&str]| {
        let folder = root.to_str().unwrap();
        repo.run(&["backup", "--url", &url, "--migrations", folder]).expect_code(code).says(says);
        assert_eq!(repo.files(), Vec::new());
    };
    refused(10, &["no migration project in", "alembic.ini"]);
    write(root.join("alembic.ini"), "[alembic]\nscript_location = ../outside\n");
    refused(2, &["outside their project", "../outside", "--migrations DIR"]);
    write(root.join("alembic.ini"), "[alembic]\nscript_location = package:migrations\n");
    refused(2, &["Python package"]);
    write(root.join("alembic.ini"), "[alembic]\nscript_location = db\n");
    refused(10, &["has no folder", "db", "--no-migrations"]);
    write(root.join("db/env.py"), "");
    refused(10, &["has no folder", "db/versions"]);
    write(root.join("db/versions/a.py"), "");
    symlink("/etc/passwd", root.join("db/versions/b.py")).unwrap();
    refused(15, &["symbolic link", "b.py"]);
    std::fs::remove_file(root.join("db/versions/b.py")).unwrap();
    write(root.join("alembic.ini"), "[alembic\n");
    refused(2, &["alembic.ini"]);
}

#[test]
fn a_ledger_of_another_name_in_another_schema_is_found_by_its_shape() {
    let repo = Repo::new();
    let database = Database::with(
        "CREATE SCHEMA ops;
         CREATE TABLE ops.our_versions (version_num varchar(32) NOT NULL PRIMARY KEY);
         INSERT INTO ops.our_versions VALUES ('head_b'), ('head_a');
         CREATE TABLE decoy (version_num varchar(32), more int);
         CREATE TABLE decoy2 (version_num int);",
    );
    let archive = repo.backup(&database, &["--no-migrations"]);
    let manifest = Parts::of(&std::fs::read(archive).unwrap()).manifest();
    let expected = json!([{
        "tool": "alembic",
        "table": {"schema": "ops", "name": "our_versions"},
        "revisions": ["head_a", "head_b"],
    }]);
    assert_eq!(manifest["ledgers"], expected);
}
