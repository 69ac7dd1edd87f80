//! Rows that are missing, doubled, swapped or altered.

use crate::harness::carried::{ask_own, carry, carry_rows, copy_in, copy_out, copy_text};
use crate::harness::{Database, Repo, role, server};

#[test]
fn p1_rows_that_row_level_security_hides_are_an_error() {
    role("p1_app", "");
    role("p1_backup", "BYPASSRLS");
    let source = Database::with(
        "CREATE TABLE rt (id int, t text); INSERT INTO rt VALUES (1, 'a'), (2, 'b');
         ALTER TABLE rt ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON rt USING (t = 'a');
         GRANT SELECT ON rt TO p1_app, p1_backup",
    );
    assert_eq!(copy_text(&mut source.client_as("p1_app"), "COPY rt TO STDOUT"), "1\ta\n");

    let repo = Repo::new();
    let run = repo.run(&["backup", "--url", &source.url_as("p1_app")]);
    run.expect_code(15).says(&["row-level security", "public.rt", "BYPASSRLS"]);
    assert_eq!(repo.files(), []);

    repo.ok(&["backup", "--url", &source.url_as("p1_backup")]);
    let target = Database::empty();
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT string_agg(id || t, ',' ORDER BY id) FROM rt"), "1a,2b");
    assert_eq!(copy_text(&mut target.client_as("p1_app"), "COPY rt TO STDOUT"), "1\ta\n");
}

