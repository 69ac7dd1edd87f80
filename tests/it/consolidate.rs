//! `pgark migrations consolidate` with real Alembic on the example: what is put in the place of a
//! chain builds the same, old databases are refused or need nothing, and whatever fails leaves
//! everything as it was.

use crate::harness::alembic::Project;
use crate::harness::{Database, Repo, Run, pg_dump_schema};
use serde_json::{Value, json};
use std::time::Duration;

/// All comparisons of a summary say that nothing differs.
#[track_caller]
pub fn assert_equal(summary: &Value) {
    let compared = summary["compared"].as_array().unwrap();
    assert!(!compared.is_empty() && compared.iter().all(|c| c["equal"] == true), "{summary}");
}

/// A copy of a database as it is now.
fn copy_of(database: &Database) -> Database {
    Database::create(&format!("TEMPLATE {}", database.name))
}

/// The example's revisions in their order.
const CHAIN: [&str; 18] = [
    "a75b8ab8d7ec",
    "843fdae84b37",
    "94e7ccaad3b2",
    "c6ea9ed77ea8",
    "04f8249fc418",
    "f9adc45cf4ec",
    "9b2fcf59ac80",
    "a1b2c3d4e5f6",
    "1c00ade64ab5",
    "c56f9f034ac1",
    "9ab46480ba00",
    "033880ebf93b",
    "8a343c129269",
    "ff5423642f10",
    "ffaaaaaa0000",
    "ffcccccc0002",
    "ffcccccc0003",
    "ffcccccc0004",
];

const HEAD: &str = "ffcccccc0004";

/// One database at each revision but the last, built by the old chain.
fn at_every_revision(project: &Project) -> Vec<Database> {
    let line = Database::empty();
    let mut databases = Vec::new();
    for revision in &CHAIN[..17] {
        project.alembic(&line, &["upgrade", revision]);
        databases.push(copy_of(&line));
    }
    databases
}

#[test]
fn eighteen_revisions_become_one_and_every_old_database_is_refused_or_caught_up() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let old = at_every_revision(&project);
    let before = pg_dump_schema(&live);
    let run = project.run(&repo, &live, &["consolidate", "--json"]).expect_code(0);
    let summary = run.json();
    assert_equal(&summary);
    let pairs: Vec<(&str, &str)> = summary["compared"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["left"].as_str().unwrap(), c["right"].as_str().unwrap()))
        .collect();
    let expected =
        [("old revisions", "live"), ("old revisions", "new revision"), ("new revision", "live")];
    assert_eq!(pairs, expected);
    assert_eq!(summary["replaced"].as_array().unwrap().len(), 17);
    assert_eq!(
        project.paths("migrations/versions"),
        ["migrations/versions/ffcccccc0004_squashed.py"]
    );
    let parked = summary["parked"].as_str().unwrap().to_owned();
    assert!(parked.starts_with("migrations/legacy-"), "{parked}");
    // The databases that were left behind are named, with what to do.
    let behind = summary["behind"].as_array().unwrap();
    let named = |database: &Database| {
        let name = format!("\"{}\"", database.name);
        behind
            .iter()
            .find(|b| b["database"] == name)
            .unwrap_or_else(|| panic!("{name}: {behind:?}"))
    };
    for (database, revision) in old.iter().zip(CHAIN) {
        let entry = named(database);
        assert_eq!(entry["revisions"], json!([revision]));
        assert!(entry["remedy"].as_str().unwrap().starts_with("alembic -c migrations/legacy-"));
    }
    // A new database.
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), before);
    // The live one needs nothing, and nothing was written to it.
    assert!(project.alembic(&live, &["current"]).contains("ffcccccc0004 (head)"));
    project.alembic(&live, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&live), before);
    // Those in between fail closed, and the parked revisions bring them to where the new one is.
    let legacy = format!("{parked}/alembic.ini");
    for (database, revision) in old.iter().zip(CHAIN) {
        let was = pg_dump_schema(database);
        let said = project.alembic_fails(database, &["upgrade", "head"]);
        assert!(
            said.contains(&format!("Can't locate revision identified by '{revision}'")),
            "{said}"
        );
        assert_eq!(pg_dump_schema(database), was, "{revision}");
        project.alembic(database, &["-c", &legacy, "upgrade", "head"]);
        project.alembic(database, &["upgrade", "head"]);
        assert_eq!(pg_dump_schema(database), before, "{revision}");
    }
    // There is no way down that would drop tables.
    let said = project.alembic_fails(&fresh, &["downgrade", "-1"]);
    assert!(said.contains("cannot be undone"), "{said}");
    assert_eq!(pg_dump_schema(&fresh), before);
    // What is added on top works in all of them.
    project.alembic(&live, &["revision", "-m", "next"]);
    for database in [&live, &fresh, &old[0]] {
        project.alembic(database, &["upgrade", "head"]);
    }
}

