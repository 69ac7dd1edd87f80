//! pgark.toml, completions, manual pages.

use crate::harness::archive::small_database;
use crate::harness::carried::manifest;
use crate::harness::{Database, Repo, Run, pgark};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// pgark in this folder, without --repo.
fn in_folder(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = pgark();
    command.args(arguments).current_dir(folder);
    command
}

fn run(command: &mut Command) -> Run {
    Run::from(command.output().unwrap())
}

/// The values and the origin of a setting, as `pgark config` prints them.
fn setting(run: &Run, name: &str) -> (Vec<String>, String) {
    let value = run.json();
    let settings = value["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["name"] == name).unwrap();
    (
        serde_json::from_value(found["values"].clone()).unwrap(),
        found["origin"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn init_writes_a_file_with_all_settings_and_never_overwrites_one() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut in_folder(folder.path(), &["init"])).expect_code(0);
    let path = folder.path().join("pgark.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    for name in
        ["repository", "[connection]", "url =", "jobs", "level", "[selection]", "[migrations]"]
    {
        assert!(text.contains(name), "{name}");
    }
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // As it is, it changes nothing.
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    run(&mut in_folder(folder.path(), &["list"])).expect_code(0);
    write(&path, "jobs = 1\n");
    run(&mut in_folder(folder.path(), &["init"])).expect_code(15).says(&["exists already"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "jobs = 1\n");
    run(&mut in_folder(folder.path(), &["init", "nowhere"])).expect_code(10);
}

#[test]
fn flags_count_before_the_environment_and_that_before_the_file() {
    let repo = Repo::new();
    let folder = repo.path();
    write(
        &folder.join("pgark.toml"),
        "repository = \"of-file\"\nlevel = 5\njobs = 3\n[connection]\nurl = \"postgresql://of-file/db\"\n\
         [selection]\ntables = [\"a\", \"b\"]\nwhere = { a = \"x > 1\" }\n",
    );
    let config =
        |arguments: &[&str]| in_folder(folder, &[&["config", "--json"][..], arguments].concat());
    let bare = run(&mut config(&[])).expect_code(0);
    let of_file = |value: &str| (vec![value.to_owned()], String::from("pgark.toml"));
    assert_eq!(setting(&bare, "repository"), of_file("of-file"));
    assert_eq!(setting(&bare, "level"), of_file("5"));
    assert_eq!(setting(&bare, "connection.url"), of_file("postgresql://of-file/db"));
    assert_eq!(setting(&bare, "selection.where"), of_file("a=x > 1"));
    assert_eq!(setting(&bare, "selection.tables").0, ["a", "b"]);
    assert_eq!(setting(&bare, "lock-timeout"), (vec!["60".into()], "default".into()));
    assert_eq!(setting(&bare, "nice"), (vec![], "not set".into()));

    let mut command = config(&["--level", "7", "--table", "c"]);
    command.env("PGARK_REPO", "of-environment").env("DATABASE_URL", "postgresql://u:gehe1m@e/db");
    command.env("PGPASSWORD", "gehe1m").env("PGUSER", "me");
    let more = run(&mut command).expect_code(0);
    assert_eq!(setting(&more, "level"), (vec!["7".into()], "command line".into()));
    assert_eq!(setting(&more, "selection.tables"), (vec!["c".into()], "command line".into()));
    let from = |name: &str| format!("environment {name}");
    assert_eq!(setting(&more, "repository"), (vec!["of-environment".into()], from("PGARK_REPO")));
    let (url, origin) = setting(&more, "connection.url");
    assert_eq!((url[0].as_str(), origin), ("postgresql://u:…@e/db", from("DATABASE_URL")));
    assert_eq!(setting(&more, "PGUSER").0, ["me"]);
    assert_eq!(setting(&more, "PGPASSWORD").0, ["…"]);
    let table = run(in_folder(folder, &["config"]).env("PGPASSWORD", "gehe1m")).expect_code(0);
    assert!(!more.stdout.contains("gehe1m") && !table.stdout.contains("gehe1m"));
    assert!(table.stdout.starts_with("SETTING"), "{}", table.stdout);
}

#[test]
fn a_backup_needs_nothing_but_the_file_and_a_restore_never_takes_its_database() {
    let (repo, source) = (Repo::new(), small_database());
    let folder = repo.path().join("project");
    std::fs::create_dir(&folder).unwrap();
    let file = format!(
        "repository = \"..\"\nlevel = 1\n[connection]\nurl = \"{}\"\n[selection]\n\
         exclude-tables = [\"no_*\"]\nexclude-data = [\"people\"]\n[migrations]\nnone = true\n",
        source.url()
    );
    write(&folder.join("pgark.toml"), &file);
    run(&mut in_folder(&folder, &["backup"])).expect_code(0);
    let manifest = manifest(&repo);
    assert_eq!(manifest["options"]["level"], 1);
    assert_eq!(manifest["options"]["exclude_tables"], serde_json::json!(["no_*"]));
    assert_eq!(manifest["migrations"], Value::Null);
    // From another folder, the file's paths are still its own.
    let named = folder.join("pgark.toml");
    let named = named.to_str().unwrap();
    let listed = run(&mut in_folder(Path::new("/"), &["list", "--config", named])).expect_code(0);
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
    let listed =
        run(in_folder(Path::new("/"), &["list"]).env("PGARK_CONFIG", named)).expect_code(0);
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
    // No target was named: the file's database is not it.
    let restore = ["restore", "latest", "--data-only", "--on-existing", "truncate"];
    let refused = run(&mut in_folder(&folder, &restore));
    assert_ne!(refused.code, 0);
    assert!(!refused.stderr.contains(&format!("\"{}\"", source.name)), "{}", refused.stderr);
    assert_eq!(source.one("SELECT count(*) FROM people"), "3");
    // A flag of the pair that the file has the other one of.
    let project = crate::harness::archive::small_project(&folder);
    let backup = ["backup", "--migrations", &project, "--name", "with"];
    run(&mut in_folder(&folder, &backup)).expect_code(0);
    let shown = run(&mut in_folder(&folder, &["show", "with"])).expect_code(0);
    assert!(shown.stdout.contains("2 files of alembic"), "{}", shown.stdout);
}

#[test]
fn a_file_that_is_wrong_is_said_to_be_and_nothing_runs() {
    let repo = Repo::new();
    let folder = repo.path();
    let path = folder.join("pgark.toml");
    for (text, code, says) in [
        (
            "repositry = \"x\"\n",
            2,
            &["pgark.toml", "repositry", "did you mean \"repository\"?"][..],
        ),
        ("jobs = \"many\"\n", 2, &["jobs: invalid value 'many'"]),
        ("[selection]\ntable = [\"x\"]\n", 2, &["did you mean \"selection.tables\"?"]),
        ("level = \n", 2, &["line 1"]),
    ] {
        write(&path, text);
        let run = run(&mut in_folder(folder, &["verify", "x"])).expect_code(code).says(says);
        assert_eq!(run.stdout, "");
    }
    write(&path, "level = 20\n");
    let url = "host=/nowhere dbname=x";
    run(&mut in_folder(folder, &["backup", "--url", url])).expect_code(2).says(&["level", "20"]);
    std::fs::create_dir(folder.join("manifests")).unwrap();
    // A verb that has no level does not mind, and a flag stands for what the file says.
    run(&mut in_folder(folder, &["list"])).expect_code(0);
    write(&path, "nonsense");
    run(&mut in_folder(folder, &["list", "--json"])).expect_code(2);
    for works in [&["--help"][..], &["list", "--help"], &["--version"], &["completions", "zsh"]] {
        run(&mut in_folder(folder, works)).expect_code(0);
    }
    run(&mut in_folder(folder, &["list", "--config", ""])).expect_code(0);
    run(&mut in_folder(folder, &["list", "--config", "gone.toml"]))
        .expect_code(10)
        .says(&["gone.toml", "hint: --config or PGARK_CONFIG names it"]);
}

#[test]
fn a_password_in_the_file_is_for_its_owner_alone() {
    let repo = Repo::new();
    let path = repo.path().join("pgark.toml");
    write(&path, "[connection]\nurl = \"postgresql://u:gehe1m@localhost:1/d\"\n");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = run(&mut in_folder(repo.path(), &["backup"])).expect_code(15);
    assert!(!refused.stderr.contains("gehe1m"), "{}", refused.stderr);
    refused.says(&["password", "chmod 600"]);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let shown = run(&mut in_folder(repo.path(), &["config"])).expect_code(0);
    assert!(shown.stdout.contains("u:…@localhost") && !shown.stdout.contains("gehe1m"));
    let failed = run(&mut in_folder(repo.path(), &["backup"])).expect_code(17);
    assert!(!failed.stderr.contains("gehe1m"), "{}", failed.stderr);
    let database = Database::empty();
    write(&path, &format!("[connection]\nurl = \"{}\"\n", database.url()));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    run(&mut in_folder(repo.path(), &["check", "--no-migrations"])).expect_code(0);
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let verbs =
        ["backup", "restore", "verify", "compare", "check", "list", "show", "extract", "init"];
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&mut in_folder(folder.path(), &["completions", shell])).expect_code(0);
        for text in verbs.iter().chain(&["exclude-table", "lock-timeout"]) {
            assert!(script.stdout.contains(text), "{shell}: {text}");
        }
    }
    run(&mut in_folder(folder.path(), &["completions", "bsh"])).expect_code(2).says(&["bash"]);
    let mut man = Command::new("sh");
    man.args(["-c", "umask 022; exec \"$0\" man .", pgark().get_program().to_str().unwrap()]);
    let pages = run(man.current_dir(folder.path())).expect_code(0);
    assert!(pages.stdout.contains(" pages"), "{}", pages.stdout);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let main = page("pgark.1");
    assert!(main.starts_with(".ie") && main.contains("Exit codes"), "{main}");
    let modes = |name: &str| {
        let page = folder.path().join(name).metadata().unwrap();
        page.permissions().mode() & 0o777
    };
    assert_eq!((modes("pgark.1"), modes("pgark-list.1")), (0o644, 0o644), "for everybody");
    assert!(main.contains("SEE ALSO") && main.contains("\\fBpgark\\-backup\\fR(1)"), "{main}");
    let extract = page("pgark-extract.1");
    for text in [
        "\\fBpgark extract\\fR [\\fB\\-\\-table\\fR \\fITABLE\\fR]",
        "[\\fB\\-\\-schema\\fR[=\\fIWHICH\\fR]]",
        "[\\fB\\-\\-header\\fR]",
        "\\fIARCHIVE\\fR\n",
        "\\fBpgark\\fR(1), \\fBpgark\\-backup\\fR(1)",
    ] {
        assert!(extract.contains(text), "no {text} in {extract}");
    }
    assert!(page("pgark-verify.1").contains("\\fIARCHIVES\\fR...\n"));
    for verb in verbs {
        let page = page(&format!("pgark-{verb}.1"));
        assert!(page.contains(&format!("pgark\\-{verb}")) || page.contains(verb), "{page}");
    }
    assert!(page("pgark-backup.1").contains("ACCESS SHARE"));
    // Again, over the ones that are there.
    run(&mut in_folder(folder.path(), &["man", "."])).expect_code(0);
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let repo = Repo::new();
    let folder = repo.path();
    write(
        &folder.join("pgark.toml"),
        "repository = \"of-file\"\n[connection]\nurl = \"postgresql://of-file/db\"\n",
    );
    let mut command = in_folder(folder, &["config", "--json"]);
    for name in ["DATABASE_URL", "PGARK_REPO", "PGARK_CONFIG"] {
        command.env(name, "");
    }
    let run = run(&mut command).expect_code(0);
    let of_file = |value: &str| (vec![value.to_owned()], String::from("pgark.toml"));
    assert_eq!(setting(&run, "connection.url"), of_file("postgresql://of-file/db"));
    assert_eq!(setting(&run, "repository"), of_file("of-file"));
}

#[test]
fn a_file_that_somebody_else_could_have_written_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgark.toml");
    write(&path, "jobs = 1\n");
    let config = || run(&mut in_folder(folder.path(), &["config"]));
    config().expect_code(0);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o602)).unwrap();
    config().expect_code(15).says(&["pgark.toml", "chmod go-w"]);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).unwrap();
    if rustix::process::geteuid().is_root() {
        // A group that the owner has alone, which is what umask 002 counts on; and one that nobody knows.
        config().expect_code(0);
        std::os::unix::fs::chown(&path, None, Some(12345)).unwrap();
        config().expect_code(15).says(&["pgark.toml", "chmod go-w"]);
        std::os::unix::fs::chown(&path, None, Some(0)).unwrap();
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).unwrap();
    // Who names it believes it.
    run(&mut in_folder(folder.path(), &["config", "--config", "pgark.toml"])).expect_code(0);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        config().expect_code(15).says(&["belongs to another user", "--config"]);
    }
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("gone", &path).unwrap();
    let run = config();
    assert_ne!(run.code, 0, "a link that leads nowhere is not no file");
    run.says(&["pgark.toml"]);
}

