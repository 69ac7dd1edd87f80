//! The servers and databases beside the live one that `pgark migrations consolidate` looks into and
//! makes its scratch databases on, and who is held off meanwhile. Ids are this module's own.

use crate::consolidate::assert_equal;
use crate::harness::alembic::{Project, revision};
use crate::harness::server::{Server, Setup};
use crate::harness::{Database, Repo, Run};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Two revisions, which make two tables, and a database at their head.
fn at_head(one: &str, other: &str) -> (Project, Repo, Database) {
    let second = revision(other, &format!("'{one}'"), "op.execute('CREATE TABLE b (x int)')");
    let first = revision(one, "None", "op.execute('CREATE TABLE a (x int)')");
    let project =
        Project::of(&[("migrations/versions/a.py", &first), ("migrations/versions/b.py", &second)]);
    let live = Database::empty();
    project.alembic(&live, &["upgrade", "head"]);
    (project, Repo::new(), live)
}

#[track_caller]
fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {}", path.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn databases_and_servers_that_are_named_are_looked_into_and_used_while_writers_are_held_off() {
    let (project, repo, live) = at_head("5f1900000001", "5f1900000002");
    let setup = Setup { name: "beside", port: 5432, settings: &[], prepare: &|_, _| {} };
    let other = Server::start_with(&setup);
    other.admin("CREATE DATABASE stranded");
    let mut stranded = other.connect("stranded", "postgres");
    stranded
        .batch_execute(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('5f1900000001')",
        )
        .unwrap();
    let also = format!("{} password=not-to-be-shown", other.url("stranded", "postgres"));
    let scratch = other.url("postgres", "postgres");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // It asks where it is before the archive is written, and waits there.
    let alembic = format!(
        "cd {}; echo $PGHOST:$PGPORT >> seen; until test -e go; do sleep 0.05; done; cd - >&2; \"$VIRTUAL_ENV/bin/alembic\"",
        folder.path().display()
    );
    let arguments =
        ["consolidate", "--json", "--also", &also, "--scratch", &scratch, "--alembic", &alembic];
    let mut command = project.command(&repo, &live, &arguments);
    let consolidate = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&path("seen"));
    assert_eq!(repo.files(), Vec::new());
    assert_eq!(live.one("SELECT version_num FROM alembic_version"), "5f1900000002");
    let write = "LOCK TABLE alembic_version IN ROW EXCLUSIVE MODE NOWAIT";
    let mut writer = live.client();
    let refused = writer.batch_execute(&format!("BEGIN; {write}")).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55P03");
    std::fs::File::create(path("go")).unwrap();
    let run = Run::from(consolidate.wait_with_output().unwrap()).expect_code(0);
    writer.batch_execute(&format!("ROLLBACK; BEGIN; {write}; COMMIT")).unwrap();

    let summary = run.json();
    assert_equal(&summary);
    let behind = summary["behind"].as_array().unwrap();
    assert_eq!(behind.len(), 1, "{behind:?}");
    assert_eq!(behind[0]["revisions"], json!(["5f1900000001"]));
    let named = behind[0]["database"].as_str().unwrap();
    assert!(named.contains("dbname=stranded"), "{named}");
    assert!(behind[0]["remedy"].as_str().unwrap().contains(" upgrade 5f1900000002"), "{behind:?}");
    assert!(!format!("{run:?}").contains("not-to-be-shown"), "{run:?}");
    run.says(&["dbname=stranded", "is at 5f1900000001"]);
    let seen = std::fs::read_to_string(path("seen")).unwrap();
    let there = format!("{}:{}", other.folder().display(), other.port());
    assert!(seen.lines().all(|line| line == there), "{there}: {seen}");
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'pgark_scratch_%'";
    let left: i64 = stranded.query_one(left, &[]).unwrap().get(0);
    assert_eq!(left, 0);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn a_throw_away_server_is_made_by_the_programs_of_the_folder_that_is_named() {
    let (project, repo, live) = at_head("5f1a00000001", "5f1a00000002");
    let folder = tempfile::tempdir().unwrap();
    // Another user may run them.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["postgres", "initdb"] {
        let program = live.server.binaries().join(name);
        let (place, used) = (folder.path().join(name), folder.path().join(format!("{name}.used")));
        let used = used.display();
        let script = format!("#!/bin/sh\necho >> {used}\nexec {} \"$@\"\n", program.display());
        std::fs::write(&place, script).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        let used = folder.path().join(format!("{name}.used"));
        std::fs::write(&used, "").unwrap();
        std::fs::set_permissions(&used, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let bin = folder.path().to_str().unwrap();
    let arguments = ["consolidate", "--dry-run", "--json", "--scratch-bin", bin];
    assert_equal(&project.run(&repo, &live, &arguments).expect_code(0).json());
    // Asked for its version, and started.
    for (name, times) in [("postgres", 2), ("initdb", 1)] {
        let used = std::fs::read_to_string(folder.path().join(format!("{name}.used"))).unwrap();
        assert_eq!(used.lines().count(), times, "{name}");
    }
}
