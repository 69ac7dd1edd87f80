use crate::harness::secure::{backup, backup_with, secure, write};
use crate::harness::{Repo, Run};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A connection of a role over TCP, without a password.
fn without_password(role: &str) -> String {
    format!("host=127.0.0.1 port={} dbname=shop user={role}", secure().server.port())
}

#[test]
fn each_method_works_and_the_weak_ones_are_warned_of() {
    for role in ["scram", "clear_text", "trusted"] {
        let run = backup(&secure().over_tcp(role, "host=h sslmode=require")).expect_code(0);
        assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    }
    let run = backup(&secure().over_tcp("digest", "host=h")).expect_code(0);
    assert_eq!(run.stderr.matches("MD5 digest").count(), 1, "once: {}", run.stderr);
    run.says(&["warning: the server takes the password of \"digest\"", "scram-sha-256"]);
}

#[test]
fn what_the_connection_does_not_allow_is_not_answered() {
    let refused = |role: &str, more: &str, says: &[&str]| {
        backup(&secure().over_tcp(role, more)).expect_code(17).says(says);
    };
    for (role, method) in [("digest", "md5"), ("clear_text", "password")] {
        let says = format!("asks for method {method}, and require_auth allows scram-sha-256");
        refused(role, "host=h sslmode=require require_auth=scram-sha-256", &[&says]);
    }
    refused("trusted", "host=h require_auth=scram-sha-256", &["asks for no proof of the user"]);
    refused("scram", "host=h require_auth=!scram-sha-256", &["asks for method scram-sha-256"]);
    backup(&secure().over_tcp("scram", "host=h require_auth=scram-sha-256")).expect_code(0);
    backup(&secure().over_tcp("trusted", "host=h require_auth=none,md5")).expect_code(0);
}

#[test]
fn a_missing_or_wrong_password_says_where_to_put_it() {
    let run = backup(&without_password("scram")).expect_code(17);
    run.says(&["the server asks for a password, and there is none", ".pgpass", "PGPASSWORD"]);
    let wrong = format!("{} password=s3cret", without_password("scram"));
    let run = backup(&wrong).expect_code(17);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    run.says(&["password authentication failed", "SQLSTATE 28P01"]);
}

#[test]
fn variables_give_what_the_string_leaves_open() {
    let port = secure().server.port().to_string();
    let variables = [
        ("PGHOST", "db.example.test"),
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "scram"),
        ("PGPASSWORD", "secret"),
        ("PGDATABASE", "shop"),
        ("PGSSLMODE", "require"),
        ("PGAPPNAME", "from_variables"),
    ];
    backup_with("", &[], &variables).expect_code(0);
    let sessions = secure().sessions("from_variables");
    assert!(!sessions.is_empty() && sessions.iter().all(|line| line.contains("SSL enabled")));
    backup_with("user=nobody_at_all", &[], &variables).expect_code(17).says(&["nobody_at_all"]);
    let url = format!("postgresql://scram:secret@127.0.0.1:{port}/shop");
    backup_with("", &[], &[("DATABASE_URL", &url)]).expect_code(0);
    backup_with("", &[], &[("PGPORT", "many")])
        .expect_code(2)
        .says(&["\"many\" is not a port number"]);
}

#[test]
fn the_password_file_is_used_where_nobody_else_may_read_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    let home_variable = home.path().to_str().unwrap().to_owned();
    let port = secure().server.port();
    secure().server.admin(
        r"DO $$ BEGIN CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'a:b\c'; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    write(
        &file,
        &format!(
            "# a comment\nother:*:*:*:wrong\n127.0.0.1:{port}:shop:scram:secret\n*:*:shop:digest:secret\n\
             *:{port}:*:odd:a\\:b\\\\c\n"
        ),
    );
    let run = |url: &str, more: &[(&str, &str)]| {
        let variables = [&[("HOME", home_variable.as_str())], more].concat();
        backup_with(url, &[], &variables)
    };
    run(&without_password("scram"), &[]).expect_code(0);
    run(&without_password("digest"), &[]).expect_code(0);
    // pg_hba.conf lets nobody else in.
    let odd = without_password("odd");
    run(&odd, &[]).expect_code(17).says(&["SQLSTATE 28000"]);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    run(&without_password("scram"), &[]).expect_code(17).says(&[
        "warning: the password file",
        "because others may read it: chmod 600",
        "asks for a password, and there is none",
    ]);
    // Another file by variable or by parameter, and a password of its own before it.
    let other = home.path().join("passwords");
    write(&other, "*:*:*:*:secret\n");
    let named = format!("{} passfile={}", without_password("scram"), other.display());
    run(&named, &[]).expect_code(0);
    run(&without_password("scram"), &[("PGPASSFILE", other.to_str().unwrap())]).expect_code(0);
    write(&other, "*:*:*:*:wrong\n");
    run(&named, &[]).expect_code(17).says(&["hint: the password came from", "passwords"]);
    run(&named, &[("PGPASSWORD", "secret")]).expect_code(0);
}

/// A password in the arguments is the user's own affair; nobody else shows it.
#[test]
fn a_password_in_the_connection_is_never_shown_again() {
    let (repo, port) = (Repo::new(), secure().server.port());
    let url = format!("postgresql://scram:secret@127.0.0.1:{port}/shop?application_name=hidden");
    let mut command = repo.command(&["backup", "--url", &url, "--no-migrations", "--name", "a"]);
    command.args(["--verbose", "--rate-limit", "100"]);
    secure().server.connect("shop", "postgres").batch_execute(
        "CREATE TABLE IF NOT EXISTS many AS SELECT repeat('x', 10) AS x FROM generate_series(1, 30)",
    ).unwrap();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while secure().sessions("hidden").len() < 3 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // While it runs: no child process that could be given anything.
    for thread in std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let children = thread.unwrap().path().join("children");
        assert_eq!(std::fs::read_to_string(children).unwrap_or_default(), "");
    }
    let run = Run::from(child.wait_with_output().unwrap()).expect_code(0);
    let mut shown = vec![run.stdout, run.stderr];
    for (_, bytes) in repo.files() {
        shown.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    // Failures of many kinds, for people and for programs.
    let host = format!("127.0.0.1:{port}");
    for url in [
        format!("postgresql://scram:secret@{host}/no_such_database"),
        format!("postgresql://nobody:secret@{host}/shop"),
        format!("postgresql://scram:secret@{host}/shop?sslmode=verify-full"),
        format!("postgresql://scram:secret@{host}/shop?sslmod=require"),
        format!("postgresql://scram:secret@{host}/shop?sslmode=nonsense"),
        String::from("postgresql://scram:secret@[::1/shop"),
        String::from("postgresql://scram:sec@ret@127.0.0.1:1/shop"),
        format!("host=127.0.0.1 port={port} user=scram password='secret dbname=shop"),
        String::from("mysql://scram:secret@h/d"),
    ] {
        for verb in [
            &["backup", "--url", &url, "--no-migrations"][..],
            &["compare", "a", "--with", &url],
            &["restore", "a", "--url", &url],
            &["verify", &url],
            &["backup", "--jobs", &url],
        ] {
            for more in [&[][..], &["--json"], &["-v"]] {
                let run = repo.run(&[verb, more].concat());
                assert_ne!(run.code, 0, "{verb:?}");
                shown.extend([run.stdout, run.stderr]);
            }
        }
    }
    for text in shown {
        assert!(!text.contains("secret") && !text.contains("sec@ret"), "{text}");
    }
    let log = secure().server.log("secret");
    assert!(log.iter().all(|line| !line.contains("hidden")), "{log:?}");
}
