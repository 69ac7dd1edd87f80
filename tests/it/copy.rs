//! A database becomes another one without an archive in between: what arrives, what is refused, and
//! what is left of a copy that does not come to its end. That everything arrives is tried by
//! `harness::carried::carry`, too, with all that goes through it.

use crate::crash::wait_for;
use crate::harness::carried::copy;
use crate::harness::{Database, Repo, Run, pg_dump_schema, pgark, role, server, server_of};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Values of every type that travels in binary, with those that have no plain form as text, and tables
/// that travel as text.
const VALUES: &str = "
    CREATE TABLE binary_rows (
      b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric,
      n2 numeric(9,2), t text, v varchar(30), c char(5), j json, jb jsonb, by bytea, u uuid, d date,
      ts timestamp, tz timestamptz(3));
    INSERT INTO binary_rows VALUES
      (true, -32768, 2147483647, -9223372036854775808, 'NaN', '-infinity', 'NaN', 0.10, E'a\\tb\\nc\\\\', '', 'x',
       '{\"a\" : [1,  2]}', '{\"a\": [1.50, null]}', '\\x00ff', '00000000-0000-0000-0000-000000000000',
       'infinity', '-infinity', '4713-01-01 00:00:00 BC'),
      (false, 0, 0, 0, '-0', 1e-307, 1e400, -9999999.99, NULL, E'\\\\.', '     ', 'null', '\"\\u00e9\"', '',
       NULL, '0044-03-15 BC', '294276-12-31 23:59:59.999999', '2026-11-29 12:00:00.123+02'),
      (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL);
    INSERT INTO binary_rows (i4, t) SELECT i, repeat('wide ', i) FROM generate_series(1, 3000) AS i;
    CREATE TYPE mood AS ENUM ('sad', 'so', 'happy');
    CREATE TABLE text_rows (m mood, a int[], r int4range, o regclass, p point, g int,
      twice int GENERATED ALWAYS AS (g * 2) STORED, id bigint GENERATED ALWAYS AS IDENTITY);
    INSERT INTO text_rows (m, a, r, o, p, g)
      SELECT 'happy', ARRAY[i, NULL], int4range(i, i + 3), 'binary_rows', point(i, 1), i
      FROM generate_series(1, 500) AS i;
    CREATE TABLE by_mood (m mood, x int) PARTITION BY HASH (m);
    CREATE TABLE by_mood_0 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE by_mood_1 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO by_mood SELECT (enum_range(NULL::mood))[1 + i % 3], i FROM generate_series(1, 99) AS i;
    CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
    CREATE TABLE empty (x int);
    CREATE TABLE gone (a int, b text); INSERT INTO gone VALUES (1, 'x'); ALTER TABLE gone DROP a;
    CREATE MATERIALIZED VIEW sums AS SELECT sum(g) AS s FROM text_rows;
    SELECT lo_from_bytea(41001, decode(repeat('00ff', 700000), 'hex'));
    SELECT lo_create(41002);
    COMMENT ON LARGE OBJECT 41001 IS 'large';";

/// What is there after the copy is what an archive of the source says, on this server and on newer
/// ones.
#[test]
fn every_value_arrives_on_the_same_server_and_on_the_newest() {
    let source = Database::with(VALUES);
    let repo = Repo::new();
    repo.backup(&source, &[]);
    for target in [Database::empty(), Database::empty_on(server_of(18))] {
        let run = copy(&source, &target, &["--jobs", "3", "--json"]).expect_code(0);
        let told = run.json();
        assert_eq!((&told["result"], &told["large_objects"]), (&"done".into(), &2.into()));
        assert_eq!((&told["tables"], &told["rows"]), (&7.into(), &3605.into()));
        repo.ok(&["compare", "latest", "--with", &target.url()]);
        if target.server.major() == server().major() {
            assert_eq!(pg_dump_schema(&source), pg_dump_schema(&target));
        }
        assert_eq!(target.one("SELECT s FROM sums"), "125250");
        assert_eq!(
            target.one(
                "SELECT string_agg(f4 || ' ' || f8, ',') FROM binary_rows WHERE b IS NOT NULL"
            ),
            "NaN -Infinity,-0 1e-307"
        );
    }
}

