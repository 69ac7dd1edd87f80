//! What people type, rightly and wrongly: every failure is said, with its exit code, and changes
//! nothing; standard output is for results alone.

use crate::harness::archive::{small, small_database};
use crate::harness::{Database, Repo, Run, pgark};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

fn bare(arguments: &[&str]) -> Run {
    Run::from(pgark().args(arguments).output().unwrap())
}

#[test]
fn help_lists_the_exit_codes_and_every_verb() {
    let help = bare(&["help"]).expect_code(0);
    let verbs = ["backup", "restore", "verify", "compare", "list"];
    for text in ["Exit codes:", "0  done, and proved", "13  an archive is damaged", "128+N"] {
        assert!(help.stdout.contains(text), "no {text} in {}", help.stdout);
    }
    for verb in verbs {
        assert!(help.stdout.contains(verb), "{verb}");
        let help = bare(&[verb, "--help"]).expect_code(0);
        assert!(help.stdout.contains("--repo"), "{verb}: {}", help.stdout);
        assert!(help.stderr.is_empty());
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_meant() {
    let meant = |arguments: &[&str], says: &str| {
        let run = bare(arguments).expect_code(2).says(&[says]);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
    };
    meant(&[], "Usage");
    meant(&["bakcup"], "backup");
    meant(&["backup", "--tabel", "x"], "--table");
    meant(&["backup", "--jobs", "0"], "--jobs");
    meant(&["backup", "--level", "20"], "--level");
    meant(&["verify"], "ARCHIVES");
    meant(&["restore", "x", "--swap"], "--create");
    meant(&["restore", "x", "--on-existing", "skip"], "--data-only");
    let repo = Repo::new();
    let meant = |arguments: &[&str], says: &[&str]| {
        let run = repo.run(arguments).expect_code(2).says(says);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
        assert_eq!(repo.files(), Vec::new());
    };
    let database = Database::empty();
    let url = database.url();
    let backup = ["backup", "--url", &url, "--no-migrations"];
    meant(&["restore", "x", "--url", &url, "--table", "y"], &["--data-only"]);
    meant(&[&backup[..], &["--name", "../x"]].concat(), &["is no name for an archive", "hint"]);
    meant(&[&backup[..], &["--allow-missing", "polcy"]].concat(), &["policy"]);
    meant(&["backup", "--url", "postgresql://[", "--no-migrations"], &["error"]);
}

#[test]
fn an_archive_that_is_not_there_is_named_with_the_nearest_one() {
    let (repo, database) = (Repo::new(), small_database());
    repo.run(&["verify", "latest"]).expect_code(10).says(&["there is no archive"]);
    repo.run(&["list"]).expect_code(10).says(&["is not a repository", "--repo"]);
    repo.backup(&database, &["--name", "accounts-1", "--no-migrations"]);
    repo.backup(&database, &["--name", "accounts-2", "--no-migrations"]);
    repo.run(&["verify", "acounts-1"])
        .expect_code(10)
        .says(&["no archive \"acounts-1\"", "did you mean \"accounts-1\"?"]);
    repo.run(&["verify", "accounts"]).expect_code(2).says(&["2 archives begin with", "accounts-1"]);
    repo.ok(&["verify", "accounts-2"]);
    repo.run(&["verify", "latest:other"]).expect_code(10);
    let folder = repo.path().join("backups");
    repo.run(&["verify", folder.to_str().unwrap()]).expect_code(10);
    let gone = repo.path().join("nowhere");
    for verb in
        [&["list"][..], &["verify", "x"], &["backup", "--url", "host=/nowhere dbname=x user=x"]]
    {
        let mut command = pgark();
        command.args(verb).arg("--repo").arg(&gone).current_dir(repo.path());
        let run = Run::from(command.output().unwrap());
        run.expect_code(10).says(&["is not a folder", "--repo"]);
    }
    assert!(!gone.exists());
}

#[test]
fn a_path_that_leads_nowhere_is_said_to_and_not_its_repository() {
    let repo = Repo::new();
    repo.run(&["verify", "/nonexist.tar"])
        .expect_code(10)
        .says(&["there is no archive /nonexist.tar", "there is no such file"]);
    let run = repo.run(&["verify", "/"]).expect_code(10);
    run.says(&["it is a folder"]);
    // The folder that one is in has been removed.
    let gone = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "cd \"$1\" && rmdir \"$1\" && exec \"$0\" list"]);
    shell.arg(pgark().get_program()).arg(gone.path());
    let run = Run::from(shell.output().unwrap()).expect_code(10);
    run.says(&["the folder . has been removed", "hint: go to another folder"]);
}

#[test]
fn what_was_typed_wrongly_has_a_tip_wherever_it_stands() {
    for (arguments, tip) in [
        (&["-v", "check"][..], "tip: flags stand behind the verb: 'pgark check -v'"),
        (&["help", "migrations", "statsu"], "'status'"),
        (&["migrations", "statsu"], "'status'"),
        (&["extract", "a", "--format", "cvs"], "'csv'"),
        (&["backup", "--exclude-table-dat", "x"], "'--exclude-table-data'"),
    ] {
        bare(arguments).expect_code(2).says(&[tip]);
    }
}

