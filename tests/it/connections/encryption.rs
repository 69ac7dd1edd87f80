use crate::harness::secure::{Secure, backup, secure, secure_18};

/// Backs up, and gives what the server's log says of all the sessions.
#[track_caller]
fn sessions(server: &Secure, role: &str, application: &str, more: &str) -> Vec<String> {
    let more = format!("host=db.example.test application_name={application} {more}");
    backup(&server.over_tcp(role, &more)).expect_code(0);
    let sessions = server.sessions(application);
    assert!(sessions.len() >= 2, "{sessions:?}");
    sessions
}

#[track_caller]
fn all_encrypted(role: &str, application: &str, more: &str) {
    let sessions = sessions(secure(), role, application, more);
    assert!(sessions.iter().all(|line| line.contains("SSL enabled")), "{sessions:#?}");
}

#[track_caller]
fn none_encrypted(role: &str, application: &str, more: &str) {
    let sessions = sessions(secure(), role, application, more);
    assert!(sessions.iter().all(|line| !line.contains("SSL enabled")), "{sessions:#?}");
}

#[track_caller]
fn refused(role: &str, more: &str, code: i32, says: &[&str]) {
    let more = format!("host=db.example.test {more}");
    backup(&secure().over_tcp(role, &more)).expect_code(code).says(says);
}

#[test]
fn each_mode_encrypts_as_in_libpq() {
    none_encrypted("scram", "mode_disable", "sslmode=disable");
    none_encrypted("scram", "mode_allow", "sslmode=allow");
    all_encrypted("scram", "mode_default", "");
    all_encrypted("scram", "mode_prefer", "sslmode=prefer");
    all_encrypted("scram", "mode_require", "sslmode=require");
    all_encrypted("scram", "mode_ca", "sslmode=verify-ca sslrootcert={files}/root.crt");
    all_encrypted("scram", "mode_full", "sslmode=verify-full sslrootcert={files}/root.crt");
}

#[test]
fn allow_and_prefer_fall_back_on_what_the_server_takes() {
    all_encrypted("only_tls", "falls_allow", "sslmode=allow");
    none_encrypted("only_clear", "falls_prefer", "sslmode=prefer");
    // A handshake that fails is no reason for prefer to give up either.
    none_encrypted("scram", "falls_roots", "sslmode=prefer sslrootcert={files}/other.crt");
    refused("only_tls", "sslmode=disable", 17, &["no encryption"]);
    refused("only_clear", "sslmode=require", 17, &["SSL encryption"]);
}

#[test]
fn versions_of_tls_are_as_asked_for() {
    for (version, application) in [("TLSv1.2", "tls_12"), ("TLSv1.3", "tls_13")] {
        let more = format!(
            "sslmode=require ssl_min_protocol_version={version} ssl_max_protocol_version={version}"
        );
        let sessions = sessions(secure(), "scram", application, &more);
        let protocol = format!("protocol={version}");
        assert!(sessions.iter().all(|line| line.contains(&protocol)), "{sessions:#?}");
    }
    let highest_tls_12 = "sslmode=require channel_binding=require ssl_max_protocol_version=TLSv1.2";
    all_encrypted("scram", "tls_12_bound", highest_tls_12);
    refused("scram", "ssl_max_protocol_version=TLSv1.1", 2, &["TLS 1.2"]);
}

#[test]
fn tls_begins_at_once_where_the_server_can() {
    let direct = "sslmode=require sslnegotiation=direct channel_binding=require";
    let sessions = sessions(secure_18(), "scram", "direct", direct);
    assert!(sessions.iter().all(|line| line.contains("SSL enabled")), "{sessions:#?}");
    // A server before 17 takes the handshake for a startup message.
    if secure().server.major() < 17 {
        refused("scram", direct, 17, &["cannot connect"]);
    }
    refused("scram", "sslnegotiation=direct", 2, &["sslmode=prefer is too weak"]);
}

#[test]
fn the_login_is_bound_to_the_channel_where_that_is_required() {
    all_encrypted("scram", "bound", "sslmode=require channel_binding=require");
    all_encrypted("scram", "unbound", "sslmode=require channel_binding=disable");
    refused("scram", "sslmode=disable channel_binding=require", 17, &["needs an encrypted"]);
    for role in ["digest", "clear_text", "trusted"] {
        refused(role, "sslmode=require channel_binding=require", 17, &["channel binding"]);
    }
}
