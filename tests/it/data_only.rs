//! `pgark restore --data-only`: rows into tables that are there.

use crate::harness::carried::manifest;
use crate::harness::{Database, Repo, Run, project, role};

/// A shop with a cycle, a self-reference, triggers of three states, an identity and a sequence.
const SHOP: &str = "
    CREATE TABLE parent (id int PRIMARY KEY, best int, name text);
    CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int NOT NULL REFERENCES parent,
        before int REFERENCES child, total int GENERATED ALWAYS AS (parent * 2) STORED, note text);
    ALTER TABLE parent ADD CONSTRAINT parent_best FOREIGN KEY (best) REFERENCES child;
    CREATE TABLE log (what text);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log VALUES (TG_TABLE_NAME); NEW.note := 'stamped'; RETURN NEW; END $$;
    CREATE TRIGGER a_origin BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE TRIGGER b_always BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE TRIGGER c_disabled BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION stamp();
    ALTER TABLE child ENABLE ALWAYS TRIGGER b_always;
    ALTER TABLE child DISABLE TRIGGER c_disabled;
    CREATE SEQUENCE free_numbers;";

const ROWS: &str = "
    INSERT INTO parent SELECT i, NULL, 'p' || i FROM generate_series(1, 100) i;
    ALTER TABLE child DISABLE TRIGGER USER;
    INSERT INTO child (parent, before, note) SELECT 1 + i % 100, NULL, 'n' || i FROM generate_series(1, 500) i;
    UPDATE child SET before = 501 - id;
    UPDATE parent SET best = id;
    ALTER TABLE child ENABLE TRIGGER a_origin, ENABLE ALWAYS TRIGGER b_always;
    SELECT setval('free_numbers', 77, false);";

const STATE: &str = "SELECT string_agg(tgname::text || tgenabled::text, ' ' ORDER BY tgname) || ' ' ||
    (SELECT string_agg(concat(conname, condeferrable, condeferred, convalidated), ' ' ORDER BY conname)
     FROM pg_constraint WHERE contype = 'f')
    FROM pg_trigger WHERE NOT tgisinternal";

fn shop_with_rows() -> Database {
    Database::with(&format!("{SHOP}{ROWS}"))
}

#[track_caller]
fn assert_equal(repo: &Repo, database: &Database) {
    repo.ok(&["compare", "latest", "--with", &database.url()]);
}

fn restore(repo: &Repo, url: &str, more: &[&str]) -> Run {
    let mut arguments = vec!["restore", "latest", "--data-only", "--url", url];
    arguments.extend(more);
    repo.run(&arguments)
}

#[test]
fn a_superuser_loads_a_cycle_with_triggers_switched_off_and_gives_everything_back() {
    let (source, target, repo) = (shop_with_rows(), Database::with(SHOP), Repo::new());
    repo.backup(&source, &[]);
    let before = target.one(STATE);
    restore(&repo, &target.url(), &[]).expect_code(0).says(&["session_replication_role"]);
    assert_equal(&repo, &target);
    assert_eq!(target.one(STATE), before, "triggers and constraints are as they were");
    assert_eq!(target.one("SELECT count(*) FROM log"), "0", "no trigger fired");
    assert_eq!(target.one("SELECT nextval('free_numbers')"), "77");
}

