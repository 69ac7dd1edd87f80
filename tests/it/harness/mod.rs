//! A real PostgreSQL server for the run, a database for every test, and pgark as a user runs it.

pub mod alembic;
pub mod archive;
pub mod carried;
pub mod pooler;
pub mod proxy;
pub mod secure;
pub mod server;
pub mod terminal;
pub mod traced;

use assert_cmd::cargo::CommandCargoExt;
use postgres::Client;
use server::Server;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

static SERVER: OnceLock<Server> = OnceLock::new();
/// Servers of other versions, which a test has asked for.
static OTHERS: Mutex<BTreeMap<u32, &'static Server>> = Mutex::new(BTreeMap::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// PostgreSQL copies a template for one at a time.
static TEMPLATES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The run's server, started when the first test asks for it.
pub fn server() -> &'static Server {
    SERVER.get_or_init(Server::start)
}

/// A server of this major version: the run's own if it is, or another one, started when the first
/// test asks for it.
pub fn server_of(major: u32) -> &'static Server {
    if server().major() == major {
        return server();
    }
    let mut others = OTHERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Never freed, as SERVER is not: it ends with the program.
    others.entry(major).or_insert_with(|| Box::leak(Box::new(Server::start_major(major))))
}

/// Where `examples/`, `tests/` … are.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The parts of `tests/fixtures/schema/<name>.sql` that a server of this version understands:
/// `-- since 15` begins what only those from 15 on do, up to the next such line.
#[track_caller]
pub fn fixture(name: &str, major: u32) -> String {
    let path = project().join(format!("tests/fixtures/schema/{name}.sql"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut taken = true;
    let mut kept = String::new();
    for line in text.lines() {
        if let Some(since) = line.strip_prefix("-- since ") {
            taken = major >= since.trim().parse().unwrap();
        }
        if taken {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// A database with subscriptions cannot be dropped, and dropping one asks the publisher.
pub fn drop_subscriptions(client: &mut Client) {
    let sql = "SELECT pg_catalog.quote_ident(subname) FROM pg_catalog.pg_subscription
        WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())";
    // Past event triggers.
    client.batch_execute("SET session_replication_role = replica").unwrap();
    for row in client.query(sql, &[]).unwrap() {
        let name: String = row.get(0);
        for sql in [
            format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {name}"),
        ] {
            client.batch_execute(&sql).unwrap();
        }
    }
}

/// A database of its own, dropped when the test has ended well.
pub struct Database {
    pub name: String,
    pub server: &'static Server,
}

impl Database {
    /// An empty database.
    pub fn empty() -> Self {
        Self::empty_on(server())
    }

    /// An empty database of a server.
    pub fn empty_on(server: &'static Server) -> Self {
        Self::create_on(server, "TEMPLATE template0")
    }

    /// An empty database with options of CREATE DATABASE: `TEMPLATE template0 ENCODING 'LATIN1' …`.
    pub fn create(options: &str) -> Self {
        Self::create_on(server(), options)
    }

    /// A database of a server, with options of CREATE DATABASE.
    pub fn create_on(server: &'static Server, options: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("t{number}_{}", std::process::id());
        server.admin(&format!("CREATE DATABASE {name} {options}"));
        Self { name, server }
    }

    /// A database made by these statements.
    #[track_caller]
    pub fn with(sql: &str) -> Self {
        Self::with_on(server(), sql)
    }

    /// A database of a server, made by these statements.
    #[track_caller]
    pub fn with_on(server: &'static Server, sql: &str) -> Self {
        let database = Self::empty_on(server);
        database.execute(sql);
        database
    }

    /// The example application's database, with rows; made once per run and scale, then copied.
    pub fn fintrack(scale: u32) -> Self {
        let template = format!("fintrack_{scale}_{}", std::process::id());
        let mut made = TEMPLATES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !made.contains(&template) {
            admin(&format!("CREATE DATABASE {template} TEMPLATE template0"));
            let example = |file: &str| {
                std::fs::read_to_string(project().join("examples/fintrack").join(file)).unwrap()
            };
            let mut client = connect(&template, "postgres");
            client.batch_execute(&example("schema.sql")).unwrap();
            client.batch_execute(&format!("SET fintrack.scale = '{scale}'")).unwrap();
            client.batch_execute(&example("generate.sql")).unwrap();
            made.push(template.clone());
        }
        Self::create(&format!("TEMPLATE {template}"))
    }

    /// A connection string, as superuser.
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// A connection string, as a role.
    pub fn url_as(&self, role: &str) -> String {
        self.server.url(&self.name, role)
    }

    /// A connection, as superuser.
    pub fn client(&self) -> Client {
        self.server.connect(&self.name, "postgres")
    }

    /// A connection, as a role.
    pub fn client_as(&self, role: &str) -> Client {
        self.server.connect(&self.name, role)
    }

    /// Runs statements.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        if let Err(error) = self.client().batch_execute(sql) {
            panic!("{error:?}\n{sql}");
        }
    }

    /// The first column of the first row, as text.
    #[track_caller]
    pub fn one(&self, sql: &str) -> String {
        let sql = format!("SELECT ({sql})::text");
        match self.client().query_one(&sql, &[]) {
            Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_else(|| String::from("NULL")),
            Err(error) => panic!("{error:?}\n{sql}"),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            if self.server.has_subscriptions(&self.name) {
                drop_subscriptions(&mut self.client());
            }
            self.server.admin(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// Runs a statement in database `postgres` of the run's server.
#[track_caller]
pub fn admin(sql: &str) {
    server().admin(sql);
}

/// A connection to a database of the run's server.
#[track_caller]
pub fn connect(database: &str, role: &str) -> Client {
    server().connect(database, role)
}

/// A role of the run's server, without password; dropped never, so the name must be the test's own.
#[track_caller]
pub fn role(name: &str, attributes: &str) {
    server().role(name, attributes);
}

/// A tablespace, in a folder that the server makes; dropped never.
pub fn tablespace(name: &str) {
    static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !made.iter().any(|other| other == name) {
        let mut client = connect("postgres", "postgres");
        client.batch_execute("SET allow_in_place_tablespaces = on").unwrap();
        client.batch_execute(&format!("CREATE TABLESPACE \"{name}\" LOCATION ''")).unwrap();
        made.push(name.to_owned());
    }
}

/// A repository of its own.
pub struct Repo {
    folder: tempfile::TempDir,
}

/// What a run of pgark said and did.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Repo {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// pgark with this repository, in its folder, and nothing of libpq's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = pgark();
        command.args(arguments).arg("--repo").arg(self.path()).current_dir(self.path());
        command
    }

    /// Runs pgark to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::from(self.command(arguments).output().unwrap())
    }

    /// Runs pgark and expects success.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Run {
        self.run(arguments).expect_code(0)
    }

    /// Backs up a database and gives the archive's path.
    #[track_caller]
    pub fn backup(&self, database: &Database, more: &[&str]) -> PathBuf {
        let url = database.url();
        let mut arguments = vec!["backup", "--url", &url, "--json"];
        arguments.extend(more);
        let run = self.ok(&arguments);
        let summary = run.json();
        PathBuf::from(summary["archive"].as_str().unwrap())
    }

    /// Names of all files below the repository, sorted, with their bytes.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for folder in ["backups", "manifests"] {
            let Ok(entries) = std::fs::read_dir(self.path().join(folder)) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                let name = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
        files.sort();
        files
    }
}

/// pgark as the tests have built it, in an environment without PG… and DATABASE_URL.
pub fn pgark() -> Command {
    let mut command = Command::cargo_bin("pgark").unwrap();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PG") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|signal| 128 + signal);
        Self {
            code: output.status.code().or(signal).unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Fails the test, with all that pgark said, unless it ended with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(
            self.code == code,
            "exit code {} instead of {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The result that `--json` prints last.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        self.events().pop().unwrap_or_else(|| panic!("no JSON: {self:?}"))
    }

    /// All that `--json` prints, one object a line.
    #[track_caller]
    pub fn events(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Fails the test unless standard error holds every one of `texts`.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no \"{text}\" in:\n{}", self.stderr);
        }
        self
    }
}

/// `pg_dump --schema-only` of a database.
#[track_caller]
pub fn pg_dump_schema(database: &Database) -> String {
    let output = Command::new(server::pg_dump())
        .args(["--schema-only", "--encoding=UTF8", "--restrict-key=x", "--dbname", &database.url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
