//! Which archive `pgark migrations rollback` and `verify` take, whose it is, and which database may be
//! changed after it. Ids, where they are long, are this module's own.

use crate::consolidate_safety::two_folders;
use crate::harness::alembic::{Project, revision};
use crate::harness::server::{Server, Setup};
use crate::harness::{Database, Repo, Run, admin, role, traced};
use crate::migrations_checked::Consolidated;
use serde_json::{Value, json};
use std::path::Path;

pub const VERSIONS: &str = "migrations/versions";

/// A project of two revisions, which make two tables, and its database.
pub fn applied(one: &str, other: &str) -> (Project, Database) {
    let second = revision(other, &format!("'{one}'"), "op.execute('CREATE TABLE b (x int)')");
    let project = Project::of(&[
        (
            "migrations/versions/a.py",
            &revision(one, "None", "op.execute('CREATE TABLE a (x int)')"),
        ),
        ("migrations/versions/b.py", &second),
        ("migrations/script.py.mako", "template"),
    ]);
    let live = Database::empty();
    project.alembic(&live, &["upgrade", "head"]);
    (project, live)
}

pub fn consolidated(one: &str, other: &str) -> Consolidated {
    let (project, live) = applied(one, other);
    Consolidated::of(project, live)
}

fn stem(archive: &str) -> String {
    Path::new(archive).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The name of the archive of a backup right now, which no earlier one of that second has.
#[track_caller]
fn nightly(all: &Consolidated) -> String {
    let project = all.project.path().to_str().unwrap();
    stem(all.repo.backup(&all.live, &["--migrations", project]).to_str().unwrap())
}

impl Consolidated {
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.project.run(&self.repo, &self.live, arguments)
    }
}

#[test]
fn a_version_row_is_never_set_to_what_no_file_of_the_archive_says() {
    let (project, live) = applied("5f1600000001", "5f1600000002");
    let repo = Repo::new();
    live.execute("UPDATE alembic_version SET version_num = 'stray'");
    let archive = repo.backup(&live, &["--migrations", project.path().to_str().unwrap()]);
    let archive = archive.to_str().unwrap();
    let rows = || live.one("SELECT version_num FROM alembic_version");
    for (row, more) in [("gone", &[][..]), ("stray", &["--with-data"])] {
        live.execute(&format!("UPDATE alembic_version SET version_num = '{row}'"));
        let arguments = [&["rollback", archive], more].concat();
        project.run(&repo, &live, &arguments).expect_code(15).says(&[
            "says stray",
            "in none of its files",
            "nothing was changed",
        ]);
        assert_eq!(rows(), row);
    }
}

#[test]
fn an_archive_of_another_project_is_refused_though_names_and_short_ids_are_the_same() {
    let all = consolidated("0001", "0002");
    let there = all.project.files();
    // Of the same shape, with the same configuration and the same names of files, and other tables.
    let (other, live) = applied("0001", "0002");
    let path = format!("{VERSIONS}/a.py");
    other.write(&path, &other.read(&path).replace("TABLE a", "TABLE other"));
    other.write(&format!("{VERSIONS}/b.py"), &revision("0002", "'0001'", "pass"));
    let archive = Repo::new();
    let foreign = archive.backup(&live, &["--migrations", other.path().to_str().unwrap()]);
    let foreign = foreign.to_str().unwrap();
    all.run(&["rollback", foreign, "--files-only"]).expect_code(15).says(&[
        &format!("{} is not an archive of the project in", stem(foreign)),
        "it holds 0001, 0002, and the project 0002",
        "--migrations DIR",
    ]);
    assert_eq!(all.project.files(), there);
    // Nothing of the project is left that could be told from another's.
    std::fs::remove_dir_all(all.project.path().join(VERSIONS)).unwrap();
    all.project.write("alembic.ini", "[alembic]\nscript_location = migrations\nmine = 1\n");
    all.run(&["rollback", &all.archive, "--files-only"]).expect_code(15).says(&["no revision"]);
    assert_eq!(all.project.paths(VERSIONS), Vec::<String>::new());
}

