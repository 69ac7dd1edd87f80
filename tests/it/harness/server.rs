//! Throw-away PostgreSQL servers. They end with the test program, however that ends: a shell that
//! holds its process id waits for the end of a pipe that only the test program keeps open.

use postgres::{Client, NoTls};
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
    major: u32,
    port: u16,
    _lifeline: ChildStdin,
}

/// What a server is started with that others are not.
pub struct Setup<'a> {
    /// The name of its folder, which no other server has.
    pub name: &'a str,
    /// The port; that of the socket alone unless `settings` let it listen.
    pub port: u16,
    /// More of `-c name=value`.
    pub settings: &'a [String],
    /// Writes files into the server's folder and its data before it starts. The files in the folder
    /// are given to the server's user.
    pub prepare: &'a dyn Fn(&Path, &Path),
}

const PORT: u16 = 5432;

impl<'a> Setup<'a> {
    fn plain(name: &'a str) -> Self {
        Self { name, port: PORT, settings: &[], prepare: &|_, _| {} }
    }
}

impl Server {
    /// Starts a server with the newest binaries that are installed, or those in PGARK_TEST_PG_BIN.
    pub fn start() -> Self {
        let binaries = std::env::var_os("PGARK_TEST_PG_BIN").map(PathBuf::from);
        let newest = || installed().pop().map(|(_, binaries)| binaries);
        let binaries = binaries.or_else(newest).unwrap_or_else(|| {
            panic!("no PostgreSQL server in /usr/lib/postgresql; run ./test, which installs one")
        });
        Self::start_at(binaries, &Setup::plain("test"))
    }

    /// Starts a server of its own kind, of the version that tests run on.
    pub fn start_with(setup: &Setup<'_>) -> Self {
        Self::start_at(super::server().binaries.clone(), setup)
    }

    /// The same of another major version.
    pub fn start_major_with(major: u32, setup: &Setup<'_>) -> Self {
        Self::start_at(Self::binaries_of(major), setup)
    }

    /// Starts a server of another major version, as `scripts/test-servers` has fetched it.
    pub fn start_major(major: u32) -> Self {
        Self::start_at(Self::binaries_of(major), &Setup::plain(&format!("test{major}")))
    }

    fn binaries_of(major: u32) -> PathBuf {
        let fetched = fetched(&major.to_string()).map(|folder| folder.join("bin"));
        let installed =
            || installed().into_iter().find_map(|(of, bin)| (of == major).then_some(bin));
        fetched.or_else(installed).unwrap_or_else(|| {
            panic!("no PostgreSQL {major} here; scripts/test-servers {major} fetches it")
        })
    }

    fn start_at(binaries: PathBuf, setup: &Setup<'_>) -> Self {
        let Setup { name, port, settings, prepare } = *setup;
        let folder = std::env::temp_dir().join(format!("pgark-{name}-{}", std::process::id()));
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
        prepare(&folder, &data);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if let (Some((_, uid, gid)), true) = (&user, path.is_file()) {
                chown(&path, Some(*uid), Some(*gid)).unwrap();
            }
        }
        let settings: String = settings.iter().map(|setting| format!(" -c '{setting}'")).collect();
        let script = format!(
            "'{}' -D '{}' -k '{}' -p {port} -c listen_addresses= -c fsync=off -c full_page_writes=off \
             -c max_connections=100 -c shared_buffers=256MB -c max_wal_size=4GB -c autovacuum=off \
             -c max_prepared_transactions=5 -c wal_level=minimal -c max_wal_senders=0{settings} \
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
        let mut server = Self { folder, binaries, major: 0, port, _lifeline: lifeline };
        let begun = Instant::now();
        let mut client = loop {
            match Client::connect(&server.url("postgres", "postgres"), NoTls) {
                Ok(client) => break client,
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
            let log = || std::fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "no server: {}", log());
        };
        let number = "SELECT current_setting('server_version_num')::int / 10000";
        server.major = client.query_one(number, &[]).unwrap().get::<_, i32>(0).unsigned_abs();
        server
    }

    /// Its major version: 13, 14, …
    pub fn major(&self) -> u32 {
        self.major
    }

