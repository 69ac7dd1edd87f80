//! The files of an Alembic project against databases that real Alembic has brought somewhere:
//! `migrations status`, `check`, `backup --require-migrations`, `restore`.

use crate::harness::alembic::{Project, revision};
use crate::harness::archive::Parts;
use crate::harness::{Database, Repo, Run};
use serde_json::{Value, json};

fn status(project: &Project, database: &Database, more: &[&str]) -> Run {
    let (repo, url) = (Repo::new(), database.url());
    let folder = project.path().to_str().unwrap();
    let mut arguments = vec!["migrations", "status", "--url", &url, "--migrations", folder];
    arguments.extend(more);
    repo.run(&arguments)
}

/// The kinds of findings, each with the revisions it is about.
#[track_caller]
fn findings(project: &Project, database: &Database, more: &[&str]) -> Vec<String> {
    let more = [&["--json", "--quiet"], more].concat();
    let run = status(project, database, &more);
    let told: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
    let mut found = Vec::new();
    for position in told["positions"].as_array().unwrap() {
        for finding in position["findings"].as_array().unwrap() {
            let list = finding["revisions"].as_array().unwrap();
            let ids: Vec<&str> = list.iter().map(|id| id.as_str().unwrap()).collect();
            found.push(format!("{} {}", finding["kind"].as_str().unwrap(), ids.join(",")));
            assert!(!finding["next"].as_str().unwrap().is_empty());
        }
    }
    let fine = found.is_empty();
    assert_eq!(run.code, if fine { 0 } else { 4 }, "{run:?}");
    assert_eq!(told["result"], if fine { "at-head" } else { "not-at-head" });
    assert_eq!(told["exit_code"], run.code);
    found
}

fn three() -> Project {
    Project::of(&[
        (
            "migrations/versions/1.py",
            &revision("aaaa1111", "None", "op.create_table('one', sa.Column('x', sa.Integer))"),
        ),
        (
            "migrations/versions/2.py",
            &revision(
                "bbbb2222",
                "'aaaa1111'",
                "op.create_table('two', sa.Column('x', sa.Integer))",
            ),
        ),
        (
            "migrations/versions/3.py",
            &revision(
                "cccc3333",
                "'bbbb2222'",
                "op.create_table('three', sa.Column('x', sa.Integer))",
            ),
        ),
    ])
}

#[test]
fn the_example_is_at_its_head_and_behind_by_name_before() {
    let (project, database) = (Project::fintrack(), Database::empty());
    project.alembic(&database, &["upgrade", "1c00ade64ab5"]);
    let run = status(&project, &database, &[]).expect_code(4);
    for text in [
        "18 revisions",
        "head ffcccccc0004",
        "at 1c00ade64ab5",
        "behind by 9 revisions: c56f9f034ac1, 9ab46480ba00",
        "ffcccccc0004  ",
        "next: run `alembic upgrade head`",
    ] {
        assert!(run.stdout.contains(text), "no {text} in {}", run.stdout);
    }
    project.alembic(&database, &["upgrade", "head"]);
    let run = status(&project, &database, &[]).expect_code(0);
    assert!(run.stdout.contains("at ffcccccc0004, the head"), "{}", run.stdout);
    assert_eq!(status(&project, &database, &["--quiet"]).expect_code(0).stdout, "");
}

