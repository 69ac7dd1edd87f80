use crate::harness::proxy::Proxy;
use crate::harness::server::{Server, Setup, free_port};
use crate::harness::{Database, Repo, Run, server};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A table whose COPY takes long at the rate that [`start`] allows.
fn source() -> Database {
    Database::with(
        "CREATE TABLE rows AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 20000) AS i",
    )
}

/// A backup that copies slowly.
fn start(repo: &Repo, url: &str, more: &[&str]) -> Child {
    let mut command = repo.command(&["backup", "--url", url, "--no-migrations", "--jobs", "1"]);
    command.args(["--rate-limit", "2MB"]).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Run {
    Run::from(child.wait_with_output().unwrap())
}

/// The same of what a defect would let run for ever.
#[track_caller]
fn end_in_time(mut child: Child) -> Run {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it hangs: {}", end(child).stderr);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    end(child)
}

/// Waits until a query in database `postgres` of the database's server is true.
#[track_caller]
fn wait_for(database: &Database, sql: &str) {
    let begun = Instant::now();
    let mut client = database.server.connect("postgres", "postgres");
    let sql = sql.replace("DATABASE", &database.name);
    while !client.query_one(&format!("SELECT {sql}"), &[]).unwrap().get::<_, bool>(0) {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const COPYING: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
    AND state = 'active' AND query LIKE '%COPY %' AND application_name = 'pgark')";
const WAITING: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
    AND wait_event_type = 'Lock')";
const NOBODY: &str = "NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
    AND application_name = 'pgark')";

/// A backup of this connection fails so, soon, and leaves nothing.
#[track_caller]
fn refused(url: &str, more: &[&str], says: &[&str]) {
    let repo = Repo::new();
    let begun = Instant::now();
    let arguments = ["backup", "--url", url, "--no-migrations", "--no-password"];
    let mut command = repo.command(&[&arguments[..], more].concat());
    let backup = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let run = end_in_time(backup).expect_code(17).says(says);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let lines = run.stderr.lines().skip_while(|line| !line.starts_with("pgark: error: "));
    assert!((2..=5).contains(&lines.count()), "on one screen: {}", run.stderr);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    assert_eq!(repo.files(), []);
}

#[test]
fn a_server_that_cannot_be_reached_or_refuses_is_named_with_what_to_do() {
    let port = free_port();
    refused(
        &format!("host=127.0.0.1 port={port} user=u password=s3cret"),
        &[],
        &[
            &format!("cannot connect to database \"u\" at 127.0.0.1:{port} as \"u\""),
            "Connection refused (os error 111)",
            "hint: nobody listens there",
        ],
    );
    refused(
        "postgresql://u:s3cret@no-such-host.invalid/d",
        &[],
        &["no-such-host.invalid", "has no address", "hint: check the host's name"],
    );
    refused("host=/no/such/folder user=u", &[], &["/no/such/folder:5432", "os error 2"]);
    let secure = crate::harness::secure::secure();
    let url = |role: &str, database: &str| {
        let port = secure.server.port();
        format!("host=127.0.0.1 port={port} user={role} dbname={database} password=s3cret")
    };
    refused(
        &url("scram", "shop"),
        &[],
        &[
            "password authentication failed for user \"scram\" (SQLSTATE 28P01)",
            "hint: check the password",
        ],
    );
    refused(
        &url("trusted", "no_such_database"),
        &[],
        &[
            "database \"no_such_database\" does not exist (SQLSTATE 3D000)",
            "hint: check the database's name",
        ],
    );
    refused(&url("nobody_at_all", "shop"), &[], &["SQLSTATE 28", "hint: "]);
}

#[test]
fn too_many_connections_are_a_refusal_of_the_server() {
    let source = Database::with("CREATE TABLE t AS SELECT 1 AS x");
    let role = format!("few_{}", source.name);
    source.server.role(&role, "CONNECTION LIMIT 1");
    source.execute(&format!("GRANT SELECT ON t TO {role}"));
    refused(
        &source.url_as(&role),
        &[],
        &[
            "too many connections for role",
            "SQLSTATE 53300",
            "hint: use fewer workers (--jobs)",
            "CONNECTION LIMIT",
        ],
    );
}

