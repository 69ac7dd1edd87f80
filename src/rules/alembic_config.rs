//! What an Alembic project's configuration says about where its files are.

use crate::error::{Error, Kind, Result};
use configparser::ini::{Ini, IniDefault};

/// Folders of an Alembic project, as the configuration writes them with `%(here)s` resolved to
/// the project's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlembicConfig {
    /// Folder of `env.py`.
    pub script_location: Option<String>,
    /// Folders of revisions; empty is `<script_location>/versions`.
    pub version_locations: Vec<String>,
    /// Whether compiled revisions count.
    pub sourceless: bool,
}

/// Reads `[alembic]` of an ini file.
pub fn from_ini(text: &str) -> Result<AlembicConfig> {
    let wrong = |why: String| Error::new(Kind::Usage, format!("alembic.ini cannot be read: {why}"));
    let mut style = IniDefault::default();
    style.multiline = true;
    style.inline_comment_symbols = Some(Vec::new());
    style.comment_symbols = vec!['#', ';'];
    style.default_section = String::from("DEFAULT");
    let mut ini = Ini::new_from_defaults(style);
    ini.read(text.to_owned()).map_err(wrong)?;
    let value = |key: &str| ini.get("alembic", key).or_else(|| ini.get("DEFAULT", key));
    let resolved = |key: &str| value(key).map(|value| interpolate(&value)).transpose();
    let separator = resolved("path_separator")?.or(resolved("version_path_separator")?);
    let locations = resolved("version_locations")?.unwrap_or_default();
    Ok(AlembicConfig {
        script_location: resolved("script_location")?,
        version_locations: split(&locations, separator.as_deref())?,
        sourceless: value("sourceless").as_deref() == Some("true"),
    })
}

/// Reads `[tool.alembic]` of `pyproject.toml`; `None` when there is no such table.
pub fn from_pyproject(text: &str) -> Result<Option<AlembicConfig>> {
    let wrong = |error: toml::de::Error| {
        Error::new(Kind::Usage, "pyproject.toml cannot be read").caused_by(error)
    };
    let document: toml::Table = toml::from_str(text).map_err(wrong)?;
    let Some(section) = document.get("tool").and_then(|tool| tool.get("alembic")) else {
        return Ok(None);
    };
    let text =
        |key: &str| section.get(key).and_then(toml::Value::as_str).map(interpolate).transpose();
    let version_locations = match section.get("version_locations") {
        None => Vec::new(),
        Some(toml::Value::Array(locations)) => locations
            .iter()
            .map(|location| interpolate(location.as_str().unwrap_or_default()))
            .collect::<Result<_>>()?,
        Some(_) => {
            return Err(Error::new(Kind::Usage, "pyproject.toml: version_locations is not a list"));
        }
    };
    Ok(Some(AlembicConfig {
        script_location: text("script_location")?,
        version_locations,
        sourceless: section.get("sourceless").and_then(toml::Value::as_bool) == Some(true),
    }))
}

impl AlembicConfig {
    /// What one configuration says, and where it is silent, what `other` says: Alembic takes the
    /// ini file's value first, key by key.
    pub fn or(self, other: Self) -> Self {
        Self {
            script_location: self.script_location.or(other.script_location),
            version_locations: if self.version_locations.is_empty() {
                other.version_locations
            } else {
                self.version_locations
            },
            sourceless: self.sourceless || other.sourceless,
        }
    }
}

/// `%(here)s` is the folder of the configuration, and `%%` a percent sign.
fn interpolate(value: &str) -> Result<String> {
    let plain = value.replace("%(here)s", ".");
    if plain.replace("%%", "").contains("%(") {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "the Alembic configuration uses an interpolation that pgark cannot tell: {value}"
            ),
        ));
    }
    Ok(plain.replace("%%", "%"))
}

/// Splits `version_locations` as Alembic does; without a separator, at spaces and commas.
fn split(locations: &str, separator: Option<&str>) -> Result<Vec<String>> {
    let parts: Vec<&str> = match separator {
        None => locations.split([' ', ',', '\n', '\t']).collect(),
        Some("os" | ":") => locations.split(':').collect(),
        Some(";") => locations.split(';').collect(),
        Some("space") => locations.split_whitespace().collect(),
        Some("newline") => locations.lines().collect(),
        Some(other) => {
            return Err(Error::new(
                Kind::Usage,
                format!("the Alembic configuration has an unknown path_separator: {other}"),
            ));
        }
    };
    Ok(parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ini_file_is_read_as_python_reads_it() {
        let config = from_ini(
            "[DEFAULT]\nsourceless = true\n[alembic]\n# a comment\nscript_location = %(here)s/migrations\n\
             version_locations = %(here)s/a:%(here)s/b\npath_separator = os\nfile_template = %%(rev)s\n",
        )
        .unwrap();
        assert_eq!(config.script_location.as_deref(), Some("./migrations"));
        assert_eq!(config.version_locations, ["./a", "./b"]);
        assert!(config.sourceless);
    }

    #[test]
    fn a_value_may_hold_a_semicolon() {
        let config = from_ini("[alembic]\nscript_location: m ; x\n").unwrap();
        assert_eq!(config.script_location.as_deref(), Some("m ; x"));
    }

    #[test]
    fn pyproject_is_read_too() {
        let config = from_pyproject(
            "[tool.alembic]\nscript_location = \"%(here)s/m\"\nversion_locations = [\"x\", \"y z\"]\n",
        );
        assert_eq!(config.unwrap().unwrap().version_locations, ["x", "y z"]);
        assert_eq!(from_pyproject("[project]\nname = \"x\"\n").unwrap(), None);
        assert!(from_pyproject("[tool").is_err());
    }
}
