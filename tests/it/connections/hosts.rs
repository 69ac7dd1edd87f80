use crate::harness::secure::{backup, secure};
use crate::harness::server::free_port;

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
