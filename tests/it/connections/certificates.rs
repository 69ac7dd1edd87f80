use crate::harness::secure::{Authority, backup, secure, write};
use std::os::unix::fs::PermissionsExt;

#[track_caller]
fn refused(role: &str, more: &str, code: i32, says: &[&str]) {
    backup(&secure().over_tcp(role, more)).expect_code(code).says(says);
}

#[track_caller]
fn accepted(role: &str, more: &str) {
    backup(&secure().over_tcp(role, more)).expect_code(0);
}

#[test]
fn full_verification_refuses_a_wrong_name_and_an_unknown_issuer() {
    let full =
        |host: &str| format!("host={host} sslmode=verify-full sslrootcert={{files}}/root.crt");
    for host in ["db.example.test", "DB.Example.Test", "any.wild.test", "127.0.0.1"] {
        accepted("scram", &full(host));
    }
    for host in ["other.example.test", "wild.test", "a.b.wild.test"] {
        refused(
            "scram",
            &full(host),
            17,
            &[
                &format!(
                    "the server's certificate is for db.example.test, *.wild.test, 127.0.0.1, not \"{host}\""
                ),
                "hint: check the host's name",
            ],
        );
    }
    let others = "host=db.example.test sslrootcert={files}/other.crt";
    for mode in ["require", "verify-ca", "verify-full"] {
        refused(
            "scram",
            &format!("{others} sslmode={mode}"),
            17,
            &["comes from nobody that sslrootcert trusts", "hint: check sslrootcert"],
        );
    }
    accepted("scram", "host=wrong.test sslmode=verify-ca sslrootcert={files}/root.crt");
    // Without roots, require encrypts and trusts; the stronger modes have nothing to go by.
    accepted("scram", "host=wrong.test sslmode=require");
    for mode in ["verify-ca", "verify-full"] {
        let missing = format!("host=db.example.test sslmode={mode} sslrootcert=/no/such/file");
        refused("scram", &missing, 2, &["/no/such/file does not exist", "sslrootcert=system"]);
    }
    // The system does not know the test's authority.
    let system = "host=db.example.test sslrootcert=system";
    let run = backup(&secure().over_tcp("scram", system));
    assert!(run.code == 17 || run.code == 10, "{run:?}");
}

#[test]
fn a_client_shows_its_certificate_to_a_server_that_asks() {
    let secure = secure();
    let own = secure.authority.client("certified");
    let certificate = secure.file("certified.crt");
    let key = secure.file("certified.key");
    write(&certificate, &own.certificate);
    write(&key, &own.key);
    let with = "host=db.example.test sslmode=verify-full sslrootcert={files}/root.crt sslcert={files}/certified.crt sslkey={files}/certified.key";
    accepted("certified", with);
    accepted("certified", &format!("{with} sslcertmode=require"));
    refused(
        "trusted",
        "host=127.0.0.1 sslmode=disable sslcertmode=require",
        17,
        &["sslcertmode=require needs an encrypted connection"],
    );
    // The certificate is another user's, or is not shown, or comes from elsewhere.
    refused("only_tls", &format!("{with} sslcertmode=require user=certified2"), 17, &["28000"]);
    let without = "host=db.example.test sslmode=require";
    refused("certified", without, 17, &["certificate"]);
    refused("certified", &format!("{with} sslcertmode=disable"), 17, &["certificate"]);
    let foreign = Authority::new("somebody else").client("certified");
    write(&secure.file("foreign.crt"), &foreign.certificate);
    write(&secure.file("foreign.key"), &foreign.key);
    let theirs = "host=db.example.test sslmode=require sslcert={files}/foreign.crt sslkey={files}/foreign.key";
    refused("certified", theirs, 17, &["cannot connect"]);
    let crossed = "host=db.example.test sslmode=require sslcert={files}/certified.crt sslkey={files}/foreign.key";
    refused("certified", crossed, 2, &["does not belong to certificate"]);
    let lone = "host=db.example.test sslmode=require sslcert={files}/certified.crt sslkey={files}/none.key";
    refused("certified", lone, 2, &["its private key", "is not", "hint: name the key with sslkey"]);
    let open = secure.file("open.key");
    write(&open, &own.key);
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    let open = "host=db.example.test sslmode=require sslcert={files}/certified.crt sslkey={files}/open.key";
    refused("certified", open, 2, &["can be read or changed by others", "chmod 600"]);
}

#[test]
fn certificates_at_home_are_found_as_libpq_finds_them() {
    let secure = secure();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".postgresql")).unwrap();
    let own = secure.authority.client("certified");
    let at_home = |name: &str| home.path().join(".postgresql").join(name);
    write(&at_home("postgresql.crt"), &own.certificate);
    write(&at_home("postgresql.key"), &own.key);
    write(&at_home("root.crt"), &secure.authority.pem());
    let run = |more: &str| {
        let repo = crate::harness::Repo::new();
        let url = secure.over_tcp("certified", more);
        let mut command = repo.command(&["backup", "--no-migrations", "-w", "--url", &url]);
        command.env("HOME", home.path());
        crate::harness::Run::from(command.output().unwrap())
    };
    run("host=db.example.test sslmode=verify-full").expect_code(0);
    // Roots at home are used by require, too.
    write(&at_home("root.crt"), &Authority::new("somebody else").pem());
    run("host=db.example.test sslmode=require").expect_code(17);
}