#[test]
fn p2_a_table_truncated_between_snapshot_and_lock_is_not_empty() {
    let source = Database::with("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    let refill = "TRUNCATE t; INSERT INTO t SELECT generate_series(1, 1000)";
    let mut naive = source.client();
    naive.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class").unwrap();
    source.execute(refill);
    naive.batch_execute("LOCK TABLE t IN ACCESS SHARE MODE").unwrap();
    assert_eq!(copy_out(&mut naive, "COPY t TO STDOUT"), b"");
    naive.batch_execute("COMMIT").unwrap();

    // The choice of tables is made right before the locks: there the refill slips in.
    use pgark::pg::session::{Purpose, Session};
    let connection =
        pgark::model::connection::Connection { string: source.url(), ..Default::default() };
    let mut leader = Session::open(&connection, None, Purpose::Catalog).unwrap();
    let mut calls = 0;
    let mut choose = |tables: &[pgark::pg::catalog::CatalogTable]| {
        calls += 1;
        if calls == 1 {
            source.execute(refill);
        } else {
            let error = source.client().batch_execute(&format!("SET lock_timeout = 50; {refill}"));
            assert_eq!(error.unwrap_err().code().unwrap().code(), "55P03", "the lock is held");
        }
        Ok(tables.iter().map(|table| table.oid).collect())
    };
    let patience = std::time::Duration::from_secs(10);
    pgark::pg::snapshot::take(&mut leader, patience, &|| Ok(()), &mut choose).unwrap();
    assert_eq!(ask_own(&mut leader, "SELECT count(*) FROM public.t"), "1000");
    drop(leader);
    assert_eq!(calls, 2);
    carry(&source);
}

#[test]
fn p3_values_do_not_swap_when_an_inherited_column_moves() {
    let source = Database::with(
        "CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p);
         ALTER TABLE p ADD COLUMN z int; INSERT INTO c (a, b, z) VALUES (1, 2, 3)",
    );
    let naive =
        Database::with("CREATE TABLE p (a int, z int); CREATE TABLE c (b int) INHERITS (p)");
    let rows = copy_out(&mut source.client(), "COPY c TO STDOUT");
    copy_in(&mut naive.client(), "COPY c FROM STDIN", &rows);
    let values = "SELECT format('a=%s b=%s z=%s', a, b, z) FROM c";
    assert_eq!(naive.one(values), "a=1 b=3 z=2");

    let carried = carry(&source);
    assert_eq!(carried.target.one(values), "a=1 b=2 z=3");
    // The other way round too: the copy has another order of columns than the source.
    let again = carry(&carried.target);
    assert_eq!(again.target.one(values), "a=1 b=2 z=3");
    let (first, second) = (carried.archive.to_str().unwrap(), again.archive.to_str().unwrap());
    carried.repo.ok(&["compare", first, "--with", second]);
}

#[test]
fn p4_rows_of_inheritance_children_are_not_doubled() {
    // Large enough that the parent is read in ranges, which is where FROM ONLY is easily forgotten.
    let source = Database::with(
        "CREATE TABLE pp (x int, pad text); CREATE TABLE pc () INHERITS (pp);
         INSERT INTO pp SELECT i, repeat('p', 1500) FROM generate_series(1, 12000) AS i;
         INSERT INTO pc VALUES (-2, 'child')",
    );
    let naive = copy_text(&mut source.client(), "COPY (SELECT x FROM pp) TO STDOUT");
    assert!(naive.contains("-2\n"));
    let carried = carry(&source);
    let manifest = carried.manifest();
    let entry = crate::harness::carried::table(&manifest, "public.pp");
    let ranges = entry["chunks"].as_array().unwrap().len();
    assert_eq!(ranges > 1, server().major() >= 14, "{ranges}");
    assert_eq!(entry["rows"], 12000);
    assert_eq!(carried.target.one("SELECT count(*) FROM ONLY pp"), "12000");
    assert_eq!(carried.target.one("SELECT count(*) FROM pp WHERE x = -2"), "1");
}

#[test]
fn p5_a_foreign_key_that_its_rows_violate_is_not_taken_for_valid() {
    let source = Database::with(
        "CREATE TABLE ref (id int PRIMARY KEY);
         CREATE TABLE ch (k int CONSTRAINT ch_ref REFERENCES ref);
         SET session_replication_role = replica; INSERT INTO ch VALUES (99)",
    );
    source.execute("ALTER TABLE ch VALIDATE CONSTRAINT ch_ref");
    let validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'ch_ref'";
    assert_eq!(source.one(validated), "true", "VALIDATE does not look again");

    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let run = repo.run(&["restore", "latest", "--url", &target.url()]);
    run.expect_code(1).says(&["ch_ref", "all rows", "pgark_restore_unfinished"]);
    assert_eq!(target.one("SELECT k FROM ch"), "99");
    assert_eq!(target.one("SELECT count(*) FROM pg_constraint WHERE conname = 'ch_ref'"), "0");
    // Nothing takes it for a finished restore.
    repo.run(&["compare", "latest", "--with", &target.url()]).expect_code(15);
}

#[test]
fn p6_triggers_do_not_rewrite_rows() {
    let source = Database::with(
        "CREATE TABLE tr (id int, u text); INSERT INTO tr VALUES (1, 'original');
         CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql
           AS $$BEGIN NEW.u := 'NOW'; RETURN NEW; END$$;
         CREATE TRIGGER g BEFORE INSERT ON tr FOR EACH ROW EXECUTE FUNCTION tf();
         ALTER TABLE tr ENABLE ALWAYS TRIGGER g",
    );
    let naive = Database::create(&format!("TEMPLATE {}", source.name));
    naive.execute("DELETE FROM tr");
    copy_in(&mut naive.client(), "COPY tr FROM STDIN", b"1\toriginal\n");
    assert_eq!(naive.one("SELECT u FROM tr"), "NOW");

    let carried = carry(&source);
    assert_eq!(carried.target.one("SELECT u FROM tr"), "original");
    assert_eq!(carried.target.one("SELECT tgenabled FROM pg_trigger WHERE tgname = 'g'"), "A");
}

#[test]
fn p7_sequences_go_on_where_they_were() {
    let source = Database::with(
        "CREATE SEQUENCE set_only; SELECT setval('set_only', 50, false);
         CREATE SEQUENCE never_used;
         CREATE SEQUENCE shared START 7; CREATE TABLE ss (id int DEFAULT nextval('shared'));
         INSERT INTO ss DEFAULT VALUES;
         CREATE SEQUENCE down INCREMENT -5; SELECT nextval('down'), nextval('down');
         CREATE TABLE r (id serial); INSERT INTO r VALUES (900)",
    );
    let seen = "SELECT last_value IS NULL FROM pg_sequences WHERE sequencename = 'set_only'";
    assert_eq!(source.one(seen), "true", "the view does not show the 50");
    assert_eq!(source.one("SELECT pg_get_serial_sequence('ss', 'id')"), "NULL", "missed");
    let naive = Database::with("CREATE SEQUENCE never_used; SELECT setval('never_used', 1)");
    assert_eq!(naive.one("SELECT nextval('never_used')"), "2");

    let target = carry(&source).target;
    for (sequence, next) in [
        ("set_only", "50"),
        ("never_used", "1"),
        ("shared", "8"),
        ("down", "-11"),
        ("r_id_seq", "1"),
    ] {
        assert_eq!(target.one(&format!("SELECT nextval('{sequence}')")), next, "{sequence}");
    }
}

#[test]
fn p8_formats_that_roles_set_do_not_alter_values() {
    role("p8_dmy", "SUPERUSER");
    role("p8_mdy", "SUPERUSER");
    crate::harness::admin(
        "ALTER ROLE p8_dmy SET datestyle = 'SQL, DMY';
         ALTER ROLE p8_dmy SET intervalstyle = 'sql_standard';
         ALTER ROLE p8_dmy SET extra_float_digits = 0;
         ALTER ROLE p8_mdy SET datestyle = 'German, MDY';
         ALTER ROLE p8_mdy SET intervalstyle = 'iso_8601'",
    );
    let table = "CREATE TABLE d (d date, i interval, f float8)";
    let values = "SELECT format('%s|%s|%s', d, i, f = 0.1::float8 + 0.2) FROM d";
    let source = Database::with(&format!(
        "{table}; INSERT INTO d VALUES ('2024-02-01', '-1 day -2:03:04', 0.1::float8 + 0.2)"
    ));
    let naive = Database::with(table);
    let rows = copy_out(&mut source.client_as("p8_dmy"), "COPY d TO STDOUT");
    copy_in(&mut naive.client(), "COPY d FROM STDIN", &rows);
    assert_eq!(naive.one(values), "2024-01-02|-1 days +02:03:04|f");

    let (repo, target) = (Repo::new(), Database::empty());
    repo.ok(&["backup", "--url", &source.url_as("p8_dmy")]);
    repo.ok(&["restore", "latest", "--url", &target.url_as("p8_mdy")]);
    repo.ok(&["compare", "latest", "--with", &target.url_as("p8_dmy")]);
    assert_eq!(target.one(values), source.one(values));
    assert_eq!(target.one(values), "2024-02-01|-1 days -02:03:04|t");
}

#[test]
fn p9_nulls_in_arrays_stay_nulls() {
    role("p9_no_nulls", "SUPERUSER");
    crate::harness::admin("ALTER ROLE p9_no_nulls SET array_nulls = off");
    let source = Database::with("CREATE TABLE an (x text[]); INSERT INTO an VALUES ('{a,NULL}')");
    let naive = Database::with("CREATE TABLE an (x text[])");
    copy_in(&mut naive.client_as("p9_no_nulls"), "COPY an FROM STDIN", b"{a,NULL}\n");
    assert_eq!(naive.one("SELECT x[2] IS NULL FROM an"), "false");

    let (repo, target) = (Repo::new(), Database::empty());
    repo.ok(&["backup", "--url", &source.url_as("p9_no_nulls")]);
    repo.ok(&["restore", "latest", "--url", &target.url_as("p9_no_nulls")]);
    assert_eq!(target.one("SELECT x[2] IS NULL FROM an"), "true");
}

#[test]
fn p19_references_to_catalog_objects_travel_by_name() {
    let table = "CREATE TABLE src (r regclass, p regprocedure, t regtype[])";
    let source = Database::with(&format!(
        "CREATE TABLE pad1 (x int); CREATE TYPE \"User\" AS ENUM ('a');
         CREATE FUNCTION f(\"User\") RETURNS int LANGUAGE sql AS 'SELECT 1';
         {table}; INSERT INTO src VALUES ('pad1', 'f(\"User\")', ARRAY['integer', '\"User\"']::regtype[])"
    ));
    let naive = Database::with(&format!(
        "CREATE TABLE other (x int); CREATE TABLE another (x int); CREATE TABLE pad1 (x int); {table}"
    ));
    let rows = copy_out(&mut source.client(), "COPY src (r) TO STDOUT (FORMAT binary)");
    copy_in(&mut naive.client(), "COPY src (r) FROM STDIN (FORMAT binary)", &rows);
    assert_eq!(naive.one("SELECT r = 'pad1'::regclass FROM src"), "false", "no error either");

    let target = carry(&source).target;
    let same = "SELECT r = 'pad1'::regclass AND p = 'f(\"User\")'::regprocedure
        AND t[2] = '\"User\"'::regtype FROM src";
    assert_eq!(target.one(same), "true");
    let moved = carry_rows(&target, &[], Database::with("CREATE EXTENSION citext"));
    assert_eq!(moved.target.one(same), "true");
}
