//! Killed at every file operation, failed at every file operation, interrupted, run twice at once:
//! older backups stay as they are, nothing half-written is ever listed, and the next run needs no
//! help. Faults are injected with strace.

use crate::harness::archive::{findings, small_database};
use crate::harness::{Database, Repo, Run, traced};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The system calls by which a backup touches files. Each is swept on its own: strace counts each
/// name separately.
const CALLS: &[&str] = &[
    "openat",
    "mkdir",
    "flock",
    "write",
    "lseek",
    "pread64",
    "fadvise64",
    "fsync",
    "renameat2",
    "unlink",
    "close",
];

/// `pgark backup --name new` under strace, which does `fault` (`error=EIO`, `signal=KILL`) at the
/// `number`-th `call` on a file of the repository, and whether it came to that.
fn faulty(repo: &Repo, database: &Database, call: &str, fault: &str, number: usize) -> (Run, bool) {
    let plain = repo.command(&[
        "backup",
        "--url",
        &database.url(),
        "--name",
        "new",
        "--jobs",
        "1",
        "--no-migrations",
        "--quiet",
    ]);
    traced::faulty(&plain, &paths(repo.path()), call, fault, number)
}

fn paths(root: &Path) -> Vec<std::path::PathBuf> {
    [
        "",
        "backups",
        "manifests",
        ".pgark.lock",
        "backups/new.tar",
        "backups/.new.tar.partial",
        "manifests/new.json",
        "manifests/.new.json.partial",
    ]
    .iter()
    .map(|name| root.join(name))
    .collect()
}

/// A repository with one backup, `old`.
fn with_an_old_backup(database: &Database) -> Repo {
    let repo = Repo::new();
    repo.backup(database, &["--name", "old", "--no-migrations"]);
    repo
}

/// What must hold after whatever fault: the older backup is byte-identical, and what is listed is
/// whole.
#[track_caller]
fn check_invariants(repo: &Repo, old: &[(String, Vec<u8>)], what: &str) {
    let now = repo.files();
    for file in old {
        assert!(now.contains(file), "{what}: {} is not as it was", file.0);
    }
    for (name, _) in
        now.iter().filter(|(name, _)| name.starts_with("manifests/") && !name.contains("/."))
    {
        let archive = name.replace("manifests/", "backups/").replace(".json", ".tar");
        let bytes = now.iter().find(|(name, _)| *name == archive).map(|(_, bytes)| bytes);
        let bytes = bytes.unwrap_or_else(|| panic!("{what}: {name} is listed without its archive"));
        assert_eq!(findings(bytes), Vec::<String>::new(), "{what}: {name}");
    }
}

fn forget_new(repo: &Repo) {
    for path in paths(repo.path()).split_off(4) {
        drop(std::fs::remove_file(path));
    }
}

#[test]
fn killed_at_any_file_operation_a_backup_is_whole_or_absent_and_the_next_one_needs_no_help() {
    let database = small_database();
    let repo = with_an_old_backup(&database);
    let old = repo.files();
    let mut points = 0;
    for call in CALLS {
        for number in 1.. {
            let what = format!("killed at {call} {number}");
            let (run, came) = faulty(&repo, &database, call, "signal=KILL", number);
            if !came {
                assert_eq!(run.code, 0, "{what}: {run:?}");
                forget_new(&repo);
                break;
            }
            points += 1;
            check_invariants(&repo, &old, &what);
            let listed = repo.ok(&["list", "--json"]).stdout;
            // The next run: it ends what was begun, and leaves nothing half-written.
            let name = format!("next-{points}");
            repo.ok(&[
                "backup",
                "--url",
                &database.url(),
                "--name",
                &name,
                "--no-migrations",
                "--quiet",
                "--jobs",
                "1",
            ]);
            check_invariants(&repo, &old, &what);
            let files = repo.files();
            assert!(files.iter().all(|(name, _)| !name.contains("/.")), "{what}: leftovers");
            let has = |file: &str| files.iter().any(|(name, _)| name == file);
            assert_eq!(has("backups/new.tar"), has("manifests/new.json"), "{what}: half a backup");
            assert!(
                !listed.contains("\"new\"") || has("manifests/new.json"),
                "{what}: it was listed"
            );
            forget_new(&repo);
            for file in [format!("backups/{name}.tar"), format!("manifests/{name}.json")] {
                std::fs::remove_file(repo.path().join(file)).unwrap();
            }
        }
    }
    assert!(points > 30, "only {points} operations were reached");
}

