//! Parts of a database, by pattern, and objects that may be missing.

use crate::harness::carried::{manifest, table};
use crate::harness::{Database, Repo};
use serde_json::Value;

fn shop() -> Database {
    Database::with(
        "CREATE SCHEMA app; CREATE SCHEMA audit;
         CREATE TYPE app.kind AS ENUM ('a', 'b');
         CREATE TYPE app.unused AS ENUM ('x');
         CREATE TABLE app.customers (id serial PRIMARY KEY, kind app.kind DEFAULT 'a');
         CREATE TABLE app.orders (id int PRIMARY KEY, customer int CONSTRAINT orders_customer
           REFERENCES app.customers, placed date NOT NULL);
         CREATE TABLE app.events (at date NOT NULL, what text) PARTITION BY RANGE (at);
         CREATE TABLE app.events_2025 PARTITION OF app.events
           FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         CREATE TABLE audit.events_2026 PARTITION OF app.events
           FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         CREATE TABLE audit.log (id int GENERATED ALWAYS AS IDENTITY, line text);
         CREATE VIEW app.placed AS SELECT placed FROM app.orders;
         INSERT INTO app.customers (kind) VALUES ('a'), ('b');
         INSERT INTO app.orders VALUES (1, 1, '2026-01-01'), (2, 2, '2026-01-02');
         INSERT INTO app.events VALUES ('2025-05-05', 'x'), ('2026-05-05', 'y');
         INSERT INTO audit.log (line) SELECT 'line' FROM generate_series(1, 10)",
    )
}

fn tables(manifest: &Value) -> Vec<String> {
    let tables = manifest["tables"].as_array().unwrap();
    let name =
        |t: &Value| format!("{}.{}", t["schema"].as_str().unwrap(), t["name"].as_str().unwrap());
    tables.iter().map(name).collect()
}

