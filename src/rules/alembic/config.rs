//! What an Alembic project's configuration says about where its files are.

use super::ini::{Ini, interpolate};
use crate::error::{Error, Kind, Result};

/// Stands for `%(here)s`, the folder of the configuration, until it is known where that is.
const HERE: &str = "/\u{1}here";

/// Folders of an Alembic project, as the configuration writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlembicConfig {
    /// Folder of `env.py`.
    pub script_location: Location,
    /// Folders of revisions; empty is `<script_location>/versions`.
    pub version_locations: Vec<Location>,
    /// Whether revisions lie in the folders below, too.
    pub recursive: bool,
    /// Whether compiled revisions count.
    pub sourceless: bool,
}

/// A folder, as a configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location(String);

/// The files that a configuration consists of; Alembic looks into both, key by key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// Name and text of the ini file.
    pub ini: Option<(&'a str, &'a str)>,
    /// Its section: `alembic`, unless `alembic -n` names another.
    pub section: &'a str,
    /// Text of `pyproject.toml`.
    pub pyproject: Option<&'a str>,
}

/// Reads the configuration; `None` when neither file has one.
///
/// # Errors
/// What Alembic could not read, or would read as something that nobody means.
pub fn read(files: Files<'_>) -> Result<Option<AlembicConfig>> {
    let ini = match files.ini {
        None => None,
        Some((name, text)) => Some((name, Ini::read(text).map_err(|why| unreadable(name, why))?)),
    };
    let document = match files.pyproject {
        None => toml::Table::new(),
        Some(text) => toml::from_str(text).map_err(|error: toml::de::Error| {
            Error::new(Kind::Usage, "pyproject.toml cannot be read").caused_by(error)
        })?,
    };
    let table = document.get("tool").and_then(|tool| tool.get("alembic"));
    let has_section = ini.as_ref().is_some_and(|(_, ini)| ini.has_section(files.section));
    if !has_section && table.is_none() {
        return Ok(None);
    }
    let sources = Sources { ini, section: files.section, table };
    let Some(script_location) = sources.text("script_location")? else {
        return Err(Error::new(
            Kind::Usage,
            "the Alembic configuration has no script_location",
        )
        .hint("set it in alembic.ini or in [tool.alembic] of pyproject.toml, or run with --no-migrations"));
    };
    Ok(Some(AlembicConfig {
        script_location: Location(script_location),
        version_locations: sources.version_locations()?,
        recursive: sources.truth("recursive_version_locations")?,
        sourceless: sources.truth("sourceless")?,
    }))
}

fn unreadable(name: &str, why: String) -> Error {
    Error::new(Kind::Usage, format!("{name} cannot be read: {why}"))
        .hint("Alembic cannot read it either")
}

fn wrong(what: String) -> Error {
    Error::new(Kind::Usage, format!("the Alembic configuration: {what}"))
}

struct Sources<'a> {
    ini: Option<(&'a str, Ini)>,
    section: &'a str,
    table: Option<&'a toml::Value>,
}

impl Sources<'_> {
    fn of_ini(&self, key: &str) -> Result<Option<String>> {
        match &self.ini {
            None => Ok(None),
            Some((name, ini)) => {
                ini.get(self.section, key, HERE).map_err(|why| unreadable(name, why))
            }
        }
    }

    fn of_toml(&self, key: &str) -> Option<&toml::Value> {
        self.table.and_then(|table| table.get(key))
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        match (self.of_ini(key)?, self.of_toml(key)) {
            (Some(value), _) => Ok(Some(value)),
            (None, None) => Ok(None),
            (None, Some(toml::Value::String(value))) => formatted(key, value).map(Some),
            (None, Some(_)) => Err(wrong(format!("{key} of pyproject.toml is not a text"))),
        }
    }

    fn truth(&self, key: &str) -> Result<bool> {
        match (self.of_ini(key)?, self.of_toml(key)) {
            // Nothing but this word is true, not even True.
            (Some(value), _) => Ok(value == "true"),
            (None, None) => Ok(false),
            (None, Some(toml::Value::Boolean(value))) => Ok(*value),
            (None, Some(_)) => {
                Err(wrong(format!("{key} of pyproject.toml is neither true nor false")))
            }
        }
    }

    fn version_locations(&self) -> Result<Vec<Location>> {
        let parts = match self.of_ini("version_locations")?.filter(|value| !value.is_empty()) {
            Some(value) => {
                let separator = match self.of_ini("path_separator")? {
                    None => self.of_ini("version_path_separator")?,
                    found => found,
                };
                split(&value, separator.as_deref())?
            }
            None => match self.of_toml("version_locations") {
                None => Vec::new(),
                Some(toml::Value::Array(items)) => {
                    let text = |item: &toml::Value| match item.as_str() {
                        Some(text) => formatted("version_locations", text),
                        None => Err(wrong(String::from(
                            "version_locations of pyproject.toml are not all texts",
                        ))),
                    };
                    items.iter().map(text).collect::<Result<_>>()?
                }
                Some(_) => {
                    return Err(wrong(String::from(
                        "version_locations of pyproject.toml is not a list",
                    )));
                }
            },
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(wrong(String::from(
                "version_locations has an empty item, which Alembic takes for the current folder",
            )));
        }
        Ok(parts.into_iter().map(Location).collect())
    }
}