#[test]
fn a_row_that_is_not_taken_is_told_before_the_whole_table_is_sent() {
    role("do_chunks", "");
    // Three chunks; the first row refers to the last.
    let table = "CREATE TABLE t (id int PRIMARY KEY, next int REFERENCES t, pad text);
        ALTER TABLE t OWNER TO do_chunks";
    let source = Database::with(&format!(
        "{table}; INSERT INTO t SELECT g, CASE g WHEN 1 THEN 45 END, repeat('x', 1000000) FROM generate_series(1, 45) AS g"
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let chunks = manifest(&repo)["tables"][0]["chunks"].clone();
    assert!(chunks.as_array().unwrap().len() > 2, "{chunks}");
    for way in ["postgres", "do_chunks"] {
        let target = Database::with(table);
        restore(&repo, &target.url_as(way), &[]).expect_code(0);
    }
    let target = Database::with(&format!("{table}; ALTER TABLE t ADD CHECK (id <> 1)"));
    // Six seconds for all of it, two for the first chunk.
    let begun = std::time::Instant::now();
    restore(&repo, &target.url(), &["--rate-limit", "8M"]).expect_code(1).says(&["t_id_check"]);
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_secs(4), "told after {took:?}");
}

#[test]
fn an_ordinary_owner_loads_a_cycle_too() {
    role("shop_owner", "");
    let (source, target, repo) = (shop_with_rows(), Database::empty(), Repo::new());
    target.execute("GRANT CREATE ON SCHEMA public TO shop_owner");
    target.client_as("shop_owner").batch_execute(SHOP).unwrap();
    repo.backup(&source, &[]);
    let before = target.one(STATE);
    restore(&repo, &target.url_as("shop_owner"), &[]).expect_code(0).says(&["as owner"]);
    assert_equal(&repo, &target);
    assert_eq!(target.one(STATE), before);
    assert_eq!(target.one("SELECT count(*) FROM log"), "0");
}

#[test]
fn a_role_that_owns_nothing_is_refused_where_triggers_would_act() {
    role("shop_guest", "");
    let (source, target, repo) = (shop_with_rows(), Database::with(SHOP), Repo::new());
    target.execute(
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO shop_guest;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO shop_guest",
    );
    repo.backup(&source, &[]);
    restore(&repo, &target.url_as("shop_guest"), &[])
        .expect_code(15)
        .says(&["a_origin on public.child", "owner or a superuser"]);
    target.execute("DROP TRIGGER a_origin ON child; DROP TRIGGER b_always ON child");
    restore(&repo, &target.url_as("shop_guest"), &[]).expect_code(15).says(&["cycle"]);
    target.execute(
        "ALTER TABLE parent ALTER CONSTRAINT parent_best DEFERRABLE;
        ALTER TABLE child ALTER CONSTRAINT child_parent_fkey DEFERRABLE",
    );
    restore(&repo, &target.url_as("shop_guest"), &[]).expect_code(0).says(&["owns not all"]);
    assert_equal(&repo, &target);
}

#[test]
fn rows_that_are_there_are_refused_by_default_and_nothing_is_written() {
    let (source, target, repo) = (shop_with_rows(), Database::with(SHOP), Repo::new());
    target.execute("INSERT INTO parent VALUES (1000)");
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &[])
        .expect_code(15)
        .says(&["there are rows in public.parent", "--on-existing truncate"]);
    assert_eq!(target.one("SELECT count(*) FROM parent"), "1");
    assert_eq!(target.one("SELECT count(*) FROM child"), "0");
    assert_eq!(target.one("SELECT last_value FROM free_numbers"), "1");
}

#[test]
fn truncate_replaces_what_is_there() {
    let (source, target, repo) = (shop_with_rows(), Database::with(SHOP), Repo::new());
    repo.backup(&source, &[]);
    target.execute("INSERT INTO parent VALUES (1000); INSERT INTO log VALUES ('x')");
    restore(&repo, &target.url(), &["--on-existing", "truncate"]).expect_code(0);
    assert_equal(&repo, &target);
}

#[test]
fn truncate_never_empties_a_table_that_is_not_restored() {
    let (source, target, repo) = (shop_with_rows(), Database::with(SHOP), Repo::new());
    target.execute(
        "CREATE TABLE stranger (id int REFERENCES parent); INSERT INTO parent VALUES (5);
         INSERT INTO stranger VALUES (5)",
    );
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--on-existing", "truncate"])
        .expect_code(1)
        .says(&["stranger"]);
    assert_eq!(target.one("SELECT count(*) FROM stranger"), "1");
    assert_eq!(target.one("SELECT count(*) FROM parent"), "1");
}

