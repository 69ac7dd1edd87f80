//! `pg_service.conf`: connections by name.

use super::parameters::{self, Values};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Places;
use std::path::{Path, PathBuf};

/// Where builds of PostgreSQL look for the system's file: Debian, Red Hat, and the source's default.
const SYSTEM: &[&str] = &["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc"];

const NAME: &str = "pg_service.conf";

/// The parameters of `service`: from the file that is named, or the user's, else the system's.
///
/// # Errors
/// [`Kind::NotFound`] when it is defined nowhere or a file that was named is not there,
/// [`Kind::Usage`] for a file that libpq would refuse.
pub fn read(service: &str, named: Option<PathBuf>, places: &Places) -> Result<Values> {
    let named = named.or_else(|| places.service_file.clone());
    let user = named.or_else(|| {
        let file = places.home.as_ref()?.join(".pg_service.conf");
        file.exists().then_some(file)
    });
    let system = match &places.system_folder {
        Some(folder) => vec![folder.join(NAME)],
        None => SYSTEM.iter().map(|folder| Path::new(folder).join(NAME)).collect(),
    };
    let system = system.into_iter().filter(|file| file.exists());
    let mut looked = Vec::new();
    for file in user.into_iter().chain(system) {
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Error::io(format!("cannot read the service file {}", file.display()), error)
                .hint("PGSERVICEFILE and the parameter servicefile name it")
        })?;
        if let Some(found) = find(&text, service, &file)? {
            return Ok(found);
        }
        looked.push(file.display().to_string());
    }
    let looked = match looked.as_slice() {
        [] => format!("there is no ~/.pg_service.conf and no {NAME} of the system"),
        files => format!("looked in {}", files.join(" and ")),
    };
    Err(Error::new(Kind::NotFound, format!("service \"{service}\" is not defined")).hint(looked))
}

fn find(text: &str, service: &str, file: &Path) -> Result<Option<Values>> {
    let mut values = Values::new();
    let (mut inside, mut found) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |reason: &str| {
            Error::new(
                Kind::Usage,
                format!("line {} of the service file {} {reason}", number + 1, file.display()),
            )
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found {
                // Only the first section of a name counts.
                break;
            }
            inside = header.strip_prefix(service).is_some_and(|rest| rest.starts_with(']'));
            found |= inside;
            continue;
        }
        if !inside {
            continue;
        }
        if line.starts_with("ldap") {
            return Err(wrong("asks for a directory server, which pgark cannot do"));
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("has no \"=\""));
        };
        if matches!(name, "service" | "servicefile") {
            return Err(wrong("names a service inside a service"));
        }
        parameters::check_name(name).map_err(|error| {
            let (message, hint) = (error.to_string(), error.next_step().map(str::to_owned));
            wrong(&format!("is wrong: {message}")).hint(hint.unwrap_or_default())
        })?;
        values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    Ok(found.then_some(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[other]\nhost=wrong\n\n[shop]\n  host=db.example  \nport=6432\n\
                        options=-c a=b\nhost=second\n[shop]\nuser=late\n[bad]\nhots=x\n[deep]\nservice=shop\n";

    fn section(name: &str) -> Result<Option<Values>> {
        find(FILE, name, Path::new("file"))
    }

    #[test]
    fn the_first_section_and_the_first_value_count() {
        let found = section("shop").unwrap().unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, [("host", "db.example"), ("options", "-c a=b"), ("port", "6432")]);
        assert!(section("nothing").unwrap().is_none());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = section("bad").unwrap_err();
        assert!(error.to_string().contains("line 13 of the service file file"), "{error}");
        assert_eq!(error.next_step(), Some("did you mean \"host\"?"));
        assert!(section("deep").is_err());
    }
}
