//! `pgark restore` into empty and new databases, and what it refuses.

use crate::harness::{Database, Repo, Run, admin, connect, role, server};
use std::process::Stdio;
use std::time::{Duration, Instant};

const TABLES: &str = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p);
    CREATE VIEW v AS SELECT count(*) FROM c; CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE FUNCTION f(m mood) RETURNS text LANGUAGE sql AS 'SELECT m::text'; CREATE SCHEMA s;
    CREATE SEQUENCE s.n; SELECT lo_from_bytea(99, 'x');";

fn source() -> Database {
    Database::with(&format!(
        "{TABLES} INSERT INTO p SELECT generate_series(1, 50); INSERT INTO c SELECT id FROM p"
    ))
}

/// Everything that a user could have made, counted.
fn objects(database: &Database) -> String {
    database.one(
        "SELECT concat_ws(' ',
           (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
           (SELECT count(*) FROM pg_proc WHERE oid >= 16384), (SELECT count(*) FROM pg_type WHERE oid >= 16384),
           (SELECT count(*) FROM pg_namespace WHERE oid >= 16384), (SELECT count(*) FROM pg_largeobject_metadata))",
    )
}

fn databases_like(pattern: &str) -> Vec<String> {
    connect("postgres", "postgres")
        .query(
            "SELECT datname::text FROM pg_database WHERE datname LIKE $1 ORDER BY 1",
            &[&pattern],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn a_database_that_is_not_empty_is_refused_and_stays_as_it_is() {
    let (source, repo) = (source(), Repo::new());
    repo.backup(&source, &[]);
    for (made, named) in [
        ("CREATE TABLE precious (id int)", "TABLE public.precious"),
        ("CREATE SCHEMA precious", "SCHEMA precious"),
        ("CREATE TYPE precious AS ENUM ()", "TYPE public.precious"),
        (
            "CREATE FUNCTION precious() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ROUTINE public.precious",
        ),
    ] {
        let target = Database::with(made);
        let before = objects(&target);
        repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(15).says(&[
            "is not empty",
            named,
            "--data-only",
            "--create --swap",
        ]);
        assert_eq!(objects(&target), before);
    }
}

#[test]
fn swap_replaces_a_database_in_one_step_and_keeps_the_old_one() {
    let (source, repo) = (source(), Repo::new());
    let target = Database::with("CREATE TABLE old (id int); INSERT INTO old VALUES (1)");
    repo.backup(&source, &[]);
    let restore = ["restore", "latest", "--url", &target.url(), "--create"];
    repo.run(&restore).expect_code(15).says(&["exists", "--swap"]);
    let run = repo.ok(&[&restore[..], &["--swap", "--json"]].concat());
    let summary: serde_json::Value = run.json();
    let kept = summary["kept_as"].as_str().unwrap();
    assert!(kept.starts_with(&format!("{}_before_", target.name)));
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    let count: i64 =
        connect(kept, "postgres").query_one("SELECT count(*) FROM old", &[]).unwrap().get(0);
    assert_eq!(count, 1, "the old database is whole");
    assert_eq!(databases_like(&format!("{}%", target.name)).len(), 2, "nothing else is left");
    admin(&format!("DROP DATABASE {kept}"));
}

#[test]
fn an_old_database_of_the_same_second_keeps_its_name() {
    let (source, repo) = (source(), Repo::new());
    let target = Database::with("CREATE TABLE old (id int)");
    repo.backup(&source, &[]);
    let now = chrono::Utc::now();
    let taken: Vec<String> = (0..6)
        .map(|second| {
            let moment = (now + chrono::TimeDelta::seconds(second)).format("%Y%m%d_%H%M%S");
            format!("{}_before_{moment}", target.name)
        })
        .collect();
    for name in &taken {
        admin(&format!("CREATE DATABASE {name}"));
    }
    let restore = ["restore", "latest", "--url", &target.url(), "--create", "--swap", "--json"];
    let summary: serde_json::Value = repo.ok(&restore).json();
    let kept = summary["kept_as"].as_str().unwrap().to_owned();
    assert!(!taken.contains(&kept), "{kept}");
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    for name in taken.iter().chain([&kept]) {
        admin(&format!("DROP DATABASE {name}"));
    }
}

#[test]
fn create_makes_a_database_that_is_not_there() {
    let (source, repo) = (source(), Repo::new());
    repo.backup(&source, &[]);
    let target = Database { name: format!("fresh_{}", std::process::id()), server: server() };
    repo.ok(&["restore", "latest", "--url", &target.url(), "--create"]);
    repo.ok(&["compare", "latest", "--with", &target.url()]);
}

#[test]
fn swap_refuses_while_somebody_is_connected_unless_told_to_disconnect() {
    let (source, repo, target) = (source(), Repo::new(), Database::with("CREATE TABLE old ()"));
    repo.backup(&source, &[]);
    let mut user = target.client();
    let swap = ["restore", "latest", "--url", &target.url(), "--create", "--swap"];
    repo.run(&swap).expect_code(11).says(&["1 session is connected", "--disconnect"]);
    assert_eq!(databases_like(&format!("{}%", target.name)), std::slice::from_ref(&target.name));
    user.batch_execute("SELECT 1").unwrap();
    repo.ok(&[&swap[..], &["--disconnect"]].concat());
    assert!(user.batch_execute("SELECT 1").is_err());
    repo.ok(&["compare", "latest", "--with", &target.url()]);
    for kept in databases_like(&format!("{}_before%", target.name)) {
        admin(&format!("DROP DATABASE {kept}"));
    }
}

#[test]
fn a_failed_swap_leaves_the_target_untouched_and_nothing_beside_it() {
    // The new database cannot be made equal: a row breaks a check.
    let source = Database::with(
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER TABLE t ADD CHECK (id > 1) NOT VALID;
         UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't'::regclass",
    );
    let (repo, target) = (Repo::new(), Database::with("CREATE TABLE old (id int)"));
    repo.backup(&source, &[]);
    let before = objects(&target);
    repo.run(&["restore", "latest", "--url", &target.url(), "--create", "--swap"])
        .expect_code(1)
        .says(&["t_id_check"]);
    assert_eq!(objects(&target), before);
    assert_eq!(databases_like(&format!("{}%", target.name)), std::slice::from_ref(&target.name));
}

#[test]
fn a_failed_restore_leaves_an_empty_database_empty() {
    let source = Database::with(
        "CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 1000);
         CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE TYPE e AS ENUM ('x');
         ALTER TABLE t ADD CHECK (id > 1) NOT VALID; SELECT lo_create(5);
         UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't'::regclass",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let before = objects(&target);
    repo.run(&["restore", "latest", "--url", &target.url()])
        .expect_code(1)
        .says(&["empty as before", "t_id_check"]);
    assert_eq!(objects(&target), before);
}

#[test]
fn rows_that_break_the_sources_own_foreign_key_are_kept_marked_and_reported() {
    let source = Database::with(
        "CREATE TABLE ref (id int PRIMARY KEY); CREATE TABLE ch (k int CONSTRAINT fk REFERENCES ref);
         SET session_replication_role = replica; INSERT INTO ch VALUES (99)",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()]).expect_code(1).says(&[
        "all rows",
        "foreign-key public.fk on public.ch",
        "23503",
        "pgark_restore_unfinished",
    ]);
    assert_eq!(target.one("SELECT k FROM ch"), "99");
    repo.run(&["backup", "--url", &target.url()]).expect_code(15).says(&["half restored"]);
    repo.run(&["compare", "latest", "--with", &target.url()]).expect_code(15);
    target.execute("DROP SCHEMA pgark_restore_unfinished CASCADE");
    repo.ok(&["compare", "latest", "--with", &target.url()]);
}

/// Holds table `p` of a restore's target from the moment when it is there until the end of `meanwhile`,
/// which is called when the restore waits for it.
fn holding_p(target: &Database, meanwhile: impl FnOnce()) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut blocker = target.client();
    let moment = || {
        assert!(Instant::now() < deadline, "no restore has come to table p");
        std::thread::sleep(Duration::from_millis(1));
    };
    while blocker.batch_execute("BEGIN; LOCK TABLE public.p IN ACCESS EXCLUSIVE MODE").is_err() {
        blocker.batch_execute("ROLLBACK").unwrap();
        moment();
    }
    let waits = "SELECT FROM pg_locks WHERE relation = 'public.p'::regclass AND NOT granted";
    while blocker.query(waits, &[]).unwrap().is_empty() {
        moment();
    }
    meanwhile();
    blocker.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn an_unfinished_restore_is_emptied_and_begun_again() {
    let (source, repo, target) = (source(), Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let (url, command) = (target.url(), ["restore", "latest", "--jobs", "1", "--url"]);
    let mut child =
        repo.command(&[&command[..], &[&url]].concat()).stderr(Stdio::null()).spawn().unwrap();
    holding_p(&target, || {
        child.kill().unwrap();
        child.wait().unwrap();
    });
    assert_ne!(
        target.one("SELECT to_regnamespace('pgark_restore_unfinished')"),
        "NULL",
        "{}",
        server().url("", "")
    );
    repo.run(&["compare", "latest", "--with", &url]).expect_code(15).says(&["half restored"]);
    repo.ok(&[&command[..], &[&url]].concat()).says(&["has not ended: emptying it first"]);
    repo.ok(&["compare", "latest", "--with", &url]);
}

#[test]
fn a_second_restore_into_the_same_database_is_locked_out() {
    let (source, repo, target) = (source(), Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    let (url, command) = (target.url(), ["restore", "latest", "--jobs", "1", "--url"]);
    let mut child = repo
        .command(&[&command[..], &[&url]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    holding_p(&target, || {
        repo.run(&["restore", "latest", "--url", &url])
            .expect_code(11)
            .says(&["another restore into database"]);
    });
    assert!(child.wait().unwrap().success());
    repo.ok(&["compare", "latest", "--with", &url]);
}

#[test]
fn large_objects_make_a_database_not_empty_and_are_never_removed() {
    let (source, repo) = (source(), Repo::new());
    let target = Database::with("SELECT lo_from_bytea(7, 'precious')");
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()])
        .expect_code(15)
        .says(&["is not empty: 1 large object"]);
    assert_eq!(target.one("SELECT convert_from(lo_get(7), 'UTF8')"), "precious");
}

#[test]
fn after_a_failure_the_schema_public_and_the_database_are_as_before() {
    role("public_owner", "");
    let source = Database::with(
        "ALTER SCHEMA public OWNER TO public_owner; COMMENT ON SCHEMA public IS 'theirs';
         GRANT CREATE ON SCHEMA public TO public_owner; REVOKE ALL ON SCHEMA public FROM PUBLIC;
         CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER TABLE t ADD CHECK (id > 1) NOT VALID;
         UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't'::regclass",
    );
    source.execute(&format!("COMMENT ON DATABASE {} IS 'theirs'", source.name));
    let (repo, target) = (Repo::new(), Database::empty());
    target.execute(&format!("COMMENT ON DATABASE {} IS 'ours'", target.name));
    let state = "SELECT concat_ws(' ', pg_get_userbyid(nspowner), nspacl, obj_description(n.oid, 'pg_namespace'),
        shobj_description(d.oid, 'pg_database'), datacl) FROM pg_namespace n, pg_database d
        WHERE nspname = 'public' AND datname = current_database()";
    let before = target.one(state);
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()])
        .expect_code(1)
        .says(&["empty as before"]);
    assert_eq!(target.one(state), before);
}

#[test]
fn create_keeps_a_database_whose_rows_are_proved_and_says_how_to_go_on() {
    let source = Database::with(
        "CREATE TABLE ref (id int PRIMARY KEY); CREATE TABLE ch (k int CONSTRAINT fk REFERENCES ref);
         SET session_replication_role = replica; INSERT INTO ch VALUES (99)",
    );
    let (repo, target) = (Repo::new(), Database::with("CREATE TABLE old ()"));
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url(), "--create", "--swap"])
        .expect_code(1)
        .says(&["all rows", "RENAME TO"]);
    let staged = databases_like(&format!("{}_pgark_%", target.name));
    assert_eq!(staged.len(), 1);
    let kept: i32 =
        connect(&staged[0], "postgres").query_one("SELECT k FROM ch", &[]).unwrap().get(0);
    assert_eq!(kept, 99);
    assert_eq!(target.one("SELECT to_regclass('old')"), "old");
    admin(&format!("DROP DATABASE {}", staged[0]));
}