/// A value of pyproject.toml is formatted with `here` alone.
fn formatted(key: &str, value: &str) -> Result<String> {
    interpolate(value, &|name| (name == "here").then_some(HERE))
        .map_err(|why| wrong(format!("{key} of pyproject.toml: {why}")))
}

/// Splits `version_locations` as Alembic does; without a separator, at spaces and commas.
fn split(locations: &str, separator: Option<&str>) -> Result<Vec<String>> {
    let at = match separator {
        None => {
            let plain = locations.replace(", ", ",");
            let runs = plain.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>();
            return Ok(runs.join(",").split(',').map(|part| part.trim().to_owned()).collect());
        }
        Some("os" | ":") => ':',
        Some(";") => ';',
        Some("space") => ' ',
        Some("newline") => '\n',
        Some(other) => {
            return Err(wrong(format!(
                "path_separator is \"{other}\"; os, space, newline, : and ; are what it can be"
            )));
        }
    };
    let parts = locations.split(at).filter(|part| !part.is_empty());
    Ok(parts.map(|part| part.trim().to_owned()).collect())
}

impl Location {
    /// The folder's path relative to the project's folder, without `.`; `root` is the absolute path
    /// of that, in which the configuration lies and Alembic runs.
    ///
    /// # Errors
    /// A folder outside of the project, or inside a Python package.
    pub fn within(&self, root: &str) -> Result<String> {
        let path = match below(&self.0, HERE).or_else(|| below(&self.0, root)) {
            Some(inside) => inside,
            None if self.0.starts_with('/') => return Err(self.outside()),
            None if self.0.contains(':') => {
                return Err(Error::new(
                    Kind::Usage,
                    format!(
                        "the migrations lie in a Python package ({}), which only Python can find",
                        self.0
                    ),
                )
                .hint("name the folder of env.py with --migrations DIR; if you meant several folders, set path_separator"));
            }
            None => &self.0,
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_none() => return Err(self.outside()),
                ".." => {}
                name => parts.push(name),
            }
        }
        Ok(parts.join("/"))
    }

    /// The same folder, where a relative one is taken from `base`.
    pub fn seen_from(&self, base: &str) -> Self {
        match self.0.starts_with('/') || self.0.contains(':') {
            true => self.clone(),
            false => Self(format!("{base}/{}", self.0)),
        }
    }

    fn outside(&self) -> Error {
        Error::new(
            Kind::Usage,
            format!(
                "the migrations lie outside their project: {}",
                self.0.replace(HERE, "%(here)s")
            ),
        )
        .hint("name a folder that holds all of them with --migrations DIR")
    }
}

