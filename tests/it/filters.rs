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
        repo.ok(&["compare", "latest", "--with", &database.url(), "--allow-conditions"])
            .says(&["of app.orders, only the rows WHERE (id <= 10", "are compared"]);
    }
    source.execute("UPDATE app.orders SET note = 'changed; (' WHERE id = 11");
    let url = source.url();
    let compare = ["compare", "latest", "--with", &url, "--allow-conditions"];
    repo.ok(&compare);
    source.execute("UPDATE app.orders SET note = 'changed; (' WHERE id = 3");
    let run = repo.run(&compare).expect_code(4);
    assert!(run.stdout.contains("table app.orders"), "{}", run.stdout);
    let run = repo.run(&[&compare[..], &["--json"]].concat()).expect_code(4);
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
    repo.ok(&["compare", "latest", "--with", &source.url(), "--allow-conditions"]);
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
    refused("app.orders=id = $1", 2, &["app.orders", "id = $1", "parameters"]);
    refused("app.orders=1 / (id - id) = 0", 1, &["app.orders", "1 / (id - id) = 0", "zero"]);
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

/// What a condition calls is called with all the rights of whoever compares: nothing runs unasked.
#[test]
fn a_condition_of_an_archive_is_run_for_nobody_who_did_not_allow_it() {
    let setup = "CREATE TABLE called (n int); INSERT INTO called VALUES (0);
         CREATE EXTENSION citext; CREATE TABLE conf (k int PRIMARY KEY, own boolean);
         INSERT INTO conf SELECT i, i > 5 FROM generate_series(1, 8) AS i;
         ALTER EXTENSION citext ADD TABLE conf;
         UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY['WHERE own']
         WHERE extname = 'citext';
         CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 10);
         CREATE SEQUENCE calls; SELECT setval('calls', 1, false)";
    let (repo, source) = (Repo::new(), Database::with(setup));
    let path = repo.backup(&source, &["--where", "t=id < 5", "--name", "a"]);
    let sound = Parts::of(&std::fs::read(&path).unwrap());
    // A sequence tells of calls, even of those that were rolled back; a role may call it anywhere.
    let call = "(SELECT setval('public.calls', 77) > 0)";
    let url = source.url();
    let run_forged = |table: &str, clause: String| {
        let forged = sound.clone().edited(|manifest| {
            for entry in manifest["tables"].as_array_mut().unwrap() {
                if entry["name"] == table {
                    entry["condition"] = clause.clone().into();
                } else if table == "conf" {
                    entry.as_object_mut().unwrap().remove("condition");
                }
            }
        });
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(repo.path().join("forged.tar"), forged.bytes()).unwrap();
        let compared = repo.run(&["compare", "forged.tar", "--with", &url]);
        let data_only = ["restore", "forged.tar", "--url", &url, "--data-only"];
        let restored = repo.run(&[&data_only[..], &["--on-existing", "truncate"]].concat());
        assert_eq!(source.one("SELECT last_value FROM calls"), "1", "{}", compared.stderr);
        (compared, restored)
    };
    let (compared, restored) = run_forged("conf", format!("WHERE {call}"));
    for run in [compared, restored] {
        run.expect_code(15).says(&["public.conf", "citext", "WHERE own", "setval"]);
    }
    assert_eq!(source.one("SELECT count(*) FROM conf"), "8");
    let (compared, restored) = run_forged("conf", String::from(", pg_catalog.pg_shadow"));
    for run in [compared, restored] {
        run.expect_code(13);
    }
    let (compared, restored) = run_forged("t", format!("WHERE ({call})"));
    compared.expect_code(15).says(&["public.t", "setval", "--allow-conditions"]);
    restored.expect_code(0);
    // The sound one is compared with who allows it, in a transaction that cannot write.
    repo.run(&["compare", "a", "--with", &url]).expect_code(15);
    repo.ok(&["compare", "a", "--with", path.to_str().unwrap()]);
    let run = repo.run(&["compare", "forged.tar", "--with", &url, "--allow-conditions"]);
    assert_ne!(run.code, 0);
    run.says(&["read-only transaction"]);
    assert_eq!(source.one("SELECT last_value FROM calls"), "1");
}

#[test]
fn a_selection_of_nothing_is_refused() {
    let (repo, source) = (Repo::new(), shop());
    let url = source.url();
    let path = repo.path().join("nothing.filter");
    let write = |text: &str| {
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(&path, text).unwrap();
    };
    let backup = ["backup", "--url", &url, "--no-migrations"];
    let filter = [&backup[..], &["--filter", "nothing.filter"]].concat();
    write("include table app.orders\nexclude table app.orders\n");
    repo.run(&filter).expect_code(2).says(&["leaves out every table"]);
    repo.run(&[&backup[..], &["-T", "*"]].concat()).expect_code(2).says(&["every table"]);
    for empty in ["", "# nothing\n\n"] {
        write(empty);
        repo.run(&filter).expect_code(2).says(&["there is no pattern in filter file"]);
    }
    // Standard input that is empty, and one that is closed.
    let from_stdin = [&backup[..], &["--filter", "-"]].concat();
    repo.run(&from_stdin).expect_code(2).says(&["there is no pattern"]);
    let plain = repo.command(&from_stdin);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "\"$0\" \"$@\" <&-"]).arg(plain.get_program()).args(plain.get_args());
    let closed = crate::harness::Run::from(shell.output().unwrap());
    closed.expect_code(2);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(repo.files(), []);
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
    // A name is refused before anything is begun.
    let run = repo.run(&["backup", "--url", "host=/nowhere user=u", "--name", "../up"]);
    assert!(!run.stderr.contains("connecting"), "{}", run.stderr);
    run.expect_code(2).says(&["\"../up\" is no name"]);
    assert_eq!(repo.files(), []);
}

