use crate::harness::archive::small_database;
use crate::harness::{Database, Repo, Run};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIGNALS: [(i32, i32, &str); 3] =
    [(1, 129, "SIGHUP"), (2, 130, "SIGINT"), (15, 143, "SIGTERM")];

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(process: u32, signal: i32) {
    let sent = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits for the end, which must come soon.
#[track_caller]
fn soon(child: Child, within: Duration) -> Run {
    let sent = Instant::now();
    let run = Run::from(child.wait_with_output().unwrap());
    assert!(sent.elapsed() < within, "{:?}: {run:?}", sent.elapsed());
    run
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_true(database: &Database, sql: &str) -> bool {
    let sql = format!("SELECT {}", sql.replace("DATABASE", &database.name));
    database.server.connect("postgres", "postgres").query_one(&sql, &[]).unwrap().get(0)
}

const NOBODY: &str = "NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
    AND application_name = 'pgark')";

/// Nobody answers there, and whoever asks waits.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("host=127.0.0.1 port={} user=u", listener.local_addr().unwrap().port());
    (listener, url)
}

#[test]
fn whoever_connects_is_interrupted_at_once() {
    let (listener, url) = silent();
    for (signal, code, name) in SIGNALS {
        let repo = Repo::new();
        let backup = start(&mut repo.command(&["backup", "--url", &url, "--no-migrations"]));
        let (_asked, _) = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        kill(backup.id(), signal);
        let run = soon(backup, Duration::from_secs(2)).expect_code(code);
        run.says(&[&format!("interrupted by a signal ({name})"), "hint: nothing was published"]);
        assert_eq!(repo.files(), []);
    }
}

/// pgark under strace, which makes each call of `call` take `milliseconds`; its process is the
/// child of the one that is given.
fn delayed(plain: &Command, call: &str, milliseconds: u32) -> Child {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    traced.args(["-e", &format!("inject={call}:delay_enter={milliseconds}ms")]);
    traced.arg(plain.get_program()).args(plain.get_args());
    traced.current_dir(plain.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    start(&mut traced)
}

/// The process that strace has started.
fn child_of(traced: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", traced.id());
    let mut found = None;
    wait_until("a child of strace", || {
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        found = children.split_whitespace().next().and_then(|child| child.parse().ok());
        found.is_some()
    });
    found.unwrap()
}

/// Waits until the run's standard error says something, and gives what comes after it as well.
struct Listening(std::sync::Arc<std::sync::Mutex<String>>, std::thread::JoinHandle<()>);

impl Listening {
    fn to(child: &mut Child) -> Self {
        use std::io::{BufRead, BufReader};
        let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (shared, stderr) = (std::sync::Arc::clone(&heard), child.stderr.take().unwrap());
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut heard = shared.lock().unwrap();
                heard.push_str(&line.unwrap());
                heard.push('\n');
            }
        });
        Self(heard, thread)
    }

    #[track_caller]
    fn until(&self, text: &str) {
        wait_until(text, || self.0.lock().unwrap().contains(text));
    }

    fn end(self) -> String {
        self.1.join().unwrap();
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn while_the_archive_is_synced_and_read_again_a_signal_leaves_nothing() {
    let (database, repo) = (small_database(), Repo::new());
    let url = database.url();
    let plain = repo.command(&["backup", "--url", &url, "--no-migrations", "--name", "a"]);
    for (call, phase, milliseconds) in
        [("fsync", "syncing", 800), ("pread64", "reading the archive again", 150)]
    {
        let mut traced = delayed(&plain, call, milliseconds);
        let said = Listening::to(&mut traced);
        said.until(&format!("pgark: {phase}\n"));
        kill(child_of(&traced), 15);
        let run = soon(traced, Duration::from_secs(8));
        let said = said.end();
        assert_eq!(run.code, 143, "{phase}: {said}");
        assert!(
            said.contains("nothing was published, and nothing half-written was left"),
            "{said}"
        );
        assert_eq!(repo.files(), [], "{phase}");
    }
}

#[test]
fn a_verification_that_is_interrupted_says_so() {
    let (database, repo) = (small_database(), Repo::new());
    repo.backup(&database, &["--name", "a", "--no-migrations"]);
    let old = repo.files();
    let plain = repo.command(&["verify", "a", "--jobs", "1"]);
    for (signal, code, name) in SIGNALS {
        let mut traced = delayed(&plain, "pread64", 200);
        let said = Listening::to(&mut traced);
        said.until("pgark: verifying ");
        kill(child_of(&traced), signal);
        let run = soon(traced, Duration::from_secs(8));
        let said = said.end();
        assert_eq!(run.code, code, "{said}");
        assert!(said.contains(&format!("interrupted by a signal ({name})")), "{said}");
        assert!(run.stdout.is_empty(), "{}", run.stdout);
        assert_eq!(repo.files(), old);
    }
}

/// An index that takes half a minute.
fn with_a_slow_index() -> Database {
    Database::with(
        "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END';
         CREATE TABLE t (x int); CREATE INDEX ON t (slow(x));
         CREATE OR REPLACE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN RETURN $1; END';
         INSERT INTO t SELECT generate_series(1, 30);
         CREATE OR REPLACE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
           AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END'",
    )
}

const MAKING: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
    AND state = 'active' AND query LIKE 'CREATE INDEX%')";