#[test]
fn append_adds_rows_and_keeps_sequences_ahead() {
    let source = Database::with(
        "CREATE TABLE t (id serial, v text); INSERT INTO t (v) SELECT 'a' FROM generate_series(1, 10)",
    );
    let target = Database::with(
        "CREATE TABLE t (id serial, v text); INSERT INTO t (v) SELECT 'b' FROM generate_series(1, 25)",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--on-existing", "append"]).expect_code(0);
    assert_eq!(target.one("SELECT count(*) FROM t WHERE v = 'a'"), "10");
    assert_eq!(target.one("SELECT count(*) FROM t"), "35");
    assert_eq!(target.one("SELECT last_value FROM t_id_seq"), "25");
}

/// Rows with keys 1 to 10 in the archive; 6 to 15 in the target, with other values.
fn overlapping() -> (Database, Database, Repo) {
    const TABLE: &str =
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, n numeric);
        CREATE TABLE pair (a numeric, b int, PRIMARY KEY (a, b));";
    let source = Database::with(&format!(
        "{TABLE} INSERT INTO t (v, n) SELECT 'archive', i FROM generate_series(1, 10) i;
         INSERT INTO pair VALUES (1.0, 1), (2.00, 2)"
    ));
    let target = Database::with(&format!(
        "{TABLE} INSERT INTO t OVERRIDING SYSTEM VALUE SELECT i, 'target', 0 FROM generate_series(6, 15) i;
         INSERT INTO pair VALUES (2.0, 2), (3, 3)"
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    (source, target, repo)
}

#[test]
fn skip_keeps_rows_with_equal_keys() {
    let (_source, target, repo) = overlapping();
    let run = restore(&repo, &target.url(), &["--on-existing", "skip", "--json"]).expect_code(0);
    assert!(run.stdout.contains("\"rows\":6"), "{}", run.stdout);
    assert_eq!(
        target.one("SELECT string_agg(v || n, ' ' ORDER BY id) FROM t WHERE id IN (1, 5, 6, 15)"),
        "archive1 archive5 target0 target0"
    );
    assert_eq!(target.one("SELECT string_agg(a::text, ' ' ORDER BY a) FROM pair"), "1.0 2.0 3");
}

#[test]
fn upsert_gives_rows_with_equal_keys_the_archives_values() {
    let (_source, target, repo) = overlapping();
    restore(&repo, &target.url(), &["--on-existing", "upsert"]).expect_code(0);
    assert_eq!(
        target.one("SELECT string_agg(v || n, ' ' ORDER BY id) FROM t WHERE id IN (1, 5, 6, 15)"),
        "archive1 archive5 archive6 target0"
    );
    assert_eq!(target.one("SELECT string_agg(a::text, ' ' ORDER BY a) FROM pair"), "1.0 2.00 3");
}

#[test]
fn without_a_key_rows_cannot_be_skipped_or_upserted() {
    let source = Database::with("CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('a')");
    let (target, repo) = (Database::with("CREATE TABLE keyless (v text)"), Repo::new());
    repo.backup(&source, &[]);
    for way in ["skip", "upsert"] {
        restore(&repo, &target.url(), &["--on-existing", way])
            .expect_code(15)
            .says(&["public.keyless"]);
    }
}

#[test]
fn columns_that_do_not_match_are_all_named_before_anything_is_written() {
    let source = Database::with(
        "CREATE TABLE a (id int, gone text, kind int); CREATE TABLE b (id int); INSERT INTO b VALUES (1)",
    );
    let target = Database::with(
        "CREATE TABLE a (id int, kind bigint, extra int NOT NULL); CREATE TABLE c ()",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &[]).expect_code(15).says(&[
        "column gone of public.a is not there",
        "column kind of public.a is integer in the archive and bigint there",
        "column extra of public.a is NOT NULL without default",
        "table public.b is not there",
    ]);
}

#[test]
fn columns_may_stand_in_another_order_and_others_may_have_defaults() {
    let source = Database::with("CREATE TABLE a (x int, y text); INSERT INTO a VALUES (1, 'one')");
    let target = Database::with("CREATE TABLE a (more int DEFAULT 5, y text, x int, note text)");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &[]).expect_code(0);
    assert_eq!(target.one("SELECT a FROM a"), "(5,one,1,)");
}

#[test]
fn rows_that_would_break_a_foreign_key_are_refused_even_where_the_server_does_not_check() {
    let schema = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p);";
    let source =
        Database::with(&format!("{schema} INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)"));
    let (target, repo) = (Database::with(schema), Repo::new());
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--table", "c"])
        .expect_code(15)
        .says(&["foreign keys: c_p_fkey on public.c"]);
    assert_eq!(target.one("SELECT count(*) FROM c"), "0");
}

#[test]
fn a_migrated_schema_at_the_same_revision_takes_the_rows_and_at_another_refuses_them() {
    let (source, target, repo) = (Database::fintrack(1), Database::empty(), Repo::new());
    repo.backup(&source, &["--no-migrations"]);
    let schema = project().join("examples/fintrack/schema.sql");
    target.execute(&std::fs::read_to_string(schema).unwrap());
    target.execute("UPDATE alembic_version SET version_num = 'ffcccccc0003'");
    restore(&repo, &target.url(), &[])
        .expect_code(15)
        .says(&["at revision ffcccccc0004, and the target at ffcccccc0003"]);
    target.execute("UPDATE alembic_version SET version_num = 'ffcccccc0004'");
    restore(&repo, &target.url(), &[]).expect_code(0).says(&["is at ffcccccc0004 already"]);
    assert_equal(&repo, &target);
    assert_eq!(
        target.one("SELECT count(*) FROM mv_platform_value"),
        source.one("SELECT count(*) FROM mv_platform_value"),
    );
}

