//! The table of `docs/migrations.md`: every way in which scripts for this job have lost data, and that
//! pgark does not.

use crate::harness::alembic::{Project, revision};
use crate::harness::{Database, Repo, pgark, project};
use crate::migrations_checked::Consolidated;
use regex::Regex;

/// What an API with pages, JSON numbers and a fixed list of tables loses.
const HARD: &str = "
    CREATE TABLE funds (id serial PRIMARY KEY, code text, nav numeric, receipt bytea,
        created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE a_plans (id serial PRIMARY KEY, fund int NOT NULL REFERENCES funds, parent int REFERENCES a_plans);
    CREATE TABLE nobody_listed_me (x int);
    CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY, what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES (TG_TABLE_NAME); RETURN NEW; END $$;
    INSERT INTO funds (code, nav, receipt, created_at)
        SELECT 'F' || n, n + 0.123456789012345678, decode('ff00' || lpad(to_hex(n), 8, '0'), 'hex'),
            timestamptz '2024-02-01' + n * interval '1 minute' FROM generate_series(1, 12000) n;
    DELETE FROM funds WHERE id IN (1, 2, 7);
    INSERT INTO a_plans (fund, parent) SELECT 3 + n, CASE WHEN n < 49 THEN n + 49 END FROM generate_series(1, 99) n WHERE 3 + n <> 7;
    INSERT INTO nobody_listed_me VALUES (1);
    CREATE TRIGGER note AFTER INSERT ON funds FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('abc');";

#[test]
fn what_an_api_loses_comes_back_equal() {
    let (repo, source, target) = (Repo::new(), Database::with(HARD), Database::empty());
    repo.backup(&source, &["--no-migrations"]);
    repo.ok(&["verify", "latest"]);
    repo.ok(&["restore", "latest", "--url", &target.url()]);
    for table in ["funds", "a_plans", "nobody_listed_me", "audit", "alembic_version"] {
        let rows = format!(
            "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t"
        );
        assert_eq!(target.one(&rows), source.one(&rows), "{table}");
    }
    assert_eq!(target.one("SELECT count(*) FROM funds"), "11997");
    assert_eq!(target.one("SELECT nav FROM funds WHERE id = 3"), "3.123456789012345678");
    let parents =
        "SELECT string_agg(code, ',' ORDER BY p.id) FROM a_plans p JOIN funds ON funds.id = fund";
    assert_eq!(target.one(parents), source.one(parents));
    target.execute("INSERT INTO funds (code) VALUES ('next')");
    assert_eq!(target.one("SELECT max(id) FROM funds"), "12001");
}

#[test]
fn rows_that_are_there_are_never_doubled() {
    let (repo, source) = (Repo::new(), Database::with(HARD));
    repo.backup(&source, &["--no-migrations"]);
    let counts =
        "SELECT concat_ws(' ', (SELECT count(*) FROM funds), (SELECT count(*) FROM a_plans),
        (SELECT count(*) FROM nobody_listed_me), (SELECT count(*) FROM audit))";
    let before = source.one(counts);
    let url = source.url();
    // Into a database that holds them: refused, whole or rows alone.
    let whole = repo.run(&["restore", "latest", "--url", &url]);
    assert_eq!(whole.code, 15, "{whole:?}");
    let rows = repo.run(&["restore", "latest", "--url", &url, "--data-only"]);
    assert_eq!(rows.code, 15, "{rows:?}");
    assert_eq!(source.one(counts), before);
    // As often as one likes, where they are to be replaced.
    for _ in 0..2 {
        repo.ok(&["restore", "latest", "--url", &url, "--data-only", "--on-existing", "truncate"]);
        assert_eq!(source.one(counts), before);
    }
}

#[test]
fn no_server_is_no_archive() {
    let repo = Repo::new();
    for url in ["host=/nowhere", "postgresql://x@127.0.0.1:1/x"] {
        let run = repo.run(&["backup", "--url", url, "--no-migrations"]);
        assert!(run.code != 0 && run.stderr.contains("pgark: error: "), "{run:?}");
        assert_eq!(repo.files(), Vec::new());
    }
    let database = Database::with("CREATE TABLE t (x int)");
    let run = repo.run(&["backup", "--url", &database.url(), "--table", "not_there"]);
    assert!(run.code != 0, "{run:?}");
    assert_eq!(repo.files(), Vec::new());
    let missing = repo.run(&["restore", "not-there", "--url", &database.url()]);
    assert_eq!(missing.code, 10, "{missing:?}");
    repo.backup(&database, &["--no-migrations"]);
    let run = repo.run(&["restore", "latest", "--url", "host=/nowhere"]);
    assert!(run.code != 0, "{run:?}");
}

