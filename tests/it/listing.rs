//! What is in a repository, and what one archive is.

use crate::harness::archive::{Parts, small_database, small_project};
use crate::harness::{Database, Repo, Run};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// The first column below the header.
fn names(run: &Run) -> Vec<&str> {
    run.stdout.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect()
}

/// Archives a (large), b (small), c (small, of the database of a), in this order of time.
fn three() -> (Repo, Database, Database) {
    let (repo, one) = (Repo::new(), small_database());
    let two = Database::with("CREATE TABLE t (x int); INSERT INTO t VALUES (1)");
    let project = small_project(repo.path());
    one.execute("CREATE TABLE bulk AS SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i");
    repo.backup(&one, &["--name", "a", "--migrations", &project]);
    repo.backup(&two, &["--name", "b", "--no-migrations"]);
    one.execute("DROP TABLE bulk");
    repo.backup(&one, &["--name", "c", "--no-migrations"]);
    (repo, one, two)
}

#[test]
fn archives_are_listed_in_a_table_sorted_and_filtered() {
    let (repo, one, two) = three();
    let run = repo.ok(&["list"]);
    let header: Vec<&str> = run.stdout.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header.join(" "),
        "NAME DATABASE WHEN (UTC) SIZE ROWS TABLES HOLDS REVISION VERIFIED"
    );
    assert_eq!(names(&run), ["a", "b", "c"]);
    let first = run.stdout.lines().nth(1).unwrap();
    for text in [one.name.as_str(), "5,0", "everything", "0123456789ab", "when written"] {
        assert!(first.contains(text), "no {text} in {first}");
    }
    let listed = |arguments: &[&str]| -> Vec<String> {
        let run = repo.ok(&[&["list"][..], arguments].concat());
        names(&run).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(listed(&["--sort", "rows"]), ["b", "c", "a"]);
    assert_eq!(listed(&["--sort", "size", "-n", "1"]), ["a"]);
    assert_eq!(listed(&["--sort", "tables"]), ["b", "c", "a"]);
    assert_eq!(listed(&["--sort", "name", "--limit", "2"]), ["b", "c"]);
    assert_eq!(listed(&["--database", &one.name]), ["a", "c"]);
    assert_eq!(listed(&["-d", &two.name]), ["b"]);
    assert_eq!(listed(&["--since", "1h"]), ["a", "b", "c"]);
    assert_eq!(listed(&["--until", "1h"]), [""; 0]);
    assert_eq!(listed(&["--since", "2000-01-01", "--until", "2000-12-31"]), [""; 0]);
    repo.run(&["list", "--since", "yesterday"]).expect_code(2).says(&["2026-01-31", "36h"]);
    repo.run(&["list", "--sort", "sise"]).expect_code(2).says(&["size"]);
    let typo = format!("x{}", one.name);
    repo.run(&["list", "--database", &typo])
        .expect_code(10)
        .says(&[&format!("did you mean \"{}\"?", one.name)]);
}

#[test]
fn verified_says_no_more_than_is_known() {
    let (repo, _one, _two) = three();
    let archive = |name: &str| repo.path().join(format!("backups/{name}.tar"));
    let sound = std::fs::read(archive("a")).unwrap();
    write(&archive("a"), &sound[..sound.len() - 512]);
    std::fs::remove_file(archive("b")).unwrap();
    write(&repo.path().join("manifests/d.json"), b"{}");
    write(&repo.path().join("backups/stray.tar"), b"x");
    let run = repo.ok(&["list"]).says(&["stray.tar has no manifest", "manifest d.json"]);
    let line = |name: &str| {
        let mut lines = run.stdout.lines();
        lines.find(|line| line.split_whitespace().next() == Some(name)).unwrap().to_owned()
    };
    for (name, says) in [
        ("a", "NO: other size"),
        ("b", "NO: file gone"),
        ("c", "when written"),
        ("d", "NO: manifest unreadable"),
    ] {
        assert!(line(name).ends_with(says), "{}", line(name));
    }
    let run = repo.ok(&["list", "--json"]);
    let value = run.json();
    assert_eq!(value["total"], 4);
    let of = |name: &str| {
        let archives = value["archives"].as_array().unwrap();
        archives.iter().find(|archive| archive["name"] == name).unwrap()
    };
    assert_eq!(of("a")["verified"], "other size");
    assert_eq!(of("a")["written_bytes"], sound.len());
    assert_eq!(of("c")["verified"], "when written");
    assert_eq!(of("c")["archive_bytes"], of("c")["written_bytes"]);
    assert_eq!(of("c")["rows"], 16);
    assert_eq!(of("b")["archive_bytes"], Value::Null);
    assert!(of("d")["problem"].as_str().unwrap().contains("manifest"));
}