#[test]
fn every_bad_state_of_the_version_table_is_named() {
    let (project, database) = (three(), Database::empty());
    assert_eq!(findings(&project, &database, &[])[0], "no-version-table ");
    project.alembic(&database, &["upgrade", "bbbb2222"]);
    assert_eq!(findings(&project, &database, &[]), ["behind cccc3333"]);
    project.alembic(&database, &["upgrade", "head"]);
    assert_eq!(findings(&project, &database, &[]), [""; 0]);
    for (rows, expected) in [
        ("", vec!["unstamped ", "behind aaaa1111,bbbb2222,cccc3333"]),
        ("('gone')", vec!["unknown-revision gone", "behind aaaa1111,bbbb2222,cccc3333"]),
        ("('cccc3333'), ('cccc3333')", vec!["duplicate-row cccc3333"]),
        ("('cccc')", vec!["partial-revision cccc,cccc3333"]),
        ("('cccc3333'), ('aaaa1111')", vec!["overlapping-row aaaa1111,cccc3333"]),
        ("('cccc3333'), ('gone')", vec!["unknown-revision gone"]),
    ] {
        database.execute("ALTER TABLE alembic_version DROP CONSTRAINT IF EXISTS alembic_version_pkc; DELETE FROM alembic_version");
        if !rows.is_empty() {
            database.execute(&format!("INSERT INTO alembic_version VALUES {rows}"));
        }
        assert_eq!(findings(&project, &database, &[]), expected, "{rows}");
    }
    let run = status(&project, &database, &[]).expect_code(4);
    assert!(run.stdout.contains("revision gone is in no file"), "{}", run.stdout);
    assert!(run.stdout.contains("pgark extract ARCHIVE --migrations"), "{}", run.stdout);
}

#[test]
fn branches_merges_and_dependencies_are_followed() {
    let (project, database) = (three(), Database::empty());
    project.write("migrations/versions/b.py", &revision("dddd4444", "'bbbb2222'", "pass"));
    project.alembic(&database, &["upgrade", "cccc3333"]);
    assert_eq!(
        findings(&project, &database, &[]),
        ["behind dddd4444", "several-heads cccc3333,dddd4444"]
    );
    project.alembic(&database, &["upgrade", "heads"]);
    assert_eq!(findings(&project, &database, &[]), ["several-heads cccc3333,dddd4444"]);
    project.write(
        "migrations/versions/m.py",
        &revision("eeee5555", "('cccc3333', 'dddd4444')", "pass"),
    );
    assert_eq!(findings(&project, &database, &[]), ["behind eeee5555"]);
    project.alembic(&database, &["upgrade", "head"]);
    assert_eq!(findings(&project, &database, &[]), [""; 0]);
    // A second base that depends on the first: its row takes the other's place.
    let leaning = revision("ffff6666", "None", "pass")
        .replace("depends_on = None", "depends_on = 'eeee5555'");
    project.write("migrations/versions/l.py", &leaning);
    project.alembic(&database, &["upgrade", "heads"]);
    assert_eq!(
        database.one("SELECT string_agg(version_num, ',') FROM alembic_version"),
        "ffff6666"
    );
    assert_eq!(findings(&project, &database, &[]), ["several-heads eeee5555,ffff6666"]);
}

#[test]
fn two_version_locations_pyproject_and_a_version_table_of_another_name_and_schema() {
    let database = Database::with("CREATE SCHEMA ops");
    let project = Project::of(&[
        ("migrations/core/1.py", &revision("aaaa1111", "None", "pass")),
        ("plugins/2.py", &revision("bbbb2222", "'aaaa1111'", "pass")),
        ("alembic.ini", "[alembic]\n"),
        (
            "pyproject.toml",
            "[tool.alembic]\nscript_location = \"%(here)s/migrations\"\nversion_locations = [\"%(here)s/migrations/core\", \"plugins\"]\n",
        ),
    ]);
    let env = project.read("migrations/env.py").replace(
        "target_metadata=target_metadata,",
        "target_metadata=target_metadata, version_table='our_versions', version_table_schema='ops',",
    );
    project.write("migrations/env.py", &env);
    project.alembic(&database, &["upgrade", "aaaa1111"]);
    assert_eq!(database.one("SELECT version_num FROM ops.our_versions"), "aaaa1111");
    assert_eq!(findings(&project, &database, &[]), ["behind bbbb2222"]);
    project.alembic(&database, &["upgrade", "head"]);
    let run = status(&project, &database, &[]).expect_code(0);
    assert!(run.stdout.contains("ops.our_versions: at bbbb2222, the head"), "{}", run.stdout);
    // Another table is another tenant's, until it is said which one is meant.
    database.execute(
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('other')",
    );
    assert_eq!(findings(&project, &database, &[])[0], "unknown-revision other");
    assert_eq!(findings(&project, &database, &["--version-table", "ops.our_versions"]), [""; 0]);
    assert_eq!(findings(&project, &database, &["--version-table", "our_versions"]), [""; 0]);
    status(&project, &database, &["--version-table", "our_version"])
        .expect_code(10)
        .says(&["no version table \"our_version\"", "did you mean ops.our_versions?"]);
}