/// Says these bytes to whoever connects, after what the other side has said.
fn fake(answer: &'static [u8], and_closes: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for client in listener.incoming() {
            let mut client = client.unwrap();
            if !answer.is_empty() || and_closes {
                let mut heard = [0; 64];
                drop(client.read(&mut heard));
                drop(client.write_all(answer));
            }
            if !and_closes {
                open.push(client);
            }
        }
    });
    port
}

#[test]
fn what_is_no_server_is_found_out_in_time() {
    let url = |port: u16, more: &str| format!("host=127.0.0.1 port={port} user=u {more}");
    let silent = fake(b"", false);
    let late = ["--connect-timeout", "1"];
    refused(&url(silent, ""), &late, &["did not answer in time", "connect_timeout"]);
    refused(&url(silent, "sslmode=require"), &late, &["did not answer in time"]);
    refused(&url(silent, "connect_timeout=1"), &[], &["did not answer in time"]);
    // The option goes before the string.
    refused(&url(silent, "connect_timeout=600"), &late, &["did not answer in time"]);
    let page = fake(b"HTTP/1.1 400 Bad Request\r\n\r\n", true);
    refused(&url(page, "sslmode=require"), &[], &["what answers is no PostgreSQL server"]);
    refused(&url(page, "sslmode=disable"), &late, &["cannot connect"]);
    let closes = fake(b"", true);
    refused(&url(closes, "sslmode=disable"), &[], &["cannot connect"]);
    // A message of two gigabytes is not waited for, nor is room made for it.
    let huge = fake(b"R\x7f\xff\xff\xff\0\0\0\0", false);
    refused(&url(huge, "sslmode=disable"), &late, &["cannot connect"]);
    // It lets pgark in, and then says nothing to its first statement.
    let mute = fake(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", false);
    let limits = ["--connect-timeout", "1", "--stall-timeout", "1"];
    refused(&url(mute, "sslmode=disable"), &limits, &["sent nothing for 1 s", "--stall-timeout"]);
}

/// A server that takes no connections any more, as one that is stopped.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_whose_queue_is_full_is_given_up_in_time() {
    use socket2::{Domain, SockAddr, Socket, Type};
    let folder = tempfile::tempdir().unwrap();
    let address = SockAddr::unix(folder.path().join(".s.PGSQL.5432")).unwrap();
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let server = socket();
    server.bind(&address).unwrap();
    server.listen(0).unwrap();
    let waiting = || {
        let client = socket();
        client.set_nonblocking(true).unwrap();
        client.connect(&address).map(|()| client)
    };
    let waiting: Vec<Socket> = std::iter::from_fn(|| waiting().ok()).collect();
    assert!(!waiting.is_empty());
    let url = format!("host={} port=5432 user=u", folder.path().display());
    refused(&url, &["--connect-timeout", "1"], &["did not answer in time", "connect_timeout"]);
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_the_rows_fails_the_backup() {
    let (source, repo) = (source(), Repo::new());
    let proxy = Proxy::to(source.server);
    let backup = start(&repo, &proxy.url(&source.name), &[]);
    wait_for(&source, COPYING);
    proxy.cut();
    end(backup).expect_code(17).says(&["cannot read public.rows", "because: "]);
    assert_eq!(repo.files(), []);
    wait_for(&source, NOBODY);
}

#[test]
fn a_session_that_somebody_ends_fails_the_backup_with_the_servers_words() {
    let (source, repo) = (source(), Repo::new());
    let backup = start(&repo, &source.url(), &[]);
    wait_for(&source, COPYING);
    source.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'
           AND query LIKE '%COPY %' AND application_name = 'pgark'",
        source.name
    ));
    // A server that waits for its client to take rows has no way to say why it ends.
    let run = end(backup).expect_code(17);
    run.says(&["cannot read public.rows", "hint: somebody ended the session"]);
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE").unwrap();
    let backup = start(&repo, &source.url(), &[]);
    wait_for(&source, WAITING);
    source.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'
           AND wait_event_type = 'Lock' AND application_name = 'pgark'",
        source.name
    ));
    end(backup).expect_code(17).says(&["57P01", "hint: somebody ended the session"]);
    assert_eq!(repo.files(), []);
    wait_for(&source, NOBODY);
}