#[test]
fn a_restore_that_makes_an_index_is_interrupted_and_leaves_the_target_as_before() {
    let (source, repo) = (with_a_slow_index(), Repo::new());
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    for (signal, code, name) in SIGNALS {
        let target = Database::empty();
        let restore = start(&mut repo.command(&["restore", "a", "--url", &target.url()]));
        wait_until("an index", || is_true(&target, MAKING));
        kill(restore.id(), signal);
        let run = soon(restore, Duration::from_secs(8)).expect_code(code);
        run.says(&[
            "the restore failed, and the database is empty as before",
            &format!("because: interrupted by a signal ({name})"),
        ]);
        wait_until("nobody", || is_true(&target, NOBODY));
        assert_eq!(target.one("SELECT count(*) FROM pg_class WHERE relname = 't'"), "0");
    }
}

#[test]
fn a_restore_of_rows_alone_is_rolled_back() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 20000) AS i",
    );
    let repo = Repo::new();
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let target = Database::with("CREATE TABLE t (i int, t text)");
    let mut command = repo.command(&["restore", "a", "--url", &target.url(), "--data-only"]);
    let restore = start(command.args(["--rate-limit", "2MB"]));
    let copying = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
        AND state = 'active' AND query LIKE 'COPY %')";
    wait_until("rows", || is_true(&target, copying));
    kill(restore.id(), 15);
    let run = soon(restore, Duration::from_secs(8)).expect_code(143);
    run.says(&["interrupted by a signal (SIGTERM)", "nothing was changed"]);
    wait_until("nobody", || is_true(&target, NOBODY));
    assert_eq!(target.one("SELECT count(*) FROM t"), "0");
}

#[test]
fn a_comparison_is_interrupted_and_leaves_no_session() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 1000) AS i",
    );
    let repo = Repo::new();
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let compare = start(&mut repo.command(&["compare", "a", "--with", &source.url()]));
    let waiting = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'DATABASE'
        AND wait_event_type = 'Lock')";
    wait_until("a lock", || is_true(&source, waiting));
    kill(compare.id(), 2);
    soon(compare, Duration::from_secs(5)).expect_code(130).says(&["interrupted by a signal"]);
    wait_until("nobody", || is_true(&source, NOBODY));
}

/// The server's process is halted, so the first signal can end nothing.
#[test]
fn a_second_signal_ends_at_once_and_the_next_run_cleans_up() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 20000) AS i",
    );
    let repo = Repo::new();
    let arguments = ["backup", "--url", &source.url(), "--no-migrations", "--name", "a"];
    let backup = start(repo.command(&arguments).args(["--rate-limit", "2MB", "--jobs", "1"]));
    let copying = "pid FROM pg_stat_activity WHERE datname = 'DATABASE' AND state = 'active'
        AND query LIKE '%COPY %' AND application_name = 'pgark'";
    wait_until("rows", || is_true(&source, &format!("EXISTS (SELECT {copying})")));
    let sql = format!("SELECT {}", copying.replace("DATABASE", &source.name));
    let process = source.client().query_one(&sql, &[]).unwrap().get::<_, i32>(0);
    kill(process.unsigned_abs(), 19);
    // What is on its way has arrived.
    std::thread::sleep(Duration::from_secs(2));
    kill(backup.id(), 15);
    std::thread::sleep(Duration::from_millis(500));
    kill(backup.id(), 2);
    let run = soon(backup, Duration::from_secs(2));
    kill(process.unsigned_abs(), 18);
    assert_eq!(run.code, 130, "{run:?}");
    wait_until("nobody", || is_true(&source, NOBODY));
    repo.ok(&arguments);
    assert_eq!(repo.files().len(), 2, "and nothing half-written");
}
