use crate::harness::archive::small_database;
use crate::harness::traced::traced;
use crate::harness::{Database, Repo, Run};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIGNALS: [(i32, i32, &str); 3] =
    [(1, 129, "SIGHUP"), (2, 130, "SIGINT"), (15, 143, "SIGTERM")];

pub(super) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(super) fn kill(process: u32, signal: i32) {
    let sent = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits for the end, which must come soon.
#[track_caller]
pub(super) fn soon(child: Child, within: Duration) -> Run {
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
pub(super) fn silent() -> (TcpListener, String) {
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
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:delay_enter={milliseconds}ms");
    start(&mut traced(plain, &["-o", "/dev/null", "-e", &trace, "-e", &inject]))
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
    let phases = [("fsync", "syncing", 800), ("pread64", "reading the archive again", 150)];
    for ((call, phase, milliseconds), (signal, code, name)) in
        phases.into_iter().flat_map(|phase| SIGNALS.map(|signal| (phase, signal)))
    {
        let mut traced = delayed(&plain, call, milliseconds);
        let said = Listening::to(&mut traced);
        said.until(&format!("pgark: {phase}\n"));
        kill(child_of(&traced), signal);
        let run = soon(traced, Duration::from_secs(8));
        let said = said.end();
        assert_eq!(run.code, code, "{phase}: {said}");
        assert!(said.contains(&format!("interrupted by a signal ({name})")), "{phase}: {said}");
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
        assert!(said.contains("hint: nothing was changed, and nothing is known of"), "{said}");
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
fn a_restore_into_a_new_database_is_interrupted_and_leaves_none() {
    let (source, repo) = (with_a_slow_index(), Repo::new());
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let name = format!("made_of_{}", source.name);
    let staged = |state: &str| {
        format!("EXISTS (SELECT FROM pg_stat_activity WHERE datname LIKE '{name}_pgark_%' {state})")
    };
    let url = source.server.url(&name, "postgres");
    let restore = start(&mut repo.command(&["restore", "a", "--url", &url, "--create"]));
    let making = staged("AND state = 'active' AND query LIKE 'CREATE INDEX%'");
    wait_until("an index", || is_true(&source, &making));
    kill(restore.id(), 1);
    let run = soon(restore, Duration::from_secs(8)).expect_code(129);
    run.says(&[
        &format!("the new database was removed, and there is no database \"{name}\", as before"),
        "because: interrupted by a signal (SIGHUP)",
    ]);
    let none = format!("NOT EXISTS (SELECT FROM pg_database WHERE datname LIKE '{name}%')");
    assert!(is_true(&source, &none));
}

#[test]
fn a_restore_that_has_not_begun_says_that_nothing_was_written() {
    let (source, repo) = (small_database(), Repo::new());
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    // While the archive is verified.
    let plain = repo.command(&["restore", "a", "--url", "host=/nowhere user=u", "--jobs", "1"]);
    for (signal, code, name) in SIGNALS {
        let mut traced = delayed(&plain, "pread64", 150);
        let said = Listening::to(&mut traced);
        said.until("pgark: verifying the archive\n");
        kill(child_of(&traced), signal);
        let run = soon(traced, Duration::from_secs(8));
        let said = said.end();
        assert_eq!(run.code, code, "{said}");
        assert!(said.contains(&format!("interrupted by a signal ({name})")), "{said}");
        assert!(said.contains("hint: nothing was restored, and nothing was written"), "{said}");
    }
    // While it connects.
    let (listener, url) = silent();
    for (more, says) in [
        (&[][..], "nothing was restored, and nothing was written"),
        (&["--data-only"], "nothing was restored, and nothing was written"),
        (&["--create"], "no database was created or changed"),
    ] {
        let mut command = repo.command(&["restore", "a", "--url", &format!("{url} dbname=d")]);
        let restore = start(command.args(more));
        let (_asked, _) = listener.accept().unwrap();
        kill(restore.id(), 15);
        soon(restore, Duration::from_secs(2)).expect_code(143).says(&[says]);
    }
    let check = start(&mut repo.command(&["check", "--url", &url, "--no-migrations"]));
    let (_asked, _) = listener.accept().unwrap();
    kill(check.id(), 15);
    let run = soon(check, Duration::from_secs(2)).expect_code(143);
    run.says(&["whether a backup would succeed is not known"]);
}

/// How many threads a process has: the signals' one comes before the one that is waited for.
fn threads(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count)
}

#[test]
fn whoever_waits_for_a_filter_on_standard_input_is_interrupted_at_once() {
    let repo = Repo::new();
    let arguments = ["backup", "--url", "host=/nowhere user=u", "--filter", "-"];
    let mut command = repo.command(&arguments);
    let mut backup = start(command.stdin(Stdio::piped()));
    let input = backup.stdin.take();
    wait_until("a reader", || threads(backup.id()) >= 3);
    kill(backup.id(), 2);
    let run = soon(backup, Duration::from_secs(2)).expect_code(130);
    run.says(&["interrupted by a signal (SIGINT)", "hint: nothing was begun"]);
    drop(input);
}

#[test]
fn a_reader_that_has_stopped_keeps_nobody_from_ending() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 1000) AS i",
    );
    let repo = Repo::new();
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let mut extract = start(&mut repo.command(&["extract", "a", "--table", "t"]));
    // A pipe takes less than the table's 900 KB; its writer sleeps then.
    let waits = format!("/proc/{}/task", extract.id());
    let is_full = || {
        std::fs::read_dir(&waits).unwrap().any(|task| {
            let place = task.unwrap().path().join("wchan");
            std::fs::read_to_string(place).is_ok_and(|place| place.contains("pipe"))
        })
    };
    let begun = Instant::now();
    while !is_full() && begun.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(extract.id(), 15);
    let killed = Instant::now();
    while extract.try_wait().unwrap().is_none() {
        assert!(killed.elapsed() < Duration::from_secs(2), "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = Run::from(extract.wait_with_output().unwrap()).expect_code(143);
    run.says(&["interrupted by a signal (SIGTERM)", "hint: what was printed is not whole"]);
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
    soon(compare, Duration::from_secs(5)).expect_code(130).says(&[
        "interrupted by a signal",
        "hint: nothing was changed, and whether both are equal is not known",
    ]);
    wait_until("nobody", || is_true(&source, NOBODY));
}

/// Halts the server's process that copies rows to a backup, so that the first signal can end nothing,
/// and sends that and a second one. The server's process is to go on (signal 18).
pub(super) fn two_signals(source: &Database, backup: u32) -> u32 {
    let copying = "pid FROM pg_stat_activity WHERE datname = 'DATABASE' AND state = 'active'
        AND query LIKE '%COPY %' AND application_name = 'pgark'";
    wait_until("rows", || is_true(source, &format!("EXISTS (SELECT {copying})")));
    let sql = format!("SELECT {}", copying.replace("DATABASE", &source.name));
    let process = source.client().query_one(&sql, &[]).unwrap().get::<_, i32>(0).unsigned_abs();
    kill(process, 19);
    // What is on its way has arrived.
    std::thread::sleep(Duration::from_secs(2));
    kill(backup, 15);
    std::thread::sleep(Duration::from_millis(500));
    kill(backup, 2);
    process
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_run_cleans_up() {
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 20000) AS i",
    );
    let repo = Repo::new();
    let arguments = ["backup", "--url", &source.url(), "--no-migrations", "--name", "a"];
    let backup = start(repo.command(&arguments).args(["--rate-limit", "2MB", "--jobs", "1"]));
    let process = two_signals(&source, backup.id());
    let run = soon(backup, Duration::from_secs(2));
    kill(process, 18);
    assert_eq!(run.code, 130, "{run:?}");
    let run =
        run.says(&["pgark: ended at once by a second signal (SIGINT): what was half written"]);
    assert!(!run.stderr.contains("error:"), "{}", run.stderr);
    wait_until("nobody", || is_true(&source, NOBODY));
    repo.ok(&arguments);
    assert_eq!(repo.files().len(), 2, "and nothing half-written");
}

/// A pipe that is full, and that nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while rustix::io::write(&writer, b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn a_reader_of_events_or_of_the_log_that_has_stopped_keeps_no_signal_from_being_heard() {
    let (database, repo) = (small_database(), Repo::new());
    let url = database.url();
    let arguments = ["backup", "--url", &url, "--no-migrations", "-v"];
    for (json, (signal, code, name)) in [(true, SIGNALS[2]), (false, SIGNALS[1])] {
        let (_reader, writer) = full_pipe();
        let mut command = repo.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        match json {
            true => command.arg("--json").stdout(writer),
            false => command.stderr(writer),
        };
        let mut backup = command.spawn().unwrap();
        drop(command);
        std::thread::sleep(Duration::from_millis(300));
        assert!(backup.try_wait().unwrap().is_none(), "it waits for its reader");
        kill(backup.id(), signal);
        let run = soon(backup, Duration::from_secs(4));
        assert_eq!(run.code, code, "{name}: {run:?}");
        assert_eq!(repo.files(), []);
        wait_until("nobody", || is_true(&database, NOBODY));
    }
}

