//! The project's own Alembic, run on a database of pgark's choice.
//!
//! `env.py` may take its database from anywhere. What is set: `sqlalchemy.url` in a copy of the ini
//! file; DATABASE_URL and its common namesakes; every environment variable that holds a PostgreSQL
//! URL; libpq's variables. The rest is up to `--alembic` and `--alembic-env`. Whether it worked is
//! seen in the database.

use super::reach::{Reach, postgres_scheme};
use crate::error::{Error, Result, quoted};
use crate::model::name::{QualifiedName, enumerate};
use crate::pg::catalog;
use crate::pg::session::{Purpose, Session};
use crate::pg::version_table;
use crate::process::child::{self, Ended, Program};
use crate::rules::alembic::{current, override_ini};
use crate::store::private_folder::PrivateFolder;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How Alembic is called.
#[derive(Clone, Debug)]
pub enum Command {
    /// A program.
    Program(PathBuf),
    /// A line for the shell.
    Shell(String),
}

/// The project's Alembic.
pub struct Alembic {
    /// How it is called.
    pub command: Command,
    /// The project's folder.
    pub root: PathBuf,
    /// The folder in which it is run.
    pub folder: PathBuf,
    /// The folder of `env.py`, relative to the project's.
    pub script_location: String,
    /// The text of its ini file.
    pub ini: Option<String>,
    /// The section of the ini file, as `alembic -n` names it.
    pub section: String,
    /// pgark's own environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables to set besides: names and templates with {url}, {host} …
    pub templates: Vec<(String, String)>,
    /// How long one call may take.
    pub patience: Duration,
}

/// Names under which applications expect the URL.
const URL_VARIABLES: &[&str] =
    &["DATABASE_URL", "SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_DATABASE_URL", "SQLALCHEMY_URL"];

/// Variables that would lead libpq elsewhere.
const MISLEADING: &[&str] = &[
    "PGSERVICE",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGTARGETSESSIONATTRS",
    "PGPASSFILE",
    "PGCHANNELBINDING",
    "PGREQUIREAUTH",
    "PGGSSENCMODE",
];

/// Begins the names of libpq's variables for TLS: what the live server demands is not what a
/// throw-away server has.
const OF_TLS: &str = "PGSSL";

/// Alembic as it was named, or in the project's virtual environment, or in PATH.
pub fn find(
    named: Option<&str>,
    root: &Path,
    environment: &[(OsString, OsString)],
) -> Option<Command> {
    if let Some(line) = named {
        return Some(Command::Shell(line.to_owned()));
    }
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let active = child::variable(environment, "VIRTUAL_ENV").map(PathBuf::from);
    let beside =
        root.ancestors().take(3).flat_map(|folder| [folder.join(".venv"), folder.join("venv")]);
    let environments = active.into_iter().chain(beside).map(|folder| folder.join("bin"));
    environments
        .chain(child::path_folders(environment))
        .map(|folder| folder.join("alembic"))
        .find(|program| child::is_program(program))
        .map(Command::Program)
}