#[test]
fn rows_keep_their_encoding() {
    let latin = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    let (source, target) = (Database::create(latin), Database::create(latin));
    source.execute(
        "CREATE TABLE \"größe\" (t text, c char(3)); INSERT INTO \"größe\" VALUES ('é', 'ü');
         CREATE TABLE as_text (t text, a int[]); INSERT INTO as_text VALUES ('é', '{1}')",
    );
    copy(&source, &target, &[]).expect_code(0);
    let bytes = "SELECT encode(convert_to(t, 'LATIN1'), 'hex') FROM";
    assert_eq!(target.one(&format!("{bytes} \"größe\"")), "e9");
    assert_eq!(target.one(&format!("{bytes} as_text")), "e9");
}

#[test]
fn a_part_is_copied_and_named() {
    role("copy_owner", "");
    role("copy_other", "");
    let source = Database::with(
        "CREATE TABLE kept (x int); INSERT INTO kept SELECT generate_series(1, 100);
         ALTER TABLE kept OWNER TO copy_owner;
         CREATE TABLE bare (x int); INSERT INTO bare VALUES (1); CREATE TABLE left_out (x int)",
    );
    let target = Database::empty();
    let run = copy(
        &source,
        &target,
        &[
            "--exclude-table",
            "left_out",
            "--exclude-data",
            "bare",
            "--where",
            "kept=x <= 10",
            "--role-map",
            "copy_owner=copy_other",
        ],
    )
    .expect_code(0);
    assert!(run.stdout.contains("not copied: "), "{}", run.stdout);
    assert_eq!(target.one("SELECT count(*) || ' ' || max(x) FROM kept"), "10 10");
    assert_eq!(target.one("SELECT count(*) FROM bare"), "0");
    assert_eq!(target.one("SELECT to_regclass('left_out') IS NULL"), "true");
    assert_eq!(
        target.one("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'kept'"),
        "copy_other"
    );
}

#[test]
fn a_database_takes_the_place_of_another() {
    let source = Database::with("CREATE TABLE t AS SELECT generate_series(1, 10) AS x");
    let target = Database::with("CREATE TABLE old (x int)");
    let name = target.name.clone();
    let run = copy(&source, &target, &[]).expect_code(15).says(&["is not empty", "old"]);
    assert_eq!(run.stdout, "");
    assert_eq!(target.one("SELECT to_regclass('t') IS NULL"), "true");
    copy(&source, &target, &["--create"]).expect_code(15).says(&["exists", "--swap"]);
    let told = copy(&source, &target, &["--create", "--swap", "--json"]).expect_code(0).json();
    assert_eq!(target.one("SELECT sum(x) FROM t"), "55");
    let kept = told["kept_as"].as_str().unwrap().to_owned();
    assert!(kept.starts_with(&name), "{told}");
    crate::harness::admin(&format!("DROP DATABASE \"{kept}\""));
    // A database is no copy of itself, whatever is in the way first.
    copy(&source, &source, &[]).expect_code(15);
    copy(&source, &source, &["--create", "--swap", "--disconnect"]).expect_code(15);
    assert_eq!(source.one("SELECT sum(x) FROM t"), "55");
}

#[test]
fn what_is_wrongly_typed_is_said_before_anything_is_changed() {
    let source = Database::with("CREATE TABLE orders (x int)");
    let target = Database::empty();
    let run = |arguments: &[&str]| Run::from(pgark().arg("copy").args(arguments).output().unwrap());
    run(&[&source.url(), ""]).expect_code(2).says(&["TARGET"]);
    run(&[&source.url()]).expect_code(2);
    run(&["host=/tmp", &target.url()]).expect_code(2).says(&["SOURCE"]);
    run(&[&source.url(), "host=/tmp"]).expect_code(2).says(&["TARGET"]);
    copy(&source, &target, &["--table", "oders"]).expect_code(10).says(&["orders"]);
    copy(&source, &target, &["--role-map", "nobody_here=postgres"]).expect_code(10);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgark%'";
    assert_eq!(target.one(schemas), "0");
    if server().major() < 18 {
        let newer = Database::empty_on(server_of(18));
        copy(&newer, &target, &[]).expect_code(15).says(&["older"]);
    }
    target.execute("CREATE SCHEMA pgark_restore_unfinished");
    copy(&target, &source, &[]).expect_code(15).says(&["half restored"]);
    assert_eq!(source.one(schemas), "0");
}