#[test]
fn what_a_killed_extract_leaves_is_begun_anew() {
    let (database, repo) = (small_database(), Repo::new());
    let project = crate::harness::archive::small_project(repo.path());
    repo.backup(&database, &["--name", "a", "--migrations", &project]);
    let place = |name: &str| repo.path().join(name).to_str().unwrap().to_owned();
    let (rows, files) = (place("rows.copy"), place("m"));
    for (arguments, left) in [
        (["extract", "a", "--table", "people", "-o", &rows], place(".rows.copy.partial")),
        (["extract", "a", "--migrations", "-q", "-o", &files], place(".m.partial")),
    ] {
        let plain = repo.command(&arguments);
        let left = std::path::PathBuf::from(left);
        // Killed while it syncs; then ended there by a second signal.
        for signals in [&[9][..], &[15, 2]] {
            // What is waited for is this run's.
            std::fs::remove_file(&left).or_else(|_| std::fs::remove_dir_all(&left)).ok();
            let traced = delayed(&plain, "fsync", 1500);
            wait_until("something begun", || left.exists());
            let process = child_of(&traced);
            std::thread::sleep(Duration::from_millis(300));
            for signal in signals {
                kill(process, *signal);
                std::thread::sleep(Duration::from_millis(300));
            }
            let run = soon(traced, Duration::from_secs(8));
            assert_ne!(run.code, 0, "{run:?}");
            if signals.len() == 2 {
                assert_eq!(run.code, 130, "{run:?}");
                run.says(&["what was half written was not removed, and ends in .partial"]);
            }
            assert!(left.exists());
        }
        let run = Run::from(repo.command(&arguments).output().unwrap()).expect_code(0);
        assert!(!left.exists(), "{run:?}");
        std::fs::remove_file(&rows).ok();
    }
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 2);
}
