//! `docs/deploy-railway.md`: the start commands of `examples/railway` as Railway runs them. No archive
//! or no agreement is no application.

use crate::harness::alembic::{Project, python, url};
use crate::harness::{Database, Run, pgark, project};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A container: the example's files, a volume, and an application that says that it runs.
struct Container {
    project: Project,
    volume: tempfile::TempDir,
    programs: tempfile::TempDir,
}

impl Container {
    fn new() -> Self {
        let container = Self {
            project: Project::fintrack(),
            volume: tempfile::tempdir().unwrap(),
            programs: tempfile::tempdir().unwrap(),
        };
        container.project.write("start.sh", &example("start.sh"));
        let link = |from: &Path, name: &str| {
            std::os::unix::fs::symlink(from, container.programs.path().join(name)).unwrap();
        };
        link(Path::new(pgark().get_program()), "pgark");
        link(&PathBuf::from(python()).with_file_name("alembic"), "alembic");
        link(Path::new("/bin/echo"), "python");
        container
    }

    /// Starts it: a start command in exec form, split into words as a shell would.
    fn start(&self, command: &str, database: &Database, with_volume: bool) -> Run {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut start = Command::new("/bin/sh");
        start.args(["-c", &format!("exec {command}")]).current_dir(self.project.path());
        for (name, value) in pgark().get_envs() {
            assert!(value.is_none(), "{name:?}");
            start.env_remove(name);
        }
        start
            .env("PATH", format!("{}:{path}", self.programs.path().display()))
            .env("DATABASE_URL", url(database, "postgresql"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("RAILWAY_VOLUME_MOUNT_PATH");
        if with_volume {
            start.env("RAILWAY_VOLUME_MOUNT_PATH", self.volume.path());
        }
        Run::from(start.output().unwrap())
    }

    fn archives(&self) -> usize {
        let folder = self.volume.path().join("pgark/backups");
        std::fs::read_dir(folder).map_or(0, |entries| {
            let names = entries.map(|entry| entry.unwrap().path());
            names.filter(|path| path.extension().is_some_and(|ending| ending == "tar")).count()
        })
    }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(project().join("examples/railway").join(name)).unwrap()
}

fn start_command() -> String {
    let settings: toml::Table = example("railway.toml").parse().unwrap();
    settings["deploy"]["startCommand"].as_str().unwrap().to_owned()
}

#[test]
fn the_start_command_starts_the_application_after_an_archive_and_agreement_alone() {
    let (container, command) = (Container::new(), start_command());
    let live = Database::fintrack(1);
    let run = container.start(&command, &live, true).expect_code(0);
    assert!(run.stdout.ends_with("run.py\n"), "{run:?}");
    assert_eq!(container.archives(), 1);
    // No volume, no start, and nothing anywhere.
    let run = container.start(&command, &live, false);
    assert!(run.code != 0 && run.stderr.contains("attach a volume"), "{run:?}");
    assert!(!run.stdout.contains("run.py"), "{run:?}");
    // Behind, unknown, unstamped.
    for (change, says) in [
        ("UPDATE alembic_version SET version_num = 'ffcccccc0003'", "ffcccccc0004"),
        ("UPDATE alembic_version SET version_num = '108a72344872'", "108a72344872"),
        ("DELETE FROM alembic_version", "empty"),
    ] {
        live.execute(change);
        let run = container.start(&command, &live, true);
        assert!(run.code != 0 && !run.stdout.contains("run.py"), "{change}: {run:?}");
        assert!(run.stderr.contains(says), "{change}: {run:?}");
    }
    assert_eq!(container.archives(), 1);
}

#[test]
fn the_start_script_archives_before_it_migrates() {
    let container = Container::new();
    let live = Database::empty();
    container.project.alembic(&live, &["upgrade", "c56f9f034ac1"]);
    let command = "/bin/sh start.sh python run.py";
    let run = container.start(command, &live, true).expect_code(0);
    assert!(run.stdout.ends_with("run.py\n"), "{run:?}");
    assert_eq!(container.archives(), 1);
    assert_eq!(live.one("SELECT version_num FROM alembic_version"), "ffcccccc0004");
    // A revision that fails: the archive of before it is there, the application is not started.
    let bad = crate::harness::alembic::revision("bad", "'ffcccccc0004'", "raise Exception('no')");
    container.project.write("migrations/versions/bad.py", &bad);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let run = container.start(command, &live, true);
    assert!(run.code != 0 && !run.stdout.contains("run.py"), "{run:?}");
    assert_eq!(container.archives(), 2);
}

#[test]
fn a_repository_that_will_not_last_is_warned_of() {
    // The usual memory file system of a Linux machine.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let live = Database::with("CREATE TABLE t ()");
    let mut command = pgark();
    command.args(["backup", "--no-migrations", "--url", &live.url(), "--repo"]).arg(folder.path());
    let run = Run::from(command.current_dir(folder.path()).output().unwrap()).expect_code(0);
    run.says(&["the archive will be gone when the machine restarts", "--repo"]);
}
