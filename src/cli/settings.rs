//! The settings that `pgark.toml` can hold: one table, which the file is read by, `pgark init` writes
//! it from, and `pgark config` prints.

use super::private_group;
use crate::error::{Error, Kind, Result};
use crate::ops::connection_string;
use crate::rules::selection::nearest;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The name that the file has in the current folder.
pub const FILE: &str = "pgark.toml";

/// What a setting's value is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A text or a number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A path, relative to the file's folder.
    Path,
    /// A list of texts.
    List,
    /// A list of paths.
    Paths,
    /// A table of texts by tables' names.
    Conditions,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file, with its section.
    pub key: &'static str,
    /// The argument of the command line that it is a default of.
    pub argument: &'static str,
    /// What its value is.
    pub shape: Shape,
    /// The verbs that it concerns; empty is all that have the argument.
    pub verbs: &'static [&'static str],
    /// An argument that, when it is given, stands for this setting as well.
    pub yields_to: Option<&'static str>,
    /// What it does, for the file's comments.
    pub about: &'static str,
    /// An example of a value.
    pub example: &'static str,
}

/// A restore has no settings here: the file's database is the one that is backed up.
const OF_BACKUP: &[&str] = &["backup", "check", "config"];

/// What looks at the database that is backed up, besides.
const OF_SOURCE: &[&str] = &["backup", "check", "config", "migrations"];

const fn setting(
    key: &'static str,
    argument: &'static str,
    shape: Shape,
    verbs: &'static [&'static str],
    about: &'static str,
    example: &'static str,
) -> Setting {
    Setting { key, argument, shape, verbs, yields_to: None, about, example }
}

/// All settings, sections together.
pub const SETTINGS: &[Setting] = &[
    setting(
        "repository",
        "repo",
        Shape::Path,
        &[],
        "Folder that holds backups/ and manifests/.",
        "\"/var/backups/shop\"",
    ),
    setting("jobs", "jobs", Shape::Number, &[], "Number of workers, each with a connection.", "4"),
    setting("level", "level", Shape::Number, OF_BACKUP, "Compression level of zstd, 1 to 19.", "3"),
    setting(
        "rate-limit",
        "rate_limit",
        Shape::Number,
        OF_BACKUP,
        "Bytes of rows that are moved per second at most.",
        "\"20M\"",
    ),
    setting("nice", "nice", Shape::Number, OF_BACKUP, "Give way to other programs, 0 to 19.", "10"),
    setting(
        "lock-timeout",
        "lock_timeout",
        Shape::Number,
        OF_BACKUP,
        "Seconds to wait for locks on tables.",
        "60",
    ),
    setting(
        "connection.url",
        "url",
        Shape::Text,
        OF_SOURCE,
        "The database that is backed up, as in --url. What it leaves open comes from PGHOST, .pgpass\n\
         and so on. A password here is accepted only if nobody else can read this file.\n\
         A restore never takes it: its target comes from --url, or from DATABASE_URL and PG*.",
        "\"postgresql://backup@db.example/shop\"",
    ),
    setting(
        "selection.tables",
        "table",
        Shape::List,
        OF_BACKUP,
        "Only these tables.",
        "[\"app.*\"]",
    ),
    setting(
        "selection.exclude-tables",
        "exclude_table",
        Shape::List,
        OF_BACKUP,
        "Not these tables.",
        "[\"app.scratch_*\"]",
    ),
    setting(
        "selection.schemas",
        "schema",
        Shape::List,
        OF_BACKUP,
        "Only these schemas.",
        "[\"app\"]",
    ),
    setting(
        "selection.exclude-schemas",
        "exclude_schema",
        Shape::List,
        OF_BACKUP,
        "Not these schemas.",
        "[\"audit\"]",
    ),
    setting(
        "selection.extensions",
        "extension",
        Shape::List,
        OF_BACKUP,
        "Of the extensions, only these.",
        "[\"citext\"]",
    ),
    setting(
        "selection.exclude-extensions",
        "exclude_extension",
        Shape::List,
        OF_BACKUP,
        "Not these extensions.",
        "[\"pg_cron\"]",
    ),
    setting(
        "selection.exclude-data",
        "exclude_data",
        Shape::List,
        OF_BACKUP,
        "These tables without their rows.",
        "[\"app.sessions\"]",
    ),
    setting(
        "selection.where",
        "filters",
        Shape::Conditions,
        OF_BACKUP,
        "Only some rows of these tables.",
        "{ \"app.events\" = \"at >= date '2026-01-01'\" }",
    ),
    setting(
        "selection.filter",
        "filter",
        Shape::Paths,
        OF_BACKUP,
        "Files of patterns, as pg_dump reads them.",
        "[\"nightly.filter\"]",
    ),
    setting(
        "selection.allow-missing",
        "allow_missing",
        Shape::List,
        OF_BACKUP,
        "Go on without objects of these classes.",
        "[\"extension-delta\"]",
    ),
    Setting {
        yields_to: Some("no_migrations"),
        ..setting(
            "migrations.folder",
            "migrations",
            Shape::Path,
            OF_SOURCE,
            "Folder of the Alembic project whose files go into the archive.",
            "\".\"",
        )
    },
    Setting {
        yields_to: Some("migrations"),
        ..setting(
            "migrations.none",
            "no_migrations",
            Shape::Switch,
            OF_BACKUP,
            "Look for no migration project.",
            "true",
        )
    },
    setting(
        "migrations.section",
        "ini_section",
        Shape::Text,
        OF_SOURCE,
        "Section of the project's ini file.",
        "\"alembic\"",
    ),
    Setting {
        yields_to: Some("no_migrations"),
        ..setting(
            "migrations.require",
            "require_migrations",
            Shape::Switch,
            OF_BACKUP,
            "Fail unless the project's files and the database agree.",
            "true",
        )
    },
];

