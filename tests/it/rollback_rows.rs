//! What `pgark migrations rollback --with-data` asks of the rows, shows before, and says afterwards.
//! Ids are this module's own.

use crate::crash::wait_for;
use crate::harness::alembic::revision;
use crate::harness::{Repo, Run, role, traced};
use crate::rollback_guards::{VERSIONS, applied, consolidated};
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_dry_run_shows_in_conditional_words_which_rows_would_be_replaced() {
    let all = consolidated("5f1700000001", "5f1700000002");
    all.live.execute("INSERT INTO a VALUES (1), (2); UPDATE alembic_version SET version_num = 'x'");
    let there = all.project.files();
    let dry = |more: &[&str]| all.run(&[&["rollback", "--dry-run"], more].concat()).expect_code(0);
    let said = dry(&[]).stdout;
    assert!(said.contains("version table's one row would change: x → 5f1700000002"), "{said}");
    all.live.execute("UPDATE alembic_version SET version_num = '5f1700000002'");
    let said = dry(&["--with-data"]).stdout;
    for line in [
        "would bring back 2 revisions",
        "what is there would be parked: migrations/rolled-back-",
        "the version table would stay as it is: 5f1700000002",
        "all rows of 2 tables would be replaced by the archive's:",
        "public.a: 2 rows now, 0 in the archive",
        "public.b: 0 rows now, 0 in the archive",
    ] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    let summary = dry(&["--with-data", "--json"]).json();
    assert_eq!(summary["rows_restored"], json!(null));
    assert_eq!(
        summary["rows_to_replace"],
        json!([
            {"table": "public.a", "now": 2, "archived": 0},
            {"table": "public.b", "now": 0, "archived": 0}
        ])
    );
    assert_eq!(dry(&["--json"]).json()["rows_to_replace"], json!(null));
    // Whoever alters one table waits for no other one's rows to be counted.
    let mut holder = all.live.client();
    holder.batch_execute("BEGIN; LOCK TABLE b").unwrap();
    let whole = all.project.path().to_str().unwrap();
    let arguments = ["rollback", "--dry-run", "--with-data", "--migrations", whole];
    let mut command = all.project.command(&all.repo, &all.live, &arguments);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let counts = "SELECT count(*) > 0 FROM pg_stat_activity
        WHERE datname = 'DATABASE' AND wait_event_type = 'Lock' AND query LIKE '%count(*)%\"b\"%'";
    wait_for(&all.live, counts, "true", Duration::from_secs(30));
    let free = holder.batch_execute("LOCK TABLE a, alembic_version NOWAIT; ROLLBACK");
    Run::from(run.wait_with_output().unwrap()).expect_code(0);
    free.unwrap();
    // What would keep them from coming back is said as well.
    all.live.execute("ALTER TABLE a RENAME x TO y");
    all.run(&["rollback", "--dry-run", "--with-data"])
        .expect_code(15)
        .says(&["column x of public.a is not there"]);
    assert_eq!(all.live.one("SELECT count(*) FROM a"), "2");
    assert_eq!(all.project.files(), there);
}

#[test]
fn large_objects_sequences_and_an_empty_version_table_are_part_of_what_is_shown() {
    let (project, live) = applied("5f1800000001", "5f1800000002");
    live.execute(
        "CREATE SEQUENCE s; CREATE SEQUENCE same; SELECT setval('s', 7); SELECT lo_create(4711); SELECT lo_create(4712)",
    );
    let (repo, root) = (Repo::new(), project.path().to_str().unwrap());
    let archive = repo.backup(&live, &["--migrations", root]);
    live.execute("SELECT setval('s', 9), lo_unlink(4712); DELETE FROM alembic_version");
    let rollback = |more: &[&str]| {
        let arguments = [&["rollback", archive.to_str().unwrap(), "--with-data"], more].concat();
        project.run(&repo, &live, &arguments).expect_code(0)
    };
    let said = rollback(&["--dry-run"]).stdout;
    for line in [
        "the version table is empty, and would say 5f1800000002",
        "public.alembic_version: 0 rows now, 1 in the archive",
        "sequence public.s would be set from 9 to 7",
        "2 large objects would come from the archive, in the place of 1 of the same OIDs",
    ] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    assert!(!said.contains("public.same") && !said.contains("would stay as it is"), "{said}");
    let summary = rollback(&["--dry-run", "--json"]).json();
    assert_eq!(summary["version"], json!({"filled": ["5f1800000002"]}));
    assert_eq!(summary["large_objects_to_replace"], json!({"now": 1, "archived": 2}));
    let (now, archived) =
        (json!({"last_value": 9, "is_called": true}), json!({"last_value": 7, "is_called": true}));
    let sequence = json!({"sequence": "public.s", "now": now, "archived": archived});
    assert_eq!(summary["sequences_to_set"], json!([sequence]));
    let said = rollback(&[]).stdout;
    assert!(said.contains("the version table was empty, and says 5f1800000002"), "{said}");
    assert_eq!(
        live.one("SELECT last_value || ' ' || (SELECT version_num FROM alembic_version) FROM s"),
        "7 5f1800000002"
    );
}

