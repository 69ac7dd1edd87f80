//! Promise 1, one moment: others TRUNCATE, rewrite, create and drop tables while backups are taken.

use crate::harness::carried::{ask, ask_own, carry, copy_out, manifest, table};
use crate::harness::{Database, Repo, Run};
use pgark::error::{Kind, Result};
use pgark::model::connection::Connection;
use pgark::model::copy_format::CopyFormat;
use pgark::pg::catalog::CatalogTable;
use pgark::pg::copier::Copier;
use pgark::pg::copy::{self, RowSource};
use pgark::pg::session::{Purpose, Session, Statements};
use pgark::pg::snapshot;
use pgark::pg::wire::Sink;
use postgres::error::SqlState;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const ROWS: &str = "1000";

/// Runs `rounds` while another thread runs `statements` over and over on a connection of its own, each
/// again that the server ended for waiting in a circle; gives how many it ran.
fn meanwhile(database: &Database, statements: &[&str], rounds: impl FnOnce()) -> u32 {
    let (stop, times) = (AtomicBool::new(false), AtomicU32::new(0));
    /// Stops the other thread also when the rounds panic.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    std::thread::scope(|scope| {
        let guard = Stop(&stop);
        let other = scope.spawn(|| {
            let mut client = database.client();
            let mut next = 0;
            while !stop.load(Ordering::SeqCst) {
                match client.batch_execute(statements[next]) {
                    Ok(()) => next = (next + 1) % statements.len(),
                    Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => {
                        continue;
                    }
                    Err(error) => panic!("{}: {error:?}", statements[next]),
                }
                times.fetch_add(1, Ordering::SeqCst);
            }
        });
        rounds();
        drop(guard);
        other.join().unwrap();
    });
    times.into_inner()
}

fn etl_database() -> Database {
    Database::with(
        "CREATE TABLE refilled AS SELECT generate_series(1, 1000) AS x;
         CREATE TABLE rewritten AS SELECT generate_series(1, 1000) AS x",
    )
}

const ETL: [&str; 2] = [
    "BEGIN; TRUNCATE refilled; INSERT INTO refilled SELECT generate_series(1, 1000); COMMIT;
     ALTER TABLE rewritten ALTER x TYPE bigint",
    "BEGIN; TRUNCATE refilled; INSERT INTO refilled SELECT generate_series(1, 1000); COMMIT;
     ALTER TABLE rewritten ALTER x TYPE int",
];

fn open(database: &Database, purpose: Purpose) -> Session {
    let connection = Connection { string: database.url(), ..Connection::default() };
    Session::open(&connection, None, purpose).unwrap()
}

/// The server's own counts.
struct Rows(Vec<u64>);

impl Sink for Rows {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, rows: u64) -> Result<()> {
        self.0.push(rows);
        Ok(())
    }
}

