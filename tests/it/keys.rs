//! Primary keys and unique constraints: their indexes are made beside others of the same table.

use crate::harness::carried::carry;
use crate::harness::{Database, Repo, Run, server};
use std::process::Stdio;
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
           INSERT INTO "T (" SELECT i, 'x' || i, i, i, daterange('epoch'::date + i, 'epoch'::date + i + 1)
             FROM generate_series(1, 99) AS i;
           CREATE INDEX ON "T (" (d) WHERE c > 5;
           COMMENT ON CONSTRAINT "k )" ON "T (" IS 'the key';
           COMMENT ON INDEX included IS 'an index';
           ALTER TABLE "T (" CLUSTER ON "k )";
           ALTER TABLE "T (" REPLICA IDENTITY USING INDEX "k )";
           CREATE TABLE other (k bigint REFERENCES "T (", c int REFERENCES "T (" (d));
           INSERT INTO other VALUES (7, 9);
           CREATE TABLE parted (a int, b int, PRIMARY KEY (a, b), UNIQUE (b, a)) PARTITION BY LIST (a);
           CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
           ALTER TABLE part ADD UNIQUE (b); CREATE INDEX ON parted (b);
           INSERT INTO parted SELECT 1, i FROM generate_series(1, 20) AS i;
           CREATE TABLE above (id int PRIMARY KEY, x int UNIQUE);
           CREATE TABLE below (PRIMARY KEY (id), UNIQUE (x)) INHERITS (above);
           INSERT INTO above VALUES (1, 2); INSERT INTO below VALUES (1, 2)"#
    ));
    carry(&source);
}

#[test]
fn the_index_of_a_key_is_made_while_another_is_made_on_its_table() {
    let source = Database::with(
        "CREATE FUNCTION slow(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
           $$BEGIN PERFORM pg_sleep(coalesce(current_setting('test.slow', true), '0')::float); RETURN x; END$$;
         CREATE TABLE t (x int CONSTRAINT key PRIMARY KEY);
         INSERT INTO t VALUES (1); CREATE INDEX i ON t (slow(x))",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let mut command = repo.command(&["restore", "latest", "--jobs", "2", "--url", &target.url()]);
    command.env("PGOPTIONS", "-c test.slow=2").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    // One statement that makes a key shows both at once.
    let seen = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'key')
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'key')";
    let (begun, mut client) = (Instant::now(), target.client());
    while !client.query_one(seen, &[]).unwrap().get::<_, bool>(0) {
        assert!(run.try_wait().unwrap().is_none(), "the key was made as a whole");
        assert!(begun.elapsed() < Duration::from_secs(60), "there is no key");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    Run::from(run.wait_with_output().unwrap()).expect_code(0);
    assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'key'"), "1");
}

#[test]
fn a_key_that_its_rows_do_not_allow_leaves_no_index_and_is_named() {
    let source = Database::with(
        "CREATE TABLE t (a int, b int, CONSTRAINT twice UNIQUE (a), CONSTRAINT once UNIQUE (b));
         CREATE TABLE n (a int PRIMARY KEY, b int UNIQUE); INSERT INTO n VALUES (1, 1);
         UPDATE pg_index SET indisready = false, indisunique = false WHERE indexrelid = 'twice'::regclass;
         INSERT INTO t VALUES (7, 1), (7, 2);
         UPDATE pg_index SET indisready = true, indisunique = true WHERE indexrelid = 'twice'::regclass;
         DELETE FROM pg_constraint WHERE contype = 'n' AND conrelid = 'n'::regclass;
         UPDATE pg_attribute SET attnotnull = false WHERE attrelid = 'n'::regclass AND attname = 'a';
         INSERT INTO n VALUES (NULL, 2)",
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