#[test]
fn an_ini_file_of_another_name_and_section_is_read() {
    let (project, database) = (three(), Database::empty());
    project.alembic(&database, &["upgrade", "head"]);
    project.write(
        "tenants.ini",
        "[a]\nscript_location = nowhere\n[b]\nscript_location = %(here)s/migrations\n",
    );
    let (repo, url) = (Repo::new(), database.url());
    let file = project.path().join("tenants.ini");
    let of = |section: &str| {
        let file = file.to_str().unwrap();
        repo.run(&[
            "migrations",
            "status",
            "--url",
            &url,
            "--migrations",
            file,
            "--ini-section",
            section,
        ])
    };
    of("b").expect_code(0);
    of("a").expect_code(10).says(&["has no folder", "nowhere"]);
    of("c").expect_code(10).says(&["no migration project in"]);
}

#[test]
fn files_that_cannot_be_understood_are_named_with_their_line() {
    let (project, database) = (three(), Database::empty());
    project.write(
        "migrations/versions/4.py",
        "import os\nrevision = os.environ['X']\ndown_revision = 'cccc3333'\n",
    );
    status(&project, &database, &[]).expect_code(15).says(&[
        "migrations/versions/4.py",
        "only Python could compute it",
        "line 2: revision is computed",
    ]);
    project.write("migrations/versions/4.py", &revision("dddd4444", "'gone'", "pass"));
    status(&project, &database, &[])
        .expect_code(15)
        .says(&["revision dddd4444 (migrations/versions/4.py) follows gone, which no file has"]);
    project.write("migrations/versions/4.py", &revision("cccc3333", "'bbbb2222'", "pass"));
    status(&project, &database, &[]).expect_code(15).says(&["cccc3333 is there more than once"]);
}

