//! What becomes of a schema where something is in its way: entries that fail, other extensions,
//! a database without `public`, names that no archive can tell.

use crate::harness::archive::Parts;
use crate::harness::{Database, Repo, admin, pg_dump_schema, role, server};

#[test]
fn rows_alone_do_not_need_the_archives_statements() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, x text); CREATE INDEX ON t (x)";
    let source = Database::with(sql);
    source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let repo = Repo::new();
    let archive = repo.backup(&source, &[]);
    let mut parts = Parts::of(&std::fs::read(&archive).unwrap());
    for member in ["schema/pre-data.sql", "schema/post-data.sql"] {
        let nonsense = vec![b'x'; parts.content(member).len()];
        parts = parts.replaced(member, &nonsense);
    }
    let forged = repo.path().join("forged.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&forged, parts.bytes()).unwrap();
    let forged = forged.to_str().unwrap();
    let target = Database::empty();
    repo.run(&["restore", forged, "--url", &target.url()])
        .expect_code(1)
        .says(&["syntax error", "empty as before"]);
    target.execute(sql);
    repo.ok(&["restore", forged, "--url", &target.url(), "--data-only"]);
    assert_eq!(target.one("SELECT string_agg(id || x, ' ' ORDER BY id) FROM t"), "1a 2b");
}

/// `a_index` can only be made when `z_index` is there, which the catalogs do not know.
#[test]
fn an_entry_that_fails_is_tried_again_after_the_others() {
    let source = Database::with(
        "CREATE TABLE a (x int); INSERT INTO a VALUES (1); CREATE TABLE z (x int);
         CREATE FUNCTION needs_z(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
           IF pg_catalog.to_regclass('public.z_index') IS NULL THEN RAISE 'not yet'; END IF;
           RETURN $1; END$$;
         CREATE INDEX z_index ON z (x); CREATE INDEX a_index ON a (needs_z(x))",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url(), "--jobs", "1"]);
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
}

#[test]
fn entries_that_fail_for_good_are_told_with_name_code_and_hint_and_the_rest_is_there() {
    let source = Database::empty();
    source.execute(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 5);
         CREATE FUNCTION here(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
           IF pg_catalog.current_database() <> '{}' THEN
             RAISE 'wrong place' USING ERRCODE = 'P0123', HINT = 'go elsewhere'; END IF;
           RETURN $1; END$$;
         CREATE INDEX breaks ON t (here(x)); CREATE INDEX works ON t (x)",
        source.name
    ));
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(1).says(&[
        "1 object could not be created",
        "index public.breaks",
        "wrong place",
        "P0123",
        "go elsewhere",
    ]);
    assert_eq!(target.one("SELECT count(*) FROM t"), "1");
    assert_eq!(target.one("SELECT to_regclass('works') IS NULL"), "false");
    // The mark stays until somebody has looked.
    repo.run(&["backup", "--url", &target.url()]).expect_code(15);
}

#[test]
fn a_database_without_public_comes_back_without_it() {
    let source = Database::with("CREATE SCHEMA own CREATE TABLE t (x int); DROP SCHEMA public");
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT to_regnamespace('public') IS NULL"), "true");
    repo.ok(&["compare", "latest", "--with", &target.url(), "--schema"]);
    // What is in its way stays, and is told.
    let occupied = Database::with("CREATE EXTENSION hstore SCHEMA public");
    repo.ok(&["restore", "latest", "--url", &occupied.url()]).says(&["schema public stays"]);
}

/// Blocks of the archive's statements are written in it.
#[test]
fn a_database_without_plpgsql_gets_everything_and_the_language_only_for_what_stays() {
    const BARE: &str = "DROP EXTENSION plpgsql";
    let source = Database::with(
        "CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE whole (a int) PARTITION BY LIST (a);
         CREATE TABLE part PARTITION OF whole FOR VALUES IN (1);
         ALTER TABLE whole ADD CONSTRAINT refers FOREIGN KEY (a) REFERENCES other;
         COMMENT ON CONSTRAINT refers ON part IS 'kept'; SELECT lo_from_bytea(7, 'precious');
         DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 999', current_database()); END$$",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::with(BARE);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(
        pg_dump_schema(&target),
        pg_dump_schema(&source).replace(&source.name, &target.name)
    );
    repo.ok(&["compare", "latest", "--with", &target.url(), "--schema", "--rows"]);
    let languages = "SELECT string_agg(extname::text, ' ') FROM pg_extension";
    assert_eq!(target.one(languages), "NULL");

    let rows = Database::with(BARE);
    rows.execute(
        "CREATE TABLE other (id int); CREATE TABLE whole (a int) PARTITION BY LIST (a);
        CREATE TABLE part PARTITION OF whole FOR VALUES IN (1)",
    );
    repo.ok(&["restore", "latest", "--url", &rows.url(), "--data-only"]);
    assert_eq!(rows.one("SELECT lo_get(7)::text"), r"\x70726563696f7573");

    source.execute("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'");
    repo.backup(&source, &[]);
    let target = Database::with(BARE);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one("SELECT f()"), "1");
}

