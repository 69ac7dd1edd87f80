//! Some rows of a table, by `--where`; patterns out of a file, by `--filter`.

use crate::harness::archive::Parts;
use crate::harness::carried::{manifest, table};
use crate::harness::{Database, Repo, pg_dump_schema};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

fn shop() -> Database {
    Database::with(
        "CREATE SCHEMA app;
         CREATE TABLE app.customers (id int PRIMARY KEY, name text, since date);
         CREATE TABLE app.orders (id int PRIMARY KEY, customer int
           CONSTRAINT orders_customer REFERENCES app.customers, note text);
         CREATE TABLE app.events (at date NOT NULL, what text) PARTITION BY RANGE (at);
         CREATE TABLE app.events_2025 PARTITION OF app.events
           FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         CREATE TABLE app.events_2026 PARTITION OF app.events
           FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         INSERT INTO app.customers SELECT i, 'name ' || i, date '2025-01-01' + i
           FROM generate_series(1, 100) AS i;
         INSERT INTO app.orders SELECT i, i % 100 + 1, 'it''s; (' FROM generate_series(1, 1000) AS i;
         INSERT INTO app.events SELECT date '2025-06-01' + i, 'w' FROM generate_series(1, 400) AS i",
    )
}

#[test]
fn chosen_rows_are_taken_recorded_compared_and_restored() {
    let (repo, source, target) = (Repo::new(), shop(), Database::empty());
    let one = "app.orders=id <= 10 AND note LIKE '%; (%'";
    let two = "events=at >= date '2026-01-01'";
    repo.backup(&source, &["--where", one, "--where", two]);
    let manifest = manifest(&repo);
    assert_eq!(manifest["whole"], false);
    assert_eq!(manifest["format"]["features"], serde_json::json!(["chosen-rows"]));
    assert_eq!(manifest["options"]["filters"], serde_json::json!([one, two]));
    let orders = table(&manifest, "app.orders");
    assert_eq!(orders["condition"], "WHERE (id <= 10 AND note LIKE '%; (%')");
    assert_eq!(orders["rows"], 10);
    assert_eq!(table(&manifest, "app.customers")["condition"], Value::Null);
    let events: Vec<&Value> =
        ["app.events_2025", "app.events_2026"].map(|name| &table(&manifest, name)["rows"]).into();
    assert_eq!((events[0].as_u64(), events[1].as_u64()), (Some(0), Some(187)));
    let left: Vec<String> = serde_json::from_value(manifest["left_out"].clone()).unwrap();
    assert!(left.iter().any(|text| text.starts_with("rows of app.orders but for those WHERE (id")));

    repo.ok(&["verify", "latest"]);
    repo.ok(&["restore", "latest", "--url", &target.url()])
        .says(&["holds only the rows WHERE (id <= 10", "foreign keys"]);
    assert_eq!(target.one("SELECT count(*) || ' ' || max(id) FROM app.orders"), "10 10");
    assert_eq!(target.one("SELECT min(at) FROM app.events"), "2026-01-01");
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&target));

    // Of the source, the same rows are compared, and it is said that others were not.
    for database in [&source, &target] {
        repo.ok(&["compare", "latest", "--with", &database.url()])
            .says(&["of app.orders, only the rows WHERE (id <= 10", "are compared"]);
    }
    source.execute("UPDATE app.orders SET note = 'changed; (' WHERE id = 11");
    repo.ok(&["compare", "latest", "--with", &source.url()]);
    source.execute("UPDATE app.orders SET note = 'changed; (' WHERE id = 3");
    let run = repo.run(&["compare", "latest", "--with", &source.url()]).expect_code(4);
    assert!(run.stdout.contains("table app.orders"), "{}", run.stdout);
    let run = repo.run(&["compare", "latest", "--with", &source.url(), "--json"]).expect_code(4);
    let value = run.json();
    assert_eq!(value["chosen_rows"][0]["table"]["name"], "events_2025");
}