impl Alembic {
    /// Runs Alembic on a database; `revisions` are the folders of revisions, if others than the
    /// project's own.
    ///
    /// # Errors
    /// Its last words, when it fails; what `watch` says.
    pub fn run(
        &self,
        on: &Reach,
        revisions: Option<&[PathBuf]>,
        arguments: &[&str],
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Ended> {
        let ended = self.start(on, revisions, arguments, watch)?;
        if ended.status.success() {
            return Ok(ended);
        }
        Err(self.failed(on, arguments, &ended))
    }

    fn start(
        &self,
        on: &Reach,
        revisions: Option<&[PathBuf]>,
        arguments: &[&str],
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Ended> {
        let folder = PrivateFolder::create()?;
        let ini = folder.write("alembic.ini", self.adapted_ini(on, revisions).as_bytes())?;
        child::run(&self.program(on, &ini, arguments), watch)
    }

    fn failed(&self, on: &Reach, arguments: &[&str], ended: &Ended) -> Error {
        Error::failed(format!(
            "alembic {} failed:{}",
            arguments.join(" "),
            quoted(&on.without_password(&ended.last_words()))
        ))
    }

    /// Fails unless Alembic reads the version table of this database: one id that exists nowhere
    /// else is put there, and `alembic current`, which writes nothing, must come upon it. So no
    /// other database is ever migrated, wherever `env.py` takes its own from.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it reads another one; its last words, when it fails before that.
    pub fn check_aim(
        &self,
        on: &Reach,
        revisions: Option<&[PathBuf]>,
        table: &QualifiedName,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let id = format!("pgark{}", hex::encode(rand::random::<[u8; 12]>()));
        let mut session = Session::open(&on.connection, Some(&on.database), Purpose::Write)?;
        let before = version_table::put_mark(&mut session, table, &id)?;
        let arguments = ["current"];
        let ended = self.start(on, revisions, &arguments, watch)?;
        version_table::remove_mark(&mut session, table, before)?;
        let came_upon = |said: &str| said.contains(&id);
        if came_upon(&ended.stdout) || came_upon(&ended.stderr) {
            return Ok(());
        }
        // It failed before it had looked into any version table.
        if !ended.status.success() && !ended.stderr.contains("Can't locate revision") {
            return Err(self.failed(on, &arguments, &ended));
        }
        Err(elsewhere(&format!(
            "alembic current does not read {table} of the scratch database; nothing was run"
        )))
    }

    /// Fails unless `env.py` goes to one database alone: Alembic would fail at the mark before it came to
    /// the next one. `alembic current --verbose` writes nothing, and names each.
    ///
    /// # Errors
    /// [`Kind::Refused`], with the databases; its last words, when it fails.
    pub fn check_one_database(
        &self,
        on: &Reach,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let arguments = ["current", "--verbose"];
        let ended = self.start(on, None, &arguments, watch)?;
        match current::databases(&ended.stdout).as_slice() {
            several @ [_, _, ..] => Err(Error::refused(format!(
                "env.py goes through several databases: {}; nothing was run",
                enumerate(several)
            ))
            .hint("give consolidate one that goes to DATABASE_URL alone, with --alembic-env or --alembic 'alembic -x …'")),
            _ if !ended.status.success() => Err(self.failed(on, &arguments, &ended)),
            [_] => Ok(()),
            [] => Err(Error::refused(
                "alembic current --verbose does not say which database it goes to; nothing was run",
            )
            .hint("let it say so: without --quiet, and with nothing in env.py that takes its output")),
        }
    }

    /// `alembic upgrade`, and a look whether it reached the database that was meant: `rows` are
    /// the version table's then.
    ///
    /// # Errors
    /// As [`Self::run`]; [`Kind::Failed`] when the version table does not say `rows` afterwards.
    pub fn upgrade(
        &self,
        on: &Reach,
        revisions: Option<&[PathBuf]>,
        revision: &str,
        rows: &BTreeSet<String>,
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        self.run(on, revisions, &["upgrade", revision], watch)?;
        let mut session = Session::open(&on.connection, Some(&on.database), Purpose::Catalog)?;
        for table in catalog::alembic_ledgers(&mut session.client)? {
            let there = catalog::alembic_revisions(&mut session.client, &table)?;
            if there.into_iter().collect::<BTreeSet<_>>() == *rows {
                return Ok(());
            }
        }
        Err(elsewhere(&format!(
            "alembic upgrade {revision} ended well, but not on the scratch database"
        )))
    }

    fn program(&self, on: &Reach, ini: &Path, arguments: &[&str]) -> Program {
        let mut all = vec![OsString::from("-c"), ini.as_os_str().to_owned()];
        if self.section != "alembic" {
            all.extend([OsString::from("-n"), self.section.clone().into()]);
        }
        all.extend(arguments.iter().map(OsString::from));
        let (program, arguments) = match &self.command {
            Command::Program(program) => (program.clone(), all),
            Command::Shell(line) => {
                let script = format!("{line} \"$@\"");
                let mut shell = vec![OsString::from("-c"), script.into(), "alembic".into()];
                shell.extend(all);
                (PathBuf::from("/bin/sh"), shell)
            }
        };
        Program {
            program,
            arguments,
            folder: self.folder.clone(),
            environment: self.surroundings(on),
            user: None,
            patience: self.patience,
        }
    }

    fn surroundings(&self, on: &Reach) -> Vec<(OsString, OsString)> {
        let mut scheme = self.scheme();
        let mut environment: Vec<(OsString, OsString)> = Vec::new();
        for (name, value) in &self.environment {
            let misleads = MISLEADING.iter().any(|misleading| name == misleading)
                || name.as_encoded_bytes().starts_with(OF_TLS.as_bytes());
            if misleads {
                continue;
            }
            let value = match value.to_str().and_then(postgres_scheme) {
                Some(theirs) => {
                    if name == "DATABASE_URL" {
                        scheme = theirs.to_owned();
                    }
                    on.url(theirs).into()
                }
                None => value.clone(),
            };
            environment.push((name.clone(), value));
        }
        let mut set = |name: &str, value: String| {
            environment.retain(|(known, _)| known != name);
            environment.push((name.into(), value.into()));
        };
        for name in URL_VARIABLES {
            set(name, on.url(&scheme));
        }
        let password = on.password.clone().unwrap_or_default();
        for (short, long, value) in [
            ("PGHOST", "POSTGRES_HOST", on.host.clone()),
            ("PGPORT", "POSTGRES_PORT", on.port.to_string()),
            ("PGUSER", "POSTGRES_USER", on.user.clone()),
            ("PGPASSWORD", "POSTGRES_PASSWORD", password.clone()),
            ("PGDATABASE", "POSTGRES_DB", on.database.clone()),
        ] {
            set(short, value.clone());
            set(long, value);
        }
        set("PGSSLMODE", String::from(if on.encrypted { "require" } else { "prefer" }));
        set("PYTHONDONTWRITEBYTECODE", String::from("1"));
        for (name, template) in &self.templates {
            let value = template
                .replace("{url}", &on.url(&scheme))
                .replace("{host}", &on.host)
                .replace("{port}", &on.port.to_string())
                .replace("{user}", &on.user)
                .replace("{password}", &password)
                .replace("{database}", &on.database);
            set(name, value);
        }
        environment
    }

    /// The scheme that the project's URL has, which names its driver.
    fn scheme(&self) -> String {
        let of_line = |line: &str| {
            let (key, value) = line.split_once(['=', ':'])?;
            let is_url = key.trim().eq_ignore_ascii_case("sqlalchemy.url");
            is_url.then(|| postgres_scheme(value.trim()).map(str::to_owned)).flatten()
        };
        let in_ini = self.ini.as_deref().and_then(|ini| ini.lines().find_map(of_line));
        in_ini.unwrap_or_else(|| String::from("postgresql"))
    }

    fn adapted_ini(&self, on: &Reach, revisions: Option<&[PathBuf]>) -> String {
        let url = override_ini::escaped(&on.url(&self.scheme()));
        let here = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let scripts = here.join(&self.script_location).display().to_string();
        let mut values =
            vec![("sqlalchemy.url", url), ("script_location", override_ini::escaped(&scripts))];
        if let Some(folders) = revisions {
            let folders: Vec<String> = folders
                .iter()
                .map(|folder| override_ini::escaped(&folder.display().to_string()))
                .collect();
            values.extend(override_ini::locations(self.ini.as_deref(), &self.section, &folders));
        }
        let here = override_ini::escaped(&here.display().to_string());
        override_ini::with(self.ini.as_deref(), &self.section, Some(&here), &values)
    }
}

fn elsewhere(what: &str) -> Error {
    Error::refused(what).hint("env.py takes its database from elsewhere: set it with --alembic-env NAME={url}, or with --alembic 'alembic -x …'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::migrations::reach::tests::reach;

    fn alembic(environment: &[(&str, &str)], ini: Option<&str>) -> Alembic {
        Alembic {
            command: Command::Shell(String::from("alembic")),
            root: PathBuf::from("/"),
            folder: PathBuf::from("/"),
            script_location: String::from("migrations"),
            ini: ini.map(str::to_owned),
            section: String::from("alembic"),
            environment: environment.iter().map(|(n, v)| (n.into(), v.into())).collect(),
            templates: vec![(String::from("MY_DSN"), String::from("h={host} d={database}"))],
            patience: Duration::from_secs(1),
        }
    }

    #[test]
    fn every_variable_that_holds_a_url_of_postgresql_is_led_to_the_scratch_database() {
        let alembic = alembic(
            &[
                ("APP_DSN", "postgresql+asyncpg://prod/x"),
                ("PGSERVICE", "prod"),
                ("HOME", "/h"),
                ("PGSSLMODE", "verify-full"),
                ("PGSSLROOTCERT", "/x"),
                ("PGREQUIREAUTH", "none"),
            ],
            Some("[alembic]\nsqlalchemy.url = postgresql+psycopg2://x\n"),
        );
        let environment = alembic.surroundings(&reach("h"));
        let value = |name: &str| child::variable(&environment, name).and_then(|v| v.to_str());
        assert_eq!(value("APP_DSN"), Some("postgresql+asyncpg://u%40x:p%3A%2F%25@h:5433/d%20b"));
        assert_eq!(
            value("DATABASE_URL"),
            Some("postgresql+psycopg2://u%40x:p%3A%2F%25@h:5433/d%20b")
        );
        assert_eq!(value("MY_DSN"), Some("h=h d=d b"));
        assert_eq!((value("PGSERVICE"), value("HOME")), (None, Some("/h")));
        assert_eq!(value("PGDATABASE"), Some("d b"));
        assert_eq!((value("PGSSLMODE"), value("PGSSLROOTCERT")), (Some("prefer"), None));
        assert_eq!(value("PGREQUIREAUTH"), None);
    }
}
