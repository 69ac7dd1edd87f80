//! Backup and restore without superuser, settings of roles, and who is refused.

use crate::harness::carried::{carry_rows, copy_text};
use crate::harness::{Database, Repo, admin, pg_dump_schema, role, server};

/// What an ordinary application has.
const APPLICATION: &str = "
    CREATE TYPE kind AS ENUM ('a', 'b');
    CREATE TABLE parent (id serial PRIMARY KEY, kind kind, total numeric(30, 10));
    CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY, parent int REFERENCES parent,
      note text, twice int GENERATED ALWAYS AS (parent * 2) STORED);
    CREATE INDEX ON child (note);
    CREATE VIEW joined AS SELECT p.kind, c.note FROM parent p JOIN child c ON c.parent = p.id;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM child;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
    CREATE TRIGGER touch BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION touch();
    COMMENT ON TABLE child IS 'children';
    INSERT INTO parent (kind, total) VALUES ('a', 1.5), ('b', -0.0000000001);
    INSERT INTO child (parent, note) VALUES (1, 'x'), (2, NULL)";

fn owned_by(owner: &str, sql: &str) -> Database {
    let database = Database::empty();
    database.execute(&format!(
        "ALTER SCHEMA public OWNER TO {owner}; GRANT ALL ON SCHEMA public TO {owner}"
    ));
    database.client_as(owner).batch_execute(sql).unwrap();
    database
}

/// An empty database that belongs to a role.
fn empty_of(owner: &str) -> Database {
    let database = Database::empty();
    admin(&format!("ALTER DATABASE {} OWNER TO {owner}", database.name));
    database
}

/// Lets a role read everything that is in the database now: by a predefined role, or before
/// PostgreSQL 14 by grants on each object.
fn lets_read_all(database: &Database, role: &str) {
    if database.server.major() >= 14 {
        return database.execute(&format!("GRANT pg_read_all_data TO {role}"));
    }
    database.execute(&format!(
        "DO $$DECLARE one text; BEGIN
           FOR one IN SELECT quote_ident(nspname) FROM pg_namespace
             WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
             EXECUTE format('GRANT USAGE ON SCHEMA %s TO {role}', one);
             EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO {role}', one);
             EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %s TO {role}', one);
           END LOOP;
           FOR one IN SELECT oid FROM pg_largeobject_metadata LOOP
             EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {role}', one);
           END LOOP;
         END$$"
    ));
}

#[test]
fn a_reading_role_backs_up_and_an_ordinary_owner_restores() {
    role("r1_reader", "BYPASSRLS");
    role("r1_app", "");
    role("r1_owner", "");
    let source = owned_by("r1_app", APPLICATION);
    source.execute("REVOKE ALL ON SCHEMA public FROM r1_app; GRANT SELECT ON parent TO r1_reader");
    // Who owns a database owns `public` too since PostgreSQL 15; before, somebody must have seen to it.
    let of_public = if server().major() >= 15 { "pg_database_owner" } else { "r1_app" };
    source.execute(&format!("ALTER SCHEMA public OWNER TO {of_public}"));
    lets_read_all(&source, "r1_reader");
    let repo = Repo::new();
    repo.ok(&["backup", "--url", &source.url_as("r1_reader")]);

    let plain = empty_of("r1_owner");
    repo.ok(&[
        "restore",
        "latest",
        "--url",
        &plain.url_as("r1_owner"),
        "--no-owner",
        "--no-privileges",
    ]);
    repo.ok(&["compare", "latest", "--with", &plain.url_as("r1_owner")]);
    assert_eq!(plain.one("SELECT count FROM counted"), "2");
    let owners = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner)::text, ',') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(plain.one(owners), "r1_owner");
    assert_eq!(plain.one("SELECT relacl IS NULL FROM pg_class WHERE relname = 'parent'"), "true");

    // With owners, where all of them are the restoring role itself.
    let own = empty_of("r1_app");
    own.execute(&format!("ALTER SCHEMA public OWNER TO {of_public}"));
    repo.ok(&["restore", "latest", "--url", &own.url_as("r1_app")]);
    assert_eq!(own.one(owners), "r1_app");
    assert_eq!(pg_dump_schema(&own), pg_dump_schema(&source));
}