#[test]
fn without_a_name_the_archive_is_the_one_that_the_files_name_and_a_later_one_is_refused() {
    let all = consolidated("5f0a00000001", "5f0a00000002");
    let (there, before) = (all.project.files(), stem(&all.archive));
    let later = nightly(&all);
    let taken_after = format!("{later} was taken after the consolidation");
    let instead = format!("the archive of before it is {before}");
    let said = [taken_after.as_str(), "5f0a00000002_squashed.py", &instead];
    for name in ["latest", &later] {
        all.run(&["rollback", name]).expect_code(15).says(&said);
        let run = all.run(&["verify", name]).expect_code(4);
        assert!(run.stdout.contains("✗ archive"), "{run:?}");
        assert!(said.iter().all(|text| run.stdout.contains(text)), "{run:?}");
    }
    assert_eq!(all.project.files(), there);
    all.run(&["verify"]).expect_code(0);
    let summary = all.run(&["rollback", "--json"]).expect_code(0).json();
    assert_eq!(summary["archive"], before);
    let nothing = "no file of the project names the archive";
    all.run(&["rollback"]).expect_code(10).says(&[nothing, "name the archive"]);
    all.run(&["verify"]).expect_code(10).says(&[nothing]);
    for dry in [&["rollback", &before, "--dry-run"][..], &["rollback", &before]] {
        all.run(dry).expect_code(15).says(&["there is nothing to roll back", &before]);
    }
    // One that the files name and that is gone.
    let elsewhere = Repo::new();
    all.project.write(&format!("{VERSIONS}/b.py"), &String::from_utf8(squashed(&there)).unwrap());
    elsewhere.backup(&all.live, &["--no-migrations"]);
    let run = all.project.run(&elsewhere, &all.live, &["rollback"]);
    run.expect_code(10).says(&[&before, "--repo"]);
}

fn squashed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    files.iter().find(|(path, _)| path.ends_with("_squashed.py")).unwrap().1.clone()
}

#[test]
fn consolidations_are_rolled_back_in_the_order_in_which_they_were_made() {
    let all = consolidated("5f0b00000001", "5f0b00000002");
    let first = stem(&all.archive);
    let newer = revision("5f0b00000003", "'5f0b00000002'", "op.execute('CREATE TABLE c (x int)')");
    all.project.write(&format!("{VERSIONS}/c.py"), &newer);
    all.project.alembic(&all.live, &["upgrade", "head"]);
    let between = all.project.files();
    all.run(&["consolidate"]).expect_code(0);
    let there = all.project.files();
    all.run(&["rollback", &first, "--files-only"]).expect_code(15).says(&[
        &format!("stands for revisions that {first} does not hold: 5f0b00000003"),
        "the archive of before it is",
    ]);
    assert_eq!(all.project.files(), there);
    all.run(&["rollback"]).expect_code(0);
    let revisions = |files: Vec<(String, Vec<u8>)>| {
        files.into_iter().filter(|(path, _)| path.starts_with(VERSIONS)).collect::<Vec<_>>()
    };
    assert_eq!(revisions(all.project.files()), revisions(between));
    let summary = all.run(&["rollback", "--json"]).expect_code(0).json();
    assert_eq!(summary["archive"], first);
    let mut old = revisions(all.before.clone());
    old.push((format!("{VERSIONS}/c.py"), newer.into_bytes()));
    old.sort();
    assert_eq!(revisions(all.project.files()), old);
    assert!(all.project.alembic(&all.live, &["current"]).contains("5f0b00000003 (head)"));
}

