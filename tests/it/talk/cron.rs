use crate::harness::archive::small_database;
use crate::harness::{Repo, Run, pgark};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Runs a line of shell in which `"$@"` is pgark's backup, with `$repo` and an empty environment.
fn bare(repo: &Repo, script: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new("sh");
    command.env_clear().env("repo", repo.path()).args(["-c", script, "sh"]);
    command.args(["/usr/bin/env", "-i"]).arg(pgark().get_program());
    command.args(arguments).arg("--repo").arg(repo.path());
    Run::from(command.output().unwrap())
}

#[test]
fn without_a_home_a_terminal_an_input_or_a_folder_a_backup_works() {
    let database = small_database();
    let url = database.url();
    for (number, script) in [
        "\"$@\"",
        "umask 000; \"$@\"",
        "\"$@\" <&-",
        "\"$@\" <&- >&- 2>&-",
        "mkdir \"$repo/gone\"; cd \"$repo/gone\"; rmdir \"$repo/gone\"; umask 000; \"$@\" <&-",
        "cd /; ulimit -n 64; \"$@\"",
    ]
    .into_iter()
    .enumerate()
    {
        let (repo, name) = (Repo::new(), format!("a{number}"));
        let run = bare(&repo, script, &["backup", "--url", &url, "--name", &name]);
        assert_eq!(run.code, 0, "{script}: {run:?}");
        for (folder, mode) in [("backups", 0o700), ("manifests", 0o700)] {
            let folder = repo.path().join(folder);
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, mode, "{script}");
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{script}: {:?}", entry.path());
            }
        }
        let run = bare(&repo, script, &["verify", &name]);
        assert_eq!(run.code, 0, "{script}: {run:?}");
    }
}

#[test]
fn what_is_missing_is_said_where_it_is_needed() {
    let repo = Repo::new();
    // No terminal to ask at, no home with a .pgpass.
    let secure = crate::harness::secure::secure();
    let url = format!("host=127.0.0.1 port={} dbname=shop user=scram", secure.server.port());
    let run = bare(&repo, "\"$@\" <&-", &["backup", "--url", &url]);
    run.expect_code(17).says(&["asks for a password, and there is none", ".pgpass"]);
    let relative = Command::new("sh")
        .env_clear()
        .args([
            "-c",
            "mkdir \"$0/gone\" && cd \"$0/gone\" && rmdir \"$0/gone\" && exec \"$1\" backup --no-migrations --url \"$2\"",
        ])
        .arg(repo.path())
        .arg(pgark().get_program())
        .arg(small_database().url())
        .output()
        .unwrap();
    let run = Run::from(relative);
    assert!(run.code == 10 && run.stderr.contains("pgark: error: "), "{run:?}");
    assert!(run.stderr.contains("the folder . has been removed"), "{run:?}");
    assert_eq!(repo.files(), []);
}