/// A source whose rows take a while, for one worker.
fn slow() -> Database {
    Database::with(
        "CREATE TABLE small AS SELECT generate_series(1, 10) AS x;
         CREATE TABLE large AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 30000) AS i",
    )
}

fn start(source: &Database, target: &Database, more: &[&str]) -> Child {
    let mut command: Command = pgark();
    command.args(["copy", &source.url(), &target.url(), "--rate-limit", "8M"]).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

const COPYING: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'DATABASE' AND state = 'active' AND query LIKE 'COPY %large%'";
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'DATABASE'";
const LEFT: &str = "SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relnamespace <> 99";
const WAIT: Duration = Duration::from_secs(30);

#[test]
fn an_interrupted_copy_leaves_the_target_empty_and_a_killed_one_is_begun_anew() {
    let (source, target) = (slow(), Database::empty());
    let running = start(&source, &target, &[]);
    wait_for(&target, COPYING, "true", WAIT);
    let process = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    Run::from(running.wait_with_output().unwrap()).expect_code(130);
    assert_eq!(target.one(LEFT), "0");

    let mut running = start(&source, &target, &[]);
    wait_for(&target, COPYING, "true", WAIT);
    running.kill().unwrap();
    running.wait().unwrap();
    wait_for(&target, SESSIONS, "0", WAIT);
    wait_for(&source, SESSIONS, "0", WAIT);
    let repo = Repo::new();
    repo.run(&["backup", "--url", &target.url()]).expect_code(15).says(&["half restored"]);
    let run = copy(&source, &target, &[]).expect_code(0);
    assert!(run.stderr.contains("emptying it first"), "{}", run.stderr);
    assert_eq!(target.one("SELECT count(*) FROM large"), "30000");
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&target));
}

#[test]
fn a_lost_source_or_target_is_told_and_leaves_nothing_behind() {
    let ended = |database: &Database| {
        crate::harness::admin(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'
               AND query LIKE '%large%'",
            database.name
        ));
    };
    for loses_source in [true, false] {
        let (source, target) = (slow(), Database::empty());
        let running = start(&source, &target, &[]);
        wait_for(&target, COPYING, "true", WAIT);
        ended(if loses_source { &source } else { &target });
        let run = Run::from(running.wait_with_output().unwrap());
        let says = if loses_source { "cannot read" } else { "cannot load table public.large" };
        assert!(run.code != 0 && run.code != 130, "{run:?}");
        let run = run.says(&[says, "the database is empty as before"]);
        assert!(!run.stderr.contains("defect"), "{}", run.stderr);
        assert_eq!(target.one(LEFT), "0");
    }
}

#[test]
fn rows_that_come_later_are_not_copied_and_whoever_alters_a_table_waits_its_turn() {
    let (source, target) = (slow(), Database::empty());
    let running = start(&source, &target, &["--jobs", "1"]);
    wait_for(&target, COPYING, "true", WAIT);
    source.execute("INSERT INTO small VALUES (11); DELETE FROM large WHERE i > 100");
    std::thread::scope(|scope| {
        let altering = scope.spawn(|| source.execute("ALTER TABLE small ADD y int"));
        Run::from(running.wait_with_output().unwrap()).expect_code(0);
        altering.join().unwrap();
    });
    assert_eq!(target.one("SELECT sum(x) FROM small"), "55");
    assert_eq!(target.one("SELECT count(*) FROM large"), "30000");
    assert_eq!(
        target.one(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'small'::regclass AND attname = 'y'"
        ),
        "0"
    );
}

