//! What belongs to the database itself, and where things lie: settings, default privileges,
//! tablespaces, security labels, properties of a new database.

use crate::harness::carried::manifest;
use crate::harness::server::pg_dump;
use crate::harness::{Database, Repo, admin, connect, pg_dump_schema, role, server, tablespace};
use std::process::Command;

/// `pg_dump -C -s`, whatever the database is called.
fn dump_with_database(database: &Database) -> String {
    let output = Command::new(pg_dump())
        .args(["--schema-only", "--create", "--restrict-key=x", "--dbname", &database.url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().replace(&database.name, "DATABASE")
}

/// A name for a database that is not there yet, and goes with the test.
fn future(name: &str) -> Database {
    Database { name: format!("{name}_{}", std::process::id()), server: server() }
}

fn default_access(database: &Database) -> String {
    database.one(
        "SELECT string_agg(format('%s %s %s %s', defaclrole::regrole, defaclnamespace::regnamespace,
           defaclobjtype, defaclacl), '; ' ORDER BY defaclrole, defaclnamespace, defaclobjtype)
         FROM pg_default_acl",
    )
}

fn settings(database: &Database) -> String {
    database.one(
        "SELECT string_agg(format('%s %s', setrole::regrole, setconfig), '; ' ORDER BY setrole)
         FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
         WHERE datname = current_database()",
    )
}

#[test]
fn a_new_database_is_what_the_old_one_was() {
    role("d1_owner", "");
    role("d1_user", "");
    tablespace("d1_space");
    let source = Database::create(
        "TEMPLATE template0 OWNER d1_owner TABLESPACE d1_space CONNECTION LIMIT 17 LC_COLLATE 'C'",
    );
    source.execute(&format!(
        "CREATE TABLE t (x int); INSERT INTO t VALUES (1);
         ALTER DATABASE {0} SET search_path = \"$user\", public, \"a, b\";
         ALTER DATABASE {0} SET default_transaction_read_only = on;
         ALTER ROLE d1_user IN DATABASE {0} SET work_mem = '3MB';
         ALTER DATABASE {0} IS_TEMPLATE true;
         COMMENT ON DATABASE {0} IS 'the old one';
         REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO d1_user",
        source.name
    ));
    let (repo, target) = (Repo::new(), future("d1"));
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url(), "--create"]);
    assert_eq!(dump_with_database(&target), dump_with_database(&source));
    assert_eq!(settings(&target), settings(&source));
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    let written = manifest(&repo);
    assert_eq!(written["database"]["owner"], "d1_owner");
    assert_eq!(written["database"]["connection_limit"], 17);
    assert_eq!(written["database"]["tablespace"], "d1_space");
    assert_eq!(written["database"]["is_template"], true);

    // Without owners and tablespaces, it is the restoring role's, and lies where all lie.
    let plain = future("d1_plain");
    repo.ok(&[
        "restore",
        "latest",
        "--url",
        &plain.url(),
        "--create",
        "--no-owner",
        "--no-tablespaces",
    ]);
    let owner = "SELECT concat_ws(' ', datdba::regrole, spcname) FROM pg_database d
        JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = current_database()";
    assert_eq!(plain.one(owner), "postgres pg_default");
    for database in [&source, &target, &plain] {
        admin(&format!("ALTER DATABASE {} IS_TEMPLATE false", database.name));
    }
}