#[test]
fn row_security_of_the_target_is_respected_by_refusing() {
    role("rls_loader", "");
    let source = Database::with("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    let target = Database::with(
        "CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT ALL ON t TO rls_loader;
         CREATE POLICY p ON t USING (true)",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url_as("rls_loader"), &[])
        .expect_code(15)
        .says(&["row-level security of public.t"]);
}

#[test]
fn arrays_are_read_as_arrays_whatever_the_target_database_says() {
    let source = Database::with("CREATE TABLE an (x text[]); INSERT INTO an VALUES ('{a,NULL}')");
    let (target, repo) = (Database::with("CREATE TABLE an (x text[])"), Repo::new());
    target.execute(&format!("ALTER DATABASE {} SET array_nulls = off", target.name));
    // The naive form: what COPY FROM does under the database's own setting (P9).
    target.execute("INSERT INTO an VALUES ('{a,NULL}')");
    assert_eq!(target.one("SELECT x[2] IS NULL FROM an"), "false");
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--on-existing", "truncate"]).expect_code(0);
    assert_eq!(target.one("SELECT x[2] IS NULL FROM an"), "true");
}

#[test]
fn large_objects_go_along_and_those_that_are_there_are_not_overwritten_unasked() {
    let source = Database::with("SELECT lo_from_bytea(4711, 'content'); SELECT lo_create(4712)");
    let (target, repo) = (Database::empty(), Repo::new());
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &[]).expect_code(0);
    assert_equal(&repo, &target);
    target.execute("SELECT lo_put(4711, 0, 'CHANGED')");
    restore(&repo, &target.url(), &[]).expect_code(15).says(&["4711"]);
    restore(&repo, &target.url(), &["--on-existing", "skip"]).expect_code(0);
    assert_eq!(target.one("SELECT convert_from(lo_get(4711), 'UTF8')"), "CHANGED");
    restore(&repo, &target.url(), &["--on-existing", "truncate"]).expect_code(0);
    assert_equal(&repo, &target);
}

#[test]
fn partitions_are_replaced_whole_and_a_foreign_key_to_them_holds() {
    let schema = "CREATE TABLE m (id int, d int, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
        CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
        CREATE TABLE m2 PARTITION OF m DEFAULT;
        CREATE TABLE r (id int, d int, FOREIGN KEY (id, d) REFERENCES m);";
    let source = Database::with(&format!(
        "{schema} INSERT INTO m SELECT i, i FROM generate_series(1, 20) i; INSERT INTO r SELECT * FROM m"
    ));
    let target =
        Database::with(&format!("{schema} INSERT INTO m VALUES (5, 500); INSERT INTO r TABLE m"));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--on-existing", "truncate"]).expect_code(0);
    assert_equal(&repo, &target);
}

#[test]
fn sequences_that_defaults_use_without_owning_them_go_along() {
    let schema =
        "CREATE SEQUENCE shared; CREATE TABLE t (id int DEFAULT nextval('shared') PRIMARY KEY);
        CREATE TABLE other ();";
    let source = Database::with(&format!(
        "{schema} INSERT INTO t SELECT nextval('shared') FROM generate_series(1, 50)"
    ));
    let (target, repo) = (Database::with(schema), Repo::new());
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--table", "t"]).expect_code(0);
    target.execute("INSERT INTO t DEFAULT VALUES");
    assert_eq!(target.one("SELECT max(id) FROM t"), "51");
}

#[test]
fn an_interrupted_restore_leaves_sequences_where_they_were() {
    let schema = "CREATE TABLE t (id serial PRIMARY KEY);";
    let source = Database::with(&format!(
        "{schema} INSERT INTO t SELECT nextval('t_id_seq') FROM generate_series(1, 5)"
    ));
    let (target, repo) = (Database::with(schema), Repo::new());
    target.execute("SELECT setval('t_id_seq', 778)");
    repo.backup(&source, &[]);
    let mut application = target.client();
    // A transaction that took a number holds a lock that RESTART waits for.
    application.batch_execute("BEGIN; SELECT nextval('t_id_seq')").unwrap();
    let url = target.url();
    let child = repo
        .command(&["restore", "latest", "--data-only", "--url", &url])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    Run::from(child.wait_with_output().unwrap()).expect_code(130).says(&["nothing was changed"]);
    application.batch_execute("COMMIT").unwrap();
    assert_eq!(target.one("SELECT last_value FROM t_id_seq"), "779");
}

#[test]
fn names_beyond_ascii_in_a_latin1_database_can_be_upserted() {
    let latin1 = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'";
    let (source, target) = (Database::create(latin1), Database::create(latin1));
    let schema = "CREATE TABLE maße (größe int PRIMARY KEY, straße text);";
    source.execute(&format!("{schema} INSERT INTO maße VALUES (1, 'Zülpicher'), (2, 'neu')"));
    target.execute(&format!("{schema} INSERT INTO maße VALUES (1, 'alt')"));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--on-existing", "upsert"]).expect_code(0);
    assert_equal(&repo, &target);
}