#[test]
fn the_new_database_has_the_old_ones_settings() {
    role("settings_user", "");
    let (source, repo, target) = (source(), Repo::new(), Database::empty());
    admin(&format!("ALTER DATABASE {} SET search_path = s, public", target.name));
    admin(&format!("ALTER DATABASE {} CONNECTION LIMIT 42", target.name));
    admin(&format!(
        "ALTER ROLE settings_user IN DATABASE {} SET statement_timeout = '5s'",
        target.name
    ));
    let settings = "SELECT string_agg(concat_ws(' ', setrole::regrole, setconfig), '; ' ORDER BY setrole) || datconnlimit
        FROM pg_db_role_setting, pg_database d WHERE setdatabase = d.oid AND datname = current_database()
        GROUP BY datconnlimit";
    let before = target.one(settings);
    repo.backup(&source, &[]);
    repo.ok(&["restore", "latest", "--url", &target.url(), "--create", "--swap"]);
    assert_eq!(target.one(settings), before);
    for kept in databases_like(&format!("{}_before%", target.name)) {
        admin(&format!("DROP DATABASE {kept}"));
    }
}

#[test]
fn roles_that_cannot_be_acted_for_are_named_before_anything_is_written() {
    role("acted_owner", "");
    role("acted_other", "");
    let source = Database::with("CREATE TABLE t (id int); ALTER TABLE t OWNER TO acted_other");
    let (repo, target) = (Repo::new(), Database::empty());
    admin(&format!("ALTER DATABASE {} OWNER TO acted_owner", target.name));
    repo.backup(&source, &[]);
    let before = objects(&target);
    repo.run(&["restore", "latest", "--url", &target.url_as("acted_owner")])
        .expect_code(15)
        .says(&["may not act for acted_other", "--no-owner"]);
    assert_eq!(objects(&target), before);
    repo.ok(&[
        "restore",
        "latest",
        "--no-owner",
        "--no-privileges",
        "--url",
        &target.url_as("acted_owner"),
    ]);
}