#[test]
fn no_table_is_ever_seen_empty_in_four_hundred_snapshots() {
    let source = etl_database();
    let mut shared = 0;
    let times = meanwhile(&source, &ETL, || {
        let mut leader = open(&source, Purpose::Catalog);
        let connection = Connection { string: source.url(), ..Connection::default() };
        let mut worker =
            Copier::open(&connection, None, Purpose::Read, &leader.facts.clone()).unwrap();
        let mut choose =
            |tables: &[CatalogTable]| Ok(tables.iter().map(|table| table.oid).collect());
        for round in 0..400 {
            let patience = Duration::from_secs(30);
            let taken = snapshot::take(&mut leader, patience, &|| Ok(()), &mut choose).unwrap();
            snapshot::join(&mut worker, &taken.id).unwrap();
            for found in &taken.tables {
                let count = format!("SELECT count(*) FROM public.{}", found.name.name);
                let place = format!("{} in round {round}", found.name);
                // Whoever waits for the leader is ahead of the worker, which must not queue.
                let table = RowSource {
                    table: &found.name,
                    columns: &found.columns,
                    pages: None,
                    condition: None,
                    format: CopyFormat::Text,
                };
                let mut rows = Rows(Vec::new());
                match copy::copy_out_all(
                    &mut worker,
                    &[&found.name],
                    std::slice::from_ref(&table),
                    &mut rows,
                ) {
                    Ok(()) => {
                        assert_eq!(rows.0, [ROWS.parse::<u64>().unwrap()], "worker, {place}");
                        shared += 1;
                    }
                    Err(error) => assert_eq!(error.kind(), Kind::Locked, "{place}"),
                }
                assert_eq!(ask_own(&mut leader, &count), ROWS, "leader, {place}");
                let mut copied = 0;
                let count = |piece: &[u8]| {
                    copied += piece.iter().filter(|byte| **byte == b'\n').count();
                    Ok(())
                };
                copy::copy_out(&mut leader, &table, count).unwrap();
                assert_eq!(copied, 1000, "{place}");
            }
            worker.execute("COMMIT").unwrap();
            leader.execute("COMMIT").unwrap();
        }
    });
    assert!(times >= 100, "the tables were refilled only {times} times");
    println!("refilled {times} times; a worker had its lock at once {shared} times");
}