#[test]
fn only_views_that_read_loaded_tables_are_filled_and_stale_ones_are_told() {
    role("matview_guest", "");
    let schema = "CREATE TABLE a (id int); CREATE TABLE b (id int);
        CREATE MATERIALIZED VIEW va AS SELECT count(*) AS n FROM a; CREATE MATERIALIZED VIEW vb AS SELECT random() AS n FROM b;
        GRANT ALL ON a, b TO matview_guest;";
    let source = Database::with(&format!(
        "{schema} INSERT INTO a SELECT generate_series(1, 9); REFRESH MATERIALIZED VIEW va;
        INSERT INTO b VALUES (1); REFRESH MATERIALIZED VIEW vb"
    ));
    let (target, repo) = (Database::with(schema), Repo::new());
    target.execute("INSERT INTO b VALUES (1); REFRESH MATERIALIZED VIEW vb");
    let untouched = target.one("SELECT n FROM vb");
    repo.backup(&source, &[]);
    let run =
        restore(&repo, &target.url_as("matview_guest"), &["--table", "a", "--json"]).expect_code(3);
    assert!(run.stdout.contains("public.va"), "{}", run.stdout);
    restore(&repo, &target.url(), &["--table", "a", "--on-existing", "truncate"]).expect_code(0);
    assert_eq!(target.one("SELECT n FROM va"), "9");
    assert_eq!(target.one("SELECT n FROM vb"), untouched, "it reads no loaded table");
}

#[test]
fn rows_hashed_by_an_enum_go_through_their_table_in_every_way() {
    let schema = "CREATE TYPE e AS ENUM ('a', 'b', 'c', 'd', 'e', 'f'); CREATE TABLE h (k e, v int) PARTITION BY HASH (k);
        CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1);";
    let source = Database::with(&format!(
        "{schema} INSERT INTO h SELECT x, 1 FROM unnest(enum_range(NULL::e)) x, generate_series(1, 10)"
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    for way in ["error", "truncate", "append"] {
        let target = Database::with(schema);
        restore(&repo, &target.url(), &["--on-existing", way]).expect_code(0);
        assert_equal(&repo, &target);
    }
    let target = Database::with(schema);
    restore(&repo, &target.url(), &["--table", "h0"])
        .expect_code(15)
        .says(&["partition public.h1 must be restored with the others"]);
}

#[test]
fn each_way_says_what_it_has_proved() {
    let (_source, target, repo) = overlapping();
    let run = restore(&repo, &target.url(), &["--on-existing", "skip"]).expect_code(0);
    assert!(run.stdout.contains("6 rows were left out, whose keys were there"), "{}", run.stdout);
    assert!(!run.stdout.contains("sequences are the archive's"), "{}", run.stdout);
}

#[test]
fn skip_fails_where_a_row_clashes_with_another_key_than_the_primary() {
    let schema = "CREATE TABLE u (id int PRIMARY KEY, email text UNIQUE);";
    let source = Database::with(&format!("{schema} INSERT INTO u VALUES (1, 'a@b.c')"));
    let target = Database::with(&format!("{schema} INSERT INTO u VALUES (2, 'a@b.c')"));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    restore(&repo, &target.url(), &["--on-existing", "skip"]).expect_code(1).says(&["u_email_key"]);
    assert_eq!(target.one("SELECT count(*) FROM u"), "1");
}

#[test]
fn a_sequence_that_may_not_be_set_is_refused_before_any_other_is() {
    role("sequence_guest", "");
    let schema = "CREATE SEQUENCE s1; CREATE SEQUENCE s2;
        CREATE TABLE t (id int DEFAULT nextval('s1')); CREATE TABLE u (id int DEFAULT nextval('s2'));
        GRANT ALL ON t, u TO sequence_guest; GRANT ALL ON s1 TO sequence_guest; GRANT USAGE, SELECT ON s2 TO sequence_guest;";
    let source = Database::with(&format!("{schema} SELECT setval('s1', 50), setval('s2', 50)"));
    let (target, repo) = (Database::with(schema), Repo::new());
    target.execute("SELECT setval('s1', 500)");
    repo.backup(&source, &[]);
    restore(&repo, &target.url_as("sequence_guest"), &[]).expect_code(15).says(&["public.s2"]);
    assert_eq!(target.one("SELECT last_value FROM s1"), "500");
}