#[test]
fn an_object_that_claims_a_lost_connection_does_not_throw_the_rows_away() {
    let source = Database::with(
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1);
         CREATE FUNCTION far() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
           IF current_database() LIKE 't%' AND EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgark_restore_unfinished')
           THEN RAISE 'no remote server' USING ERRCODE = '08001'; END IF; RETURN 1; END $$;
         CREATE MATERIALIZED VIEW v AS SELECT far()",
    );
    let (repo, target) = (Repo::new(), Database::empty());
    repo.backup(&source, &[]);
    repo.run(&["restore", "latest", "--url", &target.url()])
        .expect_code(1)
        .says(&["all rows", "no remote server"]);
    assert_eq!(target.one("SELECT count(*) FROM t"), "1");
}

#[test]
fn a_role_that_may_not_create_databases_hears_what_would_let_it() {
    role("r9_restorer", "");
    let (repo, source) = (Repo::new(), crate::harness::archive::small_database());
    repo.backup(&source, &["--no-migrations", "--name", "a"]);
    let url = source.server.url(&format!("{}_new", source.name), "r9_restorer");
    let restore = ["restore", "a", "--url", &url, "--create", "--no-owner"];
    repo.run(&restore).expect_code(1).says(&[r#"hint: ALTER ROLE "r9_restorer" CREATEDB;"#]);
}

#[test]
fn what_replaces_something_wants_its_target_on_the_command_line_and_every_restore_names_it() {
    let (repo, source) = (Repo::new(), crate::harness::archive::small_database());
    repo.backup(&source, &["--no-migrations", "--name", "a"]);
    let (name, url) = (source.name.as_str(), source.url());
    let of_environment = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = repo.command(&[&["restore", "a"][..], arguments].concat());
        command.envs(variables.iter().copied());
        Run::from(command.output().unwrap())
    };
    let folder = source.server.folder().to_str().unwrap();
    for variables in [
        &[("DATABASE_URL", url.as_str())][..],
        &[("PGHOST", folder), ("PGDATABASE", name), ("PGUSER", "postgres")],
    ] {
        for arguments in [
            &["--create", "--swap"][..],
            &["--data-only", "--on-existing", "truncate"],
            &["--data-only", "--on-existing", "upsert"],
            &["--create", "--swap", "--url", "sslmode=disable"],
        ] {
            let run = of_environment(arguments, variables).expect_code(2);
            run.says(&[
                "replaces what is there",
                "hint: name the target on the command line: --url",
            ]);
        }
    }
    let exists = format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{name}%'");
    assert_eq!(source.one(&exists), "1", "nothing was swapped");
    // What only adds takes the environment's, and says which it is.
    let target = Database::empty();
    let (empty, url) = (target.name.as_str(), target.url());
    let at = |database: &str| {
        format!("database \"{database}\" at {folder}:{} as \"postgres\"", source.server.port())
    };
    let run = of_environment(&[], &[("DATABASE_URL", &url)]).expect_code(0);
    run.says(&[&format!("pgark: restoring into {}", at(empty))]);
    let more = ["--data-only", "--on-existing", "truncate", "--url", &url];
    let run = of_environment(&more, &[]).expect_code(0);
    run.says(&[&format!("pgark: loading rows into {}", at(empty))]);
    let run = of_environment(&["--create", "--swap", "--url", &url], &[]).expect_code(0);
    let says =
        format!("restoring into a new database, which then takes the place of {}", at(empty));
    run.says(&[&says]);
    let kept = format!("(SELECT datname FROM pg_database WHERE datname LIKE '{empty}\\_before%')");
    target.server.admin(&format!("DROP DATABASE {}", source.one(&kept)));
}