#[test]
fn a_dry_run_shows_the_new_revision_and_writes_nothing() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let before = project.files();
    // Whoever only looks waits for nobody, and keeps nobody out.
    let lock = std::fs::File::open(project.path()).unwrap();
    lock.lock().unwrap();
    project.run(&repo, &live, &["consolidate"]).expect_code(11).says(&["another pgark"]);
    let (there, go_on) = (repo.path().join("there"), repo.path().join("go-on"));
    let waits = format!(
        "case \"$*\" in *upgrade*) mkdir -p {}; while [ ! -e {} ]; do sleep .1; done;; esac; \"$VIRTUAL_ENV/bin/alembic\"",
        there.display(),
        go_on.display()
    );
    let mut command =
        project.command(&repo, &live, &["consolidate", "--dry-run", "--alembic", &waits]);
    command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = std::time::Instant::now();
    while !there.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no Alembic");
        std::thread::sleep(Duration::from_millis(50));
    }
    let locked = live.client().batch_execute("BEGIN; LOCK TABLE alembic_version NOWAIT");
    std::fs::create_dir(&go_on).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).expect_code(0);
    locked.unwrap();
    for path in [&there, &go_on] {
        std::fs::remove_dir(path).unwrap();
    }
    for said in [
        "a dry run: nothing was written",
        "op.execute(sa.text(",
        "CREATE TABLE \"public\".\"dca_plans\"",
        "old revisions and new revision: equal in schema, rows and sequences",
    ] {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
    assert_eq!(project.files(), before);
    assert_eq!(repo.files(), Vec::new());
}

#[test]
fn what_is_not_at_the_one_head_is_refused_and_nothing_is_touched() {
    let (project, repo) = (Project::fintrack(), Repo::new());
    let before = project.files();
    let refused = |database: &Database, says: &[&str]| {
        project.run(&repo, database, &["consolidate"]).expect_code(15).says(says);
        assert_eq!(project.files(), before);
        assert_eq!(repo.files(), Vec::new());
    };
    let behind = Database::empty();
    project.alembic(&behind, &["upgrade", "c56f9f034ac1"]);
    refused(&behind, &["behind by 8 revisions", "033880ebf93b", "alembic upgrade head"]);
    refused(&Database::empty(), &["no version table"]);
    let table = "CREATE TABLE alembic_version (version_num varchar(32))";
    let with =
        |rows: &str| Database::with(&format!("{table}; INSERT INTO alembic_version VALUES {rows}"));
    refused(&Database::with(table), &["unstamped"]);
    refused(&with("('108a72344872')"), &["108a72344872 is in no file"]);
    refused(&with(&format!("('{HEAD}'), ('{HEAD}')")), &["in more than one row"]);
    refused(&with(&format!("('{HEAD}'), ('ffcccccc0003')")), &["rows overlap"]);
    refused(&with("('ffccc')"), &["ffccc", "is not at the head"]);
}