#[test]
fn tables_that_may_not_be_read_are_named_all_at_once() {
    role("r2_reader", "");
    let source = Database::with(
        "CREATE TABLE open (x int); CREATE TABLE secret (x int); CREATE SCHEMA hidden;
         CREATE TABLE hidden.deep (x int); GRANT SELECT ON open, hidden.deep TO r2_reader",
    );
    let repo = Repo::new();
    let url = source.url_as("r2_reader");
    repo.run(&["backup", "--url", &url]).expect_code(1).says(&[
        "public.secret",
        "hidden.deep",
        "pg_read_all_data",
    ]);
    assert_eq!(repo.files(), []);
    repo.ok(&["backup", "--url", &url, "--table", "open"]);
}

#[test]
fn sequences_that_may_not_be_read_are_named() {
    role("r3_reader", "");
    let source = Database::with(
        "CREATE SEQUENCE one; CREATE SEQUENCE two; CREATE TABLE t (x int); GRANT SELECT ON t TO r3_reader",
    );
    let repo = Repo::new();
    repo.run(&["backup", "--url", &source.url_as("r3_reader")])
        .expect_code(1)
        .says(&["public.one", "public.two"]);
    assert_eq!(repo.files(), []);
}

#[test]
fn row_level_security_is_named_table_by_table() {
    role("r4_reader", "");
    let source = Database::with(
        "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int);
         ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE b ENABLE ROW LEVEL SECURITY",
    );
    lets_read_all(&source, "r4_reader");
    let repo = Repo::new();
    let run = repo.run(&["backup", "--url", &source.url_as("r4_reader")]).expect_code(15);
    assert!(!run.stderr.contains("public.c"), "{}", run.stderr);
    run.says(&["public.a", "public.b", "BYPASSRLS"]);
    assert_eq!(repo.files(), []);
}

#[test]
fn a_missing_role_is_named_before_anything_is_written() {
    let gone = format!("r5_gone_{}", std::process::id());
    role(&gone, "");
    let source = Database::with(&format!("CREATE TABLE t (x int); ALTER TABLE t OWNER TO {gone}"));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    source.execute(&format!("DROP OWNED BY {gone}"));
    admin(&format!("DROP ROLE {gone}"));
    let target = Database::empty();
    let run = repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(15);
    run.says(&[&gone, "--no-owner"]);
    let things = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'";
    assert_eq!(target.one(things), "0");
    assert_eq!(target.one("SELECT to_regnamespace('pgark_restore_unfinished') IS NULL"), "true");
    repo.ok(&["restore", "latest", "--url", &target.url(), "--no-owner", "--no-privileges"]);
}

#[test]
fn hostile_settings_of_roles_change_no_value() {
    let settings = [
        ("datestyle", "'SQL, DMY'"),
        ("intervalstyle", "'sql_standard'"),
        ("extra_float_digits", "-15"),
        ("search_path", "hostile, public"),
        ("statement_timeout", "'500ms'"),
        ("lock_timeout", "'500ms'"),
        ("idle_in_transaction_session_timeout", "'500ms'"),
        ("default_transaction_read_only", "on"),
        ("default_transaction_isolation", "serializable"),
        ("bytea_output", "escape"),
        ("quote_all_identifiers", "on"),
        ("row_security", "on"),
        ("timezone", "'Asia/Kathmandu'"),
        ("xmlbinary", "hex"),
        ("standard_conforming_strings", "off"),
        ("array_nulls", "off"),
        ("check_function_bodies", "on"),
        ("client_encoding", "LATIN1"),
    ];
    role("r6_hostile", "SUPERUSER");
    for (name, value) in settings {
        admin(&format!("ALTER ROLE r6_hostile SET {name} = {value}"));
    }
    let source = Database::with(
        "CREATE SCHEMA hostile; CREATE TYPE \"User\" AS ENUM ('x');
         CREATE FUNCTION hostile.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 666::bigint';
         CREATE TABLE v (d date, t timestamptz, i interval, f float8, r real, b bytea, a text[],
           g regtype, m money, s text);
         INSERT INTO v VALUES ('2024-02-01', '2024-02-01 12:00+00', '-1 day -2:03:04',
           0.1::float8 + 0.2, 1.1::real / 3, '\\x00ff5c27', '{a,NULL,\"b\\\"c\"}', '\"User\"',
           12.5::numeric::money, E'back\\\\slash ''quote'' é 日本');
         CREATE TABLE many AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 300000) AS i",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.ok(&["backup", "--url", &source.url_as("r6_hostile"), "--jobs", "1"]);
    repo.ok(&["restore", "latest", "--url", &target.url_as("r6_hostile")]);
    repo.ok(&["compare", "latest", "--with", &source.url_as("r6_hostile")]);
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    let rows = |database: &Database| copy_text(&mut database.client(), "COPY v TO STDOUT");
    assert_eq!(rows(&target), rows(&source));
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
    // A lock that is to be waited for longer than the role's own settings allow.
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE v IN ACCESS EXCLUSIVE MODE").unwrap();
    let waiting = repo
        .command(&["backup", "--url", &source.url_as("r6_hostile"), "--name", "waited"])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1200));
    holder.batch_execute("COMMIT").unwrap();
    crate::harness::Run::from(waiting.wait_with_output().unwrap()).expect_code(0);
}

