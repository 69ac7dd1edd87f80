//! `consolidate` and `rollback`, killed and failed at every file operation in the project's folder:
//! the folder of revisions is the old one or the new one, whole, and the next run needs no help.
//! Faults are injected with strace.

use crate::consolidate_safety::two_folders;
use crate::harness::alembic::{Project, revision};
use crate::harness::{Database, Repo, Run, traced};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The system calls by which files of a project are changed. Each is swept on its own: strace counts
/// each name separately.
const CALLS: &[&str] = &[
    "openat",
    "mkdir",
    "write",
    "fsync",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
];

const VERSIONS: &str = "migrations/versions";
const PARKED: &str = "migrations/old";

/// A project of two revisions with compiled files, and its database.
struct Bench {
    project: Project,
    repo: Repo,
    live: Database,
    old: Vec<(String, Vec<u8>)>,
}

impl Bench {
    fn new() -> Self {
        let first = revision("aaaa", "None", "op.execute('CREATE TABLE a (x int)')");
        let second = revision("bbbb", "'aaaa'", "op.execute('CREATE TABLE b (x int)')");
        let project = Project::of(&[
            (&format!("{VERSIONS}/a.py"), &first),
            (&format!("{VERSIONS}/b.py"), &second),
            (&format!("{VERSIONS}/__pycache__/a.cpython-311.pyc"), "compiled"),
        ]);
        let live = Database::empty();
        project.alembic(&live, &["upgrade", "head"]);
        let old = project.files();
        Self { project, repo: Repo::new(), live, old }
    }

    /// The project as it was in the beginning.
    fn start_anew(&self) {
        let root = self.project.path();
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => std::fs::remove_dir_all(path).unwrap(),
                false => std::fs::remove_file(path).unwrap(),
            }
        }
        for (path, content) in &self.old {
            self.project.write(path, std::str::from_utf8(content).unwrap());
        }
        self.project.write(&format!("{VERSIONS}/__pycache__/a.cpython-311.pyc"), "compiled");
    }

    fn consolidate(&self) -> Command {
        let root = self.project.path().to_str().unwrap().to_owned();
        let arguments = [
            "consolidate",
            "--no-alembic",
            "--reference",
            "live",
            "--scratch-here",
            "--park",
            PARKED,
            "--jobs",
            "1",
            "--quiet",
            "--migrations",
            &root,
        ];
        self.project.command(&self.repo, &self.live, &arguments)
    }

    /// Of the archive that the project's files name.
    fn rollback(&self) -> Command {
        let root = self.project.path().to_str().unwrap().to_owned();
        let arguments =
            ["rollback", "--files-only", "--quiet", "--jobs", "1", "--migrations", &root];
        self.project.command(&self.repo, &self.live, &arguments)
    }

    /// All paths below the project that a run may touch.
    fn paths(&self) -> Vec<PathBuf> {
        let (part, new) = ("migrations/.versions.pgark-part", "migrations/.versions.pgark-new");
        let mut all = vec![
            String::from(".pgark-swap.json"),
            String::from("..pgark-swap.json.partial"),
            String::from("migrations"),
            String::from("migrations/.versions.pgark-old"),
            String::from("migrations/env.py"),
            String::from("migrations/.env.py.partial"),
        ];
        for folder in [VERSIONS, part, new, PARKED] {
            all.push(folder.to_owned());
            for name in [
                "a.py",
                "b.py",
                "bbbb_squashed.py",
                "__pycache__",
                "alembic.ini",
                ".alembic.ini.partial",
            ] {
                all.push(format!("{folder}/{name}"));
            }
        }
        let root = self.project.path();
        std::iter::once(root.to_owned()).chain(all.iter().map(|path| root.join(path))).collect()
    }

    /// Runs a command under strace, which does `fault` at the `number`-th `call` on a file of the
    /// project, and whether it came to that.
    fn faulty(&self, plain: &Command, call: &str, fault: &str, number: usize) -> (Run, bool) {
        traced::faulty(plain, &self.paths(), call, fault, number)
    }

    /// Whether the folder of revisions is the new one; it must be one of the two, whole.
    #[track_caller]
    fn is_new(&self, what: &str) -> bool {
        let mut there = self.project.files();
        there.retain(|(path, _)| path.starts_with(&format!("{VERSIONS}/")));
        let old: Vec<_> =
            self.old.iter().filter(|(path, _)| path.starts_with(VERSIONS)).cloned().collect();
        if there == old {
            return false;
        }
        // The file `.keep` of the old folder is in the new one, too.
        let names: Vec<&str> = there.iter().map(|(path, _)| path.as_str()).collect();
        let new = [format!("{VERSIONS}/.keep"), format!("{VERSIONS}/bbbb_squashed.py")];
        assert_eq!(names, new, "{what}");
        let text = String::from_utf8(there[1].1.clone()).unwrap();
        let sealed = pgark::ops::migrations::new_tree::is_sealed(text.as_bytes());
        assert_eq!(sealed, Some(true), "{what}: {text}");
        true
    }

    #[track_caller]
    fn no_leftovers(&self, what: &str) {
        for path in self.project.entries() {
            assert!(!path.contains("pgark-") && !path.contains("partial"), "{what}: {path}");
        }
    }
}

