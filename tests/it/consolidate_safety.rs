//! What `pgark migrations consolidate` must never lose, leave in between, or keep silent about. Ids are
//! this module's own.

use crate::consolidate::assert_equal;
use crate::harness::alembic::{Project, revision};
use crate::harness::server::{Server, Setup};
use crate::harness::{Database, Repo, Run, pg_dump_schema, server, traced};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const VERSIONS: &str = "migrations/versions";

/// Revisions of these bodies, each after the one before it.
fn chain(prefix: &str, bodies: &[&str]) -> Project {
    let files: Vec<(String, String)> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| {
            let down = match number {
                0 => String::from("None"),
                _ => format!("'{prefix}{}'", number - 1),
            };
            let id = format!("{prefix}{number}");
            (format!("{VERSIONS}/{id}.py"), revision(&id, &down, body))
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    Project::of(&files)
}

/// The project, a repository, and a database at its head.
fn at_head(project: Project) -> (Project, Repo, Database) {
    at_head_on(server(), project)
}

fn at_head_on(server: &'static Server, project: Project) -> (Project, Repo, Database) {
    let live = Database::empty_on(server);
    project.alembic(&live, &["upgrade", "head"]);
    (project, Repo::new(), live)
}

fn sql(statement: &str) -> String {
    format!("op.execute(sa.text(r\"\"\"{}\"\"\"))", statement.replace(':', "\\:"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[track_caller]
fn assert_says(list: &Value, what: &str) {
    assert!(texts(list).iter().any(|text| text.contains(what)), "{what} in {list}");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn a_place_to_park_at_is_looked_at_before_the_archive_is_written() {
    let bodies = [sql("CREATE TABLE a (x int)"), sql("CREATE TABLE b (x int)")];
    let (project, repo, live) = at_head(chain("pk", &[&bodies[0], &bodies[1]]));
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), project.path().join("link")).unwrap();
    std::os::unix::fs::symlink("migrations/versions", project.path().join("inside")).unwrap();
    let before = std::fs::read_dir(project.path()).unwrap().count();
    for (place, code, says) in [
        ("/var/old", 2, "is not a folder inside of the project"),
        ("../old", 2, "is not a folder inside of the project"),
        ("a/../../old", 2, "is not a folder inside of the project"),
        (".", 2, "is not a folder inside of the project"),
        ("migrations/versions/old", 15, "where Alembic looks for revisions"),
        ("inside/old", 15, "where Alembic looks for revisions"),
        ("migrations/", 15, "exists already"),
        ("alembic.ini/old", 15, "is not a folder"),
        ("link/old", 15, "lies outside of the project"),
    ] {
        let run = project.run(&repo, &live, &["consolidate", "--park", place]);
        run.expect_code(code).says(&[says]);
        assert_eq!(repo.files(), Vec::new(), "{place}");
        assert_eq!(std::fs::read_dir(project.path()).unwrap().count(), before, "{place}");
    }
    // A link cannot be exchanged.
    let versions = project.path().join("migrations/versions");
    std::fs::rename(&versions, project.path().join("real")).unwrap();
    std::os::unix::fs::symlink("../real", &versions).unwrap();
    let run = project.run(&repo, &live, &["consolidate"]).expect_code(15);
    run.says(&["migrations/versions is a symbolic link"]);
    assert_eq!(repo.files(), Vec::new());
    std::fs::remove_file(&versions).unwrap();
    std::fs::rename(project.path().join("real"), &versions).unwrap();
    // The ini file may hold a password: its copy is as private.
    let ini = |path: &str| project.path().join(path);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(ini("alembic.ini"), private).unwrap();
    let run = project.run(&repo, &live, &["consolidate", "--park", "old//files/", "--json"]);
    assert_eq!(run.expect_code(0).json()["parked"], "old/files");
    assert_eq!(project.paths("old").len(), 4, "{:?}", project.paths("old"));
    let mode = std::fs::metadata(ini("old/files/alembic.ini")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_a_proof_lacks_is_said_before_the_archive_is_written() {
    let bodies = [sql("CREATE TABLE a (x int)"), sql("CREATE TABLE b (x int)")];
    let (project, repo, live) = at_head(chain("pf", &[&bodies[0], &bodies[1]]));
    for (more, code, says) in [
        (&["--scratch-bin", "/nowhere"][..], 10, "/nowhere"),
        (&["--scratch", "host=/nowhere dbname=x"], 17, "/nowhere"),
        (&["--alembic", "echo no alembic here >&2; false"], 1, "no alembic here"),
        (&["--no-alembic"], 15, "no Alembic runs them"),
    ] {
        let arguments = [&["consolidate"], more].concat();
        project.run(&repo, &live, &arguments).expect_code(code).says(&[says]);
        assert_eq!(repo.files(), Vec::new(), "{more:?}");
    }
}

#[test]
fn rows_that_the_old_revisions_insert_are_not_lost_to_the_live_reference() {
    let first = sql(
        "CREATE TABLE kinds (id int, name text); INSERT INTO kinds VALUES (1, 'a'), (2, 'b'); CREATE TABLE logs (at int); INSERT INTO logs VALUES (1)",
    );
    let (project, repo, live) = at_head(chain("rl", &[&first, "pass"]));
    live.execute("ALTER TABLE kinds ADD note text");
    let before = project.files();
    let run = |more: &[&str]| {
        let arguments = [&["consolidate", "--reference", "live"], more].concat();
        project.run(&repo, &live, &arguments)
    };
    run(&[]).expect_code(15).says(&[
        "public.kinds (2 rows)",
        "public.logs (1 rows)",
        "--seed public.kinds --seed public.logs",
        "--no-seed",
    ]);
    run(&["--seed", "kinds"]).expect_code(15).says(&["public.logs"]);
    run(&["--seed", "kinds", "--no-seed", "lags"]).expect_code(10).says(&["lags", "logs"]);
    run(&["--seed", "kinds", "--no-seed", "*"]).expect_code(2).says(&["both --seed and --no-seed"]);
    assert_eq!(project.files(), before);
    // Where nothing replays the old ones, that nothing is known of their rows is said.
    let blind =
        run(&["--no-alembic", "--scratch-here", "--dry-run", "--json"]).expect_code(0).json();
    assert_says(&blind["not_compared"], "rows that the old revisions insert");
    let summary = run(&["--seed", "kinds", "--no-seed", "logs", "--json"]).expect_code(0).json();
    assert_eq!(summary["seeds"], json!([{"table": "public.kinds", "rows": 2}]));
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(fresh.one("SELECT count(*) FROM kinds"), "2");
    assert_eq!(fresh.one("SELECT count(*) FROM logs"), "0");
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
}

#[test]
fn a_schema_for_each_tenant_is_not_made_one_revision_that_names_the_schema_of_one() {
    let bodies = [sql("CREATE TABLE a (x int)"), sql("CREATE TABLE b (x int)")];
    let project = chain("tn", &[&bodies[0], &bodies[1]]);
    let (repo, live) = (Repo::new(), Database::empty());
    let env = project.read("migrations/env.py");
    for tenant in ["one", "two"] {
        live.execute(&format!("CREATE SCHEMA {tenant}"));
        let with_schema = env.replace(
            "connection=connection,",
            &format!("connection=connection, version_table_schema='{tenant}',"),
        );
        let with_schema = with_schema.replace(
            "with engine.connect() as connection:\n",
            &format!("with engine.connect() as connection:\n        connection.exec_driver_sql('SET search_path = {tenant}')\n        connection.commit()\n"),
        );
        project.write("migrations/env.py", &with_schema);
        project.alembic(&live, &["upgrade", "head"]);
    }
    let table = ["consolidate", "--version-table", "one.alembic_version"];
    project.run(&repo, &live, &table).expect_code(15).says(&[
        "two.alembic_version",
        "one.alembic_version",
        "--keep",
    ]);
    assert_eq!(repo.files(), Vec::new());
}

#[test]
fn version_tables_of_other_projects_are_no_part_of_this_one() {
    let bodies = [sql("CREATE TABLE a (x int)"), sql("CREATE TABLE b (x int)")];
    let (project, repo, live) = at_head(chain("vt", &[&bodies[0], &bodies[1]]));
    live.execute("CREATE TABLE other_version (version_num varchar(32) NOT NULL PRIMARY KEY); INSERT INTO other_version VALUES ('of another')");
    let table = ["consolidate", "--version-table", "alembic_version"];
    let as_it_is = [&table[..], &["--reference", "live"]].concat();
    project
        .run(&repo, &live, &as_it_is)
        .expect_code(15)
        .says(&["public.other_version belongs to another project"]);
    let summary = project.run(&repo, &live, &[&table[..], &["--json"]].concat());
    assert_equal(&summary.expect_code(0).json());
    assert!(!project.read(&format!("{VERSIONS}/vt1_squashed.py")).contains("other_version"));
}

/// Two folders of revisions that can only be exchanged one after the other.
pub fn two_folders(prefix: &str) -> Project {
    let (one, other) = (format!("{prefix}0"), format!("{prefix}1"));
    let first = revision(&one, "None", &sql("CREATE TABLE a (x int)"));
    let second = revision(&other, &format!("'{one}'"), &sql("CREATE TABLE b (x int)"));
    Project::of(&[
        (
            "alembic.ini",
            "[alembic]\nscript_location = migrations\nversion_locations = one two\n\n[tenants]\nscript_location = migrations\nversion_locations = one two\n",
        ),
        ("one/a.py", &first),
        ("two/b.py", &second),
    ])
}

#[test]
fn killed_between_two_folders_every_verb_says_so_and_the_next_run_puts_it_right() {
    let (project, repo, live) = at_head(two_folders("hs"));
    let before = project.files();
    let root = project.path().to_str().unwrap().to_owned();
    let consolidate = ["consolidate", "--park", "old", "--migrations", &root, "--quiet"];
    let paths: Vec<std::path::PathBuf> = ["one", ".one.pgark-new", "two", ".two.pgark-new"]
        .iter()
        .map(|p| project.path().join(p))
        .collect();
    let journal = project.path().join(".pgark-swap.json");
    let plain = project.command(&repo, &live, &consolidate);
    // The second exchange: both new folders have got their names before the first.
    let (_, came) = traced::faulty(&plain, &paths, "renameat2", "signal=KILL", 4);
    assert!(came && journal.exists());
    let is_new = |folder: &str| {
        !project.paths(folder).iter().any(|p| p.ends_with("/a.py") || p.ends_with("/b.py"))
    };
    assert!(is_new("one/") && !is_new("two/"), "{:?}", project.files());
    let between = project.files();
    let unsettled = ["has begun to exchange the folders", "consolidate or rollback again"];
    let archive = repo.files().into_iter().find(|(name, _)| name.ends_with(".tar")).unwrap().0;
    let archive = repo.path().join(archive).to_str().unwrap().to_owned();
    project.run(&repo, &live, &["status"]).expect_code(15).says(&unsettled);
    let lock = std::fs::File::open(project.path()).unwrap();
    lock.lock().unwrap();
    project.run(&repo, &live, &["status"]).expect_code(11).says(&["another pgark"]);
    drop(lock);
    project.run(&repo, &live, &["consolidate", "--dry-run"]).expect_code(15).says(&unsettled);
    let verified = project.run(&repo, &live, &["verify", &archive]).expect_code(4);
    assert!(verified.stdout.contains(unsettled[0]), "{verified:?}");
    let url = live.url();
    let mut backup = vec!["backup", "--url", &url, "--migrations", &root];
    repo.ok(&backup).says(&unsettled);
    let checked = repo.run(&["check", "--url", &url, "--migrations", &root]);
    assert!(checked.code != 0 && checked.stdout.contains(unsettled[0]), "{checked:?}");
    backup.push("--require-migrations");
    repo.run(&backup).expect_code(15).says(&unsettled);
    assert_eq!(project.files(), between);
    // What somebody has put into the new folder meanwhile is not removed with it.
    project.write("one/mine.py", "# mine\n");
    Run::from(project.command(&repo, &live, &consolidate).output().unwrap())
        .expect_code(0)
        .says(&["undid that", "one-undone/mine.py"]);
    assert_eq!(project.read("one-undone/mine.py"), "# mine\n");
    assert!(is_new("one/") && is_new("two/") && !journal.exists());
    for (path, bytes) in
        before.iter().filter(|(path, _)| path.ends_with("/a.py") || path.ends_with("/b.py"))
    {
        assert_eq!(&std::fs::read(project.path().join("old").join(path)).unwrap(), bytes);
    }
}

#[test]
fn what_is_printed_for_databases_that_are_behind_works_as_it_is_printed() {
    let (project, repo, live) = at_head(two_folders("rm"));
    let behind = Database::empty();
    project.alembic(&behind, &["upgrade", "rm0"]);
    let section = ["--ini-section", "tenants"];
    let status = project.run(&repo, &behind, &[&["status"], &section[..]].concat());
    assert!(status.stdout.contains("next: run `alembic -n tenants upgrade head`"), "{status:?}");
    project
        .run(&repo, &behind, &[&["consolidate"], &section[..]].concat())
        .expect_code(15)
        .says(&["`alembic -n tenants upgrade head`"]);
    let without = Database::empty();
    let archive = repo.backup(&behind, &["--no-migrations"]);
    let (archive, root) = (archive.to_str().unwrap(), project.path().to_str().unwrap());
    let named = [&["--migrations", root], &section[..]].concat();
    let next = ["`alembic -n tenants upgrade head`"];
    for database in [&behind, &without] {
        project
            .run(&repo, database, &[&["consolidate"], &section[..]].concat())
            .expect_code(15)
            .says(&next);
    }
    let url = behind.url();
    let backup = [&["backup", "--require-migrations", "--url", &url], &named[..]].concat();
    repo.run(&backup).expect_code(4).says(&next);
    let url = without.url();
    repo.run(&[&["restore", archive, "--url", &url], &named[..]].concat())
        .expect_code(15)
        .says(&next);
    let verify = [&["verify", archive, "--skip", "rows,digests"], &section[..]].concat();
    let verified = project.run(&repo, &behind, &verify).expect_code(4);
    assert!(verified.stdout.contains(next[0]), "{verified:?}");
    let arguments = [&["consolidate", "--park", "old files", "--json"], &section[..]].concat();
    let summary = project.run(&repo, &live, &arguments).expect_code(0).json();
    let name = format!("\"{}\"", behind.name);
    let entries = summary["behind"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["database"] == name).unwrap();
    let remedy = entry["remedy"].as_str().unwrap().replace(", and then ", " && ");
    assert!(remedy.contains(" -n tenants "), "{remedy}");
    let python = crate::harness::alembic::python();
    let done = std::process::Command::new("sh")
        .args(["-ec", &remedy.replace("alembic -", &format!("{python} -m alembic -"))])
        .env("DATABASE_URL", crate::harness::alembic::url(&behind, "postgresql+psycopg"))
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{remedy}: {}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(pg_dump_schema(&behind), pg_dump_schema(&live));
}

#[test]
fn what_no_statement_of_the_new_revision_makes_is_named() {
    let role =
        "DO $$ BEGIN CREATE ROLE made_by_chain; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    let database = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database()); EXECUTE format('COMMENT ON DATABASE %I IS ''the shop''', current_database()); EXECUTE format('GRANT CONNECT ON DATABASE %I TO made_by_chain', current_database()); END $$";
    let foreign = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'secret')";
    let first = [
        role,
        database,
        foreign,
        "SELECT lo_from_bytea(0, 'x')",
        "CREATE TABLE a (x int); GRANT SELECT ON a TO made_by_chain",
    ]
    .map(sql)
    .join("\n");
    let (project, repo, live) = at_head(chain("lo", &[&first, "pass"]));
    for reference in ["chain", "live"] {
        let arguments = ["consolidate", "--dry-run", "--json", "--reference", reference];
        let summary = project.run(&repo, &live, &arguments).expect_code(0).json();
        for what in [
            "work_mem",
            "the comment of the database",
            "far",
            "1 large object",
            "made_by_chain",
            "privileges of the database",
        ] {
            assert_says(&summary["left_out"], what);
        }
        let text = summary["written"][0]["text"].as_str().unwrap();
        assert!(!text.contains("secret") && !text.contains("the shop"), "{text}");
    }
}

#[test]
fn only_the_columns_that_vary_are_left_out_of_the_proof_with_keep() {
    // A fold changes what __file__ says: here that is data.
    let table = sql("CREATE TABLE t (id int, at timestamptz DEFAULT clock_timestamp(), name text)");
    let insert = |name: &str| {
        format!("{table}\nop.execute(\"INSERT INTO t (id, name) VALUES (1, '\" + {name} + \"')\")")
    };
    let (project, repo, live) = at_head(chain("kv", &[&insert("'steady'"), "pass"]));
    let keep = ["consolidate", "--keep", "kv1", "--json"];
    let summary = project.run(&repo, &live, &keep).expect_code(0).json();
    assert_equal(&summary);
    assert_eq!(
        summary["not_compared"],
        json!(["at of public.t: other in every run of the old revisions"])
    );
    let (project, repo, live) = at_head(chain("kw", &[&insert("__file__[-6:]"), "pass"]));
    project
        .run(&repo, &live, &["consolidate", "--keep", "kw1"])
        .expect_code(4)
        .says(&["rows of public.t differ in other columns than at"]);
}

#[test]
fn rows_of_a_very_wide_table_come_along() {
    let columns: Vec<String> = (0..300).map(|n| format!("c{n} text")).collect();
    let first = sql(&format!(
        "CREATE TABLE wide ({}); INSERT INTO wide (c0, c150, c299) VALUES ('a', NULL, 'b,c'), ('', 'x', NULL)",
        columns.join(", ")
    ));
    let (project, repo, live) = at_head(chain("wd", &[&first, "pass"]));
    assert_equal(&project.run(&repo, &live, &["consolidate", "--json"]).expect_code(0).json());
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    let rows = "SELECT string_agg(w::text, ' ' ORDER BY c0) FROM wide w";
    assert_eq!(fresh.one(rows), live.one(rows));
}

#[test]
fn revisions_find_the_files_that_lie_beside_them() {
    let read = "from pathlib import Path\nop.execute((Path(__file__).parent.parent / 'sql' / 'make.sql').read_text())";
    let project = chain("fb", &[read, &sql("CREATE TABLE b (x int)")]);
    project.write("migrations/sql/make.sql", "CREATE TABLE a (x int)");
    let (project, repo, live) = at_head(project);
    let summary = project.run(&repo, &live, &["consolidate", "--keep", "fb1", "--json"]);
    assert_equal(&summary.expect_code(0).json());
    let fresh = Database::empty();
    project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
}

#[test]
fn folders_are_found_where_alembic_finds_them() {
    // Relative to the folder in which Alembic is run, not to that of the ini file.
    let files = |prefix: &str| {
        let (one, other) = (format!("{prefix}0"), format!("{prefix}1"));
        [
            (String::from("a.py"), revision(&one, "None", &sql("CREATE TABLE a (x int)"))),
            (
                String::from("b.py"),
                revision(&other, &format!("'{one}'"), &sql("CREATE TABLE b (x int)")),
            ),
        ]
    };
    let example = Project::of(&[]);
    let project = Project::empty();
    project.write("app/alembic.ini", "[alembic]\nscript_location = app/scripts\n");
    project.write("app/scripts/env.py", &example.read("migrations/env.py"));
    for (name, text) in files("cw") {
        project.write(&format!("app/scripts/versions/{name}"), &text);
    }
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["-c", "app/alembic.ini", "upgrade", "head"]);
    let arguments = ["consolidate", "--migrations", "app/alembic.ini", "--json"];
    assert_equal(&project.run(&repo, &live, &arguments).expect_code(0).json());
    let fresh = Database::empty();
    project.alembic(&fresh, &["-c", "app/alembic.ini", "upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&live));
    // Without any configuration but env.py.
    let project = Project::empty();
    project.write("scripts/env.py", &example.read("migrations/env.py"));
    for (name, text) in files("cx") {
        project.write(&format!("scripts/versions/{name}"), &text);
    }
    let ini = "[alembic]\nscript_location = scripts\n";
    project.write("other/alembic.ini", ini);
    let live = Database::empty();
    project.alembic(&live, &["-c", "other/alembic.ini", "upgrade", "head"]);
    let arguments = ["consolidate", "--migrations", "scripts", "--json"];
    assert_equal(&project.run(&repo, &live, &arguments).expect_code(0).json());
}

#[test]
fn databases_that_could_not_be_looked_into_are_named() {
    let bodies = [sql("CREATE TABLE a (x int)"), sql("CREATE TABLE b (x int)")];
    let (project, repo, live) = at_head(chain("nl", &[&bodies[0], &bodies[1]]));
    let closed = Database::empty();
    live.execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", closed.name));
    let run = project.run(&repo, &live, &["consolidate", "--dry-run", "--json"]).expect_code(0);
    let listed = run.json()["not_looked_into"].clone();
    let named = |entry: &&Value| entry["database"] == closed.name.as_str();
    assert!(listed.as_array().unwrap().iter().any(|entry| named(&entry)), "{listed}");
    run.says(&[&format!("\"{}\" was not looked into", closed.name)]);
}

#[test]
fn scratch_databases_of_killed_runs_are_swept_and_no_others() {
    let bodies = [sql("CREATE TABLE a (x int)"), sql("CREATE TABLE b (x int)")];
    // On the one that tests share, the runs of others sweep as well.
    let setup = Setup { name: "swept", port: 5432, settings: &[], prepare: &|_, _| {} };
    let own: &'static Server = Box::leak(Box::new(Server::start_with(&setup)));
    let (project, repo, live) = at_head_on(own, chain("sw", &[&bodies[0], &bodies[1]]));
    let mark = "scratch database of a run of pgark, which drops it";
    let make = |name: &str, comment: &str| {
        live.execute(&format!("CREATE DATABASE pgark_scratch_{name} TEMPLATE template0"));
        live.execute(&format!("COMMENT ON DATABASE pgark_scratch_{name} IS '{comment}'"));
        let mut client = live.server.connect(&format!("pgark_scratch_{name}"), "postgres");
        let table = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
                     INSERT INTO alembic_version VALUES ('sw0')";
        client.batch_execute(table).unwrap();
        client
    };
    drop(make("sw_dead", mark));
    let used = make("sw_used", mark);
    drop(make("sw_foreign", "mine"));
    let seen = project.path().join("seen");
    let alembic = format!("echo $PGDATABASE >> {}; \"$VIRTUAL_ENV/bin/alembic\"", seen.display());
    let run = |more: &[&str]| {
        let arguments = [&["consolidate", "--scratch-here", "--alembic", &alembic, "--json"], more];
        let summary = project.run(&repo, &live, &arguments.concat()).expect_code(0).json();
        // What was left by other runs is none of the project's databases.
        let behind = summary["behind"].as_array().unwrap();
        assert_eq!(behind.len(), 1, "{behind:?}");
        assert_eq!(behind[0]["database"], "\"pgark_scratch_sw_foreign\"");
        let left = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE datname LIKE 'pgark_scratch_sw_%'";
        live.one(left)
    };
    let all = "pgark_scratch_sw_dead,pgark_scratch_sw_foreign,pgark_scratch_sw_used";
    assert_eq!(run(&["--dry-run"]), all);
    assert_eq!(run(&[]), "pgark_scratch_sw_foreign,pgark_scratch_sw_used");
    let own = std::fs::read_to_string(seen).unwrap();
    let own: Vec<&str> = own.lines().collect();
    assert!(own.iter().all(|name| name.starts_with("pgark_scratch_")), "{own:?}");
    let count =
        format!("SELECT count(*) FROM pg_database WHERE datname IN ('{}')", own.join("','"));
    assert_eq!((own.is_empty(), live.one(&count).as_str()), (false, "0"), "its own are gone");
    drop(used);
    for name in ["used", "foreign"] {
        live.execute(&format!("DROP DATABASE pgark_scratch_sw_{name} WITH (FORCE)"));
    }
}

#[test]
fn what_the_archive_may_lack_ends_with_the_code_for_omissions() {
    for name in ["am_reader", "am_other"] {
        crate::harness::role(name, "");
    }
    let foreign = sql("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w");
    let (project, repo, live) = at_head(chain("am", &[&foreign, &sql("CREATE TABLE b (x int)")]));
    live.execute(
        "CREATE USER MAPPING FOR am_other SERVER far OPTIONS (password 'hidden');
         GRANT SELECT ON b TO am_reader; GRANT ALL ON alembic_version TO am_reader",
    );
    let run = |more: &[&str]| {
        let url = live.url_as("am_reader");
        let arguments = [&["migrations", "consolidate", "--url", &url], more].concat();
        let mut command = repo.command(&arguments);
        command.current_dir(project.path());
        for (name, value) in project.command(&repo, &live, &[]).get_envs() {
            value.map(|value| command.env(name, value));
        }
        Run::from(command.output().unwrap())
    };
    run(&[]).expect_code(15).says(&["user-mapping am_other on far"]);
    let summary = run(&["--allow-missing", "user-mapping", "--json"]).expect_code(3).json();
    assert_eq!(summary["exit_code"], 3);
    assert_eq!(summary["not_carried"].as_array().unwrap().len(), 1);
    assert_says(&summary["not_compared"], "user-mapping am_other on far");
}