#[test]
fn a_database_without_a_version_row_loses_nothing() {
    let all = Consolidated::fintrack();
    let rows = "SELECT count(*) FROM audit_log";
    let before = all.live.one(rows);
    all.live.execute("DELETE FROM alembic_version");
    let said = all.project.alembic_fails(&all.live, &["upgrade", "head"]);
    assert!(said.contains("already exists"), "{said}");
    assert_eq!(all.live.one(rows), before);
    assert_eq!(all.live.one("SELECT count(*) FROM alembic_version"), "0");
}

#[test]
fn everything_of_the_project_is_archived_and_compiled_revisions_stay_dead() {
    let first = revision("aaaa", "None", "op.execute('CREATE TABLE a (x int)')");
    let second = revision("bbbb", "'aaaa'", "op.execute('CREATE TABLE b (x int)')");
    let project = Project::of(&[
        ("alembic.ini", "[alembic]\nscript_location = migrations\nsourceless = true\n"),
        ("migrations/script.py.mako", "x"),
        ("migrations/versions/a.py", &first),
        ("migrations/versions/b.py", &second),
        ("migrations/versions/sql/more.sql", "SELECT 1;"),
    ]);
    let live = Database::empty();
    project.alembic(&live, &["upgrade", "head"]);
    let python = std::process::Command::new(crate::harness::alembic::python())
        .args(["-m", "compileall", "-q", "migrations/versions"])
        .current_dir(project.path())
        .status();
    assert!(python.unwrap().success());
    let all = Consolidated::of(project, live);
    let history = all.project.alembic(&all.live, &["history"]);
    assert!(history.contains("bbbb") && !history.contains("aaaa"), "{history}");
    let out = all.repo.path().join("files");
    all.repo.ok(&["extract", &all.archive, "--migrations", "-o", out.to_str().unwrap()]);
    for (path, content) in &all.before {
        assert_eq!(&std::fs::read(out.join(path)).unwrap(), content, "{path}");
    }
}

#[test]
fn one_moment_names_the_archive_and_the_parked_folder() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let summary = project.run(&repo, &live, &["consolidate", "--json"]).expect_code(0).json();
    let parked = summary["parked"].as_str().unwrap();
    // What is announced is what is there, with all of it.
    assert_eq!(project.paths(&format!("{parked}/")).len(), 18 + 1);
    assert!(std::path::Path::new(summary["archive"].as_str().unwrap()).is_file());
    let legacy = summary["legacy_ini"].as_str().unwrap();
    let history = project.alembic(&live, &["-c", legacy, "history"]);
    assert_eq!(history.lines().count(), 18, "{history}");
}

#[test]
fn every_defect_names_a_test_that_exists() {
    let text = std::fs::read_to_string(project().join("docs/migrations.md")).unwrap();
    let row = Regex::new(r"(?m)^\| ([CBR]\d+) \|.*\[test: (\w+)::(\w+)\] \|$").unwrap();
    let mut found = Vec::new();
    for row in row.captures_iter(&text) {
        found.push(row[1].to_owned());
        let path = project().join(format!("tests/it/{}.rs", &row[2]));
        let source = std::fs::read_to_string(&path).unwrap();
        assert!(source.contains(&format!("fn {}(", &row[3])), "{}", &row[0]);
    }
    let all = [("C", 15), ("B", 7), ("R", 8)];
    let all: Vec<String> =
        all.iter().flat_map(|(c, n)| (1..=*n).map(move |i| format!("{c}{i}"))).collect();
    assert_eq!(found, all);
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let command = Regex::new(r"(?m)^\s*(?:&& )?(pgark [a-z][^#`\n]*?)(?:\s+#.*|\s*\\)?$").unwrap();
    let mut count = 0;
    for file in ["README.md", "docs/migrations.md", "docs/deploy-railway.md"] {
        let text = std::fs::read_to_string(project().join(file)).unwrap();
        for block in text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            for found in command.captures_iter(block).filter(|found| !found[1].contains('…')) {
                count += 1;
                let line = found[1].trim().trim_end_matches("&&").replace("$repo", "/nowhere");
                let script = format!("exec \"$0\" {}", line.trim_start_matches("pgark "));
                // Nothing must come to life: no server, and no folder.
                let mut shell = std::process::Command::new("/bin/sh");
                shell.args(["-c", &script]).arg(pgark().get_program());
                shell.env("PGHOST", "/nowhere").env("PGCONNECT_TIMEOUT", "1");
                shell.env("DATABASE_URL", "postgresql:///app");
                let folder = tempfile::tempdir().unwrap();
                let output = shell.current_dir(folder.path()).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.code() != Some(2), "{file}: {line}: {said}");
            }
        }
    }
    assert!(count > 15, "{count} commands");
}
