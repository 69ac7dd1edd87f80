//! Parts of archives as plain files.

use crate::harness::archive::{Parts, small, small_database, small_project};
use crate::harness::{Database, Repo, Run};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// The small archive in a repository of its own.
fn archive(repo: &Repo) -> PathBuf {
    let path = repo.path().join("small.tar");
    write(&path, small());
    path
}

/// What the server itself writes.
fn copy_out(database: &Database, sql: &str) -> String {
    let mut text = String::new();
    database.client().copy_out(sql).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.sort_unstable();
    lines
}

#[test]
fn rows_come_out_as_the_server_itself_writes_them() {
    let database = Database::with(
        r#"CREATE TABLE "odd ""t" (id int, "a,b" text, n numeric, d date, b bytea, j jsonb);
           INSERT INTO "odd ""t" VALUES (1, E'tab\tline\nreturn\rback\\slash', 1.50, NULL, '\x00ff', '{"a": ["x,y"]}'),
             (2, '', NULL, '2026-01-01', '', '"q"'), (3, '\N', 'NaN', NULL, NULL, NULL), (4, '\.', 0, NULL, NULL, 'null'),
             (5, 'say "hi", then go', 1, NULL, NULL, '1'), (6, E'\b\f\v', 1, NULL, NULL, '1');
           CREATE TABLE lone (v text);
           INSERT INTO lone VALUES (NULL), (''), ('\.'), ('x'), (E'a\nb'), ('"');
           CREATE TABLE wide AS SELECT i, repeat('wide, ', 2000) || i AS filler FROM generate_series(1, 3000) AS i"#,
    );
    let repo = Repo::new();
    repo.backup(&database, &["--level", "1"]);
    for (name, sql) in [("odd \"t", r#""odd ""t""#), ("lone", "lone"), ("wide", "wide")] {
        let pattern = format!("\"{}\"", name.replace('"', "\"\""));
        let extract = ["extract", "latest", "--table", &pattern];
        for (format, header) in [("copy", false), ("csv", false), ("csv", true)] {
            let flag = if header { "HEADER true" } else { "HEADER false" };
            let format_sql = if format == "csv" { "csv" } else { "text" };
            let options = if format == "csv" { format!(", {flag}") } else { String::new() };
            let expected = copy_out(
                &database,
                &format!("COPY {sql} TO STDOUT (FORMAT {format_sql}{options})"),
            );
            let mut arguments = [&extract[..], &["--format", format]].concat();
            arguments.extend(header.then_some("--header"));
            let run = repo.ok(&arguments);
            assert_eq!(sorted(&run.stdout), sorted(&expected), "{name} as {format}");
        }
    }
    let run = repo.ok(&["extract", "latest", "--table", "\"odd \"\"t\"", "--header"]);
    assert!(run.stdout.starts_with("id\ta,b\tn\td\tb\tj\n"), "{}", run.stdout);
    // What came out goes in again.
    let csv = repo.ok(&["extract", "latest", "-t", "lone", "--format", "csv"]).stdout;
    database.execute("CREATE TABLE again (v text)");
    let mut client = database.client();
    let mut writer = client.copy_in("COPY again FROM STDIN (FORMAT csv)").unwrap();
    writer.write_all(csv.as_bytes()).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        database.one("SELECT count(*) FROM ((TABLE lone EXCEPT ALL TABLE again) UNION ALL (TABLE again EXCEPT ALL TABLE lone)) AS d"),
        "0"
    );
}

