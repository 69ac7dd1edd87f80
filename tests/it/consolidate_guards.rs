//! What `pgark migrations consolidate` finds out before harm is done: an `env.py` that aims at another
//! database, variables that aim at the live server, a live schema that changes meanwhile. Ids are this
//! module's own.

use crate::consolidate::assert_equal;
use crate::crash::wait_for;
use crate::harness::alembic::{Project, revision, url};
use crate::harness::{Database, Repo, Run, admin, pg_dump_schema};
use std::process::Stdio;
use std::time::Duration;

fn two(prefix: &str, first: &str) -> Project {
    let (one, other) = (format!("{prefix}1"), format!("{prefix}2"));
    let second = revision(&other, &format!("'{one}'"), "op.execute('CREATE TABLE b (x int)')");
    Project::of(&[
        ("migrations/versions/a.py", &revision(&one, "None", first)),
        ("migrations/versions/b.py", &second),
    ])
}

#[test]
fn a_database_that_env_names_itself_is_never_migrated() {
    let project = two("gd", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live, staging) = (Repo::new(), Database::empty(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    project.alembic(&staging, &["upgrade", "gd1"]);
    let env = project.read("migrations/env.py");
    for elsewhere in [&staging, &Database::empty(), &live] {
        let (schema, files) = (pg_dump_schema(elsewhere), repo.files());
        let there = format!("'{}'", url(elsewhere, "postgresql+psycopg"));
        project
            .write("migrations/env.py", &env.replace("os.environ.get(\"DATABASE_URL\")", &there));
        project.run(&repo, &live, &["consolidate", "--dry-run"]).expect_code(15).says(&[
            "does not read public.alembic_version of the scratch database",
            "nothing was run",
            "--alembic-env",
        ]);
        assert_eq!(pg_dump_schema(elsewhere), schema);
        assert_eq!(repo.files(), files);
    }
    assert_eq!(staging.one("SELECT version_num FROM alembic_version"), "gd1");
}

#[test]
fn what_is_meant_by_a_name_and_fits_into_a_migration_is_found_out_before_the_archive() {
    let project = two("gw", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    live.execute("INSERT INTO a SELECT generate_series(1, 50001)");
    let arguments = ["consolidate", "--reference", "live", "--seed", "a"];
    let run = project.run(&repo, &live, &arguments).expect_code(15);
    run.says(&["table public.a has 50001 rows, and no more than 50000 go into a migration"]);
    live.execute("CREATE SCHEMA s CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)");
    let arguments = ["consolidate", "--version-table", "alembic_version"];
    let run = project.run(&repo, &live, &arguments).expect_code(15);
    run.says(&["public.alembic_version", "s.alembic_version", "--version-table SCHEMA.NAME"]);
    assert_eq!(repo.files(), Vec::new());
}

#[test]
fn an_alembic_that_cannot_run_can_be_done_without_where_the_live_database_is_the_truth() {
    let project = two("ga", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let env = project.read("migrations/env.py");
    project.write("migrations/env.py", &format!("import app_of_the_container\n{env}"));
    let consolidate = ["consolidate", "--dry-run"];
    let run = project.run(&repo, &live, &consolidate).expect_code(1);
    assert!(!run.stderr.contains("--no-alembic"), "{run:?}");
    let live_reference = [&consolidate[..], &["--reference", "live"]].concat();
    project
        .run(&repo, &live, &live_reference)
        .expect_code(1)
        .says(&["app_of_the_container", "--no-alembic"]);
    project.run(&repo, &live, &[&live_reference[..], &["--no-alembic"]].concat()).expect_code(0);
}

#[test]
fn scratch_databases_that_cannot_be_dropped_are_named() {
    let project = two("sl", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let seen = project.path().join("seen");
    let alembic = format!(
        "echo $PGDATABASE >> {}; psql -qXc \"ALTER DATABASE $PGDATABASE IS_TEMPLATE true\" >&2; \"$VIRTUAL_ENV/bin/alembic\"",
        seen.display()
    );
    let arguments = ["consolidate", "--scratch-here", "--alembic", &alembic, "--dry-run"];
    let run = project.run(&repo, &live, &arguments).expect_code(0);
    let own = std::fs::read_to_string(seen).unwrap();
    let run_of = own.lines().next().unwrap().rsplit_once("_0_").unwrap().0;
    run.says(&["scratch databases are left", run_of, "cannot drop a template database"]);
    for name in own.lines().collect::<std::collections::BTreeSet<_>>() {
        live.execute(&format!("ALTER DATABASE {name} IS_TEMPLATE false"));
        // Now that it can be dropped, the run of another test may have swept it.
        live.execute(&format!("DROP DATABASE IF EXISTS {name}"));
    }
}

#[test]
fn a_database_that_is_dropped_while_it_is_looked_into_is_not_missed() {
    let project = two("gx", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let looked_into = || {
        let other = Database::empty();
        project.alembic(&other, &["upgrade", "gx1"]);
        let mut holder = other.client();
        holder.batch_execute("BEGIN; LOCK TABLE alembic_version").unwrap();
        let mut command = project.command(&repo, &live, &["consolidate", "--dry-run", "--json"]);
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let waits = format!(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
            other.name
        );
        wait_for(&live, &waits, "true", Duration::from_secs(30));
        admin(&format!("DROP DATABASE {} WITH (FORCE)", other.name));
        let run = Run::from(run.wait_with_output().unwrap()).expect_code(0);
        // It waits two seconds, which a busy machine may need for the DROP: then it was not there yet.
        let too_late = run.stderr.contains("lock timeout");
        assert!(
            too_late || !(run.stdout.contains(&other.name) || run.stderr.contains(&other.name)),
            "{run:?}"
        );
        !too_late
    };
    assert!((0..5).any(|_| looked_into()), "the machine is too slow to see it");
}

#[test]
fn what_the_live_server_demands_of_connections_is_not_asked_of_a_scratch_server() {
    let project = two("gs", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live) = (Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let mut command = project.command(&repo, &live, &["consolidate", "--json"]);
    for (name, value) in [
        ("PGSSLMODE", "require"),
        ("PGSSLROOTCERT", "/nowhere/root.crt"),
        ("PGPASSFILE", "/nowhere/pgpass"),
    ] {
        command.env(name, value);
    }
    assert_equal(&Run::from(command.output().unwrap()).expect_code(0).json());
}

#[test]
fn a_live_schema_that_changes_during_the_proof_is_noticed() {
    let (repo, live) = (Repo::new(), Database::empty());
    let project = two(
        "gl",
        &format!(
            "import psycopg\nwith psycopg.connect('{}') as other:\n    other.execute('CREATE TABLE IF NOT EXISTS late (x int)')",
            url(&live, "postgresql")
        ),
    );
    project.alembic(&live, &["upgrade", "head"]);
    live.execute("DROP TABLE late");
    let before = project.files();
    project.run(&repo, &live, &["consolidate"]).expect_code(4).says(&[
        "the live schema changed meanwhile",
        "late",
        "run again",
    ]);
    assert_eq!(project.files(), before);
}

#[test]
fn ids_that_are_words_of_alembic_are_refused() {
    for word in ["base", "head", "heads"] {
        let second = revision("gw2", &format!("'{word}'"), "op.execute('CREATE TABLE b (x int)')");
        let first = revision(word, "None", "op.execute('CREATE TABLE a (x int)')");
        let project = Project::of(&[
            ("migrations/versions/a.py", &first),
            ("migrations/versions/b.py", &second),
        ]);
        let live = Database::with(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('gw2')",
        );
        let (repo, before) = (Repo::new(), project.files());
        project
            .run(&repo, &live, &["consolidate"])
            .expect_code(15)
            .says(&["words of its own", &format!("{word} (migrations/versions/a.py)")]);
        assert_eq!((project.files(), repo.files()), (before, Vec::new()));
    }
}

#[test]
fn revisions_that_are_run_for_several_databases_are_refused_before_any_is_touched() {
    let (live, second) = (Database::empty(), Database::empty());
    let both = |id: &str, down: &str| {
        let text = revision(id, down, "globals()['upgrade_' + engine_name]()");
        let text = text.replace("def upgrade()", "def upgrade(engine_name: str)");
        text + &format!(
            "\n\ndef upgrade_one():\n    op.execute('CREATE TABLE one_{id} (x int)')\n\n\n\
             def upgrade_two():\n    op.execute('CREATE TABLE two_{id} (x int)')\n"
        )
    };
    // As `alembic init --template multidb` writes it, in short: the second is never a scratch database.
    let env = format!(
        "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine\n\n\
         for name, url in [('one', os.environ['DATABASE_URL']), ('two', '{}')]:\n    \
         with create_engine(url).begin() as connection:\n        \
         context.configure(connection=connection)\n        context.run_migrations(engine_name=name)\n",
        url(&second, "postgresql+psycopg")
    );
    let project = Project::of(&[
        ("migrations/env.py", &env),
        ("migrations/versions/a.py", &both("gm1", "None")),
    ]);
    project.alembic(&live, &["upgrade", "head"]);
    project.write("migrations/versions/b.py", &both("gm2", "'gm1'"));
    live.execute("CREATE TABLE one_gm2 (x int); UPDATE alembic_version SET version_num = 'gm2'");
    let (repo, before) = (Repo::new(), (project.files(), pg_dump_schema(&second)));
    project.run(&repo, &live, &["consolidate"]).expect_code(15).says(&[
        "takes an argument",
        "several databases",
        "nothing was run",
    ]);
    assert_eq!((project.files(), pg_dump_schema(&second)), before);
    assert_eq!(second.one("SELECT version_num FROM alembic_version"), "gm1");
}

#[test]
fn an_env_that_goes_through_several_databases_is_refused_before_any_is_migrated() {
    let project = two("gn", "op.execute('CREATE TABLE a (x int)')");
    let (repo, live, second) = (Repo::new(), Database::empty(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    project.alembic(&second, &["upgrade", "gn1"]);
    let there = format!("'{}'", url(&second, "postgresql+psycopg"));
    let schema = pg_dump_schema(&second);
    for urls in [
        format!("os.environ['DATABASE_URL'], {there}"),
        format!("{there}, os.environ['DATABASE_URL']"),
    ] {
        let env = format!(
            "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine\n\n\
             for url in [{urls}]:\n    with create_engine(url).begin() as connection:\n        \
             context.configure(connection=connection)\n        context.run_migrations()\n"
        );
        project.write("migrations/env.py", &env);
        project.run(&repo, &live, &["consolidate", "--dry-run"]).expect_code(15).says(&[
            "env.py goes through several databases",
            &second.name,
            "nothing was run",
            "one that goes to DATABASE_URL alone",
        ]);
        assert_eq!((pg_dump_schema(&second), repo.files()), (schema.clone(), Vec::new()));
    }
    assert_eq!(second.one("SELECT version_num FROM alembic_version"), "gn1");
}

#[test]
fn the_last_words_of_alembic_stay_lines() {
    let project = two("gt", "raise RuntimeError('first\\nsecond')");
    let live = Database::with(
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
         INSERT INTO alembic_version VALUES ('gt2')",
    );
    let run = project.run(&Repo::new(), &live, &["consolidate", "--dry-run"]).expect_code(15);
    let run = run.says(&["failed:\n  | ", "\n  | RuntimeError: first\n  | second"]);
    assert!(!run.stderr.contains("\\u{a}"), "{run:?}");
}
