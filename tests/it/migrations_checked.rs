//! `pgark migrations verify` and `rollback`: every kind of damage is one cross on the list, and the
//! old files come back byte for byte.

use crate::harness::alembic::{Project, revision};
use crate::harness::archive::Parts;
use crate::harness::{Database, Repo, Run, pg_dump_schema};
use serde_json::{Value, json};

/// A project that was consolidated, with the archive of before it.
pub struct Consolidated {
    pub project: Project,
    pub repo: Repo,
    pub live: Database,
    pub archive: String,
    /// The project's files of before.
    pub before: Vec<(String, Vec<u8>)>,
}

impl Consolidated {
    /// The example.
    pub fn fintrack() -> Self {
        Self::of(Project::fintrack(), Database::fintrack(1))
    }

    #[track_caller]
    pub fn of(project: Project, live: Database) -> Self {
        let repo = Repo::new();
        let before = project.files();
        let summary = project.run(&repo, &live, &["consolidate", "--json"]).expect_code(0).json();
        let archive = summary["archive"].as_str().unwrap().to_owned();
        Self { project, repo, live, archive, before }
    }

    /// The checks that are not good, by `verify` with more arguments.
    #[track_caller]
    fn crosses(&self, more: &[&str]) -> Vec<String> {
        self.crosses_against(&self.archive, more)
    }

    /// The same against another archive.
    #[track_caller]
    fn crosses_against(&self, archive: &str, more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["verify", archive, "--json"];
        arguments.extend(more);
        let run = self.project.run(&self.repo, &self.live, &arguments);
        let result = run.json();
        let bad: Vec<String> = checks(&result, "bad");
        assert_eq!(run.code, if bad.is_empty() { 0 } else { 4 }, "{run:?}");
        bad
    }

    #[track_caller]
    fn rollback(&self, more: &[&str]) -> Value {
        let mut arguments = vec!["rollback", &self.archive, "--json"];
        arguments.extend(more);
        self.project.run(&self.repo, &self.live, &arguments).expect_code(0).json()
    }

    /// The files below `migrations/versions`, as they were before.
    fn old_revisions(&self) -> Vec<(String, Vec<u8>)> {
        revisions(self.before.clone())
    }
}

fn revisions(mut files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    files.retain(|(path, _)| path.starts_with("migrations/versions/"));
    files
}

