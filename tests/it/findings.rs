//! What a review of the first version found, one test for each.

use crate::harness::carried::manifest;
use crate::harness::{Database, Repo, Run};
use pgark::error::{Error, Kind};
use pgark::model::connection::Connection;
use pgark::ops::interrupt::Interrupt;
use pgark::ops::pool;
use pgark::pg::session::{Purpose, Session};
use pgark::pg::snapshot;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn open(database: &Database) -> Session {
    let connection = Connection { string: database.url(), ..Connection::default() };
    Session::open(&connection, None, Purpose::Catalog).unwrap()
}

#[test]
fn a_backup_that_the_server_picks_to_end_a_deadlock_asks_for_its_locks_again() {
    let source = Database::with("CREATE TABLE a (x int); CREATE TABLE b (x int)");
    // The backup's session looks for deadlocks before its own attempt ends, the other one never.
    let url = format!("{} options='-c deadlock_timeout=50ms'", source.url());
    let repo = Repo::new();
    let mut other = source.client();
    other.batch_execute("SET deadlock_timeout = '1h'").unwrap();
    // The circle must stand when the backup's session looks, which it does once for each attempt.
    for _ in 0..30 {
        other.batch_execute("BEGIN; LOCK TABLE b IN ACCESS EXCLUSIVE MODE").unwrap();
        let child = repo
            .command(&["backup", "--url", &url, "--quiet"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let waits = "SELECT FROM pg_locks WHERE relation = 'b'::regclass AND NOT granted";
        while other.query(waits, &[]).unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        other.batch_execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE; COMMIT").unwrap();
        Run::from(child.wait_with_output().unwrap()).expect_code(0);
        let ended = "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()";
        if source.one(ended) == "true" {
            return;
        }
    }
    panic!("the server never had to end a circle");
}

#[test]
fn a_patience_beyond_all_bounds_is_wrong_usage() {
    let source = Database::with("CREATE TABLE t (x int)");
    let (repo, url) = (Repo::new(), source.url());
    for patience in ["18446744073709551615", "2147484", "0"] {
        let run = repo.run(&["backup", "--url", &url, "--lock-timeout", patience]);
        run.expect_code(2).says(&["--lock-timeout", "2147483"]);
    }
    repo.ok(&["backup", "--url", &url, "--lock-timeout", "2147483"]);
}

#[test]
fn quiet_says_in_its_help_that_warnings_are_printed() {
    let run = Repo::new().ok(&["backup", "--help"]);
    assert!(run.stdout.contains("Say nothing but warnings and errors"), "{}", run.stdout);
}

#[test]
fn rows_do_not_reach_error_messages() {
    let source = Database::with(
        "CREATE TABLE users (id int, email text);
         INSERT INTO users VALUES (1, 'secret@example.org'), (2, 'secret@example.org')",
    );
    let repo = Repo::new();
    repo.backup(&source, &[]);
    for (target, said) in [
        ("CREATE TABLE users (id int, email text UNIQUE)", "SQLSTATE 23505"),
        ("CREATE TABLE users (id int, email text CHECK (id > 2))", "SQLSTATE 23514"),
        ("CREATE TABLE users (id int, email text CHECK (email::int > 0))", "SQLSTATE 22P02"),
    ] {
        let target = Database::with(target);
        let run = repo.run(&["restore", "latest", "--url", &target.url(), "--data-only"]);
        assert_ne!(run.code, 0);
        assert!(!run.stderr.contains("secret"), "{}", run.stderr);
        run.says(&[said, "COPY users, line "]);
    }
}

#[test]
fn the_catalogs_fingerprint_sees_every_change_of_a_definition_and_no_temporary_table() {
    let database = Database::with("CREATE TABLE t (x text, y int); CREATE SEQUENCE s");
    let (mut session, mut client) = (open(&database), database.client());
    let mut before = snapshot::catalog_fingerprint(&mut session).unwrap();
    let mut changed = |sql: &str| {
        client.batch_execute(sql).unwrap();
        let after = snapshot::catalog_fingerprint(&mut session).unwrap();
        std::mem::replace(&mut before, after.clone()) != after
    };
    for sql in [
        "ALTER TABLE t ALTER x SET STORAGE external",
        "ALTER TABLE t ALTER x SET STATISTICS 7",
        "CREATE INDEX i ON t (y)",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "ALTER SEQUENCE s INCREMENT 5",
        "COMMENT ON COLUMN t.x IS 'new'",
    ] {
        assert!(changed(sql), "{sql}");
    }
    for sql in [
        "CREATE TEMPORARY TABLE tmp (x serial PRIMARY KEY, y text DEFAULT 'a');
         COMMENT ON TABLE tmp IS 'x'",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO t VALUES ('a', 1); SELECT nextval('s'); ANALYZE t",
    ] {
        assert!(!changed(sql), "{sql}");
    }
    assert!(changed("CREATE TABLE u () INHERITS (t)") && changed("ALTER TABLE u NO INHERIT t"));
}

#[test]
fn a_statement_that_begins_after_the_signal_is_cancelled_too() {
    let database = Database::empty();
    let (interrupt, mut session) = (Interrupt::default(), open(&database));
    interrupt.register(session.canceller());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| interrupt.raise(15));
        std::thread::sleep(Duration::from_millis(400));
        let failed = session.execute("SELECT pg_catalog.pg_sleep(60)").unwrap_err();
        assert_eq!(interrupt.reason(failed).kind(), Kind::Interrupted(15));
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // The run has heard of it: what cleans up is left in peace.
    session.execute("SELECT pg_catalog.pg_sleep(1.5)").unwrap();
}

#[test]
fn the_failure_of_one_worker_ends_the_queries_of_the_others_at_once() {
    let database = Database::empty();
    let interrupt = Interrupt::default();
    let mut leader = open(&database);
    interrupt.register(leader.canceller());
    let fails = |worker_fails: bool| {
        let begun = Instant::now();
        let error = pool::run(
            2,
            vec![60, 0],
            &interrupt,
            || {
                let session = open(&database);
                interrupt.register(session.canceller());
                Ok(session)
            },
            |session, seconds, emit| {
                // Both workers are at work when it fails.
                std::thread::sleep(Duration::from_millis(300));
                match seconds {
                    0 if worker_fails => Err(Error::failed("broken")),
                    0 => emit(()),
                    _ => session.execute(&format!("SELECT pg_catalog.pg_sleep({seconds})")),
                }
            },
            |()| Err(Error::failed("full disk")),
        )
        .unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        error.to_string()
    };
    assert_eq!(fails(true), "broken");
    assert_eq!(fails(false), "full disk");
    interrupt.check().unwrap();
    leader.execute("SELECT 1").unwrap();
}

/// A folder with an Alembic project whose configuration names this URL.
fn project(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("migrations/versions")).unwrap();
    let file = |name: &str, text: &str| {
        let mut file = std::fs::File::create(folder.path().join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    file(
        "alembic.ini",
        &format!("[alembic]\nscript_location = migrations\nsqlalchemy.url = {url}\n"),
    );
    file("migrations/env.py", "");
    file("migrations/versions/0001.py", "revision = '0001'\ndown_revision = None\n");
    folder
}

#[test]
fn a_password_in_a_migration_project_is_warned_of_and_not_shown() {
    let source = Database::with("CREATE TABLE alembic_version (version_num varchar(32))");
    let repo = Repo::new();
    let backup = |url: &str, name: &str| {
        let project = project(url);
        let folder = project.path().to_str().unwrap();
        repo.ok(&["backup", "--url", &source.url(), "--migrations", folder, "--name", name])
    };
    let run = backup("postgresql://app:geheim@db.example/shop", "secret");
    let run = run.says(&["alembic.ini", "password"]);
    assert!(!run.stderr.contains("geheim") && !run.stdout.contains("geheim"));
    let run = backup("postgresql://app@db.example/shop", "open");
    assert!(!run.stderr.contains("password"), "{}", run.stderr);
}

#[test]
fn a_ledger_is_known_whatever_the_width_of_its_column_and_missed_aloud() {
    let project = project("driver://");
    let folder = project.path().to_str().unwrap();
    for column in ["varchar(32)", "varchar(255)", "varchar", "text"] {
        let source = Database::with(&format!(
            "CREATE TABLE alembic_version (version_num {column} PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('0001')"
        ));
        let repo = Repo::new();
        let run = repo.ok(&["backup", "--url", &source.url(), "--migrations", folder]);
        assert!(!run.stderr.contains("alembic_version"), "{}", run.stderr);
        assert_eq!(manifest(&repo)["ledgers"][0]["revisions"][0], "0001", "{column}");
    }
    let repo = Repo::new();
    let source = Database::with("CREATE TABLE t (x int)");
    let run = repo.ok(&["backup", "--url", &source.url(), "--migrations", folder]);
    run.says(&["warning", "alembic_version"]);
}

#[test]
fn latest_of_several_databases_is_an_error_that_names_the_choices() {
    let (blog, shop) = (Database::with("CREATE TABLE b (x int)"), Database::empty());
    let (target, repo) = (Database::empty(), Repo::new());
    shop.execute("CREATE TABLE s (x int)");
    repo.backup(&shop, &["--name", "first"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    repo.backup(&blog, &["--name", "second"]);
    let other = Database::empty();
    let (of_blog, of_shop) = (format!("latest:{}", blog.name), format!("latest:{}", shop.name));
    let run = repo.run(&["restore", "latest", "--url", &other.url()]).expect_code(2);
    run.says(&["several databases", &of_blog, &of_shop]);
    assert_eq!(other.one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    repo.ok(&["restore", &of_shop, "--url", &other.url()]);
    assert_eq!(other.one("SELECT to_regclass('s') IS NOT NULL"), "true");
    repo.run(&["compare", "latest:none", "--with", &other.url()]).expect_code(10).says(&["none"]);
}

#[test]
fn one_archive_that_cannot_be_verified_does_not_keep_the_others_from_it() {
    let source = Database::with("CREATE TABLE t AS SELECT 1 AS x");
    let repo = Repo::new();
    for name in ["good", "gone", "newer"] {
        repo.backup(&source, &["--name", name]);
    }
    let sound = |run: &Run| assert!(run.stdout.contains("good.tar: sound"), "{}", run.stdout);
    let run = repo.run(&["verify", "unknown", "good"]).expect_code(10);
    sound(&run);
    let run = run.says(&["there is no archive \"unknown\""]);
    assert!(!run.stdout.contains("unknown"), "{}", run.stdout);

    // A newer format: of the manifest in manifests/ and, by its length, of the one inside.
    for file in ["backups/newer.tar", "manifests/newer.json"] {
        let path = repo.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let version = b"\"version\": 1";
        let at = bytes.windows(version.len()).position(|w| w == version).unwrap();
        bytes[at + version.len() - 1] = b'9';
        std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), &bytes).unwrap();
    }
    let run = repo.run(&["verify", "newer", "unknown", "good"]).expect_code(15);
    sound(&run);
    run.says(&["format version 9"]);

    std::fs::remove_file(repo.path().join("backups/gone.tar")).unwrap();
    let run = repo.run(&["verify", "unknown", "newer", "gone", "good"]).expect_code(13);
    sound(&run);
    assert!(run.stdout.contains("gone.tar: DAMAGED"), "{}", run.stdout);
    let run = repo.run(&["verify", "gone", "good", "--json"]).expect_code(13);
    let said: serde_json::Value = run.json();
    assert_eq!(said["archives"][1]["sound"], true);
}

#[test]
fn large_objects_are_never_left_out_without_a_word() {
    let source = Database::with(
        "CREATE TABLE t (x int); SELECT lo_from_bytea(0, 'one'), lo_from_bytea(0, 'two')",
    );
    for selection in [["-t", "*"], ["-n", "public"]] {
        let repo = Repo::new();
        let mut arguments = vec!["backup", "--url"];
        let url = source.url();
        arguments.push(&url);
        arguments.extend(selection);
        repo.ok(&arguments).says(&["2 large objects"]);
        let manifest = manifest(&repo);
        assert_eq!(manifest["left_out"].to_string(), "[\"2 large objects\"]");
        assert_eq!(manifest["whole"], false);
    }
    let repo = Repo::new();
    repo.backup(&source, &["--exclude-data", "t"]);
    let manifest = manifest(&repo);
    assert_eq!(
        (&manifest["whole"], &manifest["large_objects"]["count"]),
        (&true.into(), &2.into())
    );
}

#[test]
fn an_archive_without_some_rows_is_still_compared_as_the_whole_database() {
    let source = Database::with("CREATE TABLE t AS SELECT 1 AS x; CREATE TABLE u (x int)");
    let repo = Repo::new();
    repo.backup(&source, &["--exclude-data", "t"]);
    repo.ok(&["compare", "latest", "--with", &source.url()]);
    source.execute("CREATE TABLE later (x int)");
    let run = repo.run(&["compare", "latest", "--with", &source.url()]).expect_code(4);
    assert!(run.stdout.contains("public.later: is not in the archive"), "{}", run.stdout);
}

/// Letters in the catalogs as a later PostgreSQL may have them.
const OF_THE_FUTURE: &str = "CREATE TABLE a (x int); CREATE TABLE b (x int, y int);
    CREATE SCHEMA s; CREATE TABLE s.c (x int);
    CREATE POLICY own ON b USING (x > 0);
    CREATE STATISTICS st ON x, y FROM b;
    CREATE RULE r AS ON DELETE TO s.c DO INSTEAD NOTHING;
    CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION e();
    UPDATE pg_policy SET polcmd = 'z';
    UPDATE pg_statistic_ext SET stxkind = '{d,z}';
    UPDATE pg_rewrite SET ev_enabled = 'z' WHERE rulename = 'r';
    UPDATE pg_event_trigger SET evtenabled = 'z'";

#[test]
fn an_exclusion_does_not_drop_what_is_unknown_of_the_tables_that_stay() {
    let source = Database::with(OF_THE_FUTURE);
    let (repo, url) = (Repo::new(), source.url());
    let (policy, statistics) =
        ("policy own on public.b (z)", "kind z of extended statistics public.st");
    let (rule, trigger) = ("state z of rule r on s.c", "state z of event trigger e");
    let refused = |arguments: &[&str], named: &[&str], unnamed: &[&str]| {
        let mut all = vec!["backup", "--url", &url];
        all.extend(arguments);
        let run = repo.run(&all).expect_code(15).says(&["cannot carry"]).says(named);
        for text in unnamed {
            assert!(!run.stderr.contains(text), "\"{text}\" in:\n{}", run.stderr);
        }
        assert_eq!(repo.files(), []);
    };
    refused(&["-T", "a"], &[policy, statistics, rule, trigger], &[]);
    refused(&["-N", "s"], &[policy, statistics, trigger], &[rule]);
    refused(&["-T", "b"], &[rule, trigger], &[policy, statistics]);
    refused(&["-t", "b"], &[policy, statistics], &[rule, trigger]);
    refused(&["-n", "s"], &[rule], &[policy, statistics, trigger]);
    // What is allowed is listed, and what was not asked for too.
    repo.run(&["backup", "--url", &url, "-n", "s", "--allow-missing", "unknown"]).expect_code(3);
    let manifest = manifest(&repo);
    assert!(manifest["not_carried"].to_string().contains(rule));
    let left_out = manifest["left_out"].to_string();
    assert!(left_out.contains(policy) && left_out.contains(trigger), "{left_out}");
    assert_eq!(manifest["whole"], false);
}

#[test]
fn a_selection_that_nothing_uncarried_belongs_to_needs_no_permission() {
    let source = Database::with(OF_THE_FUTURE);
    let repo = Repo::new();
    repo.ok(&["backup", "--url", &source.url(), "-t", "a"]);
    let manifest = manifest(&repo);
    assert_eq!(manifest["not_carried"].to_string(), "[]");
    assert!(manifest["left_out"].to_string().contains("policy own on public.b (z)"));
}

#[test]
fn an_archive_with_an_excluded_table_is_still_compared_by_its_large_objects() {
    let source =
        Database::with("CREATE TABLE t (); CREATE TABLE u (); SELECT lo_from_bytea(7001, 'x')");
    let repo = Repo::new();
    repo.backup(&source, &["-T", "u"]);
    repo.ok(&["compare", "latest", "--with", &source.url()]);
    source.execute("SELECT lo_unlink(7001)");
    repo.run(&["compare", "latest", "--with", &source.url()]).expect_code(4);
}