/// The rest of a path below a folder.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?;
    (rest.is_empty() || rest.starts_with('/') || folder.ends_with('/')).then_some(rest)
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        Self(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_both(ini: &str, pyproject: &str) -> Result<Option<AlembicConfig>> {
        let ini = Some(("alembic.ini", ini)).filter(|(_, text)| !text.is_empty());
        let pyproject = Some(pyproject).filter(|text| !text.is_empty());
        read(Files { ini, section: "alembic", pyproject })
    }

    fn folders(config: &AlembicConfig) -> Vec<String> {
        std::iter::once(&config.script_location)
            .chain(&config.version_locations)
            .map(|location| location.within("/srv/app").unwrap())
            .collect()
    }

    #[test]
    fn both_files_are_read_key_by_key() {
        for (ini, pyproject, expected) in [
            ("[alembic]\nscript_location = %(here)s/m\n", "", vec!["m"]),
            (
                "[alembic]\nscript_location = m\nversion_locations = %(here)s/a:./b/\npath_separator = os\n",
                "",
                vec!["m", "a", "b"],
            ),
            (
                "[alembic]\nscript_location = m\nversion_locations = a, b c,d  e\n",
                "",
                vec!["m", "a", "b", "c", "d", "e"],
            ),
            (
                "[alembic]\nscript_location = m\nversion_locations =\n  a b\n  c,d\npath_separator = newline\n",
                "",
                vec!["m", "a b", "c,d"],
            ),
            (
                "[alembic]\nscript_location = m\nversion_locations = a;b\nversion_path_separator = ;\n",
                "",
                vec!["m", "a", "b"],
            ),
            (
                "[alembic]\nscript_location = m\nversion_locations = a b\npath_separator = space\nversion_path_separator = ;\n",
                "",
                vec!["m", "a", "b"],
            ),
            (
                "[alembic]\nscript_location = m\nversion_locations =\n",
                "[tool.alembic]\nscript_location = \"no\"\nversion_locations = [\"x\", \"%(here)s/y z\"]\n",
                vec!["m", "x", "y z"],
            ),
            ("", "[tool.alembic]\nscript_location = \"/srv/app/100%%\"\n", vec!["100%"]),
            (
                "[DEFAULT]\nroot = deep/er\n[alembic]\nscript_location = %(root)s/../m\n",
                "[project]\n",
                vec!["deep/m"],
            ),
            (
                "[other]\nscript_location = no\n",
                "[tool.alembic]\nscript_location = \".\"\n",
                vec![""],
            ),
        ] {
            let config = read_both(ini, pyproject).unwrap().unwrap();
            assert_eq!(folders(&config), expected, "{ini}{pyproject}");
        }
        assert_eq!(read_both("[other]\n", "[project]\nname = \"x\"\n").unwrap(), None);
        let named = "[alembic]\nscript_location = a\n[tenants]\nscript_location = b\n";
        let files = Files { ini: Some(("x.ini", named)), section: "tenants", pyproject: None };
        assert_eq!(read(files).unwrap().unwrap().script_location, Location::from("b"));
    }

    #[test]
    fn truth_is_told_as_alembic_tells_it() {
        let of = |ini: &str, pyproject: &str| {
            let ini = format!("[alembic]\nscript_location = m\n{ini}");
            read_both(&ini, &format!("[tool.alembic]\n{pyproject}")).map(|config| {
                let config = config.unwrap();
                (config.sourceless, config.recursive)
            })
        };
        assert_eq!(
            of("sourceless = true\nrecursive_version_locations = True\n", "").unwrap(),
            (true, false)
        );
        assert_eq!(
            of("sourceless = no\n", "sourceless = true\nrecursive_version_locations = true\n")
                .unwrap(),
            (false, true)
        );
        assert!(of("", "sourceless = \"true\"\n").is_err());
    }

    #[test]
    fn what_nobody_means_is_an_error() {
        let m = "[alembic]\nscript_location = m\n";
        for (ini, pyproject, what) in [
            (
                format!("{m}version_locations = a\npath_separator = |\n"),
                "",
                "path_separator is \"|\"",
            ),
            (format!("{m}version_locations = a,,b\n"), "", "empty item"),
            (format!("{m}version_locations = %(x)s\n"), "", "%(x)s"),
            (String::from("[alembic]\n"), "", "no script_location"),
            (String::new(), "[tool.alembic]\n", "no script_location"),
            (String::new(), "[tool.alembic]\nscript_location = 1\n", "not a text"),
            (String::new(), "[tool.alembic]\nscript_location = \"50%\"\n", "neither"),
            (m.to_string(), "[tool.alembic]\nversion_locations = \"a\"\n", "not a list"),
            (m.to_string(), "[tool.alembic]\nversion_locations = [1]\n", "not all texts"),
            (m.to_string(), "[tool", "pyproject.toml cannot be read"),
            (String::from("[alembic]\na\n"), "", "alembic.ini cannot be read: line 2"),
        ] {
            let error = read_both(&ini, pyproject).unwrap_err();
            assert!(error.to_string().contains(what), "{ini}{pyproject}: {error}");
        }
    }

    #[test]
    fn folders_outside_of_the_project_are_refused() {
        for (path, what) in [
            ("../m", "outside"),
            ("a/../../m", "outside"),
            ("/srv/application/m", "outside"),
            ("/etc", "outside"),
            ("%(here)s/../m", "outside their project: %(here)s/../m"),
            ("package:m", "Python package"),
            ("a:b", "Python package"),
        ] {
            let ini = format!("[alembic]\nscript_location = {path}\n");
            let config = read_both(&ini, "").unwrap().unwrap();
            let error = config.script_location.within("/srv/app").unwrap_err();
            assert!(error.to_string().contains(what), "{path}: {error}");
        }
    }
}