#[test]
fn a_reader_of_the_list_may_go_away() {
    let (repo, _one, _two) = three();
    let mut child =
        repo.command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn an_archive_is_named_by_path_name_beginning_or_as_the_latest() {
    let (repo, one, two) = three();
    let shown = |wanted: &str| {
        let run = repo.ok(&["show", wanted, "--json"]);
        run.json()["manifest"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown("backups/b.tar"), "b");
    assert_eq!(shown("b"), "b");
    assert_eq!(shown(&format!("latest:{}", one.name)), "c");
    repo.backup(&two, &["--name", "nightly-1", "--no-migrations"]);
    assert_eq!(shown("night"), "nightly-1");
    assert_eq!(shown(&format!("latest:{}", two.name)), "nightly-1");
    let wrong = |wanted: &str, code: i32, says: &[&str]| {
        repo.run(&["show", wanted]).expect_code(code).says(says);
    };
    wrong("", 2, &["the name of the archive is empty"]);
    wrong("latest", 2, &["several databases", "latest:"]);
    wrong("latst", 10, &["no archive \"latst\"", "did you mean \"latest\"?"]);
    wrong("latets:x", 10, &["did you mean \"latest:x\"?"]);
    wrong("nigthly-1", 10, &["did you mean \"nightly-1\"?"]);
    wrong("backups/nightly-2.tar", 10, &["did you mean \"nightly-1\"?"]);
    wrong(&format!("latest:{}x", one.name), 10, &[&format!("\"latest:{}\"", one.name)]);
    repo.backup(&two, &["--name", "nightly-2", "--no-migrations"]);
    wrong("night", 2, &["2 archives begin with \"night\"", "nightly-1", "nightly-2"]);
}

#[test]
fn a_manifest_is_shown_to_people_and_to_programs() {
    let (repo, one, _two) = three();
    let run = repo.ok(&["show", "a"]);
    for text in [
        &format!("database      {}", one.name),
        "name          a",
        "rows          5,0",
        "large objects 2",
        "whole         yes",
        "revision      0123456789ab, in public.alembic_version",
        "migrations    2 files of alembic",
        "table 6",
    ] {
        assert!(run.stdout.contains(text), "no {text} in:\n{}", run.stdout);
    }
    let run = repo.ok(&["show", "a", "--tables"]);
    let people = run.stdout.lines().find(|line| line.starts_with("public.people")).unwrap();
    assert!(people.split_whitespace().nth(1) == Some("3"), "{people}");
    // The hostile name stays on its line.
    assert_eq!(run.stdout.lines().count(), 7, "{}", run.stdout);
    let json = repo.ok(&["show", "a", "--json"]).json();
    let manifest = std::fs::read(repo.path().join("manifests/a.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!((&json["manifest"], &json["result"]), (&manifest, &Value::from("done")));
}

#[test]
fn of_an_archive_that_is_damaged_or_gone_the_manifest_is_shown_and_the_code_tells() {
    let (repo, _one, _two) = three();
    let a = repo.path().join("backups/a.tar");
    let sound = std::fs::read(&a).unwrap();
    write(&a, &sound[..sound.len() / 2]);
    let run = repo.run(&["show", "a"]).expect_code(13).says(&["is cut", "manifests/"]);
    assert!(run.stdout.contains("name          a"), "{}", run.stdout);
    std::fs::remove_file(&a).unwrap();
    let run = repo.run(&["show", "a", "--tables"]).expect_code(10).says(&["a.tar"]);
    assert!(run.stdout.contains("public.people"), "{}", run.stdout);
    let alone = repo.path().join("alone.tar");
    write(&alone, &sound[..1000]);
    let run = repo.run(&["show", "alone.tar"]).expect_code(13);
    assert_eq!(run.stdout, "");
}

/// An archive of a part is never mistaken for one of everything: not in a list, not as `latest`, not
/// when it is restored.
#[test]
fn a_part_is_said_to_be_one_wherever_it_is_met() {
    let (repo, source, target) = (Repo::new(), small_database(), Database::empty());
    repo.backup(&source, &["--name", "whole", "--no-migrations"]);
    let quiet = repo.ok(&["show", "latest"]);
    assert!(!quiet.stderr.contains("a part"), "{}", quiet.stderr);
    repo.backup(&source, &["--name", "part", "--no-migrations", "--exclude-data", "*"]);
    let run = repo.ok(&["list"]);
    let held: Vec<bool> = run.stdout.lines().skip(1).map(|line| line.contains("A PART")).collect();
    assert_eq!(held, [false, true], "{}", run.stdout);
    let listed = repo.ok(&["list", "--json"]).json();
    assert_eq!(listed["archives"][1]["whole"], false);

    let says = ["the latest archive is part", "the latest whole one is whole"];
    for verb in [&["verify", "latest"][..], &["show", "latest"], &["extract", "latest", "--schema"]]
    {
        repo.ok(verb).says(&says);
    }
    let url = target.url();
    let run = repo.ok(&["restore", "latest", "--url", &url]);
    assert!(run.stdout.contains("not archived: rows of public."), "{}", run.stdout);
    run.says(&says).says(&["holds a part of its database", "rows of public.people"]);
    let data_only = |name: &str| {
        let restore = ["restore", name, "--url", &url, "--data-only", "--on-existing", "truncate"];
        repo.ok(&[&restore[..], &["--json"]].concat()).json()
    };
    let result = data_only("part");
    assert_eq!(result["whole"], false, "{result}");
    assert!(result["not_in_archive"].as_array().unwrap().len() > 2, "{result}");
    let result = data_only("whole");
    assert_eq!(
        (&result["whole"], &result["not_in_archive"]),
        (&true.into(), &Value::Array(vec![]))
    );
}

/// Names of files are shown on one line, whatever is in them, and times that cannot be are named.
#[test]
fn hostile_names_and_times_are_shown_as_what_they_are() {
    let (repo, source) = (Repo::new(), small_database());
    let archive = repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let bytes = std::fs::read(&archive).unwrap();
    let hostile = repo.path().join("backups/z\u{1b}[31m.tar");
    write(&hostile, &bytes);
    let path = hostile.to_str().unwrap();
    let forged = repo.path().join("forged.tar");
    let edited = Parts::of(&bytes).edited(|manifest| {
        manifest["started"] = "+262000-01-01T00:00:00Z".into();
    });
    write(&forged, &edited.bytes());
    let out = repo.path().join("o\u{1b}[31m");
    let run = |arguments: &[&str]| {
        let run = repo.run(arguments);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(!said.contains('\u{1b}'), "{arguments:?}: {said:?}");
        said
    };
    let shown = "z\\u{1b}[31m.tar";
    assert!(run(&["list"]).contains(shown));
    assert!(run(&["show", path]).contains(shown));
    assert!(run(&["verify", path]).contains(shown));
    let extract = ["extract", "a", "--table", "people", "-o", out.to_str().unwrap()];
    assert!(run(&extract).contains("o\\u{1b}[31m"));
    run(&["restore", path, "--url", "host=/nowhere user=u dbname=d"]);
    let said = run(&["show", forged.to_str().unwrap()]);
    assert!(said.contains("; its end is before its begin\n"), "{said}");
}

#[test]
fn quiet_shows_the_manifest_and_no_more() {
    let (repo, source) = (Repo::new(), small_database());
    let archive = repo.backup(&source, &["--name", "a", "--no-migrations"]);
    std::fs::remove_file(archive).unwrap();
    let run = repo.run(&["show", "a", "-q"]).expect_code(10);
    assert!(run.stdout.contains("name          a") && run.stderr.contains("a.tar"), "{run:?}");
    assert!(!run.stderr.contains("what was shown"), "{}", run.stderr);
}

#[test]
fn on_a_terminal_no_row_is_broken() {
    use crate::harness::terminal::Terminal;
    let (repo, source) = (Repo::new(), small_database());
    let name = "shop_production-20251125T160057Z";
    repo.backup(&source, &["--name", name, "--no-migrations"]);
    let screen = |arguments: &[&str], columns: u16| {
        let mut terminal = Terminal::run(&repo.command(arguments), 60, columns);
        let (code, screen) = terminal.end();
        assert_eq!(code, 0, "{screen}");
        screen
    };
    let wide = screen(&["list"], 160);
    assert!(wide.contains("REVISION") && wide.lines().count() == 2, "{wide}");
    let usual = screen(&["list"], 80);
    assert!(usual.lines().count() == 2 && !usual.contains("REVISION"), "{usual}");
    for kept in ["NAME", "WHEN", "SIZE", "VERIFIED", name, "when written"] {
        assert!(usual.contains(kept), "no {kept} in:\n{usual}");
    }
    let narrow = screen(&["list"], 40);
    assert!(narrow.starts_with(&format!("{name}\n  database    ")), "{narrow}");
    assert!(narrow.contains("\n  verified    when written"), "{narrow}");
    let tables = screen(&["show", name, "--tables"], 40);
    assert!(tables.lines().any(|line| line.starts_with("public.people")), "{tables}");
    let config = screen(&["config"], 40);
    assert!(config.contains("lock-timeout\n  value  60\n  from   default"), "{config}");
    // Elsewhere a row is a line, however long.
    assert_eq!(repo.ok(&["list"]).stdout.lines().count(), 2);
    repo.backup(&source, &["--name", "part", "--no-migrations", "--table", "people"]);
    for columns in [40, 60, 80, 160] {
        let screen = screen(&["list"], columns);
        assert!(screen.contains("A PART"), "{columns}: {screen}");
    }
}
