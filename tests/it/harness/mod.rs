//! A real PostgreSQL server for the run, a database for every test, and pgark as a user runs it.

pub mod carried;
pub mod server;

use assert_cmd::cargo::CommandCargoExt;
use postgres::{Client, NoTls};
use server::Server;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

static SERVER: OnceLock<Server> = OnceLock::new();
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// PostgreSQL copies a template for one at a time.
static TEMPLATES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The run's server, started when the first test asks for it.
pub fn server() -> &'static Server {
    SERVER.get_or_init(Server::start)
}

/// Where `examples/`, `tests/` … are.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A database of its own, dropped when the test has ended well.
pub struct Database {
    pub name: String,
}

impl Database {
    /// An empty database.
    pub fn empty() -> Self {
        Self::create("TEMPLATE template0")
    }

    /// An empty database with options of CREATE DATABASE: `TEMPLATE template0 ENCODING 'LATIN1' …`.
    pub fn create(options: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("t{number}_{}", std::process::id());
        admin(&format!("CREATE DATABASE {name} {options}"));
        Self { name }
    }

    /// A database made by these statements.
    pub fn with(sql: &str) -> Self {
        let database = Self::empty();
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
        server().url(&self.name, role)
    }

    /// A connection, as superuser.
    pub fn client(&self) -> Client {
        connect(&self.name, "postgres")
    }

    /// A connection, as a role.
    pub fn client_as(&self, role: &str) -> Client {
        connect(&self.name, role)
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
            admin(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// Runs a statement in database `postgres`.
pub fn admin(sql: &str) {
    // Copying a template fails while another test copies the same.
    for attempt in 0.. {
        match connect("postgres", "postgres").batch_execute(sql) {
            Ok(()) => return,
            Err(error) if attempt < 100 && error.code().is_some_and(|c| c.code() == "55006") => {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            Err(error) => panic!("{error:?}\n{sql}"),
        }
    }
}

/// A connection to a database of the run's server.
pub fn connect(database: &str, role: &str) -> Client {
    Client::connect(&server().url(database, role), NoTls).unwrap()
}

/// A role, without password; dropped never, so the name must be the test's own.
pub fn role(name: &str, attributes: &str) {
    admin(&format!(
        "DO $$ BEGIN CREATE ROLE {name} LOGIN {attributes}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    ));
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
        let summary: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
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

    /// Fails the test unless standard error holds every one of `texts`.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no \"{text}\" in:\n{}", self.stderr);
        }
        self
    }
}

/// `pg_dump --schema-only` of a database, from the newest PostgreSQL on the machine.
pub fn pg_dump_schema(database: &Database) -> String {
    let output = Command::new(server().pg_dump())
        .args(["--schema-only", "--restrict-key=x", "--encoding=UTF8", "--dbname", &database.url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
