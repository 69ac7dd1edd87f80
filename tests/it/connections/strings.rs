use crate::harness::secure::{backup, backup_with, secure, write};

#[test]
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn a_service_is_looked_up_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services");
    let port = secure().server.port();
    write(
        &file,
        &format!(
            "[shop]\nhost=127.0.0.1\nport={port}\ndbname=shop\nuser=scram\npassword=secret\n\
             application_name=by_service\n[bad]\nhots=x\n"
        ),
    );
    let named = [("PGSERVICEFILE", file.to_str().unwrap())];
    backup_with("service=shop", &[], &named).expect_code(0);
    assert!(!secure().sessions("by_service").is_empty());
    backup_with("", &[], &[named[0], ("PGSERVICE", "shop")]).expect_code(0);
    backup_with(&format!("service=shop servicefile={}", file.display()), &[], &[]).expect_code(0);
    backup_with("postgresql://?service=shop", &[], &named).expect_code(0);
    // At home, and in the system's folder.
    std::fs::rename(&file, folder.path().join(".pg_service.conf")).unwrap();
    backup_with("service=shop", &[], &[("HOME", folder.path().to_str().unwrap())]).expect_code(0);
    let system = folder.path().join("pg_service.conf");
    std::fs::rename(folder.path().join(".pg_service.conf"), &system).unwrap();
    let system = [("PGSYSCONFDIR", folder.path().to_str().unwrap())];
    backup_with("service=shop", &[], &system).expect_code(0);
    backup_with("service=bad", &[], &system)
        .expect_code(2)
        .says(&["unknown connection parameter \"hots\"", "did you mean \"host\"?"]);
    backup_with("service=other", &[], &system)
        .expect_code(10)
        .says(&["service \"other\" is not defined", "looked in "]);
}

#[test]
fn sockets_and_abstract_sockets_are_reached() {
    let server = &secure().server;
    let port = server.port();
    let login = "dbname=shop user=trusted";
    backup(&format!("host={} port={port} {login}", server.folder().display())).expect_code(0);
    let encoded = server.folder().display().to_string().replace('/', "%2F");
    backup(&format!("postgresql://trusted@{encoded}:{port}/shop")).expect_code(0);
    let folder = server.folder().display();
    backup(&format!("postgresql://trusted@/shop?host={folder}&port={port}")).expect_code(0);
    if server.major() >= 14 {
        let name = format!("@{}", server.folder().file_name().unwrap().to_str().unwrap());
        backup(&format!("host={name} port={port} {login}")).expect_code(0);
    }
}

#[test]
fn a_parameter_that_nobody_knows_is_named_with_the_nearest() {
    for (string, name, nearest) in [
        ("host=h sslmod=require", "sslmod", "sslmode"),
        ("host=h connect_timout=3", "connect_timout", "connect_timeout"),
        ("postgresql://h/d?target_session_atrs=any", "target_session_atrs", "target_session_attrs"),
        ("postgresql://h/d?chanel_binding=require", "chanel_binding", "channel_binding"),
    ] {
        backup(string).expect_code(2).says(&[
            &format!("unknown connection parameter \"{name}\""),
            &format!("hint: did you mean \"{nearest}\"?"),
        ]);
    }
    backup("postgresql://h/d?pgbouncer=true")
        .expect_code(2)
        .says(&["\"pgbouncer\"", "leave out what is meant for another program"]);
    backup("host=h gssencmode=require")
        .expect_code(2)
        .says(&["pgark cannot do gssencmode=require"]);
}

#[test]
fn options_and_names_reach_the_server() {
    let more = "host=h options='-c statement_timeout=4s' application_name=with_options";
    backup(&secure().over_tcp("scram", more)).expect_code(0);
    assert!(!secure().sessions("with_options").is_empty());
    let fallback = "host=h fallback_application_name=fallen_back";
    backup(&secure().over_tcp("scram", fallback)).expect_code(0);
    assert!(!secure().sessions("fallen_back").is_empty());
    // Neon's way to name the endpoint is an option of the server's: it is passed on as it is.
    let endpoint = "host=h options=endpoint=ep-a-1";
    backup(&secure().over_tcp("scram", endpoint)).expect_code(17).says(&["endpoint"]);
    let wide =
        "host=h keepalives_idle=5 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=9000";
    backup(&secure().over_tcp("scram", wide)).expect_code(0);
}