#[test]
fn files_that_are_no_archives_are_damaged_ones_for_every_verb() {
    let (repo, target) = (Repo::new(), Database::empty());
    let url = target.url();
    let half = &small()[..small().len() / 2];
    for (name, bytes) in [("empty", &b""[..]), ("text", b"not a tar at all"), ("half", half)] {
        let path = repo.path().join(name);
        write(&path, bytes);
        let path = path.to_str().unwrap();
        for verb in [
            &["verify", path][..],
            &["restore", path, "--url", &url],
            &["compare", path, "--with", &url],
        ] {
            let run = repo.run(verb).expect_code(13);
            assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
        }
    }
    assert_eq!(target.one("SELECT count(*) FROM pg_class WHERE oid >= 16384"), "0");
}

#[test]
fn a_server_or_database_that_is_not_there_ends_with_17_and_no_password_is_repeated() {
    let repo = Repo::new();
    let url = "postgresql://somebody:s3cret@localhost:1/x?connect_timeout=2";
    let run = repo.run(&["backup", "--url", url, "--no-migrations"]).expect_code(17);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    let url = crate::harness::server().url("no_such_database", "postgres");
    repo.run(&["backup", "--url", &url, "--no-migrations"])
        .expect_code(17)
        .says(&["no_such_database"]);
    assert_eq!(repo.files(), Vec::new());
}

#[test]
fn json_is_one_object_a_line_for_every_verb_and_every_failure() {
    let (repo, source, target) = (Repo::new(), small_database(), Database::empty());
    let (from, to) = (source.url(), target.url());
    let backup = ["backup", "--url", &from, "--no-migrations"];
    let backup_a = [&backup[..], &["--name", "a"]].concat();
    let backup_typo = [&backup[..], &["--table", "peple"]].concat();
    let nowhere = ["backup", "--url", "host=/nowhere dbname=x user=x", "--no-migrations"];
    let runs = [
        (backup_a.clone(), 0),
        (vec!["list"], 0),
        (vec!["verify", "a"], 0),
        (vec!["restore", "a", "--url", &to], 0),
        (vec!["compare", "a", "--with", &to], 0),
        (vec!["compare", "a", "--with", "a"], 0),
        (backup_a, 15),
        (vec!["restore", "a", "--url", &to], 15),
        (vec!["verify", "b"], 10),
        (backup_typo, 10),
        (nowhere.to_vec(), 17),
    ];
    for (arguments, code) in runs {
        let run = repo.run(&[&arguments[..], &["--json"]].concat()).expect_code(code);
        let events = run.events();
        let value = run.json();
        assert!(
            events.iter().all(|event| event["json_version"] == 1),
            "{arguments:?}: {events:#?}"
        );
        assert!(events[..events.len() - 1].iter().all(|event| event["event"] != "result"));
        assert_eq!(value["event"], "result", "{arguments:?}: {value}");
        let quiet = repo.run(&[&arguments[..], &["--json", "--quiet"]].concat());
        assert_eq!(quiet.events().len(), 1, "{arguments:?}: {}", quiet.stdout);
        if code != 0 {
            assert_eq!(value["exit_code"], code, "{arguments:?}: {value}");
            assert!(value["error"].as_str().is_some_and(|error| !error.is_empty()), "{value}");
        }
    }
    target.execute("UPDATE people SET name = 'Eve' WHERE id = 1");
    let run = repo.run(&["compare", "a", "--with", &to, "--json"]).expect_code(4);
    let value: Value = run.json();
    assert_eq!(value["differences"][0]["object"], "table public.people");
}

#[test]
fn standard_output_holds_results_and_quiet_says_nothing() {
    let (repo, source) = (Repo::new(), small_database());
    let url = source.url();
    let run = repo.ok(&["backup", "--url", &url, "--no-migrations", "--name", "a"]);
    assert!(run.stderr.contains("pgark: reading the rows") && !run.stdout.contains("reading"));
    for arguments in [
        &["backup", "--url", &url, "--no-migrations", "--name", "b"][..],
        &["verify", "a"],
        &["compare", "a", "--with", &url],
    ] {
        let run = repo.ok(&[arguments, &["--quiet"]].concat());
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{arguments:?}");
    }
}

#[test]
fn a_name_that_is_taken_is_not_overwritten() {
    let (repo, source) = (Repo::new(), small_database());
    let url = source.url();
    repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let old = repo.files();
    let run = repo.run(&["backup", "--url", &url, "--name", "a", "--no-migrations"]);
    run.expect_code(15).says(&["exists already"]);
    assert_eq!(repo.files(), old);
}

#[test]
fn a_backup_can_be_told_to_disturb_little() {
    let source =
        Database::with("CREATE TABLE t AS SELECT repeat('x', 999) FROM generate_series(1, 4000)");
    let repo = Repo::new();
    let begun = Instant::now();
    let mut child = repo
        .command(&["backup", "--url", &source.url(), "--rate-limit", "2MB", "--nice", "7", "-q"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    // proc(5): the 19th field is the niceness; the second one, the name, ends with a bracket.
    let niceness = |process: &str| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    };
    assert_eq!(niceness(&child.id().to_string()), (niceness("self") + 7).min(19));
    assert!(child.wait().unwrap().success());
    assert!(begun.elapsed() > Duration::from_millis(1500), "{:?}", begun.elapsed());
    repo.run(&["backup", "--rate-limit", "fast"]).expect_code(2).says(&["--rate-limit", "20M"]);
    repo.run(&["backup", "--rate-limit", "0"]).expect_code(2).says(&["nothing would ever move"]);
}
