//! Which archive is meant: a path, a name in the repository, a unique beginning of one,
//! `latest:DATABASE`, or `latest` where all archives are of one database.

use crate::archive::manifest::Manifest;
use crate::error::{Error, Kind, Result};
use crate::rules::selection::nearest;
use crate::store::repository::Repository;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The path of the archive that `wanted` names.
///
/// # Errors
/// [`Kind::NotFound`] with the nearest name; [`Kind::Usage`] when several begin so, or `latest`
/// could be of several databases.
pub fn archive(wanted: &str, repository: &Path) -> Result<PathBuf> {
    if Path::new(wanted).is_file() {
        return Ok(PathBuf::from(wanted));
    }
    let repository = Repository::at(repository)?;
    if let Some(rest) = wanted.strip_prefix("latest")
        && (rest.is_empty() || rest.starts_with(':'))
    {
        return latest(&repository, rest.strip_prefix(':'));
    }
    let names = repository.names()?;
    if names.iter().any(|name| name == wanted) {
        return Ok(repository.archive_path(wanted));
    }
    let beginnings: Vec<&String> = names.iter().filter(|name| name.starts_with(wanted)).collect();
    match beginnings.as_slice() {
        [name] => Ok(repository.archive_path(name)),
        [] => {
            let error = Error::new(Kind::NotFound, format!("there is no archive \"{wanted}\""));
            Err(match nearest(wanted, names.into_iter()) {
                Some(name) => error.hint(format!("did you mean \"{name}\"?")),
                None => error.hint(
                    "give a path, or a name in the repository; --repo names another repository",
                ),
            })
        }
        [first, .., last] => Err(Error::new(
            Kind::Usage,
            format!(
                "{} archives begin with \"{wanted}\", from {first} to {last}",
                beginnings.len()
            ),
        )),
    }
}

fn latest(repository: &Repository, database: Option<&str>) -> Result<PathBuf> {
    let mut newest: BTreeMap<String, (DateTime<Utc>, String)> = BTreeMap::new();
    for name in repository.names()? {
        let Some(json) = repository.manifest(&name)? else { continue };
        let manifest = Manifest::from_json(&json)
            .map_err(|error| error.while_doing(format!("cannot read manifest {name}.json")))?;
        let known = newest.get(&manifest.source.database);
        if known.is_none_or(|(started, _)| *started < manifest.started) {
            newest.insert(manifest.source.database, (manifest.started, name));
        }
    }
    if let Some(database) = database {
        return match newest.remove(database) {
            Some((_, name)) => Ok(repository.archive_path(&name)),
            None => Err(Error::new(
                Kind::NotFound,
                format!("there is no archive of database \"{database}\" in the repository"),
            )),
        };
    }
    // The newest of any database would put one database's content into another.
    if newest.len() > 1 {
        let choices: Vec<String> = newest.keys().map(|name| format!("latest:{name}")).collect();
        return Err(Error::new(
            Kind::Usage,
            "latest is not clear: the repository holds archives of several databases",
        )
        .hint(format!("say which one: {}", choices.join(", "))));
    }
    match newest.into_values().next() {
        Some((_, name)) => Ok(repository.archive_path(&name)),
        None => Err(Error::new(Kind::NotFound, "there is no archive in the repository")),
    }
}