fn checks(result: &Value, state: &str) -> Vec<String> {
    let all = result["checks"].as_array().unwrap().iter();
    let found = all.filter(|check| check["state"] == state);
    found.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_good_consolidation_has_ticks_alone_and_commands_of_ones_own_are_on_the_list() {
    let all = Consolidated::fintrack();
    let run = all
        .project
        .run(&all.repo, &all.live, &["verify", &all.archive, "--run", "test -f alembic.ini"])
        .expect_code(0);
    for check in ["archive", "files", "written", "revisions", "hashes", "version", "head", "tables"]
    {
        assert!(run.stdout.contains(&format!("✓ {check}")), "{check} in {}", run.stdout);
    }
    assert!(run.stdout.contains("✓ run         test -f alembic.ini"), "{}", run.stdout);
    assert!(!run.stdout.contains('✗'), "{}", run.stdout);
    let failed = ["verify", &all.archive, "--run", "echo 7 tests failed; exit 3", "--quiet"];
    let run = all.project.run(&all.repo, &all.live, &failed).expect_code(4);
    assert!(run.stdout.contains("✗ run") && run.stdout.contains("7 tests failed"), "{run:?}");
    assert!(!run.stdout.contains('✓'), "{run:?}");
    all.project
        .run(&all.repo, &all.live, &["verify", "--skip", "rowz"])
        .expect_code(2)
        .says(&["'rowz'", "a similar value exists: 'rows'"]);
}

#[test]
fn every_kind_of_damage_is_a_cross_where_it_belongs() {
    let all = Consolidated::fintrack();
    let next = "(SELECT max(id) FROM fund_info)";
    for (damage, undo, expected) in [
        (
            "ALTER TABLE fund_info ALTER created_at DROP DEFAULT",
            "ALTER TABLE fund_info ALTER created_at SET DEFAULT now()",
            vec!["columns"],
        ),
        (
            "DROP INDEX idx_wise_balance_latest",
            "CREATE INDEX idx_wise_balance_latest ON wise_balances (account_id, currency, update_time DESC)",
            vec!["indexes"],
        ),
        (
            "ALTER TABLE dca_plans DROP CONSTRAINT ck_dca_plans_amount",
            "ALTER TABLE dca_plans ADD CONSTRAINT ck_dca_plans_amount CHECK (amount > 0)",
            vec!["constraints"],
        ),
        ("CREATE TABLE extra ()", "DROP TABLE extra", vec!["tables", "rows"]),
        (
            "ALTER FUNCTION audit_row() COST 7",
            "ALTER FUNCTION audit_row() COST 100",
            vec!["functions"],
        ),
        ("CREATE VIEW extra AS SELECT 1", "DROP VIEW extra", vec!["views"]),
        (
            "ALTER TABLE okx_positions DISABLE TRIGGER trg_okx_positions_updated_at",
            "ALTER TABLE okx_positions ENABLE TRIGGER trg_okx_positions_updated_at",
            vec!["triggers"],
        ),
        (
            "ALTER SEQUENCE fund_info_id_seq CACHE 7",
            "ALTER SEQUENCE fund_info_id_seq CACHE 1",
            vec!["sequences"],
        ),
        ("CREATE TYPE extra AS ENUM ('x')", "DROP TYPE extra", vec!["other"]),
        (
            "SELECT setval('fund_info_id_seq', 1)",
            &format!("SELECT setval('fund_info_id_seq', {next})"),
            vec!["positions", "digests"],
        ),
        (
            "UPDATE fund_info SET fund_name = fund_name || '!' WHERE id = 1",
            "UPDATE fund_info SET fund_name = rtrim(fund_name, '!') WHERE id = 1",
            vec!["digests"],
        ),
        (
            "UPDATE dca_plans SET amount = amount + 1 WHERE id = 1",
            "UPDATE dca_plans SET amount = amount - 1 WHERE id = 1",
            // A trigger notes it in the audit's table, which is longer then.
            vec!["rows", "digests"],
        ),
    ] {
        all.live.execute(damage);
        assert_eq!(all.crosses(&[]), expected, "{damage}");
        all.live.execute(undo);
        if damage.starts_with("UPDATE") {
            assert_eq!(all.crosses(&["--skip", "rows,digests"]), Vec::<String>::new());
        }
    }
    let quick = ["--skip", "rows,digests"];
    all.live.execute("UPDATE alembic_version SET version_num = 'ffcccccc0003'");
    assert_eq!(all.crosses(&quick), ["version", "head"]);
    all.live.execute("UPDATE alembic_version SET version_num = 'ffcccccc0004'");
    let written = "migrations/versions/ffcccccc0004_squashed.py";
    let text = all.project.read(written);
    all.project.write(written, &text.replace("def downgrade", "# mine\ndef downgrade"));
    assert_eq!(all.crosses(&quick), ["written", "revisions"]);
    all.project.write(written, &text);
    let env = all.project.read("migrations/env.py");
    all.project.write("migrations/env.py", &format!("{env}\n"));
    assert_eq!(all.crosses(&quick), ["hashes"]);
    all.project.write("migrations/env.py", &env);
    std::fs::remove_file(all.project.path().join(written)).unwrap();
    let crosses = all.crosses(&quick);
    assert!(crosses.contains(&String::from("revisions")), "{crosses:?}");
}

#[test]
fn an_archive_without_usable_files_is_a_cross_and_the_list_goes_on() {
    let all = Consolidated::fintrack();
    let nightly = all.repo.backup(&all.live, &["--no-migrations", "--name", "nightly"]);
    let mut parts = Parts::of(&std::fs::read(&all.archive).unwrap());
    parts.content("migrations/env.py")[0] ^= 1;
    let damaged = all.repo.path().join("damaged.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own file")]
    std::fs::write(&damaged, parts.bytes()).unwrap();
    for archive in [nightly, damaged] {
        let archive = archive.to_str().unwrap();
        assert_eq!(
            all.crosses_against(archive, &[]),
            ["archive", "revisions", "hashes"],
            "{archive}"
        );
        let run = all.project.run(&all.repo, &all.live, &["verify", archive]).expect_code(4);
        let why = match archive.contains("damaged") {
            true => "migrations/env.py",
            false => "holds no migration project",
        };
        assert_eq!(run.stdout.matches(why).count(), 1, "{run:?}");
        assert!(run.stdout.contains("✓ digests"), "{run:?}");
    }
    // What cannot be compared is said so once, and what needs no comparison is known.
    let mut parts = Parts::of(&std::fs::read(&all.archive).unwrap());
    parts.content("schema/pre-data.sql")[0] ^= 1;
    let unreadable = all.repo.path().join("unreadable.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own file")]
    std::fs::write(&unreadable, parts.bytes()).unwrap();
    let arguments = ["verify", unreadable.to_str().unwrap()];
    let run = all.project.run(&all.repo, &all.live, &arguments).expect_code(4);
    assert!(run.stdout.contains("✗ tables") && run.stdout.contains("✗ digests"), "{run:?}");
    assert!(run.stdout.contains("✓ positions"), "{run:?}");
    assert_eq!(run.stdout.matches("not compared, see tables").count(), 10, "{run:?}");
    // Broken files leave nothing out, either.
    let broken = "migrations/versions/broken.py";
    all.project.write(broken, "revision = 'x'\ndown_revision = 'gone'\n");
    assert_eq!(all.crosses(&["--skip", "rows,digests"]), ["files", "head"]);
    let result = all.project.run(&all.repo, &all.live, &["verify", "--json"]).json();
    let shown = ["good", "bad", "skipped"].map(|state| checks(&result, state).len());
    assert_eq!(shown, [18, 2, 0]);
}