#[test]
fn a_restored_slice_is_proved_without_asking_its_condition_again() {
    // The condition speaks of another table, which is empty in the target while rows are loaded.
    let source = Database::with(
        "CREATE TABLE keep (id int); INSERT INTO keep VALUES (1), (3);
         CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 10)",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    let filter = "public.t=id IN (SELECT id FROM public.keep)";
    repo.backup(&source, &["--where", filter, "--exclude-data", "keep"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT string_agg(id::text, ',' ORDER BY id) FROM t"), "1,3");
    // Data alone: the table is emptied as a whole, and holds the slice alone in the end.
    target.execute("INSERT INTO t VALUES (7), (8)");
    let data_only = ["restore", "latest", "--url", &target.url(), "--data-only"];
    repo.run(&data_only).expect_code(15).says(&["public.t"]);
    repo.ok(&[&data_only[..], &["--on-existing", "truncate"]].concat());
    assert_eq!(target.one("SELECT string_agg(id::text, ',' ORDER BY id) FROM t"), "1,3");
}

#[test]
fn foreign_keys_to_rows_that_are_not_taken_are_said_at_both_ends() {
    let (repo, source, target) = (Repo::new(), shop(), Database::empty());
    let backup = ["backup", "--url", &source.url(), "--where", "app.customers=id < 50"];
    repo.ok(&backup).says(&["foreign key orders_customer of app.orders", "app.customers"]);
    let run = repo.run(&["restore", "latest", "--url", &target.url()]);
    assert_ne!(run.code, 0);
    run.says(&["orders_customer", "foreign keys fail if rows point at others"]);
    let both = ["--where", "app.customers=id < 50", "--where", "app.orders=customer < 50"];
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &both);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT max(customer) FROM app.orders"), "49");
}

#[test]
fn a_large_table_is_cut_and_filtered_at_once() {
    let source = Database::with(
        "CREATE TABLE big AS SELECT i AS id, repeat('x', 1000) AS filler FROM generate_series(1, 40000) AS i",
    );
    let repo = Repo::new();
    repo.backup(&source, &["--where", "big=id % 2 = 0 OR id = 1", "--jobs", "2"]);
    let manifest = manifest(&repo);
    let big = table(&manifest, "public.big");
    assert_eq!(big["rows"], 20001);
    if source.server.major() >= 14 {
        assert!(big["chunks"].as_array().unwrap().len() > 1, "it was read by ranges");
    }
    repo.ok(&["compare", "latest", "--with", &source.url()]);
}

#[test]
fn conditions_that_cannot_be_used_change_nothing() {
    let (repo, source) = (Repo::new(), shop());
    let refused = |condition: &str, code: i32, says: &[&str]| {
        let url = source.url();
        repo.run(&["backup", "--url", &url, "--where", condition]).expect_code(code).says(says);
        assert_eq!(repo.files(), []);
    };
    refused("app.orders", 2, &["is not TABLE=CONDITION"]);
    refused("app.orders=true); DROP TABLE app.orders; SELECT (true", 2, &["cannot be used"]);
    refused("app.orders=idd = 1", 2, &["app.orders", "idd"]);
    refused("app.orders=count(*) > 1", 2, &["app.orders", "aggregate"]);
    refused("app.order=id = 1", 10, &["did you mean \"app.orders\"?"]);
    let twice = ["--where", "orders=id = 1", "--where", "app.*=true"];
    let url = source.url();
    repo.run(&[&["backup", "--url", &url][..], &twice].concat())
        .expect_code(2)
        .says(&["two conditions on the rows of app.orders", "AND"]);
    let none = ["backup", "--url", &url, "--where", "orders=true", "--exclude-data", "orders"];
    repo.run(&none).expect_code(10).says(&["whose rows are taken"]);
    assert_eq!(source.one("SELECT count(*) FROM app.orders"), "1000");
    assert_eq!(repo.files(), []);
}

#[test]
fn a_forged_condition_is_refused_before_it_is_sql() {
    let (repo, source) = (Repo::new(), shop());
    let path = repo.backup(&source, &["--where", "app.orders=id = 1", "--name", "a"]);
    let sound = Parts::of(&std::fs::read(&path).unwrap());
    let place = |manifest: &Value| {
        let tables = manifest["tables"].as_array().unwrap();
        tables.iter().position(|table| table["name"] == "orders").unwrap()
    };
    let forged = |edit: &dyn Fn(&mut Value)| {
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(repo.path().join("forged.tar"), sound.clone().edited(edit).bytes()).unwrap();
        for verb in [
            &["verify", "forged.tar"][..],
            &["compare", "forged.tar", "--with", &source.url()],
            &["restore", "forged.tar", "--url", &source.url(), "--data-only"],
            &["extract", "forged.tar", "--table", "orders"],
        ] {
            repo.run(verb).expect_code(13);
        }
    };
    forged(&|manifest| {
        let table = place(manifest);
        manifest["tables"][table]["condition"] = "WHERE (true); DROP TABLE app.orders; --".into();
    });
    forged(&|manifest| {
        let table = place(manifest);
        manifest["tables"][table]["condition"] = "WHERE true".into();
    });
    forged(&|manifest| manifest["format"]["features"] = serde_json::json!([]));
    assert_eq!(source.one("SELECT count(*) FROM app.orders"), "1000");
    let mut unknown = sound.clone();
    unknown = unknown.edited(|manifest| {
        manifest["format"]["features"] = serde_json::json!(["chosen-rows", "of-tomorrow"]);
    });
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(repo.path().join("forged.tar"), unknown.bytes()).unwrap();
    repo.run(&["verify", "forged.tar"]).expect_code(15).says(&["of-tomorrow"]);
}

#[test]
fn a_condition_beyond_ascii_is_refused_where_it_would_be_misread() {
    let source =
        Database::create("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    source.execute("CREATE TABLE t (v text); INSERT INTO t VALUES ('é'), ('e')");
    let repo = Repo::new();
    let url = source.url();
    repo.run(&["backup", "--url", &url, "--where", "t=v = 'é'"]).expect_code(2).says(&[
        "beyond ASCII",
        "LATIN1",
        "00e9",
    ]);
    repo.backup(&source, &["--where", r"t=v = U&'\00e9'"]);
    assert_eq!(table(&manifest(&repo), "public.t")["rows"], 1);
}

#[test]
fn patterns_come_from_files_and_standard_input() {
    let (repo, source) = (Repo::new(), shop());
    let path = repo.path().join("nightly.filter");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(
        &path,
        "include schema app # all\nexclude table app.events\nexclude table_data orders\n",
    )
    .unwrap();
    repo.backup(&source, &["--filter", path.to_str().unwrap()]);
    let manifest = manifest(&repo);
    let names: Vec<&Value> =
        manifest["tables"].as_array().unwrap().iter().map(|table| &table["name"]).collect();
    assert_eq!(names, ["customers", "orders"]);
    assert_eq!(table(&manifest, "app.orders")["data"], false);

    let repo = Repo::new();
    let mut child = repo
        .command(&["backup", "--url", &source.url(), "--filter", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"include table app.orders\n\ninclude tabel x\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("line 3 of the filter file"), "{said}");
    let url = source.url();
    repo.run(&["backup", "--url", &url, "--filter", "no-such-file"]).expect_code(10);
    assert_eq!(repo.files(), []);
}
