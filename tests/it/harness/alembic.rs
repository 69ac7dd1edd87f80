//! Alembic projects in folders of their own, and real Alembic, which `./test` installs.

use super::{Database, Repo, Run};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A project in a folder of its own.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// An empty folder.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A copy of the example.
    pub fn fintrack() -> Self {
        let project = Self::empty();
        copy(&super::project().join("examples/fintrack"), project.path());
        project
    }

    /// A project of these files, with an ini file and an `env.py` if there are none among them.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let project = Self::empty();
        project.write("alembic.ini", "[alembic]\nscript_location = migrations\n");
        let env = super::project().join("examples/fintrack/migrations/env.py");
        let env = std::fs::read_to_string(env).unwrap();
        // Without the sections for loggers.
        let env = env.replace("config.config_file_name is not None", "False");
        project.write("migrations/env.py", &env);
        project.write("migrations/versions/.keep", "");
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    #[allow(clippy::disallowed_methods, reason = "the test's own files")]
    pub fn write(&self, path: &str, text: &str) {
        let place = self.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// All files, sorted, with their bytes.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        list(self.path(), self.path(), &mut found);
        found.retain(|(path, _)| !path.contains("__pycache__"));
        found.sort();
        found
    }

    /// Paths of all files and folders.
    pub fn entries(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(self.path()).unwrap().to_str().unwrap().to_owned());
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }

    /// Paths below a folder.
    pub fn paths(&self, folder: &str) -> Vec<String> {
        let files = self.files().into_iter().map(|(path, _)| path);
        files.filter(|path| path.starts_with(folder)).collect()
    }

    /// Runs Alembic on a database, and expects success.
    #[track_caller]
    pub fn alembic(&self, database: &Database, arguments: &[&str]) -> String {
        let output = self.try_alembic(database, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "alembic {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs Alembic, which must fail, and gives what it says.
    #[track_caller]
    pub fn alembic_fails(&self, database: &Database, arguments: &[&str]) -> String {
        let output = self.try_alembic(database, arguments);
        assert!(!output.status.success(), "alembic {arguments:?} should fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout)
    }

    pub fn try_alembic(&self, database: &Database, arguments: &[&str]) -> Output {
        let mut command = Command::new(python());
        command
            .args(["-m", "alembic"])
            .args(arguments)
            .env("DATABASE_URL", url(database, "postgresql+psycopg"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(self.path());
        command.output().unwrap()
    }

    /// `pgark migrations …` in the project's folder, with real Alembic at hand.
    pub fn command(&self, repo: &Repo, database: &Database, arguments: &[&str]) -> Command {
        self.command_as("postgres", repo, database, arguments)
    }

    /// The same as a role.
    pub fn command_as(
        &self,
        role: &str,
        repo: &Repo,
        database: &Database,
        arguments: &[&str],
    ) -> Command {
        let url = database.url_as(role);
        let mut all = vec!["migrations"];
        all.extend(arguments);
        all.extend(["--url", &url]);
        let mut command = repo.command(&all);
        command.current_dir(self.path()).env("VIRTUAL_ENV", environment());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", database.server.binaries().display()));
        command
    }

    pub fn run(&self, repo: &Repo, database: &Database, arguments: &[&str]) -> Run {
        Run::from(self.command(repo, database, arguments).output().unwrap())
    }
}

/// The interpreter of a virtual environment with Alembic.
pub fn python() -> String {
    std::env::var("ALEMBIC_PYTHON").expect(
        "ALEMBIC_PYTHON: the interpreter of a virtual environment with Alembic; ./test makes one",
    )
}

fn environment() -> PathBuf {
    PathBuf::from(python()).ancestors().nth(2).unwrap().to_owned()
}

/// SQLAlchemy's URL of a database.
pub fn url(database: &Database, scheme: &str) -> String {
    let url = database.url();
    let (socket, port) = url.split_once(" port=").unwrap();
    let folder = socket.strip_prefix("host=").unwrap();
    let port = port.split_whitespace().next().unwrap();
    let folder = folder.replace('/', "%2F");
    format!("{scheme}://postgres@/{}?host={folder}&port={port}", database.name)
}

/// A revision file.
pub fn revision(id: &str, down: &str, upgrade: &str) -> String {
    format!(
        "\"\"\"step {id}\"\"\"\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = '{id}'\n\
         down_revision = {down}\nbranch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    {}\n\n\n\
         def downgrade():\n    pass\n",
        upgrade.trim().replace('\n', "\n    ")
    )
}

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "__pycache__" {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &place),
            false => drop(std::fs::copy(&path, &place).unwrap()),
        }
    }
}

fn list(root: &Path, folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read(&path).unwrap()));
        }
    }
}