    /// A connection.
    #[track_caller]
    pub fn connect(&self, database: &str, role: &str) -> Client {
        Client::connect(&self.url(database, role), NoTls).unwrap()
    }

    /// Runs a statement in database `postgres`.
    #[track_caller]
    pub fn admin(&self, sql: &str) {
        // Copying a template fails while another test copies the same.
        for attempt in 0.. {
            match self.connect("postgres", "postgres").batch_execute(sql) {
                Ok(()) => return,
                Err(error)
                    if attempt < 100 && error.code().is_some_and(|c| c.code() == "55006") =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => panic!("{error:?}\n{sql}"),
            }
        }
    }

    /// Whether a database of this name is there and has subscriptions.
    pub fn has_subscriptions(&self, database: &str) -> bool {
        let sql = "SELECT EXISTS (SELECT FROM pg_subscription AS s JOIN pg_database AS d
            ON d.oid = s.subdbid WHERE d.datname = $1)";
        let row = self.connect("postgres", "postgres").query_one(sql, &[&database]).unwrap();
        row.get(0)
    }

    /// A role, without password; dropped never, so the name must be the test's own.
    #[track_caller]
    pub fn role(&self, name: &str, attributes: &str) {
        self.admin(&format!(
            "DO $$ BEGIN CREATE ROLE {name} LOGIN {attributes}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        ));
    }

    /// A connection string.
    pub fn url(&self, database: &str, role: &str) -> String {
        let Self { folder, port, .. } = self;
        format!("host={} port={port} dbname={database} user={role}", folder.display())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lines of its log that hold `text`.
    pub fn log(&self, text: &str) -> Vec<String> {
        let log = std::fs::read(self.folder.join("log")).unwrap();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Where the server's programs are.
    #[allow(dead_code, reason = "tests that start a psql of their own need it")]
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The folder of the server's socket, which also holds its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// PostgreSQL refuses to run as root: another user runs it then.
pub fn server_user() -> Option<(String, u32, u32)> {
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

/// Servers of the system's packages, oldest first.
fn installed() -> Vec<(u32, PathBuf)> {
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
    found
}

/// What `scripts/test-servers` has put into its folder under this name.
fn fetched(name: &str) -> Option<PathBuf> {
    let folder = |variable: &str, below: &str| {
        std::env::var_os(variable).map(|value| PathBuf::from(value).join(below))
    };
    let folders = match folder("PGARK_TEST_SERVERS", "") {
        Some(folder) => vec![folder],
        None => [
            folder("XDG_CACHE_HOME", "pgark/servers").or(folder("HOME", ".cache/pgark/servers")),
            Some(PathBuf::from("/var/cache/pgark/servers")),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let found = folders.into_iter().map(|folder| folder.join(name));
    found.into_iter().find(|folder| folder.join("bin").is_dir())
}

/// The oracle, one for servers of all versions: PGARK_TEST_PG_DUMP, or what was fetched, or what
/// the newest server on this machine brings.
pub fn pg_dump() -> PathBuf {
    let named = std::env::var_os("PGARK_TEST_PG_DUMP").map(PathBuf::from);
    let fetched = || fetched("client").map(|folder| folder.join("bin"));
    let installed = || installed().pop().map(|(_, bin)| bin);
    named
        .or_else(|| fetched().or_else(installed).map(|bin| bin.join("pg_dump")))
        .unwrap_or_else(|| panic!("no pg_dump here; scripts/test-servers fetches one"))
}

/// The client that comes with [`pg_dump`].
pub fn psql() -> PathBuf {
    pg_dump().with_file_name("psql")
}

/// Whether there is a server of this major version to be started.
pub fn has_major(major: u32) -> bool {
    fetched(&major.to_string()).is_some() || installed().iter().any(|(of, _)| *of == major)
}

/// Binaries that were unpacked somewhere bring their libraries along.
fn library_path(binaries: &Path) -> Option<(OsString, OsString)> {
    let libraries = binaries.parent()?.join("lib");
    libraries.is_dir().then(|| (OsString::from("LD_LIBRARY_PATH"), libraries.into_os_string()))
}
