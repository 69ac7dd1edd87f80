use crate::harness::secure::{backup, backup_with, secure, write};
use std::io::Read;
use std::os::unix::net::UnixListener;

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

#[test]
fn what_services_print_around_a_string_is_named() {
    backup("psql 'postgresql://u:gehe1m@h/d'").expect_code(2).says(&["leave out \"psql\""]);
    backup("DATABASE_URL=postgresql://h/d").expect_code(2).says(&["leave out \"DATABASE_URL=\""]);
    backup("'postgresql://h/d'").expect_code(2).says(&["leave out the quotes"]);
}

#[test]
fn a_variable_that_is_not_utf8_is_named_and_not_left_out() {
    use crate::harness::{Repo, Run};
    use std::os::unix::ffi::OsStrExt;
    let bytes = std::ffi::OsStr::from_bytes(b"\xff");
    for name in ["PGUSER", "PGPASSWORD", "PGHOST"] {
        let repo = Repo::new();
        let mut command = repo.command(&["backup", "--no-migrations"]);
        command.env(name, bytes);
        let run = Run::from(command.output().unwrap()).expect_code(2);
        run.says(&[&format!("the variable {name} is not UTF-8")]);
    }
}

#[test]
fn a_password_file_s_password_is_taken_as_it_is_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    let without = secure().over_tcp("scram", "host=h").replace("password=secret", "");
    let variables = [("PGPASSFILE", file.to_str().unwrap())];
    for (bytes, code) in
        [(&b"other:*:*:*:caf\xe9\n*:*:*:*:secret\n"[..], 0), (b"*:*:*:*:caf\xe9\n", 17)]
    {
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let run = backup_with(&without, &[], &variables).expect_code(code);
        assert_eq!(run.stderr.contains("is not UTF-8"), code != 0, "{}", run.stderr);
    }
}

#[test]
fn what_libpq_takes_in_other_words_is_taken() {
    let port = secure().server.port().to_string();
    let plain = format!("host=127.0.0.1 port={port} dbname=shop password=secret user");
    for variables in [("PGREQUIRESSL", "1"), ("PGMAXPROTOCOLVERSION", "3.2")] {
        backup_with(&format!("{plain}=scram"), &[], &[variables]).expect_code(0);
    }
    backup(&format!("{plain}=scram max_protocol_version=3.2")).expect_code(0);
    // Encrypted, or not at all.
    backup(&format!("{plain}=only_clear")).expect_code(0);
    backup_with(&format!("{plain}=only_clear"), &[], &[("PGREQUIRESSL", "1")]).expect_code(17);
    backup(&format!("{plain}=only_clear requiressl=1")).expect_code(17);
}

#[test]
fn whose_server_it_is_can_be_required_of_sockets() {
    let server = &secure().server;
    // Over TCP nobody can tell, and libpq does not ask.
    backup(&secure().over_tcp("scram", "host=h requirepeer=nobody_here")).expect_code(0);
    let uid = std::os::unix::fs::MetadataExt::uid(&server.folder().metadata().unwrap());
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let named = |wanted: &dyn Fn(&str) -> bool| {
        let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        user.into_iter().find(|fields| wanted(fields[2])).unwrap()[0].to_owned()
    };
    let (own, other) =
        (named(&|number| number == uid.to_string()), named(&|number| number != uid.to_string()));
    let socket = format!(
        "host={} port={} dbname=shop user=trusted requirepeer",
        server.folder().display(),
        server.port()
    );
    backup(&format!("{socket}={own}")).expect_code(0);
    let says = format!("asks for a server of user {other}, and the one that listens is of {own}");
    backup(&format!("{socket}={other}")).expect_code(17).says(&[&says]);

    // What is asked is who listens at the connection that would be used, and before a word is said.
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let heard = std::thread::spawn(move || {
        let mut said = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut said).unwrap();
        listener.set_nonblocking(true).unwrap();
        (said, listener.accept().is_err())
    });
    let own = named(&|number| number == rustix::process::geteuid().as_raw().to_string());
    let stranger = named(&|number| number != rustix::process::geteuid().as_raw().to_string());
    let place = folder.path().display();
    let run = backup(&format!("host={place} user=trusted requirepeer={stranger}"));
    run.expect_code(17).says(&[&format!("the one that listens is of {own}")]);
    assert_eq!(heard.join().unwrap(), (Vec::new(), true));
}

#[test]
fn what_is_missing_has_a_hint() {
    let at = |more: &str| backup(&secure().over_tcp("scram", more));
    at("host=127.0.0.1 sslmode=verify-full sslrootcert={files}/root.crt sslcrl={files}/gone.crl")
        .expect_code(2)
        .says(&["gone.crl", "hint: sslcrl (PGSSLCRL) names it"]);
    at("host=h require_auth=md5")
        .expect_code(17)
        .says(&["hint: if this is the server that you mean"]);
    let md5 = secure().over_tcp("digest", "host=h sslmode=require channel_binding=require");
    backup(&md5).expect_code(17).says(&["channel binding", "needs TLS, and a role whose password"]);
    at("host=h sslmode=require sslnegotiation=direct")
        .expect_code(17)
        .says(&["hint: sslnegotiation=direct is known by PostgreSQL 17 and later"]);
    backup_with("service=x", &[], &[("PGSERVICEFILE", "/nonexistent/services")])
        .expect_code(10)
        .says(&["hint: PGSERVICEFILE and the parameter servicefile name it"]);
}