#[test]
fn killed_at_any_file_operation_the_project_is_the_old_one_or_the_new_one_whole() {
    let bench = Bench::new();
    let (mut points, mut ended) = (0, 0);
    for call in CALLS {
        for number in 1.. {
            let what = format!("killed at {call} {number}");
            bench.start_anew();
            let (run, came) = bench.faulty(&bench.consolidate(), call, "signal=KILL", number);
            if !came {
                assert_eq!(run.code, 0, "{what}: {run:?}");
                assert!(bench.is_new(&what));
                break;
            }
            points += 1;
            let new = bench.is_new(&what);
            ended += usize::from(new);
            // Alembic finds its way in either.
            let history = bench.project.alembic(&bench.live, &["current"]);
            assert!(history.contains("bbbb (head)"), "{what}: {history}");
            // The next run ends what was begun, or begins anew.
            let next = Run::from(bench.consolidate().output().unwrap());
            let code = if new { 15 } else { 0 };
            assert_eq!(next.code, code, "{what}: {next:?}");
            assert!(bench.is_new(&what));
            bench.no_leftovers(&what);
            let parked: Vec<String> = bench.project.paths(PARKED);
            let old = [".keep", "a.py", "alembic.ini", "b.py"].map(|n| format!("{PARKED}/{n}"));
            assert_eq!(parked, old, "{what}");
            assert!(!bench.project.path().join(PARKED).join("__pycache__").exists(), "{what}");
        }
    }
    assert!(
        points > 30 && ended > 3,
        "{points} operations were reached, {ended} after the exchange"
    );
    assert_eq!(bench.live.one("SELECT version_num FROM alembic_version"), "bbbb");
}

#[test]
fn a_file_operation_that_fails_leaves_the_old_files_or_the_new_ones_and_says_so() {
    let bench = Bench::new();
    let mut points = 0;
    for (call, error) in [
        ("openat", "EIO"),
        ("mkdir", "ENOSPC"),
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("renameat2", "EIO"),
        ("rename", "EIO"),
    ] {
        for number in 1.. {
            let what = format!("{error} at {call} {number}");
            bench.start_anew();
            let fault = format!("error={error}");
            let (run, came) = bench.faulty(&bench.consolidate(), call, &fault, number);
            if !came {
                assert_eq!(run.code, 0, "{what}: {run:?}");
                break;
            }
            points += 1;
            let new = bench.is_new(&what);
            assert!(run.code != 0 || new, "{what}: {run:?}");
            assert!(!run.stderr.contains("panicked"), "{what}: {run:?}");
            if run.code != 0 {
                assert!(run.stderr.contains("pgark: error: "), "{what}: {run:?}");
            }
            let next = Run::from(bench.consolidate().output().unwrap());
            assert_eq!(next.code, if new { 15 } else { 0 }, "{what}: {next:?}");
            assert!(bench.is_new(&what));
            bench.no_leftovers(&what);
        }
    }
    assert!(points > 15, "only {points} operations were reached");
}

