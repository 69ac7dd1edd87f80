//! A real PgBouncer.

use super::server::{free_port, server_user};
use super::{Database, Repo, Run, server};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A PgBouncer before the run's server, ended with the test.
pub struct Pooler {
    child: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    pub fn start(mode: &str, size: u32) -> Self {
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

    pub fn backup(&self, database: &Database) -> (Run, Repo) {
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
