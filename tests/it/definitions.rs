//! Definitions that the server's own text does not bring back, or not at the place where it stands.

use crate::harness::carried::{carry, carry_rows};
use crate::harness::{Database, Repo, pg_dump_schema, role, server, server_of};

/// What the server deparses is read back as another tree: the next dump of the copy would differ.
#[test]
fn conditions_and_numbers_keep_their_trees() {
    let source = Database::with(
        "CREATE TABLE t (a int DEFAULT -1::int, b numeric DEFAULT -1.5::numeric, c int,
           CHECK (a BETWEEN -5 AND 5 AND b < 3), CHECK (a NOT BETWEEN 1 AND 5 OR b > 0 OR c > 1),
           CHECK ((a, c) = (-1::int, 2) AND b < 3 OR (a > -3::int AND c > 0 OR b < 9) OR a > 7));
         INSERT INTO t VALUES (-1, -1.5, 2);
         CREATE INDEX i ON t ((a + -2::int)) WHERE a BETWEEN -3 AND 3 AND c IS NOT NULL;
         CREATE DOMAIN d AS int DEFAULT -7::int CHECK (VALUE BETWEEN -9 AND 9 AND VALUE <> 3);
         CREATE VIEW v AS SELECT - 1 AS n, -(-2::int) AS m FROM t
           WHERE a BETWEEN -1 AND 5 AND b > -2.5::numeric AND (c > 0 AND a < 3 AND b < 1);
         CREATE FUNCTION f(x int DEFAULT -3::int) RETURNS boolean LANGUAGE sql
           AS 'SELECT x BETWEEN 1 AND 2 AND x > - 1';
         CREATE RULE r AS ON UPDATE TO t WHERE new.a BETWEEN 1 AND 5 AND old.c > 0 DO NOTHING;
         ALTER TABLE t ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON t USING (a BETWEEN 1 AND 5 AND b > 0)",
    );
    if server().major() >= 14 {
        source.execute(
            "CREATE FUNCTION g(x int) RETURNS boolean LANGUAGE sql
               BEGIN ATOMIC SELECT x BETWEEN 1 AND 5 AND x > -1::int; END",
        );
    }
    carry(&source);
}

#[test]
fn views_that_are_lists_of_values_are_lists() {
    let source = Database::with(
        r#"CREATE VIEW one (a, " b") AS VALUES (1, 'x'), (2, 'y (VALUES ');
           CREATE VIEW plain AS VALUES (1, 'x');
           CREATE VIEW sorted (a, b) WITH (security_barrier) AS
             VALUES (1, 'x'), (2, 'y') ORDER BY column1 + 1, 2 LIMIT 1;
           CREATE VIEW several (a, b) AS VALUES (1, 'x') UNION ALL SELECT 3, 'z'
             INTERSECT (VALUES (5, 'q'), (6, 'r') ORDER BY 1 LIMIT 1) ORDER BY 1;
           CREATE VIEW over (a) AS SELECT column2 FROM (VALUES (1, 2)) AS v
             WHERE EXISTS (VALUES (1)) AND 1 IN (VALUES (1), (2));
           CREATE MATERIALIZED VIEW filled (a) WITH (fillfactor = 50) AS VALUES (1), (2);
           CREATE INDEX ON filled (a)"#,
    );
    carry(&source);
}

#[test]
fn marks_of_a_cycle_are_of_any_type() {
    if server().major() < 14 {
        return;
    }
    let source = Database::with(
        "CREATE TABLE g (f int, t int);
         CREATE VIEW v AS WITH RECURSIVE s (f, t) AS (SELECT f, t FROM g UNION ALL
             SELECT g.f, g.t FROM g, s WHERE g.f = s.t)
           CYCLE f, t SET is_cycle TO 'Y' DEFAULT 'N' USING path SELECT f, is_cycle FROM s;
         CREATE VIEW w AS WITH RECURSIVE s (f) AS (VALUES (1) UNION ALL SELECT f + 1 FROM s)
           CYCLE f SET mark TO timestamptz '2020-01-01' DEFAULT NULL USING path SELECT f, mark FROM s;
         CREATE VIEW x AS WITH RECURSIVE s (f) AS (VALUES (1) UNION ALL SELECT f + 1 FROM s)
           SEARCH DEPTH FIRST BY f SET o CYCLE f SET mark USING path SELECT f, mark FROM s",
    );
    carry(&source);
}

