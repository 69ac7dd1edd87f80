//! Primary keys and unique constraints: their indexes are made beside others of the same table.

use crate::harness::carried::carry;
use crate::harness::{Database, Repo, Run, server};
use postgres::Client;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

#[test]
fn keys_of_every_kind_come_back_as_they_were() {
    let nulls = if server().major() >= 15 { "NULLS NOT DISTINCT" } else { "" };
    let source = Database::with(&format!(
        r#"CREATE TABLE "T (" (id bigint, "a "" b" text COLLATE "C", c int, d int, e daterange,
             CONSTRAINT "k )" PRIMARY KEY (id) WITH (fillfactor = 70),
             CONSTRAINT later UNIQUE ("a "" b", c) DEFERRABLE INITIALLY DEFERRED,
             CONSTRAINT included UNIQUE (c) INCLUDE (d, "a "" b") DEFERRABLE,
             CONSTRAINT nulls UNIQUE {nulls} (d), CONSTRAINT apart EXCLUDE USING gist (e WITH &&));
           INSERT INTO "T (" SELECT i, repeat('x', 100) || i, i, i,
               daterange('epoch'::date + i, 'epoch'::date + i + 1)
             FROM generate_series(1, 9999) AS i;
           CREATE INDEX part ON "T (" (d) WHERE c > 5; COMMENT ON INDEX part IS 'not all';
           CREATE INDEX more ON "T (" (c); ALTER TABLE "T (" CLUSTER ON more;
           COMMENT ON CONSTRAINT "k )" ON "T (" IS 'the key';
           COMMENT ON INDEX included IS 'an index';
           ALTER TABLE "T (" REPLICA IDENTITY USING INDEX "k )";
           CREATE TABLE other (k bigint REFERENCES "T (", c int REFERENCES "T (" (d));
           INSERT INTO other VALUES (7, 9);
           CREATE TABLE parted (a int, b int, PRIMARY KEY (a, b), UNIQUE (b, a)) PARTITION BY LIST (a);
           CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
           ALTER TABLE parted_1 ADD UNIQUE (b); CREATE INDEX ON parted (b);
           INSERT INTO parted SELECT 1, i FROM generate_series(1, 200000) AS i;
           CREATE TABLE above (id int PRIMARY KEY, x int UNIQUE);
           CREATE TABLE below (PRIMARY KEY (id), UNIQUE (x)) INHERITS (above);
           INSERT INTO above VALUES (1, 2); INSERT INTO below VALUES (1, 2)"#
    ));
    carry(&source);
}

/// A large key, and an index that takes as long as `restore_slowly` says.
fn with_a_slow_index() -> Database {
    Database::with(
        "CREATE FUNCTION slow(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
           $$BEGIN PERFORM pg_sleep(coalesce(current_setting('test.slow', true), '0')::float); RETURN x; END$$;
         CREATE TABLE t (x int CONSTRAINT key PRIMARY KEY);
         INSERT INTO t SELECT generate_series(1, 1500000); CREATE INDEX i ON t (slow(x)) WHERE x = 7",
    )
}

fn restore_slowly(repo: &Repo, target: &Database, seconds: u32, more: &[&str]) -> Child {
    let url = target.url();
    let restore = ["restore", "latest", "--jobs", "2", "--url", &url];
    let mut command = repo.command(&[&restore[..], more].concat());
    command.env("PGOPTIONS", format!("-c test.slow={seconds}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a query gives true, while the restore goes on.
#[track_caller]
fn wait_for(client: &mut Client, run: &mut Child, sql: &str) {
    let begun = Instant::now();
    while !client.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        assert!(run.try_wait().unwrap().is_none(), "never: {sql}");
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {sql}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn the_index_of_a_key_is_made_while_another_is_made_on_its_table() {
    let (source, repo, target) = (with_a_slow_index(), Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let mut run = restore_slowly(&repo, &target, 3, &[]);
    let both = "SELECT count(DISTINCT l.pid) = 2 FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
        WHERE c.relname = 't' AND l.mode = 'ShareLock' AND l.granted AND l.database =
            (SELECT oid FROM pg_database WHERE datname = current_database())";
    wait_for(&mut target.client(), &mut run, both);
    Run::from(run.wait_with_output().unwrap()).expect_code(0);
    assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'key'"), "1");
}

#[test]
fn an_index_is_kept_for_a_key_that_a_lock_keeps_from_taking_it_over() {
    let (source, repo, target) = (with_a_slow_index(), Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let mut run = restore_slowly(&repo, &target, 6, &["--lock-timeout", "1"]);
    let (mut client, mut reader) = (target.client(), target.client());
    let made = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'key')";
    wait_for(&mut client, &mut run, made);
    reader.batch_execute("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE").unwrap();
    let index = "SELECT oid::text FROM pg_class WHERE relname = 'key'";
    let before: String = client.query_one(index, &[]).unwrap().get(0);
    let waits =
        "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
        AND query LIKE '%ADD CONSTRAINT%'";
    wait_for(&mut client, &mut run, &format!("SELECT count(*) > 0 {waits}"));
    let first = format!("SELECT min(query_start)::text {waits}");
    let first: String = client.query_one(&first, &[]).unwrap().get(0);
    // Tried again after everything else.
    let again = format!("SELECT count(*) > 0 {waits} AND query_start > '{first}'");
    wait_for(&mut client, &mut run, &again);
    reader.batch_execute("ROLLBACK").unwrap();
    drop((client, reader));
    Run::from(run.wait_with_output().unwrap()).expect_code(0);
    assert_eq!(target.one(index), before);
    assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'key'"), "1");
}

#[test]
fn a_key_that_its_rows_do_not_allow_leaves_no_index_and_is_named() {
    let source = Database::with(
        "CREATE TABLE t (a int, b int, CONSTRAINT twice UNIQUE (a), CONSTRAINT once UNIQUE (b));
         CREATE TABLE n (a int PRIMARY KEY, b int UNIQUE);
         INSERT INTO n SELECT i, i FROM generate_series(1, 200000) AS i;
         UPDATE pg_index SET indisready = false, indisunique = false WHERE indexrelid = 'twice'::regclass;
         INSERT INTO t VALUES (7, 1), (7, 2); INSERT INTO t SELECT i, i FROM generate_series(8, 200000) AS i;
         UPDATE pg_index SET indisready = true, indisunique = true WHERE indexrelid = 'twice'::regclass;
         DELETE FROM pg_constraint WHERE contype = 'n' AND conrelid = 'n'::regclass;
         UPDATE pg_attribute SET attnotnull = false WHERE attrelid = 'n'::regclass AND attname = 'a';
         INSERT INTO n VALUES (NULL, 0)",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let run = repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(1);
    run.says(&[
        "2 objects could not be created",
        "twice",
        "could not create unique index \"twice\"",
        "n_pkey",
        "contains null values",
    ]);
    assert_eq!(
        target.one("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace"),
        "n_b_key once"
    );
}

#[test]
fn a_foreign_key_to_a_partitioned_table_is_valid_for_each_partition() {
    let source = Database::with(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
         CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
         CREATE TABLE plain (id int REFERENCES parted);
         INSERT INTO parted VALUES (1), (11); INSERT INTO plain VALUES (1), (11)",
    );
    let valid = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    assert_eq!(source.one(valid), "3");
    assert_eq!(carry(&source).target.one(valid), "3");
}