#[test]
fn large_objects_are_read_by_a_reader_and_restored_by_an_ordinary_owner() {
    role("r7_reader", "BYPASSRLS");
    role("r7_owner", "");
    let source = Database::with(
        "SELECT lo_from_bytea(70001, convert_to(repeat('large', 100000), 'UTF8'));
         SELECT lo_create(70002);
         SELECT lo_from_bytea(70003, 'x'); SELECT lo_put(70003, 10000, 'y');
         CREATE TABLE t AS SELECT 70001::oid AS photo",
    );
    lets_read_all(&source, "r7_reader");
    let repo = Repo::new();
    repo.ok(&["backup", "--url", &source.url_as("r7_reader")]);
    let target = empty_of("r7_owner");
    let url = target.url_as("r7_owner");
    repo.ok(&["restore", "latest", "--url", &url, "--no-owner", "--no-privileges"]);
    let content = "SELECT string_agg(oid || ':' || md5(lo_get(oid)), ' ' ORDER BY oid)
        FROM pg_largeobject_metadata";
    assert_eq!(target.one(content), source.one(content));
    // The owner may not read pg_largeobject, and compares all the same.
    repo.ok(&["compare", "latest", "--with", &url]);
    assert_eq!(target.one("SELECT length(lo_get(photo)) FROM t"), "500000");
}

#[test]
fn who_cannot_connect_is_told_so_and_no_secret_is_shown() {
    let hba = server().folder().join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    admin(
        "SET password_encryption = 'scram-sha-256';
         DO $$BEGIN CREATE ROLE r8_password LOGIN PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN NULL; END$$",
    );
    let rule = format!("local all r8_password scram-sha-256\n{rules}");
    let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(&hba).unwrap();
    std::io::Write::write_all(&mut file, rule.as_bytes()).unwrap();
    admin("SELECT pg_reload_conf()");
    let source = Database::with("CREATE TABLE t (x int); GRANT SELECT ON t TO r8_password");
    let (repo, folder) = (Repo::new(), server().folder().display().to_string());
    let encoded = folder.replace('/', "%2F");
    let url = |password: &str, database: &str| {
        format!("postgresql://r8_password:{password}@{encoded}:5432/{database}")
    };
    // The server reads its rules a moment after it was told to.
    let begun = std::time::Instant::now();
    while postgres::Client::connect(&url("hunter2", &source.name), postgres::NoTls).is_ok() {
        assert!(begun.elapsed().as_secs() < 20, "the server lets everybody in");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    repo.ok(&["backup", "--url", &url("right", &source.name), "--quiet", "--name", "good"]);
    let archived = repo.files();
    assert!(archived.iter().all(|(_, bytes)| !bytes.windows(5).any(|part| part == b"right")));
    let gone = "host=/nowhere port=5432 dbname=x user=r8_password password=hunter2";
    for (url, words) in [
        (url("hunter2", &source.name), "password authentication failed"),
        (url("right", "no_such_database"), "no_such_database"),
        (gone.to_owned(), "/nowhere"),
    ] {
        for arguments in [
            vec!["backup", "--url", &url],
            vec!["restore", "good", "--url", &url],
            vec!["compare", "good", "--with", &url],
            vec!["backup", "--json", "--url", &url],
        ] {
            let run = repo.run(&arguments).expect_code(17);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains(words), "no \"{words}\" in {said}");
            assert!(!said.contains("hunter2") && !said.contains("right@"), "{said}");
        }
    }
    // A string that cannot be read holds a secret all the same.
    let run = repo.run(&["backup", "--url", "postgresql://u:hunter2@h:notaport/d"]).expect_code(2);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    assert_eq!(repo.files(), archived);
}

