use crate::harness::secure::{backup, secure};
use crate::harness::server::{Server, Setup, free_port};
use crate::harness::{Repo, server};
use std::path::Path;

/// Hosts, ports and the rest, with the login of `trusted`.
fn hosts(hosts: &str, ports: &str, more: &str) -> String {
    format!("host={hosts} port={ports} dbname=shop user=trusted sslmode=disable {more}")
}

#[test]
fn the_first_host_that_answers_is_taken_and_all_sessions_go_there() {
    let (closed, port) = (free_port(), secure().server.port());
    let folder = secure().server.folder().display().to_string();
    let ports = format!("{closed},{port}");
    backup(&hosts("127.0.0.1,127.0.0.1", &ports, "application_name=second_host")).expect_code(0);
    assert!(secure().sessions("second_host").len() >= 2);
    backup(&hosts(&format!("/no/such/folder,{folder}"), &port.to_string(), "")).expect_code(0);
    let url = format!(
        "postgresql://trusted@127.0.0.1:{closed},127.0.0.1:{port}/shop?load_balance_hosts=random"
    );
    backup(&url).expect_code(0);
    let run = backup(&hosts("127.0.0.1,/no/such/folder", &closed.to_string(), "")).expect_code(17);
    run.says(&[
        "cannot connect to any of the servers",
        &format!("127.0.0.1:{closed}: "),
        "Connection refused",
        "/no/such/folder:",
    ]);
}

#[test]
fn a_server_that_refuses_the_user_ends_the_search() {
    let port = secure().server.port();
    let run = backup(&format!(
        "host=127.0.0.1,127.0.0.1 port={port} dbname=shop user=scram password=wrong sslmode=disable"
    ));
    let run = run.expect_code(17).says(&["password authentication failed"]);
    assert_eq!(run.stderr.matches("password authentication failed").count(), 1, "{}", run.stderr);
}

#[test]
fn which_server_is_wanted_is_looked_at() {
    let port = secure().server.port().to_string();
    for wanted in ["any", "primary", "read-write", "prefer-standby"] {
        let more = format!("target_session_attrs={wanted}");
        backup(&hosts("127.0.0.1", &port, &more)).expect_code(0);
    }
    for (wanted, is) in [("standby", "a primary"), ("read-only", "read-write")] {
        let more = format!("target_session_attrs={wanted}");
        let says = format!("target_session_attrs asks for another server: this one is {is}");
        backup(&hosts("127.0.0.1", &port, &more)).expect_code(17).says(&[&says]);
    }
    let more = "target_session_attrs=read-only options='-c default_transaction_read_only=on'";
    backup(&hosts("127.0.0.1", &port, more)).expect_code(0);
}

/// A server in recovery that waits for WAL for ever, at `[::1]` where this machine has that.
fn standby(port: u16) -> Server {
    let prepare = |_: &Path, data: &Path| {
        crate::harness::secure::write_in_place(&data.join("standby.signal"), "");
    };
    let mut settings: Vec<String> =
        ["hot_standby=on", "wal_level=replica", "max_wal_senders=10"].map(String::from).into();
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        settings.push(String::from("listen_addresses=::1"));
    }
    let setup = Setup { name: "standby", port, settings: &settings, prepare: &prepare };
    let standby = Server::start_with(&setup);
    // The files in a server's folder are given to its user, those in its data are not.
    let recovering = "SELECT pg_is_in_recovery()";
    let row = standby.connect("postgres", "postgres").query_one(recovering, &[]).unwrap();
    assert!(row.get::<_, bool>(0), "a real standby");
    standby
}

#[test]
fn a_search_goes_on_past_a_server_of_the_wrong_kind() {
    let port = free_port();
    let (standby, primary, repo) = (standby(port), server(), Repo::new());
    let (first, second) = (standby.folder().display(), primary.folder().display());
    let (standby_first, primary_first) = (
        format!("host={first},{second} port={port},{}", primary.port()),
        format!("host={second},{first} port={},{port}", primary.port()),
    );
    let found = |hosts: &str, wanted: &str| {
        let url = format!("{hosts} user=postgres dbname=postgres target_session_attrs={wanted}");
        let run = repo.run(&["check", "--url", &url, "--no-migrations"]);
        let line = run.stdout.lines().find(|line| line.starts_with("ok       connection"));
        let line = line.unwrap_or_else(|| panic!("{wanted}: {run:?}"));
        if line.contains(", a standby") { "standby" } else { "primary" }
    };
    for (wanted, is) in [
        ("primary", "primary"),
        ("read-write", "primary"),
        ("standby", "standby"),
        ("prefer-standby", "standby"),
        ("read-only", "standby"),
    ] {
        assert_eq!(found(&standby_first, wanted), is, "{wanted}");
        assert_eq!(found(&primary_first, wanted), is, "{wanted}");
    }
    assert_eq!(found(&standby_first, "any"), "standby");
    let alone = format!("host={first} port={port} user=postgres dbname=postgres");
    repo.run(&["backup", "--url", &format!("{alone} target_session_attrs=primary")])
        .expect_code(17)
        .says(&["target_session_attrs asks for another server: this one is a standby"]);

    // An IPv6 address in brackets, and one with the number of a network interface.
    for (host, shown) in [("[::1]", "[::1]"), ("[::1%251]", "[::1%1]")] {
        let url = format!("postgresql://postgres@{host}:{port}/postgres?sslmode=disable");
        let run = repo.run(&["check", "--url", &url, "--no-migrations"]);
        let place = format!("at {shown}:{port}");
        match std::net::TcpListener::bind("[::1]:0") {
            Ok(_) => assert!(run.stdout.contains(&format!("{place} as")), "{run:?}"),
            Err(_) => assert!(run.stdout.contains(&place) && run.code == 17, "{run:?}"),
        }
    }
}