#[test]
fn files_that_do_not_fit_together_are_refused() {
    let (repo, live) = (Repo::new(), Database::fintrack(1));
    let refused = |change: &dyn Fn(&Project), says: &[&str]| {
        let project = Project::fintrack();
        change(&project);
        let before = project.files();
        project.run(&repo, &live, &["consolidate"]).expect_code(15).says(says);
        assert_eq!(project.files(), before);
        assert_eq!(repo.files(), Vec::new());
    };
    let versions = "migrations/versions";
    refused(
        &|p| {
            std::fs::remove_file(
                p.path().join(format!("{versions}/1c00ade64ab5_fix_wise_tables_structure.py")),
            )
            .unwrap();
        },
        &["1c00ade64ab5, which no file has"],
    );
    refused(
        &|p| {
            p.write(
                &format!("{versions}/x.py"),
                "revision = 'x1'\ndown_revision = 'ffcccccc0003'\n",
            );
        },
        &["several heads", "ffcccccc0004", "x1"],
    );
    refused(
        &|p| p.write(&format!("{versions}/x.py"), "revision = str(1)\ndown_revision = None\n"),
        &["cannot tell the revision"],
    );
    refused(
        &|p| {
            p.write(
                &format!("{versions}/x.py"),
                &format!("revision = '{HEAD}'\ndown_revision = 'ffcccccc0003'\n"),
            );
        },
        &["more than once"],
    );
}

#[test]
fn a_live_database_that_drifted_is_refused_unless_it_is_the_truth() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    live.execute("CREATE TABLE by_hand (id serial PRIMARY KEY, t text); INSERT INTO by_hand (t) VALUES ('a'), ('b:c %s');
        ALTER TABLE fund_info ALTER COLUMN created_at DROP DEFAULT");
    let before = project.files();
    project.run(&repo, &live, &["consolidate"]).expect_code(4).says(&[
        "by_hand",
        "fund_info",
        "--reference live",
    ]);
    assert_eq!(project.files(), before);
    let run = project
        .run(&repo, &live, &["consolidate", "--reference", "live", "--seed", "by_hand", "--json"])
        .expect_code(0);
    let summary = run.json();
    let chain = &summary["compared"][0];
    assert_eq!(
        (&chain["left"], &chain["equal"]),
        (&json!("old revisions"), &json!(false)),
        "{summary}"
    );
    assert_eq!(summary["compared"][1]["equal"], true);
    assert_eq!(summary["seeds"], json!([{"table": "public.by_hand", "rows": 2}]));
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
    assert_eq!(fresh.one("SELECT string_agg(id || t, ',' ORDER BY id) FROM by_hand"), "1a,2b:c %s");
    fresh.execute("INSERT INTO by_hand (t) VALUES ('c')");
    assert_eq!(fresh.one("SELECT max(id) FROM by_hand"), "3");
}

#[test]
fn a_chain_that_cannot_be_replayed_is_said_so() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let first = "migrations/versions/a75b8ab8d7ec_add_asset_type_to_dca_plans_table.py";
    let text = project.read(first);
    project.write(
        first,
        &text.replace(
            "def upgrade() -> None:\n",
            "def upgrade() -> None:\n    op.execute('SELECT * FROM made_by_create_all')\n",
        ),
    );
    let before = project.files();
    project.run(&repo, &live, &["consolidate"]).expect_code(15).says(&[
        "cannot be replayed on an empty database",
        "made_by_create_all",
        "--reference live",
    ]);
    assert_eq!(project.files(), before);
    let run =
        project.run(&repo, &live, &["consolidate", "--reference", "live", "--json"]).expect_code(0);
    let summary = run.json();
    assert_equal(&summary);
    assert!(
        summary["not_compared"][0].as_str().unwrap().contains("made_by_create_all"),
        "{summary}"
    );
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
}