#[test]
fn a_file_operation_that_fails_fails_the_backup_and_leaves_nothing() {
    let database = small_database();
    let repo = with_an_old_backup(&database);
    let old = repo.files();
    let mut points = 0;
    for (call, error, code) in [
        ("write", "EIO", 1),
        ("write", "ENOSPC", 16),
        ("fsync", "EIO", 1),
        ("fsync", "ENOSPC", 16),
        ("renameat2", "EIO", 1),
        ("renameat2", "ENOSPC", 16),
        ("openat", "EIO", 1),
        ("openat", "ENOSPC", 16),
        ("pread64", "EIO", 1),
    ] {
        for number in 1.. {
            let what = format!("{error} at {call} {number}");
            let (run, came) = faulty(&repo, &database, call, &format!("error={error}"), number);
            if !came {
                assert_eq!(run.code, 0, "{what}: {run:?}");
                forget_new(&repo);
                break;
            }
            points += 1;
            assert_eq!(run.code, code, "{what}: {run:?}");
            assert!(
                run.stderr.contains("pgark: error: ") && !run.stderr.contains("panicked"),
                "{what}: {run:?}"
            );
            if code == 16 {
                assert!(run.stderr.contains("hint: make room"), "{what}: {run:?}");
            }
            assert_eq!(repo.files(), old, "{what}: the repository is not as before: {run:?}");
        }
    }
    assert!(points > 20, "only {points} operations were reached");
}

#[test]
fn a_disk_that_lies_about_a_write_is_found_out_before_anything_is_published() {
    let database = small_database();
    let repo = with_an_old_backup(&database);
    let old = repo.files();
    let size = std::fs::metadata(repo.path().join("backups/old.tar")).unwrap().len();
    assert!(size < 256 << 10, "the small archive is one write of the buffer");
    let (run, came) = faulty(&repo, &database, "write", &format!("retval={size}"), 1);
    assert!(came);
    assert_ne!(run.code, 0, "{run:?}");
    assert_eq!(repo.files(), old, "{run:?}");
}

