//! No tables, thousands of tables, values and tables of many megabytes.

use crate::harness::carried::{carry, carry_rows, table};
use crate::harness::{Database, Repo, Run, server};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

#[test]
fn an_empty_database_is_a_database() {
    let carried = carry(&Database::empty());
    assert_eq!(carried.manifest()["tables"], serde_json::json!([]));
}

#[test]
fn tables_without_rows_or_columns_come_back() {
    let source = Database::with(
        "CREATE TABLE empty (x int); CREATE TABLE nothing (); CREATE TABLE rows_of_nothing ();
         INSERT INTO rows_of_nothing SELECT FROM generate_series(1, 7);
         CREATE TABLE only_generated (x int GENERATED ALWAYS AS (1 + 1) STORED);
         INSERT INTO only_generated SELECT FROM generate_series(1, 3);
         CREATE TABLE dropped (x int, y int); INSERT INTO dropped VALUES (1, 2);
         ALTER TABLE dropped DROP COLUMN x; ALTER TABLE dropped DROP COLUMN y",
    );
    let target = carry(&source).target;
    let counts = "SELECT format('%s %s %s %s %s', (SELECT count(*) FROM empty), (SELECT count(*) FROM nothing),
        (SELECT count(*) FROM rows_of_nothing), (SELECT sum(x) FROM only_generated), (SELECT count(*) FROM dropped))";
    assert_eq!(target.one(counts), "0 0 7 6 1");
}

#[test]
fn five_thousand_tables_come_back() {
    let source = with_tables(5000, "EXECUTE format('CREATE TABLE t%s AS SELECT %s AS x', i, i);");
    let carried = carry_rows(&source, &[], Database::empty());
    assert_eq!(carried.manifest()["tables"].as_array().unwrap().len(), 5000);
    assert_eq!(carried.target.one("SELECT x FROM t4999"), "4999");
}

/// A database in which `make` was run for so many numbers, from 0. A transaction holds the locks of all
/// that it makes.
fn with_tables(count: u32, make: &str) -> Database {
    const TOGETHER: u32 = 500;
    let source = Database::empty();
    let mut client = source.client();
    for first in (0..count).step_by(TOGETHER as usize) {
        let last = count.min(first + TOGETHER) - 1;
        let sql = format!("DO $$BEGIN FOR i IN {first} .. {last} LOOP {make} END LOOP; END$$");
        client.batch_execute(&sql).unwrap();
    }
    source
}

#[test]
fn memory_grows_little_with_the_number_of_tables() {
    let taken = |tables: u32| {
        let source = with_tables(
            tables,
            "EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL)', i);
             EXECUTE format('CREATE INDEX ON t_%s (name)', i);",
        );
        let (repo, target) = (Repo::new(), Database::empty());
        let (from, to) = (source.url(), target.url());
        let mut verbs = BTreeMap::new();
        let mut run = |verb, arguments: &[&str]| {
            verbs.insert(verb, memory_of(&mut repo.command(arguments)));
        };
        run("backup", &["backup", "--url", &from, "--jobs", "2"]);
        run("verify", &["verify", "latest", "--jobs", "2"]);
        run("restore", &["restore", "latest", "--url", &to, "--jobs", "2"]);
        run("compare", &["compare", "latest", "--with", &to, "--schema"]);
        println!("memory for {tables} tables, in MB: {verbs:?}");
        verbs
    };
    let (few, many) = (taken(500), taken(2500));
    // KiB for each table, some more than it is.
    for (verb, most) in [("backup", 15), ("verify", 9), ("restore", 13), ("compare", 20)] {
        let more = (many[verb] - few[verb]) * 1024 / 2000;
        assert!(more <= most, "{verb} takes {more} KiB more for each table");
    }
}

/// Runs a command and gives the largest amount of memory that it had, in MB.
#[track_caller]
fn memory_of(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut largest = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kilobytes) = line.and_then(|line| line.trim().strip_suffix(" kB")) {
            largest = kilobytes.parse().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Run::from(child.wait_with_output().unwrap()).expect_code(0);
    largest / 1024
}