#[test]
fn children_are_taken_with_their_table_where_a_line_says_so() {
    let source = shop();
    source.execute(
        "CREATE TABLE base (i int); CREATE TABLE child () INHERITS (base);
         CREATE TABLE app.\"Grand Child\" () INHERITS (child)",
    );
    let repo = Repo::new();
    let file = repo.path().join("patterns");
    let backup = |text: &str| {
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(&file, text).unwrap();
        let url = source.url();
        let arguments = ["backup", "--url", &url, "--no-migrations", "--name", "a", "--filter"];
        repo.ok(&[&arguments[..], &[file.to_str().unwrap()]].concat());
        let taken = manifest(&repo);
        for entry in [repo.path().join("backups/a.tar"), repo.path().join("manifests/a.json")] {
            std::fs::remove_file(entry).unwrap();
        }
        taken
    };
    let names = |manifest: &Value| -> Vec<String> {
        let tables = manifest["tables"].as_array().unwrap();
        tables.iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
    };
    // As pg_dump: a line for a table alone leaves its children where they are.
    assert_eq!(names(&backup("include table base")), ["base"]);
    let whole = backup("INCLUDE table_and_children base\nexclude table_data_and_children child");
    assert_eq!(names(&whole), ["Grand Child", "base", "child"]);
    let data = ["app.Grand Child", "public.base", "public.child"];
    assert_eq!(data.map(|name| table(&whole, name)["data"] == true), [false, true, false]);
    let rest = backup("exclude table_and_children child\ninclude schema public");
    assert_eq!(names(&rest), ["base"]);
    let asked = ["exclude_tables", "exclude_tables_and_children"].map(|o| &rest["options"][o]);
    assert_eq!(asked, [&serde_json::json!([]), &serde_json::json!(["child"])]);
    let partitions =
        backup("INCLUDE TABLE_AND_CHILDREN app . events\nexclude table_data_and_children events");
    assert_eq!(partitions["tables"].as_array().unwrap().len(), 2);
    assert_eq!(table(&partitions, "app.events_2025")["data"], false);
    // Children that are no tables of an archive's: another session's own, and a foreign one.
    let mut other = source.client();
    other.batch_execute("CREATE TEMP TABLE passing () INHERITS (base)").unwrap();
    source.execute(
        "CREATE FOREIGN DATA WRAPPER afar; CREATE SERVER afar FOREIGN DATA WRAPPER afar;
         CREATE FOREIGN TABLE distant () INHERITS (base) SERVER afar",
    );
    let takes_distant = |manifest: &Value| {
        let objects = manifest["objects"].as_array().unwrap();
        objects.iter().any(|object| object["name"] == "distant")
    };
    assert!(takes_distant(&backup("exclude table_data_and_children base")));
    assert!(takes_distant(&backup("include table_and_children base")));
    let without = backup("exclude table_and_children base");
    assert!(!takes_distant(&without) && !names(&without).contains(&String::from("child")));
}

#[test]
fn extensions_are_chosen_by_name_and_what_needs_one_is_not_taken_without_it() {
    let source = Database::with(
        "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm;
         CREATE TABLE plain (i int); CREATE TABLE named (name citext)",
    );
    let there = "SELECT coalesce(string_agg(extname, ' ' ORDER BY extname), '') FROM pg_extension
                 WHERE extname <> 'plpgsql'";
    let restored = |selection: &[&str]| {
        let (repo, target) = (Repo::new(), Database::empty());
        repo.backup(&source, selection);
        let left_out = manifest(&repo)["left_out"].to_string();
        repo.ok(&["restore", "latest", "--url", &target.url()]);
        (target.one(there), left_out)
    };
    let (extensions, left_out) = restored(&["--exclude-extension", "hst*"]);
    assert_eq!(
        (extensions.as_str(), left_out.as_str()),
        ("citext pg_trgm", "[\"extension hstore\"]")
    );
    // What is taken with a table or a schema needs no name; what is named needs no table.
    assert_eq!(restored(&["--table", "named"]).0, "citext");
    assert_eq!(restored(&["--table", "plain", "-e", "hstore"]).0, "hstore");
    assert_eq!(restored(&["-e", "*", "--exclude-extension", "pg_trgm"]).0, "citext hstore");

    let repo = Repo::new();
    let file = repo.path().join("patterns");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&file, "include extension citext\ninclude extension pg_trgm\n").unwrap();
    let filter = ["--filter", file.to_str().unwrap()];
    assert_eq!(restored(&filter).0, "citext pg_trgm");

    let url = source.url();
    let refused = |more: &[&str]| repo.run(&[&["backup", "--url", &url][..], more].concat());
    refused(&["-e", "hstore"])
        .expect_code(15)
        .says(&["table public.named is selected, and needs extension citext"]);
    refused(&["-e", "hstroe"]).expect_code(10).says(&["did you mean \"hstore\"?"]);
    refused(&["--exclude-extension", "public.hstore"]).expect_code(2).says(&["public"]);
}