#[test]
fn a_database_that_is_not_there_is_a_cross_and_the_files_are_checked() {
    let all = Consolidated::fintrack();
    let nowhere = all.live.server.url("nowhere_at_all", "postgres");
    let arguments =
        ["migrations", "verify", &all.archive, "--url", &nowhere, "--json", "--skip", "rows"];
    let mut command = all.repo.command(&arguments);
    let run = Run::from(command.current_dir(all.project.path()).output().unwrap());
    let result = run.expect_code(4).json();
    let good = ["archive", "files", "written", "revisions", "hashes"];
    assert_eq!(checks(&result, "good"), good);
    let bad = checks(&result, "bad");
    assert_eq!((bad[0].as_str(), bad.len()), ("database", 14));
    let why = result["checks"][1]["findings"][0].as_str().unwrap();
    assert!(why.contains("nowhere_at_all"), "{why}");
}

#[test]
fn the_old_files_come_back_byte_for_byte_and_the_database_is_left_alone() {
    let all = Consolidated::fintrack();
    let schema = pg_dump_schema(&all.live);
    all.project.alembic(&all.live, &["stamp", "head"]);
    let said = all.project.alembic_fails(&all.live, &["stamp", "ffcccccc0003"]);
    assert!(said.contains("Can't locate revision"), "{said}");
    assert_eq!(all.live.one("SELECT version_num FROM alembic_version"), "ffcccccc0004");
    let shown = all.rollback(&["--dry-run"]);
    assert_eq!(shown["dry_run"], true);
    assert_eq!(all.project.paths("migrations/versions").len(), 1);
    let summary = all.rollback(&[]);
    assert_eq!(summary["revisions"], 18);
    assert_eq!(summary["version"], json!({"kept": ["ffcccccc0004"]}));
    assert_eq!(revisions(all.project.files()), all.old_revisions());
    let parked = summary["parked"].as_str().unwrap();
    assert!(all.project.paths(parked)[0].ends_with("ffcccccc0004_squashed.py"), "{parked}");
    assert!(all.project.alembic(&all.live, &["current"]).contains("ffcccccc0004 (head)"));
    all.project.alembic(&all.live, &["upgrade", "head"]);
    // What Alembic refuses where the files are gone.
    for revision in ["ffcccccc0003", "ffcccccc0004"] {
        all.project.alembic(&all.live, &["stamp", revision]);
        assert_eq!(all.live.one("SELECT version_num FROM alembic_version"), revision);
    }
    assert_eq!(pg_dump_schema(&all.live), schema);
    all.project
        .run(&all.repo, &all.live, &["rollback", &all.archive])
        .expect_code(15)
        .says(&["there is nothing to roll back"]);
    assert_eq!(revisions(all.project.files()), all.old_revisions());
}

#[test]
fn revisions_that_came_since_stay_on_top() {
    let all = Consolidated::fintrack();
    let file = "migrations/versions/n.py";
    let next = revision("newer1", "'ffcccccc0004'", "op.execute('CREATE TABLE newer (x int)')");
    all.project.write(file, &next);
    all.project.alembic(&all.live, &["upgrade", "head"]);
    let summary = all.rollback(&[]);
    assert_eq!(summary["carried"], json!([file]));
    assert_eq!(all.project.read(file), next);
    assert_eq!(all.project.paths("migrations/versions").len(), 19);
    assert!(all.project.alembic(&all.live, &["current"]).contains("newer1 (head)"));
    let fresh = Database::empty();
    all.project.alembic(&fresh, &["upgrade", "head"]);
    assert_eq!(pg_dump_schema(&fresh), pg_dump_schema(&all.live));
}