#[test]
fn neither_the_version_row_nor_rows_of_another_database_are_changed_unless_it_is_named() {
    let all = consolidated("5f0c00000001", "5f0c00000002");
    let copy = Database::empty();
    all.repo.ok(&["restore", &all.archive, "--url", &copy.url()]);
    copy.execute("UPDATE alembic_version SET version_num = 'gone'; INSERT INTO a VALUES (1)");
    let there = all.project.files();
    let rollback = |database: &Database, more: &[&str]| {
        let mut arguments = vec!["rollback", all.archive.as_str(), "--json"];
        arguments.extend(more);
        all.project.run(&all.repo, database, &arguments)
    };
    let named = ["--allow-other-database", copy.name.as_str()];
    let says = |run: Run, texts: &[&str]| {
        let error = run.expect_code(15).json();
        let said = format!("{} {}", error["error"], error["hint"]);
        assert!(texts.iter().all(|text| said.contains(text)), "{texts:?} in {said}");
        assert_eq!(all.project.files(), there);
    };
    // A name is looked at, needed or not.
    let needless = rollback(&all.live, &named);
    assert_eq!(needless.code, 2, "{needless:?}");
    assert_eq!(all.project.files(), there);
    for more in [&[][..], &["--with-data"]] {
        let named = named.join(" ");
        says(rollback(&copy, more), &["is of database", &all.live.name, &copy.name, &named]);
    }
    let wrong = rollback(&copy, &["--allow-other-database", &all.live.name]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    // A database of the same name on another server, with the same schema.
    let setup =
        Setup { name: "elsewhere", port: 5432, settings: &[], prepare: &|_: &Path, _: &Path| {} };
    let server: &'static Server = Box::leak(Box::new(Server::start_with(&setup)));
    server.admin(&format!("CREATE DATABASE {} TEMPLATE template0", all.live.name));
    let twin = Database { name: all.live.name.clone(), server };
    all.repo.ok(&["restore", &all.archive, "--url", &twin.url()]);
    twin.execute("UPDATE alembic_version SET version_num = 'gone'");
    says(rollback(&twin, &[]), &["on another server", "system identifier"]);
    assert_eq!(twin.one("SELECT version_num FROM alembic_version"), "gone");
    // One whose server cannot be told, because the role may not ask.
    role("rg_plain", "");
    all.live.execute(
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC;
         ALTER TABLE alembic_version OWNER TO rg_plain;
         UPDATE alembic_version SET version_num = 'gone'",
    );
    let url = all.live.url_as("rg_plain");
    let mut command = all.repo.command(&["migrations", "rollback", &all.archive, "--url", &url]);
    let run = Run::from(command.current_dir(all.project.path()).output().unwrap());
    run.expect_code(15).says(&["cannot be told", "GRANT EXECUTE", "TO rg_plain"]);
    assert_eq!(all.project.files(), there);

    let summary = rollback(&copy, &named).expect_code(0).json();
    assert_eq!(summary["version"], json!({"from": "gone", "to": "5f0c00000002"}));
    assert_eq!(copy.one("SELECT version_num FROM alembic_version"), "5f0c00000002");
    let summary = rollback(&copy, &["--with-data", named[0], named[1]]).expect_code(0).json();
    assert_eq!(summary["rows_restored"], 0);
    assert_eq!(copy.one("SELECT count(*) FROM a"), "0");
}

#[test]
fn other_files_of_the_project_come_back_where_they_are_gone_and_stay_where_they_differ() {
    let all = consolidated("5f0d00000001", "5f0d00000002");
    let root = all.project.path();
    let gone = |paths: &[&str]| {
        for path in paths {
            match root.join(path).is_dir() {
                true => std::fs::remove_dir_all(root.join(path)).unwrap(),
                false => std::fs::remove_file(root.join(path)).unwrap(),
            }
        }
    };
    gone(&["alembic.ini", "migrations/env.py"]);
    all.project.write("migrations/script.py.mako", "mine");
    let there = all.project.files();
    // Whatever fails takes them back.
    let frame = ["alembic.ini", "migrations/env.py"];
    // strace knows whole paths alone.
    let whole = root.to_str().unwrap();
    let arguments = ["rollback", &all.archive, "--files-only", "--json", "--migrations", whole];
    let command = all.project.command(&all.repo, &all.live, &arguments);
    let paths: Vec<_> = ["", "migrations", "migrations/versions", "migrations/.versions.pgark-new"]
        .iter()
        .chain(&frame)
        .map(|path| root.join(path))
        .collect();
    let fails = |number: usize, step: &str| {
        let (run, came) = traced::faulty(&command, &paths, "renameat2", "error=EIO", number);
        assert!(came && run.expect_code(1).stdout.contains(step), "{number}: {step}");
    };
    let steps = [
        ("publish", frame[0]),
        ("publish", frame[1]),
        ("rename", "migrations/.versions.pgark-part"),
        ("exchange", VERSIONS),
    ];
    for (number, (what, path)) in (1..).zip(steps) {
        fails(number, &format!("cannot {what} {whole}/{path}"));
        assert_eq!(all.project.files(), there, "{number}");
    }
    // What comes after the exchange cannot take it back: the next run ends it, and the files stay.
    fails(5, "run the same command again, which parks them");
    assert!(root.join(".pgark-swap.json").exists());
    assert_eq!(all.run(&arguments).expect_code(0).json()["added"], json!([]));
    assert!(!root.join(".pgark-swap.json").exists());
    for (path, content) in &all.before {
        let kept = path.ends_with(".mako");
        assert_eq!(all.project.read(path).as_bytes() == content, !kept, "{path}");
    }
    all.project.alembic(&all.live, &["current"]);
    // Where only one of all is left, and none of the revisions; nothing is overwritten ever.
    gone(&["alembic.ini", "migrations/versions"]);
    let summary = all.run(&arguments).expect_code(0).json();
    assert_eq!(summary["added"], json!(["alembic.ini"]));
    assert_eq!(summary["different"], json!(["migrations/script.py.mako"]));
    gone(&["migrations/env.py"]);
    let summary = all.run(&arguments).expect_code(0).json();
    assert_eq!(
        (&summary["parked"], &summary["added"]),
        (&Value::Null, &json!(["migrations/env.py"]))
    );
    gone(&["alembic.ini", "migrations"]);
    all.run(&arguments).expect_code(10);
    assert_eq!(all.project.files().len(), 0);
}

#[test]
fn a_lost_seal_is_a_cross_and_ends_of_lines_are_not() {
    let all = consolidated("5f0e00000001", "5f0e00000002");
    let crosses = || {
        let run = all.run(&["verify", &all.archive, "--json", "--skip", "rows,digests"]);
        let checks = run.json()["checks"].as_array().unwrap().clone();
        let bad = checks.into_iter().filter(|check| check["state"] == "bad");
        bad.map(|check| {
            (check["check"].as_str().unwrap().to_owned(), check["findings"].to_string())
        })
        .collect::<Vec<_>>()
    };
    let names = |crosses: &[(String, String)]| {
        crosses.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let path = format!("{VERSIONS}/5f0e00000002_squashed.py");
    let text = all.project.read(&path);
    all.project.write(&path, &text.replace('\n', "\r\n"));
    assert_eq!(crosses(), []);
    let env = all.project.read("migrations/env.py");
    all.project.write("migrations/env.py", &env.replace('\n', "\r\n"));
    let found = crosses();
    assert_eq!(names(&found), ["hashes"]);
    assert!(found[0].1.contains("its lines end in another way"), "{found:?}");
    all.project.write("migrations/env.py", &env);
    let (unsealed, _) = text.split_once("# pgark: SHA-256").unwrap();
    all.project.write(&path, unsealed);
    let found = crosses();
    assert_eq!(names(&found), ["written", "revisions"]);
    assert!(found[0].1.contains("pgark's seal"), "{found:?}");
    // It is parked as it is, and the old files come back.
    let run =
        all.run(&["rollback"]).expect_code(0).says(&["was changed after pgark had written it"]);
    assert!(run.stdout.contains("2 revisions"), "{run:?}");
    assert_eq!(crosses(), []);
}

#[test]
fn what_cannot_be_exchanged_is_said_before_rows_come_back() {
    let (project, repo, live) = (two_folders("rg"), Repo::new(), Database::empty());
    project.alembic(&live, &["upgrade", "head"]);
    let archive = repo.backup(&live, &["--migrations", project.path().to_str().unwrap()]);
    live.execute("INSERT INTO a VALUES (1)");
    project.write("two/b.py", &format!("{}\n# mine\n", project.read("two/b.py")));
    let (one, elsewhere) = (project.path().join("one"), project.path().join("elsewhere"));
    #[allow(clippy::disallowed_methods, reason = "the test's own folder")]
    std::fs::rename(&one, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &one).unwrap();
    for dry in [&["--dry-run"][..], &[]] {
        let arguments = [&["rollback", archive.to_str().unwrap(), "--with-data"], dry].concat();
        let run = project.run(&repo, &live, &arguments).expect_code(15);
        run.says(&["one is a symbolic link, which cannot be exchanged"]);
    }
    assert_eq!(live.one("SELECT count(*) FROM a"), "1");
}

#[test]
fn killed_between_folders_and_version_row_a_rollback_without_a_name_ends_itself() {
    let all = consolidated("5f1200000001", "5f1200000002");
    all.live.execute("UPDATE alembic_version SET version_num = 'gone'");
    let whole = all.project.path().to_str().unwrap();
    let command = all.project.command(&all.repo, &all.live, &["rollback", "--migrations", whole]);
    let journal = all.project.path().join(".pgark-swap.json");
    let old = || all.project.path().join(VERSIONS).join("a.py").exists();
    let folder = [all.project.path().join("migrations")];
    let row = || all.live.one("SELECT version_num FROM alembic_version");
    // The folder above is synced when names have changed in it.
    let killed = (1..9).any(|number| {
        traced::faulty(&command, &folder, "fsync", "signal=KILL", number);
        journal.exists() && old() && row() == "gone"
    });
    assert!(killed);
    // One of another program's format is told as such, and kept.
    let text = all.project.read(".pgark-swap.json");
    all.project.write(".pgark-swap.json", r#"{"format": 1, "swaps": []}"#);
    all.run(&["rollback"]).expect_code(15).says(&["format 1", "the pgark that wrote it"]);
    all.project.write(".pgark-swap.json", &text);
    all.run(&["rollback"]).expect_code(0).says(&["a run that was killed"]);
    assert!(old() && !journal.exists());
    assert_eq!(row(), "5f1200000002");
}

#[test]
fn neither_permissions_nor_a_file_for_git_make_files_others() {
    use std::os::unix::fs::PermissionsExt;
    let all = consolidated("5f1300000001", "5f1300000002");
    all.run(&["rollback"]).expect_code(0);
    let mode = |bits| {
        let path = all.project.path().join(VERSIONS).join("a.py");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
    };
    mode(0o664);
    all.project.write(&format!("{VERSIONS}/.gitkeep"), "");
    let again = ["rollback", &all.archive];
    all.run(&again).expect_code(15).says(&["there is nothing to roll back"]);
    mode(0o764);
    all.run(&again).expect_code(0);
}

#[test]
fn the_owner_of_a_database_needs_no_rights_on_the_server() {
    // No superuser, not in pg_monitor, and others are at work whom it may not see.
    role("rg_owner", "");
    let (project, live) = applied("5f1000000001", "5f1000000002");
    admin(&format!("ALTER DATABASE {} OWNER TO rg_owner", live.name));
    live.execute(
        "ALTER TABLE a OWNER TO rg_owner; ALTER TABLE b OWNER TO rg_owner;
         ALTER TABLE alembic_version OWNER TO rg_owner; ALTER SCHEMA public OWNER TO rg_owner",
    );
    let (repo, before) = (Repo::new(), project.files());
    let _other = live.client();
    let run = |arguments: &[&str]| {
        let run = project.command_as("rg_owner", &repo, &live, arguments).output().unwrap();
        Run::from(run).expect_code(0)
    };
    run(&["consolidate"]);
    run(&["verify"]);
    live.execute("INSERT INTO a VALUES (1)");
    let summary = run(&["rollback", "--with-data", "--json"]).json();
    assert_eq!(summary["version"], json!({"kept": ["5f1000000002"]}));
    assert_eq!(live.one("SELECT count(*) FROM a"), "0");
    let mut there = project.files();
    there.retain(|(path, _)| !path.contains("/rolled-back-") && !path.contains("/legacy-"));
    assert_eq!(there, before);
}