#[test]
fn a_rollback_that_is_killed_at_any_file_operation_is_ended_by_the_next() {
    let bench = Bench::new();
    assert_eq!(Run::from(bench.consolidate().output().unwrap()).code, 0);
    let new = bench.project.files();
    let mut points = 0;
    for call in CALLS {
        for number in 1.. {
            let what = format!("killed at {call} {number}");
            bench.start_anew();
            std::fs::remove_dir_all(bench.project.path().join(VERSIONS)).unwrap();
            for (path, content) in &new {
                bench.project.write(path, std::str::from_utf8(content).unwrap());
            }
            std::fs::remove_file(bench.project.path().join("migrations/env.py")).unwrap();
            let (run, came) = bench.faulty(&bench.rollback(), call, "signal=KILL", number);
            if !came {
                assert_eq!(run.code, 0, "{what}: {run:?}");
                assert!(!bench.is_new(&what));
                break;
            }
            points += 1;
            let root = bench.project.path();
            let ended = !bench.is_new(&what) && !root.join(".pgark-swap.json").exists();
            let next = Run::from(bench.rollback().output().unwrap());
            // What had ended was killed on its way out: no file names an archive any more.
            assert_eq!(next.code, if ended { 10 } else { 0 }, "{what}: {next:?}");
            assert!(!bench.is_new(&what) && root.join("migrations/env.py").exists(), "{what}");
            bench.no_leftovers(&what);
        }
    }
    assert!(points > 20, "only {points} operations were reached");
}

