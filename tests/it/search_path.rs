//! Functions whose bodies name things without their schema, as those of most applications do.

use crate::harness::carried::copy;
use crate::harness::{Database, Repo, server_of};

/// Functions that find each other on the path of whoever uses the database.
const FUNCTIONS: &str = "CREATE FUNCTION unq(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN lower($1); END';
    CREATE FUNCTION norm(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN unq($1); END';";

fn with_generated() -> Database {
    Database::with(&format!(
        "{FUNCTIONS} CREATE TABLE t (a text, g text GENERATED ALWAYS AS (norm(a)) STORED);
         INSERT INTO t VALUES ('X'), ('Y')"
    ))
}

#[test]
fn rows_that_a_function_refuses_for_want_of_a_path_are_loaded_with_one() {
    let (source, repo) = (with_generated(), Repo::new());
    repo.backup(&source, &[]);
    let target = Database::empty();
    let restore = ["restore", "latest", "--url", &target.url()];
    let run = repo.run(&restore).expect_code(1).says(&[
        "table public.t",
        "function unq(text) does not exist (SQLSTATE 42883); in function public.norm(text)",
        "without a search_path",
        "ALTER FUNCTION … SET search_path",
        "--search-path",
    ]);
    assert!(!run.stderr.contains("type casts"), "{}", run.stderr);
    repo.run(&[&restore[..], &["--search-path", "nowhere, public"]].concat())
        .expect_code(10)
        .says(&["there is no schema nowhere", "--search-path"]);
    repo.run(&[&restore[..], &["--search-path", "a b"]].concat()).expect_code(2);
    repo.ok(&[&restore[..], &["--search-path", "public"]].concat());
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    assert_eq!(target.one("SELECT string_agg(g, '' ORDER BY g) FROM t"), "xy");

    let copied = Database::empty();
    copy(&source, &copied, &[]).expect_code(1).says(&["without a search_path", "--search-path"]);
    copy(&source, &copied, &["--search-path", "public"]).expect_code(0);
    repo.ok(&["compare", "latest", "--with", &copied.url()]);
}

#[test]
fn rows_alone_are_loaded_with_a_path_too() {
    let (source, repo) = (with_generated(), Repo::new());
    repo.backup(&source, &[]);
    let target = with_generated();
    let restore =
        ["restore", "latest", "--url", &target.url(), "--data-only", "--on-existing", "append"];
    repo.run(&restore).expect_code(1).says(&["without a search_path", "--search-path"]);
    repo.ok(&[&restore[..], &["--table", "t", "--search-path", "\"public\""]].concat());
    assert_eq!(target.one("SELECT string_agg(g, '' ORDER BY g) FROM t"), "xxyy");
    let skip = ["--on-existing", "skip", "--search-path", "public"];
    repo.run(&[&restore[..5], &skip].concat()).expect_code(2).says(&["--on-existing skip"]);
}

#[test]
fn indexes_and_materialized_views_that_fail_without_a_path_are_tried_with_it() {
    // From 17 on the server does not let them be made in the source.
    let source = Database::with_on(
        server_of(15),
        &format!(
            "{FUNCTIONS} CREATE TABLE t (a text); INSERT INTO t VALUES ('X'), ('Y');
             CREATE INDEX by_norm ON t (norm(a)); CREATE MATERIALIZED VIEW m AS SELECT norm(a) AS n FROM t"
        ),
    );
    let (repo, target) = (Repo::new(), Database::empty_on(server_of(15)));
    repo.backup(&source, &[]);
    let restore = ["restore", "latest", "--url", &target.url()];
    let run = repo.run(&restore).expect_code(1).says(&[
        "2 objects could not be created",
        "index public.by_norm",
        "in function public.norm(text)",
        "restoring anew with --search-path",
        "pgark_restore_unfinished",
    ]);
    assert_eq!(run.stderr.matches("without a search_path").count(), 1, "{}", run.stderr);
    let run = repo.ok(&[&restore[..], &["--search-path", "public"]].concat());
    assert!(!run.stderr.contains("cannot analyze"), "{}", run.stderr);
    assert_eq!(target.one("SELECT string_agg(n, '' ORDER BY n) FROM m"), "xy");
    repo.ok(&["compare", "latest", "--with", &target.url(), "--schema"]);

    let newest = Database::empty_on(server_of(18));
    let run = repo
        .run(&["restore", "latest", "--url", &newest.url(), "--search-path", "public"])
        .expect_code(1)
        .says(&["without a search_path", "ALTER FUNCTION … SET search_path"]);
    assert!(!run.stderr.contains("restoring anew"), "{}", run.stderr);
}

#[test]
fn a_definition_that_works_without_a_path_is_never_made_with_one() {
    // With `public` on the path, the index would be of the user's function.
    let source = Database::with(
        "CREATE TABLE t (a int[]); INSERT INTO t VALUES ('{1}');
         CREATE INDEX i ON t (cardinality(array_append(a, 1)));
         CREATE FUNCTION array_append(int[], int) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url(), "--search-path", "public"]);
    repo.ok(&["compare", "latest", "--with", &target.url(), "--schema"]);
    let sql = "SELECT count(*) FROM pg_depend WHERE objid = 'i'::regclass AND refclassid = 'pg_proc'::regclass";
    assert_eq!(target.one(sql), "0");
}