#[test]
fn a_version_row_is_changed_only_where_it_is_one_and_the_schema_is_the_archives() {
    let all = Consolidated::fintrack();
    let rows =
        || all.live.one("SELECT string_agg(version_num, ',' ORDER BY 1) FROM alembic_version");
    let there = revisions(all.project.files());
    let refused = |says: &[&str]| {
        let row = rows();
        all.project
            .run(&all.repo, &all.live, &["rollback", &all.archive])
            .expect_code(15)
            .says(says);
        assert_eq!(rows(), row);
        assert_eq!(revisions(all.project.files()), there);
    };
    all.live.execute("UPDATE alembic_version SET version_num = 'abcdef'; CREATE TABLE extra ()");
    refused(&["is at abcdef", "its schema is not the archive's", "extra", "--files-only"]);
    all.live.execute("DROP TABLE extra; INSERT INTO alembic_version VALUES ('ffcccccc0004')");
    refused(&["exactly one row is expected"]);
    all.live.execute("DELETE FROM alembic_version");
    refused(&["says nothing", "exactly one row is expected"]);
    all.live.execute("INSERT INTO alembic_version VALUES ('abcdef')");
    let summary = all.rollback(&[]);
    assert_eq!(summary["version"], json!({"from": "abcdef", "to": "ffcccccc0004"}));
    assert_eq!(rows(), "ffcccccc0004");
    assert_eq!(revisions(all.project.files()), all.old_revisions());
}

#[test]
fn ledgers_of_other_tools_are_never_written_to() {
    let (project, repo, live) = (Project::fintrack(), Repo::new(), Database::fintrack(1));
    live.execute(
        "CREATE TABLE django_migrations (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
           app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);
         INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now());
         CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
         INSERT INTO schema_migrations VALUES (20240101, false)",
    );
    let written = || {
        live.one(
            "SELECT string_agg(l::text, ' ') FROM (
               SELECT ctid, xmin, xmax FROM django_migrations
               UNION ALL SELECT ctid, xmin, xmax FROM schema_migrations) AS l",
        )
    };
    let before = written();
    let summary = project
        .run(&repo, &live, &["consolidate", "--reference", "live", "--json"])
        .expect_code(0)
        .json();
    live.execute("UPDATE alembic_version SET version_num = 'abcdef'");
    project.run(&repo, &live, &["rollback", summary["archive"].as_str().unwrap()]).expect_code(0);
    assert_eq!(live.one("SELECT version_num FROM alembic_version"), "ffcccccc0004");
    assert_eq!(written(), before);
}

#[test]
fn rows_come_back_only_when_that_is_asked_for() {
    let all = Consolidated::fintrack();
    all.live.execute("DELETE FROM user_operations; UPDATE fund_info SET fund_name = 'wrong'");
    all.rollback(&[]);
    assert_eq!(all.live.one("SELECT count(*) FROM user_operations"), "0");
    let summary = all.rollback(&["--with-data"]);
    assert!(summary["rows_restored"].as_u64().unwrap() > 1000, "{summary}");
    let archive = all.archive.as_str();
    all.repo.ok(&["compare", archive, "--with", &all.live.url()]);
}

#[test]
fn files_that_are_gone_or_broken_come_back_without_a_database() {
    let all = Consolidated::fintrack();
    std::fs::remove_dir_all(all.project.path().join("migrations/versions")).unwrap();
    all.rollback(&["--files-only"]);
    assert_eq!(revisions(all.project.files()), all.old_revisions());
    all.project.write("migrations/versions/broken.py", "revision = 'x'\ndown_revision = 'gone'\n");
    let before = all.project.files();
    all.project
        .run(&all.repo, &all.live, &["rollback", &all.archive])
        .expect_code(15)
        .says(&["newer than the archive", "gone"]);
    assert_eq!(all.project.files(), before);
}

#[test]
fn a_damaged_archive_or_another_project_changes_nothing() {
    let all = Consolidated::fintrack();
    let there = all.project.files();
    let elsewhere = Project::of(&[("other.ini", "")]);
    std::fs::remove_file(elsewhere.path().join("alembic.ini")).unwrap();
    let run = elsewhere.run(&all.repo, &all.live, &["rollback", &all.archive]);
    run.expect_code(15).says(&["is not an archive of the project", "no revision"]);
    std::fs::remove_dir_all(elsewhere.path().join("migrations")).unwrap();
    let run = elsewhere.run(&all.repo, &all.live, &["rollback", &all.archive]);
    run.expect_code(10).says(&["it has no alembic.ini"]);
    let mut bytes = std::fs::read(&all.archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = all.repo.path().join("damaged.tar");
    #[allow(clippy::disallowed_methods, reason = "the test's own file")]
    std::fs::write(&damaged, bytes).unwrap();
    let run = all.project.run(&all.repo, &all.live, &["rollback", damaged.to_str().unwrap()]);
    run.expect_code(13);
    assert_eq!(all.project.files(), there);
}
