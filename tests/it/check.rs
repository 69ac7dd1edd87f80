//! Would a backup succeed now?

use crate::harness::archive::small_database;
use crate::harness::{Database, Repo, role};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

fn checked(repo: &Repo, arguments: &[&str], code: i32) -> Value {
    let run = repo.run(&[&["check", "--json"][..], arguments].concat()).expect_code(code);
    run.json()
}

fn one<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["check"] == name)
        .unwrap_or_else(|| panic!("no {name}: {report}"))
}

fn mend(report: &Value, name: &str) -> Vec<String> {
    serde_json::from_value(one(report, name)["mend"].clone()).unwrap()
}

#[test]
fn a_database_that_can_be_backed_up_is_said_to_be() {
    let (repo, source) = (Repo::new(), small_database());
    let url = source.url();
    let run = repo.ok(&["check", "--url", &url, "--no-migrations"]);
    for text in [
        "ok       connection    database",
        "ok       privileges    ",
        "ok       locks         nobody is in the way",
        "ok       repository    ",
        "ok       room          ",
        "A backup would cover 5 tables",
        "2 sequences, 2 large objects",
    ] {
        assert!(run.stdout.contains(text), "no {text} in:\n{}", run.stdout);
    }
    let place = run.stdout.lines().find(|line| line.contains("repository")).unwrap();
    assert!(place.contains(repo.path().canonicalize().unwrap().to_str().unwrap()), "{place}");
    assert_eq!(std::fs::read_dir(repo.path()).unwrap().count(), 0, "nothing was made");
    let report = checked(&repo, &["--url", &url, "--no-migrations"], 0);
    assert_eq!(report["result"], "ready");
    repo.backup(&source, &["--no-migrations"]);
    let report = checked(&repo, &["--url", &url, "--no-migrations"], 0);
    let room = one(&report, "room")["what"].as_str().unwrap().to_owned();
    assert!(room.contains(&format!("(as {}-2", source.name)), "{room}");
    assert_eq!(repo.ok(&["check", "--url", &url, "--no-migrations", "-q"]).stdout, "");
}