#[test]
fn a_closed_database_comes_back_closed() {
    let source = Database::with("CREATE TABLE t (x int)");
    let (repo, target) = (Repo::new(), future("d2"));
    repo.backup(&source, &[]);
    // Nobody can connect to a closed one to back it up: its manifest is all that can say so.
    let archive = std::fs::read(repo.path().join(&repo.files()[0].0)).unwrap();
    let closed = crate::harness::archive::Parts::of(&archive)
        .edited(|manifest| manifest["database"]["closed"] = true.into());
    let path = repo.path().join("closed.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&path, closed.bytes()).unwrap();
    repo.ok(&["restore", path.to_str().unwrap(), "--url", &target.url(), "--create"]);
    let sql = "SELECT datallowconn FROM pg_database WHERE datname = $1";
    let open: bool =
        connect("postgres", "postgres").query_one(sql, &[&target.name]).unwrap().get(0);
    assert!(!open);
}

#[test]
fn settings_come_last_and_one_that_is_refused_is_named() {
    role("d3_user", "");
    let source = Database::with("CREATE TABLE t (x int); INSERT INTO t VALUES (1)");
    source.execute(&format!(
        "ALTER DATABASE {0} SET default_transaction_read_only = on;
         ALTER DATABASE {0} SET statement_timeout = '700ms';
         ALTER DATABASE {0} SET log_min_duration_statement = 250;
         ALTER ROLE d3_user IN DATABASE {0} SET search_path = a, b",
        source.name
    ));
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(settings(&target), settings(&source));

    role("d3_owner", "");
    let owned = Database::empty();
    admin(&format!("ALTER DATABASE {} OWNER TO d3_owner", owned.name));
    let url = owned.url_as("d3_owner");
    let run = repo
        .run(&["restore", "latest", "--url", &url, "--no-owner", "--no-privileges", "--json"])
        .expect_code(3)
        .says(&["log_min_duration_statement", "search_path for d3_user", "42501"]);
    let summary: serde_json::Value = run.json();
    assert_eq!(
        summary["refused_settings"],
        serde_json::json!(["log_min_duration_statement", "search_path for d3_user"])
    );
    assert_eq!(settings(&owned), "- {default_transaction_read_only=on,statement_timeout=700ms}");
}

#[test]
fn default_privileges_come_back_and_touch_nothing_that_was_restored() {
    role("d4_app", "");
    role("d4_reader", "");
    let source = Database::with(
        "CREATE TABLE before (x int);
         ALTER DEFAULT PRIVILEGES FOR ROLE d4_app GRANT SELECT ON TABLES TO d4_reader;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO d4_reader;
         ALTER DEFAULT PRIVILEGES FOR ROLE d4_app IN SCHEMA public GRANT USAGE ON SEQUENCES TO d4_reader;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         CREATE TABLE after (x int);
         CREATE MATERIALIZED VIEW m AS SELECT 1 AS x; REVOKE ALL ON m FROM d4_reader",
    );
    // What the target itself would give to everything.
    let target = Database::with(
        "ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES FOR ROLE d4_app REVOKE ALL ON TYPES FROM PUBLIC",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(default_access(&target), default_access(&source));
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
    let plain = Database::empty();
    repo.ok(&["restore", "latest", "--url", &plain.url(), "--no-privileges"]);
    assert_eq!(default_access(&plain), "NULL");
}

#[test]
fn after_a_failure_settings_and_default_privileges_are_as_before() {
    role("d5_reader", "");
    let source = Database::with(
        "CREATE TABLE ref (id int PRIMARY KEY); CREATE TABLE ch (k int CONSTRAINT fk REFERENCES ref);
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO d5_reader;
         SET session_replication_role = replica; INSERT INTO ch VALUES (99)",
    );
    source.execute(&format!("ALTER DATABASE {} SET work_mem = '7MB'", source.name));
    let target = Database::with("ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO PUBLIC");
    admin(&format!("ALTER DATABASE {} SET work_mem = '8MB'", target.name));
    admin(&format!(
        "ALTER ROLE d5_reader IN DATABASE {} SET search_path = x, \"y z\"",
        target.name
    ));
    let before = (default_access(&target), settings(&target));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    // The rows are kept, with what the archive says, and the mark.
    repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(1).says(&["fk", "23503"]);
    assert_ne!((default_access(&target), settings(&target)), before);
    // The next restore empties the database first, and then is refused.
    let gone = Database::with(&format!(
        "CREATE ROLE d5_gone_{0}; CREATE TABLE t (x int); ALTER TABLE t OWNER TO d5_gone_{0}",
        std::process::id()
    ));
    let other = Repo::new();
    other.backup(&gone, &[]);
    gone.execute(&format!("DROP TABLE t; DROP ROLE d5_gone_{}", std::process::id()));
    other.run(&["restore", "latest", "--url", &target.url()]).expect_code(15).says(&["d5_gone"]);
    assert_eq!((default_access(&target), settings(&target)), before);
}

const WHERE: &str =
    "SELECT string_agg(format('%s %s', c.oid::regclass, spcname), '; ' ORDER BY relname)
    FROM pg_class AS c LEFT JOIN pg_tablespace AS t ON t.oid = reltablespace
    WHERE relnamespace = 'public'::regnamespace";

#[test]
fn tablespaces_are_kept_mapped_or_left() {
    for name in ["d6_one", "d6_two", "d6_three"] {
        tablespace(name);
    }
    let source = Database::with(
        "CREATE TABLE t (a int PRIMARY KEY USING INDEX TABLESPACE d6_two, b int) TABLESPACE d6_one;
         INSERT INTO t SELECT i, i FROM generate_series(1, 1000) AS i;
         CREATE INDEX i ON t (b) TABLESPACE d6_one;
         CREATE TABLE p (a int) PARTITION BY LIST (a) TABLESPACE d6_one;
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
         CREATE MATERIALIZED VIEW v TABLESPACE d6_two AS SELECT count(*) FROM t;
         CREATE TABLE home (a int)",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let restored = |more: &[&str]| {
        let target = Database::empty();
        repo.ok(&[&["restore", "latest", "--url", &target.url()], more].concat());
        target
    };
    let kept = restored(&[]);
    assert_eq!(kept.one(WHERE), source.one(WHERE));
    assert_eq!(pg_dump_schema(&kept), pg_dump_schema(&source));
    let mapped =
        restored(&["--tablespace-map", "d6_one=d6_three", "--tablespace-map", "d6_two=pg_default"]);
    assert_eq!(
        mapped.one(WHERE),
        "home ; i d6_three; p d6_three; p1 d6_three; t d6_three; t_pkey ; v "
    );
    let left = restored(&["--no-tablespaces"]);
    assert_eq!(left.one(WHERE), "home ; i ; p ; p1 ; t ; t_pkey ; v ");
}

/// A library that provides labels, built for the server of the run.
fn label_provider() -> String {
    let library = server().folder().join("label_provider.so");
    if !library.exists() {
        let source = crate::harness::project().join("tests/fixtures/label_provider.c");
        let major = connect("postgres", "postgres")
            .query_one("SELECT current_setting('server_version_num')::int / 10000", &[])
            .unwrap()
            .get::<_, i32>(0);
        let built = library.with_extension(format!("{:?}", std::thread::current().id()));
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", &format!("-DMAJOR={major}")])
            .arg("-o")
            .args([&built, &source])
            .output()
            .expect("cc, which Rust needs too");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::rename(&built, &library).unwrap();
    }
    library.to_str().unwrap().to_owned()
}

/// Labels hold only where a library of that provider is loaded into every session.
fn with_provider(database: &Database) {
    admin(&format!(
        "ALTER DATABASE {} SET session_preload_libraries = '{}'",
        database.name,
        label_provider()
    ));
}

const LABELS: &str =
    "SELECT string_agg(format('%s %s %s', pg_describe_object(classoid, objoid, objsubid),
    provider, label), '; ' ORDER BY pg_describe_object(classoid, objoid, objsubid)) FROM
    (SELECT classoid, objoid, objsubid, provider, label FROM pg_seclabel) AS l";