#[test]
fn without_alembic_only_the_live_database_is_the_reference_and_that_is_said() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    project
        .run(&repo, &live, &["consolidate", "--no-alembic"])
        .expect_code(15)
        .says(&["no Alembic runs them"]);
    let arguments =
        ["consolidate", "--no-alembic", "--reference", "live", "--scratch-here", "--json"];
    let summary = project.run(&repo, &live, &arguments).expect_code(0).json();
    assert_equal(&summary);
    let uncompared = summary["not_compared"].as_array().unwrap();
    assert_eq!(uncompared.len(), 3, "{uncompared:?}");
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
}

#[test]
fn an_env_that_goes_to_another_database_is_found_out() {
    let (project, repo, live, other) =
        (Project::fintrack(), Repo::new(), Database::fintrack(1), Database::empty());
    let env = project.read("migrations/env.py");
    let url = crate::harness::alembic::url(&other, "postgresql+psycopg");
    project.write(
        "migrations/env.py",
        &env.replace("os.environ.get(\"DATABASE_URL\")", &format!("'{url}'")),
    );
    let before = project.files();
    project
        .run(&repo, &live, &["consolidate"])
        .expect_code(15)
        .says(&["does not read public.alembic_version of the scratch database", "--alembic-env"]);
    assert_eq!(other.one("SELECT count(*) FROM pg_class WHERE relname = 'dca_plans'"), "0");
    // One that goes to the live database when it upgrades waits for its version table, and is stopped
    // there.
    let url = crate::harness::alembic::url(&live, "postgresql+psycopg");
    let named = "os.environ.get(\"DATABASE_URL\")";
    let there = format!("('{url}' if 'upgrade' in __import__('sys').argv else {named})");
    project.write("migrations/env.py", &env.replace(named, &there));
    let schema = pg_dump_schema(&live);
    project
        .run(&repo, &live, &["consolidate", "--dry-run"])
        .expect_code(15)
        .says(&["ended well, but not on the scratch database"]);
    project
        .run(&repo, &live, &["consolidate"])
        .expect_code(15)
        .says(&["began to wait for the live one's version table"]);
    assert_eq!(pg_dump_schema(&live), schema);
    project.write("migrations/env.py", &env);
    assert_eq!(
        project.files(),
        before
            .into_iter()
            .map(|(path, bytes)| match path.as_str() {
                "migrations/env.py" => (path, env.clone().into_bytes()),
                _ => (path, bytes),
            })
            .collect::<Vec<_>>()
    );
}

#[test]
fn who_holds_the_version_table_is_waited_for_and_then_nothing_is_done() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let before = project.files();
    let mut migration = live.client();
    migration.batch_execute("BEGIN; UPDATE alembic_version SET version_num = version_num").unwrap();
    project
        .run(&repo, &live, &["consolidate", "--lock-timeout", "1"])
        .expect_code(11)
        .says(&["cannot lock public.alembic_version"]);
    drop(migration);
    let mut other = live.client();
    other.batch_execute("SELECT pg_advisory_lock(x'706761726b6d6967'::bigint)").unwrap();
    project
        .run(&repo, &live, &["consolidate"])
        .expect_code(11)
        .says(&["another pgark is changing the migrations"]);
    assert_eq!(project.files(), before);
    assert_eq!(repo.files(), Vec::new());
}

/// An Alembic that takes its time to upgrade.
const SLOW: &str = "case \"$*\" in *upgrade*) sleep 60;; esac; \"$VIRTUAL_ENV/bin/alembic\"";

#[test]
fn a_signal_in_the_middle_leaves_everything_as_it_was() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    let before = project.files();
    let mut command = project.command(&repo, &live, &["consolidate", "--alembic", SLOW]);
    command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = std::time::Instant::now();
    while repo.files().len() < 2 || repo.files().iter().any(|(name, _)| name.contains("/.")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no archive");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(4));
    let status =
        std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
    let run = Run::from(child.wait_with_output().unwrap()).expect_code(130);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert_eq!(project.files(), before);
    // Nothing is held any more.
    project.alembic(&live, &["current"]);
}