#[test]
fn owners_and_privileges_of_several_roles_come_back() {
    role("r9_one", "");
    role("r9_two", "");
    let source = Database::with(
        "CREATE SCHEMA s AUTHORIZATION r9_one; CREATE TABLE s.t (a int, b int);
         ALTER TABLE s.t OWNER TO r9_one; INSERT INTO s.t VALUES (1, 2);
         GRANT SELECT (a) ON s.t TO r9_two; GRANT USAGE ON SCHEMA s TO r9_two WITH GRANT OPTION;
         SELECT lo_create(90001); ALTER LARGE OBJECT 90001 OWNER TO r9_one;
         GRANT SELECT ON LARGE OBJECT 90001 TO r9_two; COMMENT ON LARGE OBJECT 90001 IS 'é'",
    );
    let carried = carry_rows(&source, &[], Database::empty());
    assert_eq!(pg_dump_schema(&carried.target), pg_dump_schema(&source));
    let facts = "SELECT format('%s %s %s', pg_get_userbyid(lomowner), lomacl,
        obj_description(oid, 'pg_largeobject')) FROM pg_largeobject_metadata";
    assert_eq!(carried.target.one(facts), source.one(facts));
}

#[test]
fn owners_that_may_not_create_get_what_is_theirs() {
    for name in ["r10_one", "r10_two", "r10_three", "r10_restorer"] {
        role(name, "");
    }
    admin("GRANT r10_one, r10_two TO r10_restorer");
    let source = Database::with(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         CREATE SCHEMA s AUTHORIZATION r10_one; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1);
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE MATERIALIZED VIEW s.m AS SELECT a FROM s.t GROUP BY a; CREATE PUBLICATION p FOR TABLE s.t;
         GRANT USAGE ON SCHEMA s TO r10_two;
         ALTER TABLE s.t OWNER TO r10_two; ALTER MATERIALIZED VIEW s.m OWNER TO r10_two;
         ALTER FUNCTION f() OWNER TO r10_two; ALTER PUBLICATION p OWNER TO r10_two",
    );
    let of_public = if server().major() >= 15 { "pg_database_owner" } else { "r10_restorer" };
    source.execute(&format!("ALTER SCHEMA public OWNER TO {of_public}"));
    let repo = Repo::new();
    repo.backup(&source, &[]);

    let target = empty_of("r10_restorer");
    let restore = ["restore", "latest", "--url", &target.url_as("r10_restorer")];
    target.execute(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO r10_three",
    );
    for flags in [&[][..], &["--no-owner"]] {
        repo.run(&[&restore[..], flags].concat())
            .expect_code(15)
            .says(&["may create nothing in schema public", "GRANT CREATE ON SCHEMA"]);
    }
    target.execute(&format!("ALTER SCHEMA public OWNER TO {of_public}"));
    admin("ALTER ROLE r10_restorer NOINHERIT");
    if server().major() >= 16 {
        admin("GRANT r10_one, r10_two TO r10_restorer WITH INHERIT FALSE");
    }
    repo.run(&restore).expect_code(15).says(&["may not act for r10_one, r10_two"]);
    admin("ALTER ROLE r10_restorer INHERIT");
    if server().major() >= 16 {
        admin("GRANT r10_one, r10_two TO r10_restorer WITH INHERIT TRUE");
    }
    repo.ok(&restore);
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
}

#[test]
fn what_only_the_owner_of_public_may_do_is_named_beforehand() {
    role("r11_owner", "");
    let source = Database::with("CREATE TABLE t (x int); COMMENT ON SCHEMA public IS 'mine'");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = empty_of("r11_owner");
    target.execute(
        "ALTER SCHEMA public OWNER TO CURRENT_USER; GRANT ALL ON SCHEMA public TO r11_owner",
    );
    let url = target.url_as("r11_owner");
    let restore = ["restore", "latest", "--no-owner", "--no-privileges", "--url", &url];
    repo.run(&restore)
        .expect_code(15)
        .says(&["schema public belongs to", "ALTER SCHEMA public OWNER TO"]);
    target.execute("ALTER SCHEMA public OWNER TO r11_owner");
    repo.ok(&restore);
    assert_eq!(target.one("SELECT obj_description('public'::regnamespace)"), "mine");
}