#[test]
fn a_value_of_two_hundred_megabytes_is_held_in_memory_a_few_times_at_most() {
    let source = Database::with(
        "CREATE TABLE small (x int); INSERT INTO small VALUES (1);
         CREATE TABLE big (id int, v text);
         INSERT INTO big SELECT 1, repeat(string_agg(md5(i::text), ''), 64) FROM generate_series(1, 102400) AS i;
         INSERT INTO big VALUES (2, 'small')",
    );
    assert_eq!(source.one("SELECT length(v) FROM big WHERE id = 1"), "209715200");
    let (repo, target) = (Repo::new(), Database::empty());
    let (from, to) = (source.url(), target.url());
    let backup = memory_of(&mut repo.command(&["backup", "--url", &from, "--jobs", "2"]));
    let restore = memory_of(&mut repo.command(&["restore", "latest", "--url", &to, "--jobs", "2"]));
    println!("memory: backup {backup} MB, restore {restore} MB");
    for (verb, megabytes) in [("backup", backup), ("restore", restore)] {
        assert!((20..800).contains(&megabytes), "{verb} took {megabytes} MB");
    }
    let digest = "SELECT md5(v) FROM big WHERE id = 1";
    assert_eq!(target.one(digest), source.one(digest));
}

#[test]
fn memory_does_not_grow_with_the_table() {
    let taken = |rows: u32| {
        let source = Database::with(&format!(
            "CREATE TABLE t AS SELECT i, md5(i::text) || md5((i + 1)::text) AS a, repeat(md5(i::text), 8) AS b
             FROM generate_series(1, {rows}) AS i"
        ));
        let (repo, target) = (Repo::new(), Database::empty());
        let (from, to) = (source.url(), target.url());
        let backup = memory_of(&mut repo.command(&["backup", "--url", &from, "--jobs", "2"]));
        let restore =
            memory_of(&mut repo.command(&["restore", "latest", "--url", &to, "--jobs", "2"]));
        println!("memory for {rows} rows: backup {backup} MB, restore {restore} MB");
        (backup, restore)
    };
    // 53 and 210 MB of text: the smaller one has enough for all buffers of two workers.
    let (small, large) = (taken(150_000), taken(600_000));
    for (verb, small, large) in [("backup", small.0, large.0), ("restore", small.1, large.1)] {
        assert!(large < 120, "{verb} took {large} MB");
        assert!(large <= small + 25, "{verb} took {small} MB, and {large} for four times the rows");
    }
}

#[test]
fn ranges_and_parts_of_ranges_hold_every_row_once() {
    let source = Database::with(
        "CREATE TABLE ranged AS SELECT i AS id, repeat('x', 180) AS pad FROM generate_series(1, 100000) AS i;
         CREATE TABLE long_values (id int, v text);
         INSERT INTO long_values SELECT i, repeat('long', 700000) FROM generate_series(1, 30) AS i;
         CREATE TABLE holes AS SELECT i AS id, repeat('y', 500) AS pad FROM generate_series(1, 80000) AS i;
         DELETE FROM holes WHERE id % 3 = 0 OR id BETWEEN 20000 AND 60000;
         UPDATE holes SET pad = 'moved' WHERE id % 7 = 0;
         CREATE TABLE shrinking AS SELECT i AS id, repeat('z', 500) AS pad FROM generate_series(1, 80000) AS i;
         DELETE FROM shrinking WHERE id > 1000",
    );
    let carried = carry(&source);
    let manifest = carried.manifest();
    let chunks = |name: &str| table(&manifest, name)["chunks"].as_array().unwrap().clone();
    if server().major() >= 14 {
        assert!(chunks("public.ranged").len() > 1, "several ranges");
        assert!(chunks("public.ranged").iter().all(|chunk| chunk["pages"].is_array()));
    } else {
        assert_eq!(chunks("public.ranged").len(), 1, "a range would read the whole table");
    }
    let parts = chunks("public.long_values");
    assert!(parts.len() > 1, "several parts of one range: {parts:?}");
    assert!(parts[1]["member"].as_str().unwrap().contains("-02."), "{parts:?}");
    for (name, rows) in [("ranged", 100_000), ("long_values", 30), ("shrinking", 1000)] {
        assert_eq!(table(&manifest, &format!("public.{name}"))["rows"], rows, "{name}");
    }
    let sums = "SELECT count(*) || ' ' || sum(id) || ' ' || count(DISTINCT id) FROM holes";
    assert_eq!(carried.target.one(sums), source.one(sums));

    // The file gets shorter; the content stays.
    source.execute("VACUUM shrinking");
    source.execute("VACUUM FULL holes");
    assert_eq!(source.one("SELECT pg_relation_size('shrinking') < 1000000"), "true");
    carried.repo.ok(&["compare", "latest", "--with", &source.url()]);
    let repo = Repo::new();
    repo.backup(&source, &[]);
    repo.ok(&["compare", "latest", "--with", &carried.target.url()]);
}