/// Somebody who changes the target while its indexes are made is found out.
#[test]
fn the_proof_sees_what_is_not_the_source_s() {
    for (kind, value, change) in [
        ("int", "1", "UPDATE plain SET x = 2"),
        ("int[]", "'{1}'", "UPDATE plain SET x = '{2}'"),
        ("int", "1", "INSERT INTO plain VALUES (1)"),
    ] {
        let source = Database::with(&format!(
            "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
               'BEGIN PERFORM pg_catalog.pg_sleep(2); RETURN $1; END';
             CREATE TABLE plain (x {kind}); INSERT INTO plain VALUES ({value});
             CREATE TABLE sleepy AS SELECT 1 AS x; CREATE INDEX ON sleepy (slow(x))"
        ));
        let target = Database::empty();
        let mut command = pgark();
        command.args(["copy", &source.url(), &target.url()]);
        let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let indexing = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'DATABASE' AND state = 'active' AND query LIKE 'CREATE INDEX%'";
        wait_for(&target, indexing, "true", WAIT);
        target.execute(change);
        let run = Run::from(running.wait_with_output().unwrap()).expect_code(4);
        run.says(&["table public.plain", "is empty as before"]);
        assert_eq!(target.one(LEFT), "0");
    }
}

/// A source and its copy are cut into different numbers of pieces, and hold the same all the same.
#[test]
fn tables_that_are_cut_otherwise_are_equal_all_the_same() {
    let source = Database::with(
        "CREATE TABLE emptied (x int); INSERT INTO emptied SELECT generate_series(1, 1000); DELETE FROM emptied;
         CREATE TABLE bloated AS SELECT i, repeat(md5(i::text), 60) AS t FROM generate_series(1, 20000) AS i;
         DELETE FROM bloated WHERE i % 10 > 0;
         CREATE TABLE part AS SELECT i, repeat(md5(i::text), 60) AS t FROM generate_series(1, 20000) AS i",
    );
    let newest = Database::empty_on(server_of(18));
    for target in [Database::empty(), newest] {
        copy(&source, &target, &["--where", "part=i > 19000"]).expect_code(0);
        assert_eq!(target.one("SELECT count(*) FROM bloated"), "2000");
        assert_eq!(target.one("SELECT count(*) FROM part"), "1000");
    }
}

#[test]
fn rows_become_unicode_where_the_new_database_is() {
    let source = Database::create("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    source.execute(
        "CREATE TABLE t (t text, j json, c char(3)); INSERT INTO t VALUES ('é', '{\"ü\": 1}', 'ö')",
    );
    let target = Database::create("ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
    copy(&source, &target, &[]).expect_code(0);
    assert_eq!(target.one("SELECT t || c || '.' || j FROM t"), "éö.{\"ü\": 1}");
}

/// Rows that the target does not take are told in its own words, whatever comes after them.
#[test]
fn a_refusal_of_the_target_s_is_told() {
    let source = Database::create("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    source.execute(
        "CREATE TABLE a (t text); INSERT INTO a VALUES (E'\\xe9');
         CREATE TABLE b AS SELECT 1 AS x; CREATE TABLE c AS SELECT ARRAY[1] AS x",
    );
    let target = Database::create("ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
    let run = copy(&source, &target, &["--jobs", "1"]).expect_code(1);
    run.says(&["cannot load table public.a", "0xe9", "the database is empty as before"]);
    assert_eq!(target.one(LEFT), "0");
}

/// A lock that is wanted in the target is none of the source's, and ends the copy by its own name.
#[test]
fn a_lock_in_the_target_is_told_as_one() {
    let (source, target) = (slow(), Database::empty());
    let running = start(&source, &target, &["--jobs", "1", "--lock-timeout", "1"]);
    wait_for(&target, COPYING, "true", WAIT);
    let mut holder = target.client();
    holder.batch_execute("BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE").unwrap();
    let run = Run::from(running.wait_with_output().unwrap());
    assert!(!run.stderr.contains("given up"), "{}", run.stderr);
    run.expect_code(11).says(&["public.small"]);
}