/// An index is made with the rights of its table's owner, and computes what only the privileges of the
/// archive let him.
#[test]
fn an_index_waits_for_what_its_owner_may_use() {
    role("r1_indexed", "");
    let source = Database::with(
        "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO r1_indexed;
         CREATE FUNCTION app.twice(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * $1; END';
         CREATE FUNCTION app.once(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN app.twice($1); END';
         CREATE TABLE app.t AS SELECT 1 AS id; ALTER TABLE app.t OWNER TO r1_indexed;
         CREATE INDEX computed ON app.t (app.once(id))",
    );
    let repo = Repo::new();
    repo.ok(&["backup", "--url", &source.url()]);
    let copy = Database::empty();
    repo.ok(&["restore", "latest", "--url", &copy.url()]);
    assert_eq!(pg_dump_schema(&source), pg_dump_schema(&copy));
}

/// Their triggers are the system's, and a superuser's to switch.
#[test]
fn a_foreign_key_that_was_off_is_named_to_who_may_not_switch_it_off() {
    role("r12_owner", "");
    let source = Database::with(
        "CREATE TABLE t (id int PRIMARY KEY, up int CONSTRAINT off REFERENCES t); ALTER TABLE t DISABLE TRIGGER ALL",
    );
    let (repo, states) = (Repo::new(), "SELECT string_agg(tgenabled::text, '') FROM pg_trigger");
    repo.backup(&source, &[]);
    let target = Database::empty();
    let run = repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(0);
    assert!(!run.stderr.contains("will be in force"), "{}", run.stderr);
    assert_eq!(target.one(states), "DDDD");
    repo.ok(&["compare", "latest", "--schema", "--with", &target.url()]);

    let target = empty_of("r12_owner");
    target.execute("GRANT ALL ON SCHEMA public TO r12_owner");
    let url = target.url_as("r12_owner");
    repo.run(&["restore", "latest", "--no-owner", "--no-privileges", "--url", &url])
        .expect_code(0)
        .says(&["foreign-key off on public.t will be in force", "superuser"]);
    assert_eq!(target.one(states), "OOOO");
    let ignored = ["--ignore", "owners,privileges"];
    let compare = ["compare", "latest", "--schema", "--with", &target.url()];
    let run = repo.run(&[&compare[..], &ignored].concat()).expect_code(4);
    assert!(run.stdout.contains("off: internal triggers:"), "{}", run.stdout);
}

#[test]
fn what_superusers_alone_create_is_named_as_a_whole_before_the_first_write() {
    role("r13_owner", "CREATEDB");
    let source = Database::with(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TYPE announced;
         CREATE ACCESS METHOD mine TYPE INDEX HANDLER bthandler; CREATE OPERATOR FAMILY fam USING btree;
         CREATE FUNCTION in_c(oid) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
         CREATE FUNCTION tight() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1';
         CREATE FUNCTION helped() RETURNS int LANGUAGE sql SUPPORT generate_series_int4_support AS 'SELECT 1';
         CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE TEXT SEARCH TEMPLATE tmpl (LEXIZE = dsimple_lexize);
         CREATE TEXT SEARCH PARSER prs (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
           LEXTYPES = prsd_lextype);
         CREATE CAST (bigint AS timestamptz) WITHOUT FUNCTION; CREATE EXTENSION pageinspect;
         CREATE EXTENSION pg_trgm; CREATE TYPE kind AS ENUM ('a'); CREATE CAST (kind AS int) WITH INOUT",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = empty_of("r13_owner");
    let url = target.url_as("r13_owner");
    let plain = ["restore", "latest", "--url", &url, "--no-owner", "--no-privileges"];
    let run = repo.run(&plain).expect_code(15).says(&[
        "access-method mine",
        "operator-family public.fam using btree",
        "shell-type public.announced",
        "function public.in_c(oid)",
        "function public.tight()",
        "function public.helped()",
        "text-search-template public.tmpl",
        "text-search-parser public.prs",
        "cast (bigint AS timestamp with time zone)",
        "extension pageinspect",
        "--leave-out 'function:public.helped()'",
        "--leave-out extension:pageinspect --leave-out operator-family",
    ]);
    for allowed in ["plain()", "pg_trgm", "kind"] {
        assert!(!run.stderr.contains(allowed), "{allowed} is in:\n{}", run.stderr);
    }
    assert_eq!(target.one("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'pgark'"), "0");
    // What the hint says is all that it takes.
    let (_, hint) = run.stderr.split_once("do without: ").unwrap();
    let flags = hint.lines().next().unwrap().replace('\'', "");
    let flags = flags.split("--leave-out ").skip(1).map(str::trim);
    let flags: Vec<&str> = flags.flat_map(|what| ["--leave-out", what]).collect();
    repo.run(&[&plain[..], &flags].concat()).expect_code(3);
    assert_eq!(target.one("SELECT plain() FROM t"), "1");

    // With a new database, too, before there is one.
    let url = server().url("r13_new", "r13_owner");
    repo.run(&["restore", "latest", "--create", "--url", &url])
        .expect_code(15)
        .says(&["\"r13_owner\" may not act for postgres", "--no-owner"]);
}