#[test]
fn a_server_that_restarts_fails_the_backup_and_the_next_one_works() {
    let setup = Setup { name: "restarts", port: 5432, settings: &[], prepare: &|_, _| {} };
    let own: &'static Server = Box::leak(Box::new(Server::start_with(&setup)));
    let repo = Repo::new();
    own.connect("postgres", "postgres")
        .batch_execute(
            "CREATE TABLE rows AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 20000) AS i",
        )
        .unwrap();
    let source = Database { name: String::from("postgres"), server: own };
    let backup = start(&repo, &source.url(), &[]);
    wait_for(&source, COPYING);
    // A crash of one session's process makes the server start its sessions anew.
    let mut client = source.client();
    let sql = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%COPY %' AND application_name = 'pgark'";
    let process: i32 = client.query_one(sql, &[]).unwrap().get(0);
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    end(backup).expect_code(17).says(&["cannot read public.rows"]);
    assert_eq!(repo.files(), []);
    let begun = Instant::now();
    while repo.run(&["backup", "--url", &source.url(), "--no-migrations", "-q"]).code != 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the server does not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
    // It is no database of a test.
    std::mem::forget(source);
}

#[test]
fn a_server_that_falls_silent_is_given_up_after_the_time_that_was_set() {
    let (source, repo) = (source(), Repo::new());
    let limits = ["--stall-timeout", "2", "--connect-timeout", "2"];
    // In the middle of the rows: the connection for COPY.
    let proxy = Proxy::to(source.server);
    let backup = start(&repo, &proxy.url(&source.name), &limits);
    wait_for(&source, COPYING);
    let begun = Instant::now();
    proxy.silence_all();
    let run = end(backup).expect_code(17);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    run.says(&["cannot read public.rows", "sent nothing for 2 s", "--stall-timeout"]);
    assert_eq!(repo.files(), []);
    drop(proxy);

    // In a statement of the driver's, over the network and on a socket of this machine.
    for proxy in [Proxy::to(source.server), Proxy::on_socket(source.server)] {
        let mut holder = source.client();
        holder.batch_execute("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE").unwrap();
        let backup = start(&repo, &proxy.url(&source.name), &limits);
        wait_for(&source, WAITING);
        let begun = Instant::now();
        proxy.silence_all();
        let run = end(backup).expect_code(17);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        run.says(&["sent nothing for 2 s", "--stall-timeout"]);
    }

    // The same where the server goes on, and only this connection leads nowhere: the process is at
    // nothing any more.
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE").unwrap();
    let proxy = Proxy::to(source.server);
    let backup = start(&repo, &proxy.url(&source.name), &limits);
    wait_for(&source, WAITING);
    let begun = Instant::now();
    proxy.silence_old();
    let run = end(backup).expect_code(17);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    run.says(&["sent nothing for 2 s"]);
    assert_eq!(repo.files(), []);
}

#[test]
fn a_server_that_falls_silent_in_a_session_without_an_error_before_is_given_up() {
    let source = Database::with(
        "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN PERFORM pg_sleep(3); RETURN $1; END';
         CREATE TABLE t AS SELECT 1 AS x;
         CREATE INDEX ON t (slow(x))",
    );
    let repo = Repo::new();
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let target = Database::empty();
    for proxy in [Proxy::to(target.server), Proxy::on_socket(target.server)] {
        let mut command = repo.command(&["restore", "a", "--url", &proxy.url(&target.name)]);
        command.args(["--stall-timeout", "1", "--connect-timeout", "1"]);
        let restore = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(
            &target,
            "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
               AND state = 'active' AND query LIKE 'CREATE INDEX%')",
        );
        proxy.silence_all();
        end_in_time(restore).expect_code(17).says(&["sent nothing for 1 s"]);
        drop(proxy);
        wait_for(&target, NOBODY);
    }
}