#[test]
fn no_password_of_a_connection_is_shown_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        "postgresql://u:se cret1@h/db",
        r"password=a\ cret1",
        "postgresql://h/db?passw%6Frd=secret1",
        "postgres://u%3Asecret1@h/db",
        "postgresql://h/db?passwd=secret1",
        "secret1",
    ] {
        for json in [&["--json"][..], &[]] {
            let config = [&["config", "--url", url][..], json].concat();
            let run = run(&mut in_folder(folder.path(), &config)).expect_code(0);
            assert!(!run.stdout.contains("cret1") && run.stdout.contains('…'), "{}", run.stdout);
        }
        let path = folder.path().join("pgark.toml");
        write(&path, &format!("[connection]\nurl = '{url}'\n"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let refused = run(&mut in_folder(folder.path(), &["config"])).expect_code(15);
        assert!(!refused.stderr.contains("cret1"), "{}", refused.stderr);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn completions_work_in_a_bash_that_has_loaded_them() {
    let script = r#"source <("$0" completions bash); complete -p pgark
        of() { COMP_WORDS=(pgark "$@"); COMP_CWORD=$#; COMPREPLY=()
               _pgark pgark "${!#}" "${COMP_WORDS[$(($# - 1))]}"; echo "${COMPREPLY[@]}"; }
        of ba; of backup --exclude-t; of migrations sta; of completions zs"#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script]).arg(pgark().get_program());
    let run = run(&mut bash).expect_code(0);
    assert_eq!(run.stderr, "");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].contains("_pgark"), "{}", run.stdout);
    assert_eq!(lines[1], "backup");
    assert!(lines[2].contains("--exclude-table --exclude-table-data"), "{}", lines[2]);
    assert_eq!(lines[3..], ["status", "zsh"]);
}