#[test]
fn an_extension_in_another_schema_is_refused_and_another_version_is_told() {
    let source = Database::with(
        "CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext VERSION '1.4'; CREATE TABLE t (h ext.hstore)",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::with("CREATE EXTENSION hstore SCHEMA public");
    let restore = ["restore", "latest", "--url", &target.url()];
    repo.run(&restore).expect_code(15).says(&["hstore", "in schema public", "DROP EXTENSION"]);
    assert_eq!(target.one("SELECT to_regnamespace('pgark_restore_unfinished') IS NULL"), "true");
    target.execute("DROP EXTENSION hstore");
    repo.ok(&restore).says(&["extension hstore was version 1.4 and is "]);
    assert_eq!(
        target.one("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'hstore'"),
        "ext"
    );
}

#[test]
fn names_that_are_no_utf8_are_refused_by_name() {
    let source =
        Database::create("TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
    // CREATE TABLE "odd…" (x int), with a byte of LATIN1 in the name.
    source.execute(
        r"DO $$BEGIN EXECUTE pg_catalog.convert_from(
            '\x435245415445205441424c4520226f6464e92220287820696e7429', 'SQL_ASCII'); END$$",
    );
    let repo = Repo::new();
    repo.run(&["backup", "--url", &source.url()])
        .expect_code(15)
        .says(&[r"relation odd\xe9", "RENAME"]);
    assert_eq!(repo.files(), []);
}

/// A function in C whose library is gone by the time of the restore.
const LOST_LIBRARY: &str =
    "CREATE FUNCTION lost(oid) RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
     UPDATE pg_proc SET probin = '/nowhere/lost' WHERE proname = 'lost'";

#[test]
fn what_no_rows_hang_on_is_put_off_and_keeps_no_rows_from_coming_back() {
    role("sr_reader", "");
    let source = Database::with(&format!(
        "{LOST_LIBRARY}; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
         GRANT SELECT ON t TO sr_reader; CREATE VIEW watch AS SELECT lost(id::oid) FROM t;
         GRANT SELECT ON watch TO sr_reader; CREATE VIEW fine AS SELECT id FROM t;
         CREATE VIEW watch_more AS SELECT * FROM watch"
    ));
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(1).says(&[
        "all rows of",
        "function public.lost(oid): could not access file \"/nowhere/lost\"",
        "58P01",
        "view public.watch: ",
        "view public.watch_more: ",
        "privileges public.watch: waits for the others",
        "--leave-out 'function:public.lost(oid)'",
    ]);
    assert_eq!(target.one("SELECT count(*) FROM t"), "2");
    assert_eq!(target.one("SELECT count(*) FROM fine"), "2");
    assert_eq!(target.one("SELECT has_table_privilege('sr_reader', 't', 'SELECT')"), "true");
    let url = server().url("sr_new", "postgres");
    repo.run(&["restore", "latest", "--create", "--url", &url]).expect_code(1).says(&[
        "RENAME TO \"sr_new\"",
        "before another try (perhaps with --leave-out 'function:public.lost(oid)')",
    ]);
    let without = |name: &str| {
        let (url, what) = (target.url(), format!("function:{name}"));
        repo.run(&["restore", "latest", "--url", &url, "--leave-out", &what])
    };
    without("public.lots(oid)")
        .expect_code(10)
        .says(&["no function public.lots(oid)", "did you mean 'function:public.lost(oid)'?"]);
    let run = without("public.lo*").expect_code(3);
    assert!(run.stdout.contains("view public.watch_more"), "{}", run.stdout);
    assert_eq!(target.one("SELECT count(*) FROM fine"), "2");
    // Rows hang on it: there is nothing to keep.
    let source = Database::with(
        "CREATE FUNCTION positive(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
         CREATE TABLE t (id int, sign bool GENERATED ALWAYS AS (positive(id)) STORED);
         INSERT INTO t VALUES (1); UPDATE pg_proc SET prolang = (SELECT oid FROM pg_language
         WHERE lanname = 'c'), probin = '/nowhere/lost' WHERE proname = 'positive'",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()])
        .expect_code(1)
        .says(&["cannot create function public.positive(integer)", "empty as before"]);
}

/// The function reads a table that the catalogs do not connect with it.
#[test]
fn what_can_be_made_after_the_rows_alone_is_no_failure() {
    let source = Database::with(
        "CREATE TABLE known (id int PRIMARY KEY); INSERT INTO known VALUES (5);
         CREATE FUNCTION is_known(int) RETURNS bool LANGUAGE sql STABLE
           AS 'SELECT EXISTS (SELECT FROM public.known WHERE id = $1)';
         CREATE DOMAIN one AS int CHECK (is_known(value));
         CREATE TABLE a (x one); INSERT INTO a VALUES (5)",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
}

#[test]
fn what_only_adorns_an_object_is_named_where_the_server_refuses_it() {
    role("sr_demoted", "SUPERUSER");
    let source = Database::with(
        "CREATE TABLE t (id int, note text); INSERT INTO t VALUES (1, 'x');
         COMMENT ON TABLE t IS 'kept'; ALTER TABLE t ALTER note SET STORAGE EXTERNAL;
         UPDATE pg_attribute SET attstorage = 'x' WHERE attrelid = 't'::regclass AND attname = 'id';
         CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION on_event();
         CREATE FOREIGN DATA WRAPPER far; ALTER FOREIGN DATA WRAPPER far OWNER TO sr_demoted;
         ALTER EVENT TRIGGER watch OWNER TO sr_demoted",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    admin("ALTER ROLE sr_demoted NOSUPERUSER");
    let run = repo.run(&["restore", "latest", "--url", &target.url(), "--json"]).expect_code(3);
    let refused = run.json()["refused_settings"].to_string();
    for what in [
        "table public.t: ALTER TABLE ONLY \\\"public\\\".\\\"t\\\" ALTER COLUMN \\\"id\\\" SET STORAGE EXTENDED: ",
        "foreign-data-wrapper far: owner: permission denied",
        "event-trigger watch: owner: permission denied",
    ] {
        assert!(refused.contains(what), "{what} is not in {refused}");
    }
    assert_eq!(target.one("SELECT obj_description('t'::regclass)"), "kept");
    let external = "SELECT attstorage = 'e' FROM pg_attribute
        WHERE attrelid = 't'::regclass AND attname = 'note'";
    assert_eq!(target.one(external), "true");
    assert_eq!(target.one("SELECT count(*) FROM pg_event_trigger"), "1");
}
