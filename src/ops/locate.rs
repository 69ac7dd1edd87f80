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
    // As from a script whose variable is empty: it would be the beginning of every name.
    if wanted.is_empty() {
        return Err(Error::new(Kind::Usage, "the name of the archive is empty"));
    }
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
            // Of a path that leads nowhere, the name of the file may be the one that was meant.
            let file = Path::new(wanted).file_name().and_then(|name| name.to_str());
            let typed = file.unwrap_or(wanted);
            let typed = typed.strip_suffix(".tar").unwrap_or(typed);
            Err(match nearest(typed, names.into_iter()) {
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

/// The repository that an archive lies in, if its file is in a folder `backups`, and its name there.
pub fn place(archive: &Path) -> Option<(Repository, String)> {
    let folder = archive.parent()?;
    if folder.file_name()? != "backups" {
        return None;
    }
    let root = folder.parent()?;
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let name = archive.file_stem()?.to_str()?.to_owned();
    Some((Repository::at(root).ok()?, name))
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
        if let Some((_, name)) = newest.remove(database) {
            return Ok(repository.archive_path(&name));
        }
        let text = format!("there is no archive of database \"{database}\" in the repository");
        let error = Error::new(Kind::NotFound, text);
        return Err(match nearest(database, newest.into_keys()) {
            Some(name) => error.hint(format!("did you mean \"latest:{name}\"?")),
            None => error,
        });
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