#[test]
fn a_statement_that_takes_long_is_not_taken_for_a_silent_server() {
    let source = Database::with(
        "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN PERFORM pg_sleep(1.2); RETURN $1; END';
         CREATE TABLE t AS SELECT generate_series(1, 4) AS x;
         CREATE INDEX ON t (slow(x))",
    );
    let (target, repo) = (Database::empty(), Repo::new());
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let proxy = Proxy::to(target.server);
    let url = proxy.url(&target.name);
    repo.ok(&["restore", "a", "--url", &url, "--stall-timeout", "1"]);
    assert_eq!(target.one("SELECT count(*) FROM pg_indexes WHERE tablename = 't'"), "1");
}

#[test]
fn a_server_that_takes_no_rows_any_more_is_given_up_and_the_target_is_marked() {
    let (source, target, repo) = (source(), Database::empty(), Repo::new());
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let proxy = Proxy::to(target.server);
    let mut command = repo.command(&["restore", "a", "--url", &proxy.url(&target.name)]);
    command.args(["--rate-limit", "2MB", "--jobs", "1", "--stall-timeout", "2"]);
    command.args(["--connect-timeout", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let restore = command.spawn().unwrap();
    wait_for(&target, COPYING);
    proxy.silence_all();
    end(restore)
        .expect_code(17)
        .says(&["the database could not be emptied", "hint: run the restore again"]);
    drop(proxy);
    wait_for(&target, NOBODY);
    repo.ok(&["restore", "a", "--url", &target.url()]);
    assert!(std::ptr::eq(server(), target.server));
}

#[test]
fn a_restore_waits_for_a_lock_no_longer_than_it_may() {
    let (source, target, repo) = (source(), Database::empty(), Repo::new());
    // Without the key that could not be had, the foreign key fails for another reason.
    source
        .execute("ALTER TABLE rows ADD PRIMARY KEY (i); CREATE TABLE more (i int REFERENCES rows)");
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let mut command = repo.command(&["restore", "a", "--url", &target.url()]);
    command.args(["--rate-limit", "6MB", "--jobs", "1", "--lock-timeout", "1"]);
    let restore = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&target, COPYING);
    // Somebody reads, as a backup does, what is not whole yet.
    let mut reader = target.client();
    reader.batch_execute("BEGIN; LOCK TABLE rows IN ACCESS SHARE MODE").unwrap();
    let run = end(restore).expect_code(11);
    run.says(&["waiting for a lock: ", "LOCK TABLE rows", "rows_pkey", "lock timeout"])
        .says(&["more_i_fkey", "no unique constraint"])
        .says(&["restore again, which empties it first, when nobody else", "--lock-timeout"]);
    drop(reader);
    repo.ok(&["restore", "a", "--url", &target.url()]);
}

/// Another try would make another copy: nothing that is to be tried again by itself.
#[test]
fn a_copy_that_is_left_beside_the_target_for_a_lock_or_a_session_is_named() {
    let (source, target, repo) = (source(), Database::empty(), Repo::new());
    source.execute("ALTER TABLE rows ADD PRIMARY KEY (i)");
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let mut server = target.server.connect("postgres", "postgres");
    let of_name = format!(
        "SELECT datname::text FROM pg_database WHERE datname LIKE '{}_pgark_%'",
        target.name
    );
    for (locks, says) in [
        (true, ["rows_pkey", "lock timeout", "create there what is missing"]),
        (
            false,
            ["somebody is connected", "cannot rename the databases", "when nobody is connected"],
        ),
    ] {
        let arguments = ["restore", "a", "--url", &target.url(), "--create", "--swap"];
        let mut command = repo.command(&arguments);
        command.args(["--rate-limit", "6MB", "--jobs", "1", "--lock-timeout", "1"]);
        let restore = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&target, &COPYING.replace("= 'DATABASE'", "LIKE 'DATABASE_pgark_%'"));
        let copy: String = server.query_one(&of_name, &[]).unwrap().get(0);
        let mut somebody =
            target.server.connect(if locks { &copy } else { &target.name }, "postgres");
        if locks {
            somebody.batch_execute("BEGIN; LOCK TABLE rows IN ACCESS SHARE MODE").unwrap();
        }
        let drop_copy = format!("DROP DATABASE \"{copy}\"");
        end(restore)
            .expect_code(1)
            .says(&says)
            .says(&[&drop_copy, "another try, which makes a new one"]);
        drop(somebody);
        server.batch_execute(&format!("{drop_copy} WITH (FORCE)")).unwrap();
    }
}