#[test]
fn security_labels_come_back_where_their_provider_is_loaded() {
    role("d7_user", "");
    let source = Database::empty();
    with_provider(&source);
    source.execute(&format!(
        "CREATE SCHEMA s; CREATE TABLE s.t (a int, \"b \"\"c\" text); CREATE VIEW v AS SELECT 1 AS x;
         CREATE FUNCTION f(int, s.t) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE q;
         CREATE TYPE e AS ENUM (); CREATE DOMAIN d AS int; CREATE MATERIALIZED VIEW m AS SELECT 1 AS x;
         CREATE PROCEDURE pr() LANGUAGE sql AS 'SELECT 1'; CREATE EXTENSION pg_trgm;
         SELECT lo_create(4711);
         SECURITY LABEL FOR pgark ON SCHEMA s IS 'it''s';
         SECURITY LABEL FOR pgark ON TABLE s.t IS E'two\\nlines';
         SECURITY LABEL FOR pgark ON COLUMN s.t.\"b \"\"c\" IS 'column';
         SECURITY LABEL FOR pgark ON VIEW v IS 'view';
         SECURITY LABEL FOR pgark ON COLUMN v.x IS 'column of a view';
         SECURITY LABEL FOR pgark ON FUNCTION f(int, s.t) IS 'function';
         SECURITY LABEL FOR pgark ON PROCEDURE pr() IS 'procedure';
         SECURITY LABEL FOR pgark ON SEQUENCE q IS 'sequence';
         SECURITY LABEL FOR pgark ON TYPE e IS 'enum';
         SECURITY LABEL FOR pgark ON DOMAIN d IS 'domain';
         SECURITY LABEL FOR pgark ON MATERIALIZED VIEW m IS 'filled';
         SECURITY LABEL FOR pgark ON LARGE OBJECT 4711 IS 'large';
         SECURITY LABEL FOR pgark ON FUNCTION similarity(text, text) IS 'part of an extension';
         SECURITY LABEL FOR pgark ON DATABASE {} IS 'database'",
        source.name
    ));
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let target = Database::empty();
    with_provider(&target);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    assert_eq!(target.one(LABELS), source.one(LABELS));
    assert_eq!(pg_dump_schema(&target), pg_dump_schema(&source));
    let of_database = "SELECT label FROM pg_shseclabel WHERE objoid =
        (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(target.one(of_database), "database");

    let bare = Database::empty();
    repo.ok(&["restore", "latest", "--url", &bare.url(), "--no-security-labels"]);
    assert_eq!(bare.one(LABELS), "NULL");
}

#[test]
fn a_locale_that_the_server_lacks_can_be_replaced() {
    let source =
        Database::with("CREATE TABLE t (x text COLLATE \"C\"); INSERT INTO t VALUES ('b'), ('A')");
    let repo = Repo::new();
    repo.backup(&source, &[]);
    let archive = std::fs::read(repo.path().join(&repo.files()[0].0)).unwrap();
    let foreign = crate::harness::archive::Parts::of(&archive).edited(|manifest| {
        manifest["source"]["collate"] = "xx_YY.UTF-8".into();
        manifest["source"]["ctype"] = "xx_YY.UTF-8".into();
    });
    let path = repo.path().join("foreign.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    std::fs::write(&path, foreign.bytes()).unwrap();
    let (path, target) = (path.to_str().unwrap(), future("d8"));
    let url = target.url();
    let restore = ["restore", path, "--url", &url, "--create"];
    repo.run(&restore).expect_code(1).says(&["xx_YY.UTF-8", "--locale"]);
    repo.ok(&[&restore[..], &["--locale", "C"]].concat());
    let collate = "SELECT datcollate FROM pg_database WHERE datname = current_database()";
    assert_eq!(target.one(collate), "C");
}