/// What a file says.
#[derive(Debug, Default)]
pub struct Configuration {
    /// The file.
    pub path: PathBuf,
    /// Values of settings, by key, as arguments of the command line.
    pub values: BTreeMap<&'static str, Vec<String>>,
}

impl Configuration {
    /// Reads the file that lies in the current folder, which may be anybody's: it says which database
    /// is read and where it is written to, so it must be this user's or root's, and nobody else may
    /// be able to change it.
    ///
    /// # Errors
    /// [`Kind::Refused`] for somebody else's; those of [`Configuration::read`].
    pub fn found(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(format!("cannot look at {}", path.display()), error);
        let named = path.symlink_metadata().map_err(failed)?;
        let file = path.metadata().map_err(failed)?;
        let own = rustix::process::geteuid().as_raw();
        if [named.uid(), file.uid()].iter().any(|owner| *owner != own && *owner != 0) {
            let text = format!("{} belongs to another user", path.display());
            return Err(Error::refused(text).hint(format!(
                "if you trust it: --config {0}; if not: --config ''",
                path.display()
            )));
        }
        let mode = file.permissions().mode();
        let others = match mode & 0o020 != 0 && !private_group::is_private(file.gid(), file.uid()) {
            true => 0o022,
            false => 0o002,
        };
        if mode & others != 0 {
            let text = format!("others than its owner can change {}", path.display());
            return Err(Error::refused(text).hint(format!("chmod go-w {}", path.display())));
        }
        Self::read(path)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is not in the table of settings, [`Kind::Refused`] for a password
    /// that others can read, and the system's.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |error| {
            Error::io(format!("cannot read {}", path.display()), error)
                .hint("--config or PGARK_CONFIG names it; an empty name is no file")
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let values = parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|error| error.while_doing(format!("cannot use {}", path.display())))?;
        let holds_password = values
            .get("connection.url")
            .into_iter()
            .flatten()
            .any(|url| connection_string::holds_password(url));
        let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
        if holds_password && mode & 0o077 != 0 {
            return Err(Error::refused(format!(
                "{} holds a password, and others than its owner can read it",
                path.display()
            ))
            .hint(format!("chmod 600 {0}; or keep the password in ~/.pgpass", path.display())));
        }
        Ok(Self { path: path.to_owned(), values })
    }
}

/// Reads the text of a file that lies in `folder`.
fn parse(text: &str, folder: &Path) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = text.bytes().take(error.span().map_or(0, |span| span.start));
        let line = before.filter(|byte| *byte == b'\n').count() + 1;
        // Not the line itself, which may hold a password.
        Error::new(Kind::Usage, format!("line {line}: {}", error.message()))
    })?;
    let mut values = BTreeMap::new();
    for (name, value) in &table {
        let section = format!("{name}.");
        if !SETTINGS.iter().any(|setting| setting.key.starts_with(&section)) {
            read_value(name, value, folder, &mut values)?;
            continue;
        }
        let Value::Table(inner) = value else {
            return Err(Error::new(Kind::Usage, format!("{name} is a section: [{name}]")));
        };
        for (key, value) in inner {
            read_value(&format!("{name}.{key}"), value, folder, &mut values)?;
        }
    }
    if values.contains_key("migrations.folder") && values.contains_key("migrations.none") {
        return Err(Error::new(
            Kind::Usage,
            "migrations.folder and migrations.none are both there",
        ));
    }
    Ok(values)
}