fn left_out(manifest: &Value) -> Vec<&str> {
    manifest["left_out"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Backs up a part, restores it into an empty database, and compares.
#[track_caller]
fn part(source: &Database, arguments: &[&str]) -> (Value, Database) {
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(source, arguments);
    repo.ok(&["verify", "latest"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    repo.ok(&["compare", "latest", "--with", &source.url()]);
    (manifest(&repo), target)
}

#[test]
fn a_chosen_table_brings_what_it_needs_and_leaves_foreign_keys_to_others_out() {
    let (manifest, target) = part(&shop(), &["--table", "app.orders"]);
    assert_eq!(tables(&manifest), ["app.orders"]);
    let left = left_out(&manifest);
    for expected in
        ["table app.customers", "table audit.log", "foreign-key app.orders_customer on app.orders"]
    {
        assert!(left.contains(&expected), "{expected} not in {left:?}");
    }
    assert_eq!(target.one("SELECT count(*) FROM app.orders"), "2");
    assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), "0");
    assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'orders_pkey'"), "1");
    assert_eq!(target.one("SELECT to_regclass('app.customers') IS NULL"), "true");
}

#[test]
fn a_chosen_table_brings_what_its_domains_demand() {
    let source = Database::with(
        "CREATE SCHEMA app; CREATE FUNCTION is_mail(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN RETURN $1 LIKE ''%@%''; END';
         CREATE DOMAIN mail AS text CONSTRAINT at CHECK (is_mail(VALUE)); CREATE TABLE app.t (m mail);
         INSERT INTO app.t VALUES ('a@b')",
    );
    for chosen in [["--table", "app.t"], ["--schema", "app"]] {
        let (_, target) = part(&source, &chosen);
        assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'at'"), "1");
    }
}

#[test]
fn a_chosen_table_brings_its_type_and_its_sequence() {
    let (manifest, target) = part(&shop(), &["--table", "customers", "--table", "ORDERS"]);
    assert_eq!(tables(&manifest), ["app.customers", "app.orders"]);
    assert_eq!(manifest["sequences"].as_array().unwrap().len(), 1);
    target.execute("INSERT INTO app.customers DEFAULT VALUES");
    assert_eq!(target.one("SELECT max(id) || ' ' || max(kind) FROM app.customers"), "3 b");
    assert_eq!(target.one("SELECT to_regtype('app.unused') IS NULL"), "true");
    assert_eq!(
        target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'orders_customer'"),
        "1"
    );
}

#[test]
fn partitions_follow_their_table_whatever_schema_they_are_in() {
    let (manifest, target) = part(&shop(), &["--table", "app.events"]);
    assert_eq!(tables(&manifest), ["app.events_2025", "audit.events_2026"]);
    assert_eq!(target.one("SELECT string_agg(what, '' ORDER BY at) FROM app.events"), "xy");

    let (manifest, target) = part(&shop(), &["--exclude-table", "app.events"]);
    assert_eq!(tables(&manifest), ["app.customers", "app.orders", "audit.log"]);
    assert_eq!(target.one("SELECT to_regclass('audit.events_2026') IS NULL"), "true");
}

#[test]
fn an_excluded_table_takes_along_what_needs_it_and_nothing_else() {
    let (manifest, target) = part(&shop(), &["--exclude-table", "app.orders"]);
    let left = left_out(&manifest);
    assert_eq!(left, ["table app.orders", "view app.placed"], "{left:?}");
    assert_eq!(target.one("SELECT count(*) FROM audit.log"), "10");
    assert_eq!(target.one("SELECT to_regtype('app.unused') IS NOT NULL"), "true");
}

#[test]
fn schemas_can_be_chosen_and_excluded() {
    let (manifest, target) = part(&shop(), &["--schema", "app"]);
    assert!(!tables(&manifest).contains(&"audit.log".to_owned()));
    assert_eq!(target.one("SELECT count(*) FROM app.placed"), "2");
    assert_eq!(target.one("SELECT to_regtype('app.unused') IS NOT NULL"), "true");

    let (manifest, target) = part(&shop(), &["--exclude-schema", "audit"]);
    assert!(left_out(&manifest).contains(&"table audit.log"));
    assert_eq!(target.one("SELECT count(*) FROM app.orders"), "2");
}

#[test]
fn excluded_rows_leave_the_table_behind_empty() {
    let (manifest, target) =
        part(&shop(), &["--exclude-data", "log", "--exclude-data", "app.events"]);
    for name in ["audit.log", "app.events_2025", "audit.events_2026"] {
        assert_eq!(table(&manifest, name)["data"], false, "{name}");
        assert!(left_out(&manifest).contains(&format!("rows of {name}").as_str()), "{name}");
        assert_eq!(target.one(&format!("SELECT count(*) FROM {name}")), "0");
    }
    assert_eq!(target.one("SELECT count(*) FROM app.orders"), "2");
    // Rows that come now must not meet ids that were given out in the source.
    target.execute("INSERT INTO audit.log (line) VALUES ('new')");
    assert_eq!(target.one("SELECT id FROM audit.log"), "11");
}

#[test]
fn a_pattern_that_matches_nothing_names_the_nearest() {
    let (source, repo) = (shop(), Repo::new());
    let url = source.url();
    for (flag, pattern, near) in [
        ("--table", "app.customer", "app.customers"),
        ("--table", "oders", "orders"),
        ("--exclude-table", "audit.logs", "audit.log"),
        ("--exclude-data", "lgo", "log"),
        ("--schema", "apps", "app"),
        ("--exclude-schema", "audti", "audit"),
    ] {
        let run = repo.run(&["backup", "--url", &url, flag, pattern]).expect_code(10);
        run.says(&[&format!("matches \"{pattern}\""), &format!("did you mean \"{near}\"?")]);
    }
    // One good pattern beside it does not hide the bad one.
    repo.run(&["backup", "--url", &url, "--table", "orders", "--table", "no_such"]).expect_code(10);
    repo.run(&["backup", "--url", &url, "--table", "\"orders"]).expect_code(2).says(&["quote"]);
    assert_eq!(repo.files(), []);
}

#[test]
fn objects_that_are_not_carried_are_refused_unless_allowed_by_class() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT 1 AS x; CREATE TABLE u (x int);
         CREATE RULE r AS ON INSERT TO u DO INSTEAD NOTHING;
         UPDATE pg_rewrite SET ev_enabled = 'z' WHERE rulename = 'r'",
    );
    let (repo, url) = (Repo::new(), source.url());
    let refused = repo.run(&["backup", "--url", &url]).expect_code(15);
    refused.says(&["unknown state z of rule r on public.u", "--allow-missing unknown"]);
    repo.run(&["backup", "--url", &url, "--allow-missing", "policy"]).expect_code(15);
    assert_eq!(repo.files(), []);
    repo.run(&["backup", "--url", &url, "--allow-missing", "ruel"])
        .expect_code(2)
        .says(&["\"ruel\"", "did you mean \"rule\"?"]);

    let run = repo.run(&["backup", "--url", &url, "--allow-missing", "unknown"]).expect_code(3);
    run.says(&["state z of rule r on public.u"]);
    let left = manifest(&repo)["not_carried"].clone();
    assert_eq!(
        left,
        serde_json::json!([{
            "class": "unknown",
            "name": "state z of rule r on public.u",
            "schema": "public",
            "table": "u",
        }])
    );
    let target = Database::empty();
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT x FROM t"), "1");
}