#[test]
fn what_stands_in_the_way_of_rows_is_named_and_rows_that_are_back_are_spoken_of() {
    let all = consolidated("5f0f00000001", "5f0f00000002");
    all.project.write(
        &format!("{VERSIONS}/c.py"),
        &revision("5f0f00000003", "'5f0f00000002'", "op.execute('CREATE TABLE c (x int)')"),
    );
    all.project.alembic(&all.live, &["upgrade", "head"]);
    let run = all.run(&["rollback", "--with-data"]).expect_code(15);
    assert!(!run.stderr.contains("--allow-revision-mismatch"), "{run:?}");
    let run =
        run.says(&["says 5f0f00000003, and 5f0f00000002 in the archive", "alembic downgrade"]);
    assert!(!run.stderr.contains("\n  because"), "{run:?}");
    std::fs::remove_file(all.project.path().join(VERSIONS).join("c.py")).unwrap();
    all.live.execute("DROP TABLE c; UPDATE alembic_version SET version_num = '5f0f00000002'; INSERT INTO a VALUES (1)");
    let there = all.project.files();
    let whole = all.project.path().to_str().unwrap();
    let arguments = ["rollback", "--with-data", "--migrations", whole];
    let command = all.project.command(&all.repo, &all.live, &arguments);
    let paths = [
        all.project.path().join(VERSIONS),
        all.project.path().join("migrations/.versions.pgark-new"),
    ];
    let (run, came) = traced::faulty(&command, &paths, "renameat2", "error=EIO", 1);
    assert!(came, "{run:?}");
    assert_ne!(run.code, 0);
    run.says(&[
        "came back, committed and proved, and the files did not",
        "roll back again without --with-data",
    ]);
    assert_eq!(all.live.one("SELECT count(*) FROM a"), "0");
    assert_eq!(all.project.files(), there);
}

#[test]
fn rows_of_a_part_do_not_take_the_place_of_all() {
    let (project, live) = applied("5f1400000001", "5f1400000002");
    live.execute("INSERT INTO a VALUES (1), (2)");
    let repo = Repo::new();
    let root = project.path().to_str().unwrap();
    for part in [["--where", "a=x > 1"], ["--exclude-data", "a"], ["--table", "alembic_version"]] {
        let archive = repo.backup(&live, &[&["--migrations", root][..], &part].concat());
        let archive = archive.to_str().unwrap();
        for dry in [
            &["rollback", archive, "--with-data", "--dry-run"][..],
            &["rollback", archive, "--with-data"],
        ] {
            project.run(&repo, &live, dry).expect_code(15).says(&[
                "holds a part of its database",
                "pgark restore --data-only --on-existing truncate",
            ]);
        }
        assert_eq!(live.one("SELECT count(*) FROM a"), "2");
    }
}

#[test]
fn a_materialized_view_that_is_not_filled_anew_is_named() {
    role("rg_guest", "");
    let (project, live) = applied("5f1500000001", "5f1500000002");
    live.execute(
        "CREATE MATERIALIZED VIEW va AS SELECT count(*) FROM a;
         GRANT ALL ON a, b, alembic_version TO rg_guest",
    );
    let (repo, root) = (Repo::new(), project.path().to_str().unwrap());
    let archive = repo.backup(&live, &["--migrations", root]);
    let run = |more: &[&str]| {
        let arguments = [&["rollback", archive.to_str().unwrap(), "--with-data"], more].concat();
        let mut command = project.command_as("rg_guest", &repo, &live, &arguments);
        Run::from(command.output().unwrap()).expect_code(3)
    };
    let named = ["--allow-other-database", live.name.as_str()];
    let text = run(&named).stdout;
    assert!(text.contains("not filled anew: public.va"), "{text}");
    let summary = run(&[named[0], named[1], "--json"]).json();
    assert_eq!(summary["stale_materialized_views"], json!(["public.va"]));
    assert_eq!(summary["exit_code"], 3);
}

#[test]
fn what_changes_while_rows_are_loaded_is_seen_before_the_folders_are_exchanged() {
    let all = consolidated("5f1100000001", "5f1100000002");
    // The load leaves a version table alone that says what the archive's does.
    let with_rows_held_up = |meanwhile: &dyn Fn()| {
        let mut holder = all.live.client();
        holder.batch_execute("BEGIN; LOCK TABLE b IN ACCESS SHARE MODE").unwrap();
        let mut command = all.project.command(&all.repo, &all.live, &["rollback", "--with-data"]);
        let rollback = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let waiting = "SELECT count(*) > 0 FROM pg_locks JOIN pg_database d ON d.oid = database
            WHERE datname = 'DATABASE' AND NOT granted";
        wait_for(&all.live, waiting, "true", Duration::from_secs(30));
        meanwhile();
        holder.batch_execute("COMMIT").unwrap();
        let run = Run::from(rollback.wait_with_output().unwrap()).expect_code(15);
        run.says(&["came back, committed and proved", "roll back again without --with-data"])
    };
    let there = all.project.files();
    let run = with_rows_held_up(&|| {
        all.live.execute("UPDATE alembic_version SET version_num = 'later'");
    });
    run.says(&["the version table says later", "and said 5f1100000002"]);
    assert_eq!(all.project.files(), there);
    all.live.execute("UPDATE alembic_version SET version_num = '5f1100000002'");
    let newer = revision("5f1100000003", "'5f1100000002'", "pass");
    let run = with_rows_held_up(&|| all.project.write(&format!("{VERSIONS}/c.py"), &newer));
    run.says(&["migrations/versions/c.py"]);
    assert_eq!(all.project.paths(VERSIONS).len(), 3);
    let summary = all.run(&["rollback", "--json"]).expect_code(0).json();
    assert_eq!(summary["carried"], json!([format!("{VERSIONS}/c.py")]));
}
