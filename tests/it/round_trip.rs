//! Back up, verify, restore, compare: the example application, whole.

use crate::harness::{Database, Repo, pg_dump_schema, project};

#[test]
fn the_example_comes_back_equal_in_rows_sequences_and_schema() {
    let (source, target, repo) = (Database::fintrack(1), Database::empty(), Repo::new());
    let example = project().join("examples/fintrack");
    let archive = repo.backup(&source, &["--migrations", example.to_str().unwrap()]);
    repo.ok(&["verify", "latest"]);
    repo.ok(&["restore", archive.to_str().unwrap(), "--url", &target.url()]);
    let equal = repo.ok(&["compare", "latest", "--with", &target.url()]);
    assert!(equal.stdout.starts_with("equal: "), "{}", equal.stdout);
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&target));
    assert_eq!(target.one("SELECT count(*) FROM user_operations"), "30000");
}

/// A million rows, in ranges of pages and with four workers. Digests, sequences and schema are
/// equal, and pgark's memory does not grow with the database.
#[test]
fn the_example_at_scale_10_comes_back_equal() {
    let (source, target, repo) = (Database::fintrack(10), Database::empty(), Repo::new());
    repo.backup(&source, &["--jobs", "4", "--no-migrations"]);
    repo.ok(&["restore", "latest", "--jobs", "4", "--url", &target.url()]);
    let equal = repo.ok(&["compare", "latest", "--with", &target.url(), "--json"]);
    let summary: serde_json::Value = equal.json();
    assert_eq!(summary["result"], "equal");
    assert!(summary["rows"].as_u64().unwrap() > 900_000, "{summary}");
    let sequences =
        "SELECT string_agg(concat_ws(' ', sequencename, last_value, start_value), ', ' ORDER BY 1)
        FROM (SELECT * FROM pg_sequences ORDER BY sequencename) AS s";
    assert_eq!(source.one(sequences), target.one(sequences));
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&target));
}