#[test]
fn functions_that_call_each_other_are_made_one_after_the_other() {
    let source = Database::with(
        "CREATE FUNCTION a(x int DEFAULT 1) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN x; END';
         CREATE FUNCTION b(x int DEFAULT a()) RETURNS int LANGUAGE sql AS 'SELECT x';
         CREATE OR REPLACE FUNCTION a(x int DEFAULT b()) RETURNS int LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN RETURN x; END';
         CREATE FUNCTION itself(x int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT x';
         CREATE OR REPLACE FUNCTION itself(x int DEFAULT itself(7)) RETURNS int LANGUAGE sql AS 'SELECT x';
         COMMENT ON FUNCTION a IS 'in a circle'",
    );
    if server().major() >= 14 {
        role("circle_owner", "");
        source.execute(
            r#"CREATE TABLE t (x int); INSERT INTO t VALUES (7);
               CREATE FUNCTION "of t"(OUT n bigint, x t) LANGUAGE sql STABLE BEGIN ATOMIC SELECT 1; END;
               CREATE FUNCTION rows(VARIADIC x int[]) RETURNS TABLE (n bigint, m text) LANGUAGE sql
                 BEGIN ATOMIC SELECT "of t"(t), 'x' FROM t; END;
               CREATE PROCEDURE p(x int, INOUT y int) LANGUAGE sql BEGIN ATOMIC SELECT x; END;
               CREATE OR REPLACE FUNCTION "of t"(OUT n bigint, x t) LANGUAGE sql STABLE
                 BEGIN ATOMIC SELECT max(r.n) FROM rows(1, 2) AS r; END;
               CREATE OR REPLACE PROCEDURE p(x int, INOUT y int) LANGUAGE sql
                 BEGIN ATOMIC SELECT max(r.n) + "of t"(t) FROM t, rows(x) AS r GROUP BY t; END;
               CREATE VIEW v AS SELECT r.m FROM rows(1) AS r;
               CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int);
               CREATE FUNCTION s(int, int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT $1; END;
               CREATE AGGREGATE own (int) (SFUNC = s, STYPE = int);
               CREATE OR REPLACE FUNCTION s(int, int) RETURNS int LANGUAGE sql
                 BEGIN ATOMIC SELECT own(x) FROM t; END;
               CREATE FUNCTION again(int) RETURNS int LANGUAGE sql RETURN $1;
               CREATE OR REPLACE FUNCTION again(int) RETURNS int LANGUAGE sql
                 BEGIN ATOMIC SELECT CASE WHEN $1 > 0 THEN again($1 - 1) ELSE 0 END; END;
               CREATE FUNCTION plus(t, t) RETURNS int LANGUAGE sql RETURN 1;
               CREATE OPERATOR ### (LEFTARG = t, RIGHTARG = t, FUNCTION = plus);
               CREATE OR REPLACE FUNCTION plus(t, t) RETURNS int LANGUAGE sql RETURN $1 ### $2;
               ALTER FUNCTION "of t"(t) OWNER TO circle_owner"#,
        );
    }
    // pg_dump breaks such circles where it happens to enter them.
    let sorted = |database: &Database| {
        let dump = pg_dump_schema(database);
        let mut lines: Vec<String> = dump.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let carried = carry_rows(&source, &[], Database::empty());
    assert_eq!(sorted(&carried.target), sorted(&source));
    carried.repo.ok(&["compare", "--schema", "latest", "--with", &carried.target.url()]);
}

/// What is stored otherwise stays so when a column becomes PLAIN.
#[test]
fn values_that_are_too_long_for_their_storage_come_back() {
    let source = Database::with(
        "CREATE TABLE t (id int PRIMARY KEY, x text, y text);
         CREATE TABLE other (x text); CREATE TABLE child (z text) INHERITS (t, other);
         CREATE MATERIALIZED VIEW m AS SELECT id, repeat(md5(id::text), 1000) AS x FROM t;
         CREATE TABLE parted (id int, x text) PARTITION BY LIST (id);
         CREATE TABLE part PARTITION OF parted DEFAULT",
    );
    let long = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i)";
    source.execute(&format!(
        "INSERT INTO t VALUES (1, {long}, 'short'); INSERT INTO child VALUES (2, {long}, '', {long});
         INSERT INTO parted VALUES (1, {long}); REFRESH MATERIALIZED VIEW m;
         ALTER TABLE ONLY other ALTER x SET STORAGE EXTERNAL;
         ALTER TABLE t ALTER x SET STORAGE PLAIN, ALTER y SET STORAGE PLAIN;
         ALTER TABLE ONLY child ALTER z SET STORAGE MAIN, ALTER y SET STORAGE EXTENDED;
         ALTER TABLE parted ALTER x SET STORAGE PLAIN;
         ALTER MATERIALIZED VIEW m ALTER x SET STORAGE PLAIN"
    ));
    let carried = carry(&source);
    carried.repo.ok(&["compare", "--schema", "latest", "--with", &carried.target.url()]);
}

/// A role may give on what another role may that it is a member of.
#[test]
fn what_a_member_gave_on_stays_given() {
    for name in ["gave_owner", "gave_member", "gave_group", "gave_last"] {
        role(name, "");
    }
    let source = Database::with(
        "GRANT gave_group TO gave_member; CREATE TABLE t (a int); ALTER TABLE t OWNER TO gave_owner;
         SET ROLE gave_owner;
         GRANT SELECT, INSERT ON t TO gave_member WITH GRANT OPTION;
         GRANT SELECT, INSERT ON t TO gave_group WITH GRANT OPTION;
         SET ROLE gave_member; GRANT SELECT, INSERT ON t TO gave_last; SET ROLE gave_owner;
         REVOKE GRANT OPTION FOR SELECT ON t FROM gave_member CASCADE;
         REVOKE INSERT ON t FROM gave_member CASCADE; RESET ROLE;
         CREATE TABLE c (a int, b int); GRANT SELECT ON c TO gave_group WITH GRANT OPTION;
         SET ROLE gave_group; GRANT SELECT (b) ON c TO gave_last",
    );
    let acl = "SELECT relacl::text FROM pg_class WHERE oid = 't'::regclass";
    let given = source.one(acl);
    assert!(given.contains("gave_last=ar/gave_member"), "{given}");
    let carried = carry(&source);
    let sorted = |acl: String| {
        let mut items: Vec<String> = acl.split(',').map(|i| i.replace(['{', '}'], "")).collect();
        items.sort();
        items
    };
    assert_eq!(sorted(carried.target.one(acl)), sorted(given));
    let of_column =
        "SELECT attacl::text FROM pg_attribute WHERE attrelid = 'c'::regclass AND attname = 'b'";
    assert_eq!(carried.target.one(of_column), "{gave_last=r/gave_group}");
}

/// PostgreSQL asks for conditions that never change, and does not see to it.
#[test]
fn checks_that_other_rows_or_the_clock_decide_come_after_the_rows() {
    let source = Database::with(
        "CREATE TABLE \"zz ref\" (id int PRIMARY KEY); INSERT INTO \"zz ref\" SELECT generate_series(1, 9);
         CREATE FUNCTION is_there(int) RETURNS boolean LANGUAGE sql STABLE AS
           'SELECT EXISTS (SELECT FROM public.\"zz ref\" WHERE id = $1)';
         CREATE FUNCTION is_even(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0';
         CREATE TABLE a (x int CHECK (is_there(x)), y int CONSTRAINT even CHECK (is_even(y)));
         CREATE TABLE b (z int, CONSTRAINT own CHECK (is_there(z))) INHERITS (a);
         CREATE TABLE p (x int, CONSTRAINT c CHECK (is_there(x))) PARTITION BY LIST (x);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
         CREATE TABLE p2 (x int, CONSTRAINT c CHECK (is_there(x)), CHECK (x < 3 OR now() > 'epoch'));
         ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
         COMMENT ON CONSTRAINT c ON p2 IS 'its own as well';
         CREATE DOMAIN known AS int CHECK (is_there(VALUE)) CHECK (is_even(VALUE + 1));
         CREATE DOMAIN listed AS int CONSTRAINT there CHECK (is_there(VALUE));
         CREATE TABLE aa (x known, y listed[]);
         CREATE TABLE soon (until timestamptz CHECK (until > now()), day date CHECK (day >= CURRENT_DATE));
         INSERT INTO a VALUES (1, 2); INSERT INTO b VALUES (3, 4, 5); INSERT INTO p VALUES (1), (2);
         INSERT INTO aa VALUES (7, '{}'); INSERT INTO soon VALUES (now() + '1 h', CURRENT_DATE)",
    );
    carry(&source);
    // The clock has gone on, as a row that was there says in its place.
    source.execute(
        "UPDATE pg_constraint SET convalidated = false WHERE conrelid = 'soon'::regclass;
         ALTER TABLE soon DROP CONSTRAINT soon_until_check; UPDATE soon SET until = 'epoch';
         ALTER TABLE soon ADD CHECK (until > now()) NOT VALID;
         UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'soon'::regclass",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::empty();
    let run = repo.run(&["restore", "latest", "--url", &target.url()]);
    run.expect_code(1)
        .says(&["check public.soon_until_check on public.soon", "is violated by some row"]);
    assert_eq!(target.one("SELECT count(*) FROM soon"), "1");
    assert_eq!(target.one("SELECT count(*) FROM aa"), "1");
}

/// The server names what comes with a key or a column, and may choose a name that is somebody's.
#[test]
fn names_that_the_server_would_choose_are_free() {
    let source = Database::with(
        "CREATE TABLE pk (a int PRIMARY KEY) PARTITION BY RANGE (a);
         CREATE TABLE pk1 PARTITION OF pk FOR VALUES FROM (0) TO (5);
         CREATE TABLE pk2 PARTITION OF pk FOR VALUES FROM (5) TO (9);
         CREATE TABLE other (a int PRIMARY KEY); CREATE TABLE t (a int REFERENCES other);
         ALTER TABLE t ADD CONSTRAINT aa FOREIGN KEY (a) REFERENCES pk;
         INSERT INTO pk VALUES (1), (7); INSERT INTO other VALUES (7); INSERT INTO t VALUES (7)",
    );
    if server().major() < 17 {
        source.execute(
            "CREATE TABLE n (a int NOT NULL, b int NOT NULL, CONSTRAINT n_a_not_null UNIQUE (b));
             ALTER TABLE n ADD CONSTRAINT n_b_not_null CHECK (b > 0) NOT VALID; INSERT INTO n VALUES (1, 2);
             CREATE TABLE child (CONSTRAINT child_a_not_null CHECK (a > 0)) INHERITS (n);
             CREATE TABLE own (CONSTRAINT own_a_not_null CHECK (a > 0)) INHERITS (other);
             CREATE TABLE nullable (x int); CREATE TABLE strict () INHERITS (nullable);
             ALTER TABLE strict ALTER x SET NOT NULL, ADD CONSTRAINT strict_x_not_null CHECK (x > 0);
             CREATE DOMAIN d AS int NOT NULL CONSTRAINT d_not_null CHECK (VALUE > 0)",
        );
    }
    if server().major() >= 18 {
        source.execute(
            "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
             ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES other;
             ALTER TABLE p ADD CONSTRAINT f1 FOREIGN KEY (id) REFERENCES other ON DELETE CASCADE;
             ALTER TABLE p ALTER CONSTRAINT f NOT ENFORCED",
        );
    }
    carry(&source);
    carry_rows(&source, &[], Database::empty_on(server_of(18)));
}

#[test]
fn comments_on_what_comes_with_a_table_are_on_that() {
    let source = Database::with(
        "CREATE TABLE t (a int); COMMENT ON COLUMN t.ctid IS 'where a row is';
         COMMENT ON TYPE t IS 'a row'; COMMENT ON TABLE t IS 'all rows'",
    );
    let carried = carry(&source);
    let of_type = "SELECT obj_description('t'::regtype, 'pg_type')";
    assert_eq!(carried.target.one(of_type), "a row");
    let schema = ["compare", "--schema", "latest", "--with"];
    let compare = |url: &str| carried.repo.run(&[&schema[..], &[url]].concat());
    compare(&carried.target.url()).expect_code(0);
    carried.target.execute("COMMENT ON TYPE t IS NULL");
    compare(&carried.target.url()).expect_code(4);
}

/// Of a column of the system's, initdb has said who may read it.
#[test]
fn a_privilege_that_was_taken_from_everybody_stays_taken() {
    let source = Database::with(
        "REVOKE SELECT (subname) ON pg_catalog.pg_subscription FROM PUBLIC; CREATE TABLE t (a int)",
    );
    let carried = carry(&source);
    let taken = "SELECT attacl IS NULL FROM pg_attribute
        WHERE attrelid = 'pg_subscription'::regclass AND attname = 'subname'";
    assert_eq!(carried.target.one(taken), "true");
}

/// PostgreSQL 14 gave its functions of arrays other types.
#[test]
fn aggregates_over_functions_of_arrays_come_into_newer_servers() {
    role("widened_caller", "");
    let source = Database::with_on(
        server_of(13),
        r#"CREATE AGGREGATE "all of" (anyarray) (SFUNC = array_cat, STYPE = anyarray, INITCOND = '{}');
           CREATE OPERATOR @+@ (LEFTARG = anyarray, RIGHTARG = anyelement, FUNCTION = array_append);
           COMMENT ON AGGREGATE "all of" (anyarray) IS 'all';
           COMMENT ON OPERATOR @+@ (anyarray, anyelement) IS 'one more';
           REVOKE ALL ON FUNCTION "all of" (anyarray) FROM PUBLIC;
           CREATE TABLE t (x int[]); INSERT INTO t VALUES ('{1}'), ('{2,3}');
           CREATE VIEW v AS SELECT "all of"(x @+@ 7) AS x FROM t"#,
    );
    source.execute(
        "DO $$ BEGIN CREATE ROLE widened_caller; EXCEPTION WHEN duplicate_object THEN END $$",
    );
    source.execute(r#"GRANT EXECUTE ON FUNCTION "all of" (anyarray) TO widened_caller"#);
    let target = carry_rows(&source, &[], Database::empty()).target;
    assert_eq!(target.one("SELECT x FROM v"), source.one("SELECT x FROM v"));
    assert_eq!(target.one("SELECT array_length(x, 1) FROM v"), "5");
    let acl = "SELECT proacl::text FROM pg_proc WHERE proname = 'all of'";
    assert_eq!(target.one(acl), source.one(acl));
}

/// Columns are computed by a function that the server has parsed, and that reads them or their table.
#[test]
fn tables_that_need_a_function_that_needs_them_come_after_an_empty_one() {
    if server().major() < 14 {
        return;
    }
    let generated = "a integer, c integer GENERATED ALWAYS AS (f(a)) STORED";
    for (table, query) in [
        (
            format!("CREATE TABLE t ({generated}, k int) PARTITION BY LIST (k)"),
            "SELECT max(a) FROM t",
        ),
        (
            format!("CREATE TABLE t ({generated}, k int) PARTITION BY LIST ((k + 1))"),
            "SELECT max(a) FROM t",
        ),
        (
            format!("CREATE TABLE above (b int); CREATE TABLE t ({generated}) INHERITS (above)"),
            "SELECT max(a) FROM t",
        ),
        (
            format!("CREATE TABLE t ({generated}); CREATE TABLE t_below () INHERITS (t)"),
            "SELECT max(a) FROM t_below",
        ),
        (format!("CREATE TABLE t ({generated}, d int)"), "SELECT max(d) FROM t"),
        (
            String::from("CREATE TABLE t (a int, k int) PARTITION BY LIST (f(a))"),
            "SELECT max(k) FROM t",
        ),
    ] {
        let source = Database::with(&format!(
            "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE
               AS 'BEGIN RETURN 1; END'; {table};
             CREATE OR REPLACE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE
               BEGIN ATOMIC {query}; END"
        ));
        let carried = carry_rows(&source, &[], Database::empty());
        let target = carried.target.url();
        carried.repo.ok(&["compare", "--schema", "latest", "--with", &target]);
    }
}
