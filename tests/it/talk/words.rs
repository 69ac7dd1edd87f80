//! Snapshots in tests/words. `scripts/golden-words` writes them anew; what has changed is
//! then to be read in the difference.

use crate::harness::archive::small_database;
use crate::harness::{Database, Repo, Run, pgark, project};
use clap::CommandFactory;
use insta::Settings;
use pgark::cli::args::Arguments;

/// Compares with tests/words/`name`.snap, with what changes from run to run replaced.
#[track_caller]
fn same(name: &str, text: &str, replaced: &[(&str, &str)]) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(project().join("tests/words"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in replaced {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text.trim_end()));
}

fn help(arguments: &[&str]) -> String {
    let mut command = pgark();
    // A terminal's width is not the test's.
    command.args(arguments).env("COLUMNS", "100");
    Run::from(command.output().unwrap()).expect_code(0).stdout
}

#[test]
fn every_help_text_is_as_it_was_written() {
    // What depends on the machine.
    let replaced = [(r"\[default: \d+\]\n(\s+-n|\s+--nice|)", "[default: N]\n$1")];
    same("help", &help(&["help"]), &replaced);
    same("help-exit-codes", &help(&["help", "exit-codes"]), &[]);
    assert_eq!(help(&["help", "exit-codes"]), help(&["exit-codes"]));
    let mut verbs = vec![(String::new(), Arguments::command())];
    while let Some((path, command)) = verbs.pop() {
        for verb in command.get_subcommands() {
            let name = verb.get_name();
            if matches!(name, "help" | "exit-codes") {
                continue;
            }
            let path = format!("{path} {name}");
            let words: Vec<&str> = path.split_whitespace().collect();
            let text = help(&[&words[..], &["--help"]].concat());
            let text = text.replace(&default_jobs(), "[default: JOBS]");
            same(&format!("help-{}", words.join("-")), &text, &[]);
            verbs.push((path.clone(), verb.clone()));
        }
    }
}

/// The default of `--jobs` is this machine's number of processors.
fn default_jobs() -> String {
    let jobs = std::thread::available_parallelism().unwrap().get().min(8);
    format!("[default: {jobs}]")
}

/// What standard output and standard error said, and the exit code.
fn said(run: &Run) -> String {
    format!("exit code {}\n--- stdout\n{}--- stderr\n{}", run.code, run.stdout, run.stderr)
}

#[test]
fn every_summary_is_as_it_was_written() {
    let (repo, source, target) = (Repo::new(), small_database(), Database::empty());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let (source_name, target_name) = (source.name.clone(), target.name.clone());
    let replaced = [
        (repository.as_str(), "REPO"),
        (source_name.as_str(), "SOURCE"),
        (target_name.as_str(), "TARGET"),
        (r"PostgreSQL \d+\.\d+( \([^)]*\))?", "PostgreSQL N"),
        (r"\d+\.\d s\b", "T s"),
        (r"\d+(\.\d+)? (B|[KMG]iB)", "SIZE"),
        (r"sha256 [0-9a-f]{64}", "sha256 HASH"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "WHEN"),
        (r"(?m)^(NAME .*?)  +", "$1  "),
        (r"  +", "  "),
        (r"process \d+", "process N"),
    ];
    let project = crate::harness::archive::small_project(repo.path());
    let (from, to) = (source.url(), target.url());
    let backup = ["backup", "--url", &from, "--name", "a", "--jobs", "1", "--migrations", &project];
    for (name, arguments, code) in [
        ("backup", &backup[..], 0),
        ("list", &["list"], 0),
        ("verify", &["verify", "a"], 0),
        ("restore", &["restore", "a", "--url", &to, "--jobs", "1"], 0),
        ("compare", &["compare", "a", "--with", &to], 0),
        ("compare-schema", &["compare", "a", "--with", &to, "--schema"], 0),
        (
            "restore-data-only",
            &["restore", "a", "--url", &to, "--data-only", "--on-existing", "truncate"],
            0,
        ),
    ] {
        let run = repo.run(arguments).expect_code(code);
        same(&format!("summary-{name}"), &said(&run), &replaced);
    }
    target.execute("UPDATE people SET name = 'Eve' WHERE id = 1");
    let run = repo.run(&["compare", "a", "--with", &to]).expect_code(4);
    same("summary-compare-differs", &said(&run), &replaced);
    let quietly = ["backup", "--url", &from, "--name", "b", "--jobs", "1", "--no-migrations", "-v"];
    let run = repo.run(&quietly).expect_code(0);
    let folder = regex::escape(source.server.folder().to_str().unwrap());
    let mut replaced = replaced.to_vec();
    replaced.insert(0, (&folder, "SOCKET"));
    same("summary-verbose", &said(&run), &replaced);
}