/// Runs a command on a file system that cannot exchange names, which takes three renames then, and
/// kills it at one.
fn in_three_renames(paths: &[PathBuf], command: &Command, kill: Option<usize>) -> Run {
    let mut options: Vec<String> = vec![String::from("-o"), String::from("/dev/null")];
    for path in paths {
        options.extend([String::from("-P"), path.to_str().unwrap().to_owned()]);
    }
    options.extend(["-e", "trace=renameat2,rename,renameat"].map(String::from));
    options.extend(["-e", "inject=renameat2:error=EINVAL"].map(String::from));
    if let Some(number) = kill {
        let inject = format!("inject=rename,renameat:signal=KILL:when={number}");
        options.extend([String::from("-e"), inject]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Run::from(traced::traced(command, &options).output().unwrap())
}

#[test]
fn where_names_cannot_be_exchanged_in_one_step_a_kill_between_the_renames_is_put_right() {
    let bench = Bench::new();
    let traced = |command: &Command, kill| in_three_renames(&bench.paths(), command, kill);
    let mut points = 0;
    for number in 1.. {
        let what = format!("killed at rename {number}");
        bench.start_anew();
        let run = traced(&bench.consolidate(), Some(number));
        if run.code != 137 {
            assert_eq!(run.code, 0, "{what}: {run:?}");
            assert!(bench.is_new(&what));
            break;
        }
        points += 1;
        if bench.project.path().join(".pgark-swap.json").exists() {
            bench
                .project
                .run(&bench.repo, &bench.live, &["status"])
                .expect_code(15)
                .says(&["has begun to exchange the folders"]);
        }
        let next = traced(&bench.consolidate(), None);
        assert!([0, 15].contains(&next.code), "{what}: {next:?}");
        assert!(bench.is_new(&what));
        bench.no_leftovers(&what);
    }
    assert!(points >= 4, "only {points} renames were reached");
}

#[test]
fn so_is_one_between_the_renames_of_the_first_of_two_folders() {
    let (project, repo) = (two_folders("cc"), Repo::new());
    let live = Database::empty();
    project.alembic(&live, &["upgrade", "head"]);
    let before = project.files();
    let root = project.path();
    let paths: Vec<PathBuf> =
        ["one", ".one.pgark-new", ".one.pgark-old"].map(|path| root.join(path)).to_vec();
    let whole = root.to_str().unwrap();
    let command = |verb: &[&str]| {
        let arguments = [verb, &["--quiet", "--migrations", whole]].concat();
        project.command(&repo, &live, &arguments)
    };
    let consolidate = ["consolidate", "--no-alembic", "--reference", "live", "--scratch-here"];
    for number in 1..=4 {
        let what = format!("killed at rename {number}");
        let run = in_three_renames(&paths, &command(&consolidate), Some(number));
        assert_eq!(run.code, 137, "{what}: {run:?}");
        assert!(root.join(".pgark-swap.json").exists(), "{what}");
        let next = in_three_renames(&paths, &command(&["rollback", "--files-only"]), None);
        // It undoes what was begun before it says that there is nothing to do.
        assert!(next.stderr.contains("undid that"), "{what}: {next:?}");
        assert_eq!(project.files(), before, "{what}: {next:?}");
    }
}

#[test]
fn a_revision_that_is_saved_while_the_new_folder_is_written_is_not_parked() {
    let bench = Bench::new();
    let new = bench.project.path().join("migrations/.versions.pgark-part");
    let path = new.to_str().unwrap();
    let delay = "inject=mkdir:delay_exit=5000000:when=1";
    let options = ["-o", "/dev/null", "-P", path, "-e", "trace=mkdir", "-e", delay];
    let mut command = traced::traced(&bench.consolidate(), &options);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !new.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let newer = revision("cccc", "'bbbb'", "pass");
    bench.project.write(&format!("{VERSIONS}/c.py"), &newer);
    let run = Run::from(run.wait_with_output().unwrap()).expect_code(15);
    run.says(&["changed meanwhile: migrations/versions/c.py", "run again"]);
    let mut there = bench.old.clone();
    there.push((format!("{VERSIONS}/c.py"), newer.into_bytes()));
    there.sort();
    assert_eq!(bench.project.files(), there);
}

#[test]
fn old_files_whose_journal_is_gone_are_kept_and_named() {
    let bench = Bench::new();
    // The journal and the new folder get their names, both folders change theirs, the old one is parked.
    let (run, came) = bench.faulty(&bench.consolidate(), "renameat2", "signal=KILL", 4);
    assert!(came && bench.is_new("killed"), "{run:?}");
    std::fs::remove_file(bench.project.path().join(".pgark-swap.json")).unwrap();
    // It is told of though the run that renames it fails right afterwards, as on a full disk.
    let (run, came) = bench.faulty(&bench.rollback(), "mkdir", "error=ENOSPC", 1);
    assert!(came && run.code != 0, "{run:?}");
    run.says(&["migrations/versions-left", "its journal is gone", "cannot make"]);
    Run::from(bench.rollback().output().unwrap()).expect_code(0);
    assert!(!bench.is_new("rolled back"));
    for (path, content) in bench.old.iter().filter(|(path, _)| path.ends_with(".py")) {
        if let Some(name) = path.strip_prefix(&format!("{VERSIONS}/")) {
            let kept = bench.project.read(&format!("migrations/versions-left/{name}"));
            assert_eq!(kept.as_bytes(), content);
        }
    }
}

#[test]
fn a_folder_that_cannot_be_renamed_stays_and_the_message_says_where_it_can() {
    let bench = Bench::new();
    let (run, came) = bench.faulty(&bench.consolidate(), "renameat2", "error=EXDEV", 3);
    assert!(came && !bench.is_new("not renamed"), "{run:?}");
    run.expect_code(1).says(&["cannot exchange", "in a checkout on a writable file system"]);
    bench.no_leftovers("not renamed");
}