#[test]
fn a_file_appears_whole_and_nothing_is_overwritten_unasked() {
    let repo = Repo::new();
    let path = archive(&repo);
    let extract = ["extract", path.to_str().unwrap(), "--table", "people"];
    let out = repo.path().join("people.csv");
    let to_file = [&extract[..], &["--format", "csv", "-o", "people.csv"]].concat();
    let run = repo.ok(&to_file);
    assert!(
        run.stdout.starts_with("people.csv: rows of public.people, 3 rows, "),
        "{}",
        run.stdout
    );
    let content = std::fs::read_to_string(&out).unwrap();
    assert!(content.contains("1,Ada,1815-12-10\n"), "{content}");
    assert_eq!(out.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    write(&out, b"mine");
    repo.run(&to_file).expect_code(15).says(&["people.csv exists already", "--force"]);
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    repo.ok(&[&to_file[..], &["--force", "--json"]].concat());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), content);
    repo.run(&[&extract[..], &["-o", "nowhere/x"]].concat()).expect_code(10);
    let run = repo.run(&[&extract[..], &["--json"]].concat()).expect_code(2);
    assert!(run.stdout.contains("--output"), "{}", run.stdout);
    let left: Vec<_> = std::fs::read_dir(repo.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn damage_is_found_before_it_comes_out_and_no_file_is_left() {
    let repo = Repo::new();
    let source = Database::with(
        "CREATE TABLE t AS SELECT i, md5(i::text) AS m FROM generate_series(1, 200000) AS i;
         SELECT lo_from_bytea(77, 'content')",
    );
    let path = repo.backup(&source, &["--name", "a", "--no-migrations"]);
    let sound = std::fs::read(&path).unwrap();
    let name = repo.ok(&["extract", "a", "--table", "t", "-o", "whole"]);
    assert!(name.stdout.contains("200,000 rows"), "{}", name.stdout);
    let mut parts = Parts::of(&sound);
    let place = parts.position("data/0001-public.t/000001.copy.zst");
    assert!(parts.members[place].1.len() > 1000);
    let middle = parts.members[place].1.len() / 2;
    parts.members[place].1[middle] ^= 1;
    let objects = parts.position("large-objects/000001");
    parts.members[objects].1[9] ^= 1;
    let schema = parts.position("schema/pre-data.sql");
    parts.members[schema].1[9] ^= 1;
    write(&path, &parts.bytes());
    for part in [&["--table", "t"][..], &["--large-object", "77"], &["--schema"]] {
        let arguments = [&["extract", "a"], part].concat();
        let run = repo.run(&[&arguments[..], &["-o", "out"]].concat()).expect_code(13);
        assert!(!repo.path().join("out").exists(), "{}", run.stderr);
        let run = repo.run(&arguments).expect_code(13);
        assert_eq!(run.stdout, "", "nothing of a damaged chunk is handed on");
        run.says(&["SHA-256"]);
    }
    // What comes after the damage is still there.
    repo.ok(&["extract", "a", "--schema=after"]);
    let names: Vec<String> = std::fs::read_dir(repo.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("out"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_schema_and_large_objects_come_out_as_they_were() {
    let (repo, target) = (Repo::new(), Database::empty());
    let path = archive(&repo);
    let path = path.to_str().unwrap();
    let all = repo.ok(&["extract", path, "--schema"]).stdout;
    let before = repo.ok(&["extract", path, "--schema=before"]).stdout;
    let after = repo.ok(&["extract", path, "--schema=after"]).stdout;
    assert_eq!(all, format!("{before}{after}"));
    target.execute(&all);
    assert_eq!(target.one("SELECT count(*) FROM people"), "0");
    assert_eq!(repo.ok(&["extract", path, "--large-object", "4711"]).stdout, "a large object");
    assert_eq!(repo.ok(&["extract", path, "--large-object", "4712"]).stdout, "");
    repo.run(&["extract", path, "--large-object", "4714"])
        .expect_code(10)
        .says(&["no large object with OID 4714", "did you mean 471"]);

    let sparse = Database::with(
        "SELECT lo_create(1); SELECT lo_put(1, 300000, '\\x0102'); SELECT lo_put(1, 0, '\\xff');
         SELECT lo_from_bytea(2, decode(repeat('ab', 100000), 'hex'))",
    );
    let repo = Repo::new();
    repo.backup(&sparse, &["--no-migrations"]);
    repo.ok(&["extract", "latest", "--large-object", "1", "-o", "one"]);
    let mut expected = vec![0; 300_002];
    (expected[0], expected[300_000], expected[300_001]) = (255, 1, 2);
    assert!(std::fs::read(repo.path().join("one")).unwrap() == expected);
    repo.ok(&["extract", "latest", "--large-object", "2", "-o", "two"]);
    assert!(std::fs::read(repo.path().join("two")).unwrap() == vec![0xab; 100_000]);
}

#[test]
fn the_migration_project_comes_out_file_by_file_with_its_modes() {
    let repo = Repo::new();
    let project = small_project(repo.path());
    let file = "migrations/versions/0123456789ab_first.py";
    let script = Path::new(&project).join(file);
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o750)).unwrap();
    repo.backup(&small_database(), &["--migrations", &project]);
    let run = repo.ok(&["extract", "latest", "--migrations", "-o", "out"]);
    assert!(run.stdout.starts_with("out: the alembic project, 2 files, "), "{}", run.stdout);
    let out = repo.path().join("out");
    for path in ["alembic.ini", file] {
        let of = |root: &Path| std::fs::read(root.join(path)).unwrap();
        assert_eq!(of(&out), of(Path::new(&project)));
        let mode = |root: &Path| root.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&out), mode(Path::new(&project)), "{path}");
    }
    repo.run(&["extract", "latest", "--migrations", "-o", "out"])
        .expect_code(15)
        .says(&["out exists already"]);
    std::fs::create_dir(repo.path().join("empty")).unwrap();
    repo.ok(&["extract", "latest", "--migrations", "-o", "empty"]);
    repo.run(&["extract", "latest", "--migrations"]).expect_code(2).says(&["--output"]);
    repo.backup(&small_database(), &["--no-migrations", "--name", "without"]);
    repo.run(&["extract", "without", "--migrations", "-o", "x"]).expect_code(10);
    assert!(!repo.path().join("x").exists());
}

#[test]
fn what_is_not_there_is_named_with_the_nearest() {
    let repo = Repo::new();
    let database = Database::with(
        "CREATE TABLE people (id int); CREATE TABLE places (id int);
         CREATE TABLE events (at date) PARTITION BY RANGE (at);
         CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         CREATE TABLE secrets (id int)",
    );
    repo.backup(&database, &["--name", "a", "--exclude-data", "secrets", "--no-migrations"]);
    let wrong = |table: &str, code: i32, says: &[&str]| {
        let run = repo.run(&["extract", "a", "--table", table, "-o", "x"]).expect_code(code);
        assert!(!repo.path().join("x").exists());
        run.says(says);
    };
    wrong("peopel", 10, &["no table in the archive matches", "did you mean \"people\"?"]);
    wrong("p*", 2, &["is 2 tables", "public.people, public.places"]);
    wrong("events", 10, &["partitioned", "extract the partitions"]);
    wrong("secrets", 10, &["without its rows"]);
    repo.run(&["extract", "a"]).expect_code(2);
    repo.run(&["extract", "a", "--table", "people", "--schema"]).expect_code(2);
    repo.run(&["extract", "a", "--schema", "--header"]).expect_code(2).says(&["--header"]);
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let repo = Repo::new();
    let database = Database::with(
        "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 100000) AS i",
    );
    repo.backup(&database, &["--no-migrations"]);
    let mut child = repo
        .command(&["extract", "latest", "--table", "t", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (141, ""));
}