/// Every privilege that is missing is named with a statement, and those statements are enough.
#[test]
fn every_missing_grant_is_named_at_once_and_what_is_named_mends_it() {
    role("c1_reader", "");
    let source = Database::with(
        r#"CREATE TABLE open (x int); CREATE TABLE "se""cret" (x int);
           CREATE SCHEMA hidden; CREATE TABLE hidden.deep (x int); CREATE SEQUENCE hidden.counter;
           CREATE SEQUENCE public.other; CREATE TABLE guarded (x int);
           ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
           SELECT lo_from_bytea(901, 'x'); SELECT lo_create(902);
           GRANT SELECT ON open, guarded TO c1_reader"#,
    );
    let (repo, url) = (Repo::new(), source.url_as("c1_reader"));
    let arguments = ["--url", &url, "--no-migrations"];
    let report = checked(&repo, &arguments, 1);
    assert_eq!(report["result"], "not ready");
    let what = one(&report, "privileges")["what"].as_str().unwrap().to_owned();
    for text in ["USAGE on schema hidden", "hidden.deep", "public.se\"cret", "hidden.counter"] {
        assert!(what.contains(text), "no {text} in {what}");
    }
    assert!(!what.contains("public.open"), "{what}");
    let grants = mend(&report, "privileges");
    for expected in [
        r#"GRANT USAGE ON SCHEMA "hidden" TO "c1_reader";"#,
        r#"GRANT SELECT ON TABLE "public"."se""cret" TO "c1_reader";"#,
        r#"GRANT SELECT ON SEQUENCE "public"."other" TO "c1_reader";"#,
        r#"GRANT SELECT ON LARGE OBJECT 901, 902 TO "c1_reader";"#,
    ] {
        assert!(grants.iter().any(|grant| grant == expected), "no {expected} in {grants:#?}");
    }
    assert_eq!(mend(&report, "row-security"), [r#"ALTER ROLE "c1_reader" BYPASSRLS;"#]);
    repo.run(&["backup", "--url", &url, "--no-migrations"]).expect_code(1);

    for statement in grants.iter().chain(&mend(&report, "row-security")) {
        source.execute(statement);
    }
    let report = checked(&repo, &arguments, 0);
    assert_eq!(one(&report, "privileges")["state"], "ok");
    repo.ok(&[&["backup"][..], &arguments].concat());
}

#[test]
fn a_selection_is_checked_as_a_backup_would_take_it() {
    role("c2_reader", "");
    let source = Database::with(
        "CREATE TABLE open (x int); CREATE TABLE secret (x int); GRANT SELECT ON open TO c2_reader",
    );
    let (repo, url) = (Repo::new(), source.url_as("c2_reader"));
    let report = checked(&repo, &["--url", &url, "--no-migrations", "--table", "open"], 0);
    assert_eq!(report["covered"]["tables"], 1);
    assert_eq!(report["covered"]["left_out"], serde_json::json!(["table public.secret"]));
    let report = checked(&repo, &["--url", &url, "--no-migrations", "--table", "opne"], 10);
    assert_eq!(one(&report, "database")["hint"], "did you mean \"open\"?");
    assert_eq!(one(&report, "database")["mend"], serde_json::json!([]));
    let filter = ["--url", &url, "--no-migrations", "--table", "open", "--where", "open=y = 1"];
    checked(&repo, &filter, 2);
}

#[test]
fn what_cannot_be_carried_is_named_unless_it_is_allowed() {
    let source = Database::with("CREATE TABLE t (x int)");
    // Something in pg_catalog that a user made: no archive carries it.
    source.execute("SET allow_system_table_mods = on; CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let (repo, url) = (Repo::new(), source.url());
    let backup = repo.run(&["backup", "--url", &url, "--no-migrations"]);
    let arguments = ["--url", &url, "--no-migrations"];
    let report = checked(&repo, &arguments, backup.code);
    if backup.code != 0 {
        let hint = one(&report, "schema")["hint"].as_str().unwrap();
        assert!(hint.contains("--allow-missing"), "{hint}");
    }
}

#[test]
fn whoever_is_in_the_way_is_named() {
    let source =
        Database::with("CREATE TABLE t (x int); CREATE TABLE u (x int); INSERT INTO t VALUES (1)");
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let repo = Repo::new();
    let report = checked(&repo, &["--url", &source.url(), "--no-migrations"], 0);
    let locks = one(&report, "locks");
    assert_eq!(locks["state"], "warning");
    let what = locks["what"].as_str().unwrap();
    for text in
        ["public.t is held by", &format!("process {pid}"), "idle in transaction", "pg_backend_pid"]
    {
        assert!(what.contains(text), "no {text} in {what}");
    }
    assert!(mend(&report, "locks")[0].contains(&format!("pg_terminate_backend({pid})")));
    assert!(report["covered"]["tables"] == 2, "{report}");
    let run = repo.ok(&["check", "--url", &source.url(), "--no-migrations"]);
    assert!(run.stdout.contains("warning  locks"), "{}", run.stdout);
}

#[test]
fn what_keeps_a_backup_from_beginning_has_the_backups_exit_code() {
    let (repo, source) = (Repo::new(), small_database());
    let url = source.url();
    let report = checked(&repo, &["--url", "host=/nowhere dbname=x user=x"], 17);
    assert_eq!(one(&report, "database")["state"], "failed");
    source.execute("CREATE SCHEMA pgark_restore_unfinished");
    let report = checked(&repo, &["--url", &url, "--no-migrations"], 15);
    assert!(one(&report, "database")["what"].as_str().unwrap().contains("half restored"));
    source.execute("DROP SCHEMA pgark_restore_unfinished");

    let gone = repo.path().join("gone");
    let mut command = crate::harness::pgark();
    command.args(["check", "--url", &url, "--no-migrations", "--repo"]).arg(&gone);
    let run = crate::harness::Run::from(command.output().unwrap()).expect_code(10);
    assert!(run.stdout.contains("FAILED   repository"), "{}", run.stdout);
    assert!(run.stdout.contains("ok       privileges"), "the rest was looked at: {}", run.stdout);
    assert!(!gone.exists());
    repo.run(&["check", "--url", &url, "--migrations", "nowhere"]).expect_code(10);
}

#[test]
fn a_repository_that_cannot_be_written_to_is_named_with_its_file_system() {
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere; a file system that is for reading alone stops root as well.
        let repo = Repo::new();
        let source = Database::with("CREATE TABLE t (x int)");
        let mut command = crate::harness::pgark();
        command.args([
            "check",
            "--json",
            "--no-migrations",
            "--url",
            &source.url(),
            "--repo",
            "/proc",
        ]);
        let run = crate::harness::Run::from(command.current_dir(repo.path()).output().unwrap());
        let report: Value = run.json();
        let what = one(&report, "repository")["what"].as_str().unwrap().to_owned();
        assert!(what.contains("proc at /proc"), "{what}");
        let mut command = crate::harness::pgark();
        command.args(["backup", "--no-migrations", "--url", &source.url(), "--repo", "/proc"]);
        let run = crate::harness::Run::from(command.current_dir(repo.path()).output().unwrap());
        assert_ne!(run.code, 0);
        run.says(&["/proc/backups", "hint: name a folder that can be written to with --repo"]);
        return;
    }
    let (repo, source) = (Repo::new(), Database::with("CREATE TABLE t (x int)"));
    std::fs::set_permissions(repo.path(), PermissionsExt::from_mode(0o500)).unwrap();
    let report = checked(&repo, &["--no-migrations", "--url", &source.url()], 1);
    std::fs::set_permissions(repo.path(), PermissionsExt::from_mode(0o700)).unwrap();
    assert!(one(&report, "repository")["what"].as_str().unwrap().contains("cannot be written to"));
}

#[test]
fn what_a_part_or_a_role_without_rights_tells_is_not_taken_for_the_whole() {
    role("c3_reader", "");
    let source = Database::with(
        "CREATE TABLE small (x int); CREATE SEQUENCE s;
         CREATE TABLE large AS SELECT repeat('x', 1000) AS v FROM generate_series(1, 2000)",
    );
    let (repo, url) = (Repo::new(), source.url());
    repo.backup(&source, &["--no-migrations", "--table", "small", "--name", "part"]);
    let plain = ["--url", &url, "--no-migrations"];
    let room = |arguments: &[&str]| {
        one(&checked(&repo, arguments, 0), "room")["what"].as_str().unwrap().to_owned()
    };
    assert!(room(&plain).contains("(half of the tables'"), "{}", room(&plain));
    let part = [&plain[..], &["--table", "small"]].concat();
    assert!(room(&part).contains("(as part)"), "{}", room(&part));

    let without = source.url_as("c3_reader");
    let report = checked(&repo, &["--url", &without, "--no-migrations"], 1);
    assert!(report["covered"]["bytes"].as_u64().unwrap() > 100_000, "{report}");
    assert_eq!(report["covered"]["sequences"], Value::Null);
    let report = checked(&repo, &[&plain[..], &["--name", "../x"]].concat(), 2);
    assert!(one(&report, "name")["what"].as_str().unwrap().contains("../x"));
}

#[test]
fn a_lock_that_hides_definitions_is_a_warning_and_the_rest_is_told() {
    let source = Database::with(
        "CREATE TABLE t (x int PRIMARY KEY, y int CHECK (y > 0)); CREATE VIEW v AS SELECT * FROM t;
         CREATE INDEX ON t ((x + y)) WHERE y > 3; CREATE TABLE u (x int)",
    );
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let repo = Repo::new();
    let report = checked(&repo, &["--url", &source.url(), "--no-migrations"], 0);
    assert_eq!(one(&report, "locks")["state"], "warning");
    assert_eq!(one(&report, "schema")["state"], "warning");
    assert_eq!(report["covered"]["tables"], 2);
    assert_eq!(report["covered"]["objects"], Value::Null);
    let run = repo.ok(&["check", "--url", &source.url(), "--no-migrations"]);
    assert!(run.stdout.contains("check again when they are gone"), "{}", run.stdout);
}

#[test]
fn a_check_that_connects_is_interrupted_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("host=127.0.0.1 port={} user=u", listener.local_addr().unwrap().port());
    let repo = Repo::new();
    let mut command = repo.command(&["check", "--url", &url, "--no-migrations"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let check = command.spawn().unwrap();
    let (_asked, _) = listener.accept().unwrap();
    let sent = std::time::Instant::now();
    let pid = check.id().to_string();
    assert!(std::process::Command::new("kill").args(["-2", &pid]).status().unwrap().success());
    let run = crate::harness::Run::from(check.wait_with_output().unwrap()).expect_code(130);
    assert!(sent.elapsed() < std::time::Duration::from_secs(3), "{run:?}");
}

#[test]
fn a_signal_that_was_ignored_before_stays_ignored() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("host=127.0.0.1 port={} user=u", listener.local_addr().unwrap().port());
    let repo = Repo::new();
    let plain = repo.command(&["backup", "--url", &url, "--no-migrations"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut backup = shell.spawn().unwrap();
    let (_asked, _) = listener.accept().unwrap();
    let pid = backup.id().to_string();
    let kill = |signal: &str| {
        let sent = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    };
    kill("-1");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(backup.try_wait().unwrap().is_none(), "it goes on");
    kill("-15");
    crate::harness::Run::from(backup.wait_with_output().unwrap()).expect_code(143);
}

#[test]
fn a_role_that_may_neither_read_nor_see_all_rows_hears_of_both_at_once() {
    role("c4_reader", "");
    let source = Database::with(
        "CREATE TABLE guarded (x int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
    );
    let (repo, url) = (Repo::new(), source.url_as("c4_reader"));
    let arguments = ["--url", &url, "--no-migrations"];
    let report = checked(&repo, &arguments, 1);
    let grants = [mend(&report, "privileges"), mend(&report, "row-security")].concat();
    assert_eq!(
        grants,
        [
            r#"GRANT SELECT ON TABLE "public"."guarded" TO "c4_reader";"#,
            r#"ALTER ROLE "c4_reader" BYPASSRLS;"#
        ]
    );
    for statement in grants {
        source.execute(&statement);
    }
    checked(&repo, &arguments, 0);
}

#[test]
fn a_role_that_may_not_connect_hears_what_would_let_it() {
    role("c5_reader", "");
    let source = Database::with("CREATE TABLE t (x int); GRANT SELECT ON t TO c5_reader");
    let revoke = format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", source.name);
    source.execute(&revoke);
    let (repo, url) = (Repo::new(), source.url_as("c5_reader"));
    let grant = format!(r#"GRANT CONNECT ON DATABASE "{}" TO "c5_reader";"#, source.name);
    let report = checked(&repo, &["--url", &url, "--no-migrations"], 17);
    assert_eq!(mend(&report, "database"), std::slice::from_ref(&grant));
    let hint = format!("hint: {grant}");
    repo.run(&["backup", "--url", &url, "--no-migrations"]).expect_code(17).says(&[&hint]);
    source.execute(&grant);
    checked(&repo, &["--url", &url, "--no-migrations"], 0);
}