#[test]
fn no_backup_of_thirty_holds_a_wrong_number_of_rows() {
    let source = etl_database();
    let repo = Repo::new();
    let times = meanwhile(&source, &ETL, || {
        for round in 0..30 {
            let (url, name) = (source.url(), format!("round-{round}"));
            repo.ok(&["backup", "--url", &url, "--name", &name, "--jobs", "2", "--quiet"]);
        }
    });
    assert!(times >= 30, "the tables were refilled only {times} times");
    let mut seen = 0;
    for (name, bytes) in repo.files().iter().filter(|(name, _)| name.ends_with(".json")) {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        for name_of in ["public.refilled", "public.rewritten"] {
            assert_eq!(table(&manifest, name_of)["rows"], 1000, "{name_of} in {name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 30);
    let target = Database::empty();
    repo.ok(&["restore", "round-29", "--url", &target.url()]);
    assert_eq!(target.one("SELECT sum(x) FROM refilled"), "500500");
}

/// The negative control: as pg_dump does it, snapshot first.
#[test]
fn snapshot_first_and_lock_second_finds_tables_empty() {
    let source = etl_database();
    let mut naive = source.client();
    let mut empty = 0;
    for _ in 0..10 {
        naive.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class").unwrap();
        ETL.iter().for_each(|statements| source.execute(statements));
        naive.batch_execute("LOCK TABLE refilled, rewritten IN ACCESS SHARE MODE").unwrap();
        for name in ["refilled", "rewritten"] {
            let rows = copy_out(&mut naive, &format!("COPY {name} TO STDOUT"));
            empty += u32::from(rows.is_empty());
        }
        naive.batch_execute("COMMIT").unwrap();
    }
    assert_eq!(empty, 20, "both tables empty every time, and no error");
}

/// Waits until `sql` is true.
#[track_caller]
fn wait_for(database: &Database, sql: &str) {
    let begun = Instant::now();
    let mut client = database.client();
    while ask(&mut client, sql) != "true" {
        assert!(begun.elapsed() < Duration::from_secs(30), "never true: {sql}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs pgark, halts it while it alone holds table `small`, lets an ALTER TABLE queue up behind it,
/// and lets it go on to its end.
#[track_caller]
fn with_an_alter_table_waiting(source: &Database, command: &mut std::process::Command) -> Run {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = rustix::process::Pid::from_child(&child);
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'small'::regclass AND granted
        AND mode = 'AccessShareLock'";
    wait_for(source, &format!("SELECT ({held}) > 0"));
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    assert_eq!(source.one(held), "1", "the leader's lock, and no worker's");
    std::thread::scope(|scope| {
        let altering = scope.spawn(|| source.execute("ALTER TABLE small ALTER x TYPE bigint"));
        let waits =
            "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'small'::regclass";
        wait_for(source, waits);
        rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
        let run = Run::from(child.wait_with_output().unwrap());
        altering.join().unwrap();
        run
    })
}

/// A worker that queued behind the ALTER TABLE, which waits for the leader, would wait for ever.
#[test]
fn backup_and_compare_go_on_when_an_alter_table_waits_for_them() {
    let source = Database::with(
        "CREATE TABLE small AS SELECT generate_series(1, 1000) AS x;
         CREATE TABLE large AS SELECT i, repeat('x', 700) AS t FROM generate_series(1, 30000) AS i",
    );
    let (repo, url) = (Repo::new(), source.url());
    let mut backup = repo.command(&["backup", "--url", &url, "--jobs", "2", "--json"]);
    with_an_alter_table_waiting(&source, &mut backup).expect_code(0);
    let manifest = manifest(&repo);
    let entry = table(&manifest, "public.small");
    assert_eq!((&entry["rows"], &entry["columns"][0]["type"]), (&1000.into(), &"integer".into()));
    assert_eq!(source.one("SELECT pg_typeof(x) FROM small LIMIT 1"), "bigint", "it had its turn");
    let target = Database::empty();
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT sum(x) FROM small"), "500500");
    let mut compare = repo.command(&["compare", "latest", "--with", &target.url(), "--jobs", "2"]);
    with_an_alter_table_waiting(&target, &mut compare).expect_code(0);
}

#[test]
fn a_table_locked_for_too_long_is_an_error_that_says_what_to_do() {
    let source = Database::with("CREATE TABLE t (x int); CREATE TABLE u (x int)");
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE").unwrap();
    let repo = Repo::new();
    let run = repo.run(&["backup", "--url", &source.url(), "--lock-timeout", "1"]);
    let own = "SELECT pid FROM pg_locks WHERE relation = 'u'::regclass AND granted";
    let pid = format!("pg_terminate_backend({})", source.one(own));
    let held = ["public.u is held by process ", "LOCK TABLE u IN ACCESS EXCLUSIVE MODE"];
    run.expect_code(11).says(&held).says(&["lock", "--lock-timeout", &pid, "waiting for a lock: "]);
    assert_eq!(repo.files(), []);
    holder.batch_execute("COMMIT").unwrap();
    repo.ok(&["backup", "--url", &source.url(), "--lock-timeout", "1"]);
}

/// Longer than one attempt to lock, shorter than the patience.
#[test]
fn a_backup_asks_again_for_a_lock_that_it_did_not_get_at_first() {
    let source = Database::with("CREATE TABLE t AS SELECT 1 AS x");
    let repo = Repo::new();
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let child = repo
        .command(&["backup", "--url", &source.url(), "--lock-timeout", "60", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 't'::regclass AND NOT granted";
    wait_for(&source, waits);
    std::thread::sleep(Duration::from_millis(2500));
    wait_for(&source, waits);
    holder.batch_execute("INSERT INTO t VALUES (2); COMMIT").unwrap();
    Run::from(child.wait_with_output().unwrap()).expect_code(0);
    assert_eq!(table(&manifest(&repo), "public.t")["rows"], 2);
}

#[test]
fn tables_that_come_and_go_are_whole_or_the_backup_fails_cleanly() {
    let source = Database::with("CREATE TABLE steady AS SELECT generate_series(1, 1000) AS x");
    let repo = Repo::new();
    let comings = [
        "CREATE TABLE coming AS SELECT generate_series(1, 10) AS x; SELECT pg_sleep(0.05)",
        "CREATE TABLE going AS SELECT generate_series(1, 10) AS x; SELECT pg_sleep(0.05)",
        "DROP TABLE coming; SELECT pg_sleep(0.05)",
        "DROP TABLE going; CREATE VIEW v AS SELECT * FROM steady; SELECT pg_sleep(0.05)",
        "DROP VIEW v; SELECT pg_sleep(0.05)",
    ];
    let mut done = Vec::new();
    meanwhile(&source, &comings, || {
        for round in 0..8 {
            let (url, name) = (source.url(), format!("round-{round}"));
            let before = repo.files();
            let run = repo.run(&["backup", "--url", &url, "--name", &name, "--lock-timeout", "2"]);
            match run.code {
                0 => done.push(name),
                11 => {
                    run.says(&["did not stop"]);
                    assert_eq!(repo.files(), before, "a failed run leaves nothing");
                }
                _ => drop(run.expect_code(0)),
            }
        }
    });
    // When all is quiet, at the latest, it works.
    repo.ok(&["backup", "--url", &source.url(), "--name", "quiet"]);
    done.push(String::from("quiet"));
    for name in &done {
        repo.ok(&["verify", name]);
        let target = Database::empty();
        repo.ok(&["restore", name, "--url", &target.url()]);
        assert_eq!(target.one("SELECT sum(x) FROM steady"), "500500");
        for table in ["coming", "going"] {
            if target.one(&format!("SELECT to_regclass('{table}') IS NOT NULL")) == "true" {
                assert_eq!(target.one(&format!("SELECT count(*) FROM {table}")), "10", "{table}");
            }
        }
    }
    println!("{} of 8 backups taken while tables came and went", done.len() - 1);
}

#[test]
fn objects_of_every_kind_come_and_go_and_a_backup_holds_all_or_none() {
    let source = Database::with("CREATE TABLE steady AS SELECT generate_series(1, 1000) AS x");
    let repo = Repo::new();
    let storm = [
        "DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s; CREATE TYPE s.colour AS ENUM ('red');
         CREATE DOMAIN s.positive AS int CHECK (VALUE > 0)",
        "CREATE TABLE s.parent (id serial PRIMARY KEY, c s.colour DEFAULT 'red',
           g int GENERATED ALWAYS AS (1) STORED);
         CREATE TABLE s.child (LIKE s.parent INCLUDING ALL, FOREIGN KEY (id) REFERENCES s.parent)
           PARTITION BY RANGE (id);
         CREATE TABLE s.part PARTITION OF s.child FOR VALUES FROM (1) TO (10)",
        "CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER t AFTER INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.f();
         CREATE STATISTICS s.both ON id, g FROM s.parent;
         CREATE POLICY p ON s.parent USING (id > 0); ALTER TABLE s.parent ENABLE ROW LEVEL SECURITY",
        "CREATE VIEW s.v AS SELECT * FROM s.parent;
         CREATE RULE r AS ON INSERT TO s.v DO INSTEAD NOTHING;
         CREATE MATERIALIZED VIEW s.m AS SELECT * FROM s.v; CREATE SEQUENCE s.alone START 7;
         CREATE AGGREGATE s.total (int) (sfunc = int4pl, stype = int)",
        "DROP AGGREGATE s.total (int); DROP SEQUENCE s.alone; DROP MATERIALIZED VIEW s.m; DROP VIEW s.v",
        "DROP SCHEMA s CASCADE",
        "SELECT pg_sleep(0.3)",
    ];
    let mut done = Vec::new();
    meanwhile(&source, &storm, || {
        for round in 0..8 {
            let (url, name) = (source.url(), format!("round-{round}"));
            let before = repo.files();
            let run = repo.run(&["backup", "--url", &url, "--name", &name, "--lock-timeout", "10"]);
            match run.code {
                0 => done.push(name),
                _ => {
                    run.expect_code(11);
                    assert_eq!(repo.files(), before, "a failed run leaves nothing");
                }
            }
            let check = repo.run(&["check", "--url", &url]);
            assert!([0, 11].contains(&check.code), "{}{}", check.stdout, check.stderr);
        }
    });
    assert!(!done.is_empty(), "none of 8 backups found definitions that stood still");
    repo.ok(&["backup", "--url", &source.url(), "--name", "quiet"]);
    done.push(String::from("quiet"));
    for name in &done {
        let target = Database::empty();
        repo.ok(&["restore", name, "--url", &target.url()]);
        assert_eq!(target.one("SELECT sum(x) FROM steady"), "500500");
        // What each step of the storm makes is there or not, and never without the step before it.
        let steps = target.one(
            "SELECT concat_ws(' ',
               (SELECT count(to_regtype(n)) FROM unnest(ARRAY['s.colour', 's.positive']) AS n),
               (SELECT count(to_regclass(n)) FROM unnest(ARRAY['s.parent', 's.child', 's.part']) AS n),
               (SELECT count(*) FROM pg_proc WHERE proname = 'f' AND pronamespace >= 16384)
               + (SELECT count(*) FROM pg_trigger WHERE tgname = 't')
               + (SELECT count(*) FROM pg_statistic_ext) + (SELECT count(*) FROM pg_policy),
               (SELECT count(to_regclass(n)) FROM unnest(ARRAY['s.v', 's.m', 's.alone']) AS n)
               + (SELECT count(*) FROM pg_proc WHERE proname = 'total')
               + (SELECT count(*) FROM pg_rules WHERE schemaname = 's' AND rulename = 'r'))",
        );
        let whole = ["0 0 0 0", "2 0 0 0", "2 3 0 0", "2 3 4 0", "2 3 4 5"];
        assert!(whole.contains(&steps.as_str()), "{name}: {steps}");
    }
}

#[test]
fn a_migration_that_waits_for_a_backup_which_waits_for_it_goes_on_at_once() {
    let source = Database::with("CREATE TABLE t (x int); CREATE VIEW v AS SELECT x FROM t");
    let repo = Repo::new();
    let mut migration = source.client();
    // Whoever looks for circles finds none: the backup must give way by itself.
    migration
        .batch_execute(
            "SET deadlock_timeout = '1h'; BEGIN; CREATE OR REPLACE VIEW v AS SELECT x FROM t",
        )
        .unwrap();
    let child = repo
        .command(&["backup", "--url", &source.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let waits = "SELECT FROM pg_locks WHERE relation = 'v'::regclass AND NOT granted";
    while migration.query(waits, &[]).unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(2));
    }
    migration.batch_execute("ALTER TABLE t ADD y int; COMMIT").unwrap();
    Run::from(child.wait_with_output().unwrap()).expect_code(0);
    let circles = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(source.one(circles), "0");
    assert_eq!(table(&manifest(&repo), "public.t")["columns"].as_array().unwrap().len(), 2);
}

#[test]
fn only_the_chosen_tables_stay_locked() {
    let source = Database::with(
        "CREATE TABLE a AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 100000) AS i;
         CREATE TABLE b (id serial); CREATE VIEW v AS SELECT id FROM b",
    );
    let repo = Repo::new();
    let mut child = repo
        .command(&["backup", "--url", &source.url(), "--table", "a", "--rate-limit", "100K"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(talk.any(|line| line.unwrap().contains("reading the rows")));
    source.execute("SET lock_timeout = '5s'; DROP TABLE b CASCADE");
    assert!(child.try_wait().unwrap().is_none(), "the backup is still at it");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn rows_that_are_written_after_the_snapshot_are_not_in_it() {
    // Two tables that always hold the same number of rows.
    let source = Database::with("CREATE TABLE a (x int); CREATE TABLE b (x int)");
    let repo = Repo::new();
    let pair = ["BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); COMMIT"];
    meanwhile(&source, &pair, || {
        for round in 0..5 {
            repo.ok(&["backup", "--url", &source.url(), "--name", &format!("r{round}")]);
        }
    });
    for (name, bytes) in repo.files().iter().filter(|(name, _)| name.ends_with(".json")) {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let rows = |name: &str| table(&manifest, name)["rows"].as_u64().unwrap();
        assert_eq!(rows("public.a"), rows("public.b"), "{name}");
    }
    carry(&source);
}