#[test]
fn every_error_is_as_it_was_written() {
    let (repo, source) = (Repo::new(), small_database());
    let repository = regex::escape(repo.path().to_str().unwrap());
    let folder = regex::escape(source.server.folder().to_str().unwrap());
    let name = source.name.clone();
    let replaced = [
        (repository.as_str(), "REPO"),
        (folder.as_str(), "SOCKET"),
        (name.as_str(), "SOURCE"),
        (r"process \d+", "process N"),
        (r"backend\(\d+\)", "backend(N)"),
        (r"transaction for \d+ s", "transaction for T s"),
    ];
    repo.backup(&source, &["--name", "accounts-1", "--no-migrations"]);
    let url = source.url();
    let server = |database: &str, role: &str| source.server.url(database, role);
    let nothing = server("no_such_database", "postgres");
    let nobody = server(&source.name, "no_such_role");
    let restored = ["restore", "accounts-1", "--url", &url];
    let cases: &[(&str, &[&str], i32)] = &[
        ("verb", &["bakcup"], 2),
        ("flag", &["backup", "--tabel", "x"], 2),
        ("no-verb", &[], 2),
        ("number", &["backup", "--jobs", "many"], 2),
        ("parameter", &["backup", "--url", "host=h sslmod=require"], 2),
        ("parameter-in-url", &["backup", "--url", "postgresql://u:s3cret@h/d?sslmod=require"], 2),
        ("value", &["backup", "--url", "host=h user=u sslmode=required"], 2),
        ("url", &["backup", "--url", "postgresql://u:s3cr@et@h/d"], 2),
        ("service", &["backup", "--url", "service=shop"], 10),
        ("archive", &["verify", "acounts-1"], 10),
        ("table", &["backup", "--url", &url, "--table", "peple"], 10),
        ("class", &["backup", "--url", &url, "--allow-missing", "polcy"], 2),
        ("name", &["backup", "--url", &url, "--name", "../x"], 2),
        ("name-taken", &["backup", "--url", &url, "--name", "accounts-1", "--no-migrations"], 15),
        ("refused", &["backup", "--url", "host=127.0.0.1 port=1 user=u dbname=d"], 17),
        ("folder", &["backup", "--url", "host=/no/such/folder user=u dbname=d"], 17),
        ("database", &["backup", "--url", &nothing], 17),
        ("role", &["backup", "--url", &nobody], 17),
        ("not-empty", &restored, 15),
        ("data-only", &["restore", "accounts-1", "--url", &url, "--table", "x"], 2),
    ];
    for (name, arguments, code) in cases {
        let mut command = repo.command(arguments);
        command.args(["--quiet"]).env("HOME", repo.path());
        if matches!(*name, "verb" | "no-verb") {
            command = pgark();
            command.args(*arguments);
        }
        let run = Run::from(command.output().unwrap());
        assert!(!said(&run).contains("s3cr"), "{run:?}");
        same(&format!("error-{name}"), &said(&run.expect_code(*code)), &replaced);
    }
    let mut holder = source.client();
    holder.batch_execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").unwrap();
    let run = repo.run(&["backup", "--url", &url, "--lock-timeout", "1", "--no-migrations"]);
    same("error-lock", &said(&run.expect_code(11)), &replaced);
}