#[test]
fn names_beyond_ascii_and_with_capitals_are_found_as_they_are_suggested() {
    let source = Database::with(
        "CREATE TABLE \"Änderungen\" (i int); CREATE TABLE \"Kunde\" (i int);
         CREATE TABLE \"dot.in\" (i int); CREATE TABLE \"ta[]\" (i int);
         CREATE VIEW seen AS SELECT 1 AS one; CREATE SEQUENCE counter",
    );
    let (manifest, _) = part(&source, &["--table", "Änderungen", "--table", "ta[]"]);
    assert_eq!(tables(&manifest), ["public.ta[]", "public.Änderungen"]);
    let (repo, url) = (Repo::new(), source.url());
    let backup = |more: &[&str]| {
        repo.run(&[&["backup", "--url", &url, "--no-migrations"][..], more].concat())
    };
    for (typed, meant) in [("Kunde", "\"Kunde\""), ("dot.in", "\"dot.in\"")] {
        let hint = format!("hint: did you mean '{meant}'?");
        backup(&["--table", typed]).expect_code(10).says(&[&hint]);
        backup(&["--table", meant, "--name", &typed.replace('.', "_")]).expect_code(0);
    }
    backup(&["--table", "zzzz"])
        .expect_code(10)
        .says(&["no table matches", "hint: there is public."]);
    backup(&["--schema", "zzzz"]).expect_code(10).says(&["hint: there is public"]);
    for (name, kind) in [("seen", "a view"), ("counter", "a sequence")] {
        let says = format!("no table matches \"{name}\": public.{name} is {kind}");
        backup(&["--table", name]).expect_code(10).says(&[&says, "--schema"]);
    }
    let own = format!("{}.public.\"Kunde\"", source.name);
    backup(&["--table", &own, "--name", "own"]).expect_code(0);
    backup(&["--schema", &format!("{}.public", source.name), "--name", "schema"]).expect_code(0);
    let run = backup(&["--table", "elsewhere.public.\"Kunde\""]).expect_code(2);
    run.says(&["is about database \"elsewhere\"", "leave the database's name out"]);
    repo.run(&["extract", "own", "--table", "kunde"])
        .expect_code(10)
        .says(&["did you mean '\"Kunde\"'?"]);
    repo.ok(&["extract", "own", "--table", &own]);
    // pg_dump's name for it.
    let excluded = ["--exclude-table-data", "\"Kunde\"", "--name", "without"];
    backup(&excluded).expect_code(0);
    let manifest = std::fs::read(repo.path().join("manifests/without.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(table(&manifest, "public.Kunde")["data"], false);
}
