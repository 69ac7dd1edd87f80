//! Archives of every released format, as the pgark of their day wrote them. They are never edited
//! and never made anew: whoever cannot read them any more has broken somebody's backup.

use crate::harness::{Database, Repo, project};
use serde_json::Value;
use std::path::PathBuf;

/// Folder below `tests/golden`, and what a restore of it must hold.
const GOLDEN: &[(&str, &[(&str, &str)])] = &[(
    "v1",
    &[
        (
            "SELECT string_agg(concat_ws(',', id, name, born), ';' ORDER BY id) FROM people",
            "1,Ada,1815-12-10;2,Emmy,1882-03-23;3,tab\tnew\nline\\",
        ),
        ("SELECT count(*) FROM no_rows", "0"),
        ("SELECT count(*) FROM no_columns", "2"),
        ("SELECT sum(a) FROM \"../it's \"\" $(x)\n\\! y\"", "55"),
        ("SELECT nextval('counter')", "8"),
        ("SELECT version_num FROM alembic_version", "0123456789ab"),
        ("SELECT convert_from(lo_get(4711), 'UTF8')", "a large object"),
        ("SELECT count(*) FROM pg_largeobject_metadata", "2"),
        (
            "SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'f') AND connamespace = 'public'::regnamespace",
            "3",
        ),
    ],
)];

fn folder(version: &str) -> PathBuf {
    project().join("tests/golden").join(version)
}

#[test]
fn no_golden_archive_is_forgotten() {
    let mut found: Vec<String> = std::fs::read_dir(project().join("tests/golden"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let known: Vec<&str> = GOLDEN.iter().map(|(version, _)| *version).collect();
    assert_eq!(found, known);
    let newest = format!("v{}", pgark::archive::manifest::FORMAT_VERSION);
    assert!(known.contains(&newest.as_str()), "the format of today has no golden archive");
}

#[test]
fn every_golden_archive_is_verified_listed_restored_and_equal() {
    for (version, expected) in GOLDEN {
        let repo = Repo::new();
        for part in ["backups", "manifests"] {
            std::fs::create_dir(repo.path().join(part)).unwrap();
            for entry in std::fs::read_dir(folder(version).join(part)).unwrap() {
                let path = entry.unwrap().path();
                std::fs::copy(&path, repo.path().join(part).join(path.file_name().unwrap()))
                    .unwrap();
            }
        }
        repo.ok(&["verify", "golden"]);
        let listed: Value = repo.ok(&["list", "--json"]).json();
        assert_eq!(listed["archives"].as_array().unwrap().len(), 1, "{version}");
        let target = Database::empty();
        repo.ok(&["restore", "golden", "--url", &target.url()]);
        repo.ok(&["compare", "golden", "--with", &target.url()]);
        for (query, value) in *expected {
            assert_eq!(target.one(query), *value, "{version}: {query}");
        }
    }
}
