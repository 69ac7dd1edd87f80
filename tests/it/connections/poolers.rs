use crate::harness::server::{free_port, server_user};
use crate::harness::{Database, Repo, Run, server};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A PgBouncer before the run's server, ended with the test.
struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn start(mode: &str, size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let socket = server().folder().display();
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={socket} port={} user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\n\
             listen_port={port}\nunix_socket_dir=\nauth_type=any\npool_mode={mode}\n\
             default_pool_size={size}\nserver_idle_timeout=1\n",
            server().port()
        );
        #[allow(clippy::disallowed_methods, reason = "the test's own files")]
        std::fs::write(&config, text).unwrap();
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .expect("pgbouncer; run ./test, which installs it");
        let mut command = match server_user() {
            None => Command::new(program),
            Some((_, uid, gid)) => {
                std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
                command.args(["--clear-groups", "--", program]);
                command
            }
        };
        command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no pgbouncer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, _folder: folder }
    }

    fn backup(&self, database: &Database) -> (Run, Repo) {
        let repo = Repo::new();
        let url = format!(
            "postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable",
            self.port, database.name
        );
        (repo.run(&["backup", "--url", &url, "--no-migrations", "--name", "a"]), repo)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Its only child is itself: setpriv has become it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn source() -> Database {
    Database::with("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x")
}

#[test]
fn a_pool_that_moves_sessions_is_noticed_before_anything_is_set_in_it() {
    let source = source();
    for (mode, size) in [("transaction", 20), ("transaction", 1), ("statement", 20)] {
        let pooler = Pooler::start(mode, size);
        let begun = Instant::now();
        let (run, repo) = pooler.backup(&source);
        run.expect_code(17).says(&[
            &format!("127.0.0.1:{} is a connection pooler that moves sessions", pooler.port),
            "hint: connect to PostgreSQL itself, or to a pool in session mode",
        ]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{mode} {size}: {:?}", begun.elapsed());
        assert_eq!(repo.files(), []);
    }
}

#[test]
fn a_pool_that_takes_no_options_is_said_to_be_one() {
    let source = source();
    let pooler = Pooler::start("transaction", 20);
    let url = format!("postgresql://postgres@127.0.0.1:{}/{}", pooler.port, source.name);
    let options = "options=-c%20work_mem%3D8MB";
    for (url, variable) in
        [(format!("{url}?sslmode=disable&{options}"), ""), (url, "-c work_mem=8MB")]
    {
        let repo = Repo::new();
        let mut command = repo.command(&["backup", "--url", &url, "--no-migrations"]);
        command.env("PGOPTIONS", variable);
        Run::from(command.output().unwrap()).expect_code(17).says(&[
            "is a connection pooler that takes no options",
            "unsupported startup parameter",
            "hint: connect to PostgreSQL itself, or to a pool in session mode",
            "without options (PGOPTIONS)",
        ]);
        assert_eq!(repo.files(), []);
    }
}

#[test]
fn through_a_pool_in_session_mode_a_backup_works() {
    let source = source();
    let pooler = Pooler::start("session", 20);
    let (run, repo) = pooler.backup(&source);
    run.expect_code(0);
    let target = Database::empty();
    repo.ok(&["restore", "a", "--url", &target.url()]);
    assert_eq!(target.one("SELECT sum(x) FROM t"), "500500");
    drop(pooler);
}