fn read_value(
    key: &str,
    value: &Value,
    folder: &Path,
    values: &mut BTreeMap<&'static str, Vec<String>>,
) -> Result<()> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
        let error = Error::new(Kind::Usage, format!("there is no setting \"{key}\""));
        let keys = SETTINGS.iter().map(|setting| setting.key.to_owned());
        let sections = SETTINGS.iter().filter_map(|setting| setting.key.split_once('.'));
        let sections = sections.map(|(section, _)| section.to_owned());
        return Err(match nearest(key, keys.chain(sections)) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint("`pgark init` writes a file with all settings there are"),
        });
    };
    let wrong = || {
        let wanted = match setting.shape {
            Shape::Text | Shape::Path => "a text",
            Shape::Number => "a number, or a text",
            Shape::Switch => "true or false",
            Shape::List | Shape::Paths => "a list of texts",
            Shape::Conditions => "a table of conditions by tables",
        };
        Error::new(Kind::Usage, format!("{key} is to be {wanted}: {key} = {}", setting.example))
    };
    let path = |text: &String| folder.join(text).to_string_lossy().into_owned();
    let texts = |list: &[Value]| -> Option<Vec<String>> {
        list.iter().map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let read = match (setting.shape, value) {
        (Shape::Text | Shape::Number, Value::String(text)) => Some(vec![text.clone()]),
        (Shape::Number, Value::Integer(number)) => Some(vec![number.to_string()]),
        (Shape::Path, Value::String(text)) => Some(vec![path(text)]),
        // A switch that is off is as if it were not there.
        (Shape::Switch, Value::Boolean(on)) => {
            Some(on.then(|| on.to_string()).into_iter().collect())
        }
        (Shape::List, Value::Array(list)) => texts(list),
        (Shape::Paths, Value::Array(list)) => {
            texts(list).map(|list| list.iter().map(path).collect())
        }
        (Shape::Conditions, Value::Table(table)) => table
            .iter()
            .map(|(table, condition)| Some(format!("{table}={}", condition.as_str()?)))
            .collect(),
        _ => None,
    };
    let read = read.ok_or_else(wrong)?;
    if !read.is_empty() {
        values.insert(setting.key, read);
    }
    Ok(())
}

/// A file with all settings in comments.
pub fn template() -> String {
    let mut text = String::from(
        "# Settings of pgark in this folder. Flags of the command line count before environment\n\
         # variables, and these before this file. `pgark config` prints what is in force. Paths are\n\
         # relative to this file.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (of, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if of != section {
            text.push_str(&format!("\n[{of}]\n"));
            section = of;
        }
        text.push('\n');
        for line in setting.about.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("#{name} = {}\n", setting.example));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_empty_as_it_is_and_valid_without_its_comments() {
        assert_eq!(parse(&template(), Path::new("")).unwrap(), BTreeMap::new());
        let settings: String = template()
            .lines()
            .filter(|line| !line.contains("migrations.none") && !line.starts_with("#none"))
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let values = parse(&settings, Path::new("/etc/pgark")).unwrap();
        assert_eq!(values.len(), SETTINGS.len() - 1);
        assert_eq!(values["selection.where"], ["app.events=at >= date '2026-01-01'"]);
        assert_eq!(values["selection.filter"], ["/etc/pgark/nightly.filter"]);
        assert_eq!(values["repository"], ["/var/backups/shop"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says, hint) in [
            (
                "repositry = \"x\"",
                "there is no setting \"repositry\"",
                "did you mean \"repository\"?",
            ),
            ("[conection]\nurl = \"x\"", "\"conection\"", "did you mean \"connection\"?"),
            ("[connection]\nurk = \"x\"", "\"connection.urk\"", "did you mean \"connection.url\"?"),
            ("[connection]\nurl = 3", "connection.url is to be a text", ""),
            ("jobs = [1]", "jobs is to be a number", ""),
            ("selection = 1", "selection is a section", ""),
            ("jobs = 1\njobs = 2", "line 2:", ""),
            ("[migrations]\nnone = true\nfolder = \"x\"", "both there", ""),
        ] {
            let error = parse(text, Path::new("")).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(says), "{text}: {error}");
            assert!(error.next_step().unwrap_or_default().contains(hint), "{text}");
        }
        assert_eq!(parse("[migrations]\nnone = false", Path::new("")).unwrap(), BTreeMap::new());
    }
}
