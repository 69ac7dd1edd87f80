//! One throw-away PostgreSQL server. It ends with the test program, however that ends: a shell
//! that holds its process id waits for the end of a pipe that only the test program keeps open.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server.
pub struct Server {
    folder: PathBuf,
    binaries: PathBuf,
    pg_dump: PathBuf,
    _lifeline: ChildStdin,
}

const PORT: u16 = 5432;

impl Server {
    /// Starts a server with the newest binaries that are found, or those in PGARK_TEST_PG_BIN.
    pub fn start() -> Self {
        let binaries = binaries();
        let folder = std::env::temp_dir().join(format!("pgark-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let user = server_user();
        if let Some((_, uid, gid)) = &user {
            chown(&folder, Some(*uid), Some(*gid)).unwrap();
        }
        let as_user = |program: &Path| {
            let mut command = match &user {
                None => Command::new(program),
                Some((_, uid, gid)) => {
                    let mut command = Command::new("setpriv");
                    command
                        .args([format!("--reuid={uid}"), format!("--regid={gid}")])
                        .args(["--clear-groups", "--"])
                        .arg(program);
                    command
                }
            };
            command.current_dir(&folder).envs(library_path(&binaries));
            command
        };
        let data = folder.join("data");
        let made = as_user(&binaries.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let script = format!(
            "'{}' -D '{}' -k '{}' -p {PORT} -c listen_addresses= -c fsync=off -c full_page_writes=off \
             -c max_connections=100 -c shared_buffers=256MB -c max_wal_size=4GB -c autovacuum=off \
             -c max_prepared_transactions=5 -c wal_level=minimal -c max_wal_senders=0 \
             >'{}/log' 2>&1 </dev/null & server=$!; echo started; read end; kill -INT $server; \
             wait $server; rm -rf '{}'",
            binaries.join("postgres").display(),
            data.display(),
            folder.display(),
            folder.display(),
            folder.display(),
        );
        #[allow(clippy::zombie_processes, reason = "it ends after the test program")]
        let mut shell = as_user(Path::new("sh"))
            .arg("-c")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let lifeline = shell.stdin.take().unwrap();
        let server = Self { pg_dump: pg_dump(&binaries), folder, binaries, _lifeline: lifeline };
        let begun = Instant::now();
        while postgres::Client::connect(&server.url("postgres", "postgres"), postgres::NoTls)
            .is_err()
        {
            let log = || std::fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "no server: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// A connection string.
    pub fn url(&self, database: &str, role: &str) -> String {
        format!("host={} port={PORT} dbname={database} user={role}", self.folder.display())
    }

    /// Where the server's programs are.
    #[allow(dead_code, reason = "tests that start a psql of their own need it")]
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The oracle: pg_dump of the server's version or, by PGARK_TEST_PG_DUMP, a newer one.
    pub fn pg_dump(&self) -> &Path {
        &self.pg_dump
    }

    /// The folder of the server's socket, which also holds its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// PostgreSQL refuses to run as root: another user runs it then.
fn server_user() -> Option<(String, u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some(((*name).to_owned(), fields[2].parse().ok()?, fields[3].parse().ok()?))
    })
}

fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("PGARK_TEST_PG_BIN") {
        return PathBuf::from(folder);
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let major = folder.file_name()?.to_str()?.parse().ok()?;
            let bin = folder.join("bin");
            bin.join("postgres").is_file().then_some((major, bin))
        })
        .collect();
    found.sort();
    match found.pop() {
        Some((_, bin)) => bin,
        None => {
            panic!("no PostgreSQL server in /usr/lib/postgresql; run ./test, which installs one")
        }
    }
}

fn pg_dump(binaries: &Path) -> PathBuf {
    std::env::var_os("PGARK_TEST_PG_DUMP").map_or_else(|| binaries.join("pg_dump"), PathBuf::from)
}

/// Binaries that were unpacked somewhere bring their libraries along.
fn library_path(binaries: &Path) -> Option<(OsString, OsString)> {
    let libraries = binaries.parent()?.join("lib");
    libraries.is_dir().then(|| (OsString::from("LD_LIBRARY_PATH"), libraries.into_os_string()))
}
