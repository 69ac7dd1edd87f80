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