#[test]
fn nothing_to_compare_is_an_error_and_status_changes_nothing() {
    let (repo, database) = (Repo::new(), Database::with("CREATE TABLE t (x int)"));
    let url = database.url();
    repo.run(&["migrations", "status", "--url", &url])
        .expect_code(10)
        .says(&["no migration project here, and no ledger", "--migrations DIR"]);
    assert_eq!(database.one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
    let project = three();
    let before = project.files();
    status(&project, &database, &[]).expect_code(4);
    assert_eq!(project.files(), before);
}

#[test]
fn the_manifest_has_the_graph_and_what_cannot_be_told() {
    let (project, database, repo) = (three(), Database::empty(), Repo::new());
    project.alembic(&database, &["upgrade", "head"]);
    project.write("migrations/versions/4.py", "revision = str(4)\ndown_revision = None\n");
    let folder = project.path().to_str().unwrap();
    let url = database.url();
    let run = repo.ok(&["backup", "--url", &url, "--migrations", folder, "--name", "a"]);
    run.says(&["warning", "migrations/versions/4.py"]);
    let manifest = Parts::of(&std::fs::read(repo.path().join("backups/a.tar")).unwrap()).manifest();
    let entry = |path: &str, id: &str, down: &[&str]| {
        let mut entry = json!({"path": path, "id": id});
        if !down.is_empty() {
            entry["down"] = json!(down);
        }
        entry
    };
    let expected = json!([
        entry("migrations/versions/1.py", "aaaa1111", &[]),
        entry("migrations/versions/2.py", "bbbb2222", &["aaaa1111"]),
        entry("migrations/versions/3.py", "cccc3333", &["bbbb2222"]),
        {"path": "migrations/versions/4.py", "cannot_tell": "line 1: revision is computed"},
    ]);
    assert_eq!(manifest["migrations"]["revisions"], expected);
    repo.ok(&["verify", "a"]);
    // And the files come back as they were.
    let back = repo.path().join("back");
    repo.ok(&["extract", "a", "--migrations", "--output", back.to_str().unwrap()]);
    for (path, bytes) in project.files() {
        assert_eq!(std::fs::read(back.join(&path)).unwrap(), bytes, "{path}");
    }
}

#[test]
fn a_backup_that_requires_agreement_reads_no_row_without_it() {
    let (project, database, repo) = (three(), Database::empty(), Repo::new());
    let (folder, url) = (project.path().to_str().unwrap().to_owned(), database.url());
    let backup = ["backup", "--url", &url, "--require-migrations"];
    let with = [&backup[..], &["--migrations", &folder]].concat();
    repo.run(&backup).expect_code(10).says(&["no migration project"]);
    repo.run(&with)
        .expect_code(4)
        .says(&["at nothing, and the files end at cccc3333", "alembic upgrade head"]);
    project.alembic(&database, &["upgrade", "bbbb2222"]);
    repo.run(&with)
        .expect_code(4)
        .says(&["at bbbb2222, and the files end at cccc3333", "behind by 1 revision: cccc3333"]);
    let check = ["check", "--url", &url, "--migrations", &folder];
    let run = repo.run(&check).expect_code(0);
    assert!(run.stdout.contains("warning  migrations"), "{}", run.stdout);
    let run = repo.run(&[&check[..], &["--require-migrations"]].concat()).expect_code(4);
    assert!(run.stdout.contains("FAILED   migrations"), "{}", run.stdout);
    // Without being required, it is a warning.
    repo.ok(&["backup", "--url", &url, "--migrations", &folder, "--name", "warned"])
        .says(&["warning", "behind by 1"]);
    project.alembic(&database, &["upgrade", "head"]);
    repo.ok(&with);
    let run = repo.run(&check).expect_code(0);
    assert!(run.stdout.contains("ok       migrations"), "{}", run.stdout);
    database.execute("UPDATE alembic_version SET version_num = 'gone'");
    repo.run(&with).expect_code(4).says(&["revision gone is in no file"]);
    project.write("migrations/versions/4.py", "revision = str(4)\ndown_revision = None\n");
    repo.run(&with).expect_code(15).says(&["migrations/versions/4.py"]);
    assert_eq!(repo.files().len(), 4, "two archives with their manifests");
    // Several heads that are all applied are no disagreement.
    project.write("migrations/versions/4.py", &revision("dddd4444", "'bbbb2222'", "pass"));
    database.execute("UPDATE alembic_version SET version_num = 'cccc3333'");
    project.alembic(&database, &["upgrade", "heads"]);
    repo.ok(&[&with[..], &["--name", "heads"]].concat());
}

#[test]
fn a_restore_is_refused_by_a_target_at_another_revision_unless_told() {
    let (project, source, target, repo) =
        (three(), Database::empty(), Database::empty(), Repo::new());
    project.alembic(&source, &["upgrade", "bbbb2222"]);
    source.execute("INSERT INTO one VALUES (1); INSERT INTO two VALUES (2)");
    repo.backup(&source, &["--no-migrations"]);
    project.alembic(&target, &["upgrade", "head"]);
    let url = target.url();
    let restore = ["restore", "latest", "--url", &url, "--data-only"];
    let mismatch = [
        "the archive is at revision bbbb2222, and the target at cccc3333",
        "--allow-revision-mismatch",
    ];
    repo.run(&restore).expect_code(15).says(&mismatch);
    // Also for one table, whose columns would fit.
    repo.run(&[&restore[..], &["--table", "one"]].concat()).expect_code(15).says(&mismatch);
    assert_eq!(target.one("SELECT count(*) FROM one"), "0");
    repo.run(&[&restore[..], &["--allow-revision-mismatch"]].concat())
        .expect_code(0)
        .says(&["warning", "public.alembic_version stays as it is"]);
    assert_eq!(target.one("SELECT version_num FROM alembic_version"), "cccc3333");
    assert_eq!(
        target.one(
            "SELECT string_agg(x::text, ',') FROM (TABLE one UNION TABLE two ORDER BY 1) AS t"
        ),
        "1,2"
    );
    // A table of another name is the same ledger.
    let (renamed, repo) = (Database::empty(), Repo::new());
    repo.backup(&source, &["--no-migrations"]);
    project.alembic(&renamed, &["upgrade", "head"]);
    renamed.execute("ALTER TABLE alembic_version RENAME TO our_versions");
    let url = renamed.url();
    repo.run(&[
        "restore",
        "latest",
        "--url",
        &url,
        "--data-only",
        "--exclude-table",
        "alembic_version",
    ])
    .expect_code(15)
    .says(&["and the target at cccc3333 (public.our_versions)"]);
}

#[test]
fn a_database_at_another_revision_is_not_replaced_unless_told() {
    let (project, database, repo) = (three(), Database::empty(), Repo::new());
    project.alembic(&database, &["upgrade", "bbbb2222"]);
    repo.backup(&database, &["--no-migrations"]);
    let url = database.url();
    let restore = ["restore", "latest", "--url", &url, "--create", "--swap", "--no-migrations"];
    project.alembic(&database, &["upgrade", "head"]);
    repo.run(&restore).expect_code(15).says(&[
        "the archive is at revision bbbb2222, and the target at cccc3333",
        "--allow-revision-mismatch",
    ]);
    assert_eq!(database.one("SELECT version_num FROM alembic_version"), "cccc3333");
    repo.run(&[&restore[..], &["--allow-revision-mismatch"]].concat())
        .expect_code(0)
        .says(&["warning", "the target at cccc3333"]);
    assert_eq!(database.one("SELECT version_num FROM alembic_version"), "bbbb2222");
    // At the same revision, nothing is to be told.
    repo.run(&restore).expect_code(0);
    // Nor where the old database says nothing any more.
    database.execute("DROP TABLE alembic_version");
    repo.run(&restore).expect_code(0);
    assert_eq!(database.one("SELECT version_num FROM alembic_version"), "bbbb2222");
}

#[test]
fn a_restore_is_refused_beside_files_at_another_revision_unless_told() {
    let (project, source, repo) = (three(), Database::empty(), Repo::new());
    project.alembic(&source, &["upgrade", "bbbb2222"]);
    let folder = project.path().to_str().unwrap().to_owned();
    repo.backup(&source, &["--no-migrations"]);
    let target = Database::empty();
    let url = target.url();
    let restore = ["restore", "latest", "--url", &url];
    let with = [&restore[..], &["--migrations", &folder]].concat();
    let both =
        ["the archive is at bbbb2222, and the files end at cccc3333", "--allow-revision-mismatch"];
    repo.run(&with).expect_code(15).says(&both);
    assert_eq!(target.one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    // Files that happen to be in the current folder do not stand in the way of an emergency.
    let mut here = repo.command(&restore);
    Run::from(here.current_dir(project.path()).output().unwrap()).expect_code(0).says(&[
        "warning",
        "the files end at cccc3333",
        "alembic upgrade head",
    ]);
    let blank = Database::empty();
    let url = blank.url();
    let mut not_here = repo.command(&["restore", "latest", "--url", &url, "--no-migrations"]);
    let run = Run::from(not_here.current_dir(project.path()).output().unwrap()).expect_code(0);
    assert!(!run.stderr.contains("cccc3333"), "{}", run.stderr);
    let second = Database::empty();
    let url = second.url();
    let told =
        ["restore", "latest", "--url", &url, "--migrations", &folder, "--allow-revision-mismatch"];
    repo.run(&told).expect_code(0).says(&["warning", "the files end at cccc3333"]);
    project.alembic(&second, &["upgrade", "head"]);
    // The same revision is no matter.
    let (third, repo) = (Database::empty(), Repo::new());
    repo.backup(&second, &["--migrations", &folder]);
    repo.ok(&["restore", "latest", "--url", &third.url(), "--migrations", &folder]);
    assert_eq!(third.one("SELECT version_num FROM alembic_version"), "cccc3333");
}