/// Waits until a query on `database` gives `wanted`.
#[track_caller]
pub fn wait_for(database: &Database, sql: &str, wanted: &str, patience: Duration) {
    let begun = Instant::now();
    let mut client = crate::harness::connect("postgres", "postgres");
    loop {
        let sql = sql.replace("DATABASE", &database.name);
        let found: String = client.query_one(&format!("SELECT ({sql})::text"), &[]).unwrap().get(0);
        if found == wanted {
            return;
        }
        assert!(begun.elapsed() < patience, "{sql}: {found} instead of {wanted}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const WAITING: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'DATABASE' AND wait_event_type = 'Lock'";
const COPYING: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'DATABASE' AND state = 'active' AND query LIKE 'COPY %'";
const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'DATABASE' AND application_name LIKE 'pgark%'";
const OTHERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'DATABASE' AND state = 'active'";

fn kill(process: &std::process::Child, signal: i32) {
    let status =
        Command::new("kill").arg(format!("-{signal}")).arg(process.id().to_string()).status();
    assert!(status.unwrap().success());
}

fn end(process: std::process::Child) -> Run {
    Run::from(process.wait_with_output().unwrap())
}

fn start(repo: &Repo, arguments: &[&str]) -> std::process::Child {
    let mut command = repo.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_signal_ends_a_backup_that_waits_for_a_lock_and_one_that_copies() {
    let database = small_database();
    // A generated series of slow rows: the COPY of this table takes a minute.
    database.execute(
        "CREATE FUNCTION slow(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
         CREATE TABLE many AS SELECT g, repeat(md5(g::text), 30) AS text FROM generate_series(1, 300000) AS g;",
    );
    let repo = with_an_old_backup(&small_database());
    let old = repo.files();
    let url = database.url();
    for (signal, code) in [(2, 130), (15, 143), (1, 129)] {
        for state in [WAITING, COPYING] {
            let mut holder = database.client();
            if state == WAITING {
                holder.batch_execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").unwrap();
            }
            let backup = start(
                &repo,
                &["backup", "--url", &url, "--jobs", "2", "--no-migrations", "--level", "19"],
            );
            wait_for(&database, state, "true", Duration::from_secs(20));
            let sent = Instant::now();
            kill(&backup, signal);
            let run = end(backup)
                .expect_code(code)
                .says(&["interrupted by a signal (SIG", "nothing was published"]);
            assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
            assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
            wait_for(&database, OTHERS, "0", Duration::from_secs(5));
            wait_for(&database, BACKENDS, "0", Duration::from_secs(5));
            assert_eq!(repo.files(), old, "signal {signal}");
        }
    }
}

#[test]
fn of_two_backups_at_once_one_wins_and_the_other_says_so() {
    let (database, repo) = (small_database(), Repo::new());
    let mut holder = database.client();
    holder.batch_execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").unwrap();
    let url = database.url();
    let first = start(&repo, &["backup", "--url", &url, "--name", "first", "--no-migrations"]);
    wait_for(&database, WAITING, "true", Duration::from_secs(20));
    let second = repo.run(&["backup", "--url", &url, "--name", "second", "--no-migrations"]);
    second.expect_code(11).says(&["another pgark is writing", "hint: wait"]);
    holder.batch_execute("COMMIT").unwrap();
    end(first).expect_code(0);
    let names: Vec<String> = repo.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["backups/first.tar", "manifests/first.json"]);
}

#[test]
fn a_restore_that_was_killed_marks_the_database_until_the_next_one_ends_it() {
    let (source, target, repo) = (Database::fintrack(1), Database::empty(), Repo::new());
    let archive = repo.backup(&source, &["--no-migrations", "--name", "fintrack"]);
    let (archive, url) = (archive.to_str().unwrap(), target.url());
    let mut restore = start(&repo, &["restore", archive, "--url", &url]);
    wait_for(&target, COPYING, "true", Duration::from_secs(30));
    restore.kill().unwrap();
    assert_eq!(restore.wait().unwrap().signal(), Some(9));
    wait_for(&target, OTHERS, "0", Duration::from_secs(20));
    let half = "half restored";
    repo.run(&["backup", "--url", &url, "--no-migrations"]).expect_code(15).says(&[half]);
    repo.run(&["compare", archive, "--with", &url]).expect_code(15).says(&[half]);
    repo.run(&["restore", archive, "--url", &url, "--data-only"]);
    repo.ok(&["restore", archive, "--url", &url]);
    repo.ok(&["compare", archive, "--with", &url]);
    assert_eq!(repo.files().len(), 2, "nothing was written to the repository");
}

#[test]
fn an_interrupted_restore_leaves_the_database_empty() {
    let (source, target, repo) = (Database::fintrack(1), Database::empty(), Repo::new());
    let archive = repo.backup(&source, &["--no-migrations", "--name", "fintrack"]);
    let (archive, url) = (archive.to_str().unwrap(), target.url());
    let restore = start(&repo, &["restore", archive, "--url", &url]);
    wait_for(&target, COPYING, "true", Duration::from_secs(30));
    kill(&restore, 2);
    end(restore).expect_code(130);
    let left = "SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relnamespace <> 99";
    assert_eq!(target.one(left), "0", "{}", target.one("SELECT string_agg(oid::regclass || ' ' || relkind::text, ', ') FROM pg_class WHERE oid >= 16384 AND relnamespace <> 99"));
    assert_eq!(target.one("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgark%'"), "0");
    repo.ok(&["restore", archive, "--url", &url]);
}

#[test]
fn a_reader_that_goes_away_or_a_closed_output_is_no_panic() {
    let repo = with_an_old_backup(&small_database());
    let pgark = repo.command(&["list"]).get_program().to_owned();
    let root = repo.path().to_str().unwrap().to_owned();
    let url = small_database().url();
    for script in [
        "\"$0\" list --repo \"$1\" | true",
        "\"$0\" list --repo \"$1\" | head -n 1",
        "\"$0\" list --repo \"$1\" >&-",
        "\"$0\" list --repo \"$1\" >&- 2>&- <&-",
        "\"$0\" verify old --repo \"$1\" 2>&-",
        "\"$0\" help | true",
        "\"$0\" list --repo \"$1\" --json | true",
    ] {
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(&pgark)
            .arg(&root)
            .env("PGARK_TEST_URL", &url)
            .output()
            .unwrap();
        Run::from(output).expect_code(0).says(&[""]);
    }
    let full = Command::new("sh")
        .args(["-c", "\"$0\" list --repo \"$1\" >/dev/full"])
        .arg(&pgark)
        .arg(&root)
        .output()
        .unwrap();
    let full = Run::from(full);
    assert!(full.code == 16 && !full.stderr.contains("panicked"), "{full:?}");
}
