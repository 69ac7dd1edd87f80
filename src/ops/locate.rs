//! Which archive is meant: a path, a name in the repository, a unique beginning of one,
//! `latest:DATABASE`, or `latest` where all archives are of one database.

use super::observer::Observer;
use crate::archive::manifest::Manifest;
use crate::error::{Error, Kind, Result};
use crate::model::name::{Printable, enumerate};
use crate::rules::selection::nearest;
use crate::store::repository::Repository;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

/// The path of the archive that `wanted` names. If `latest` is one that holds only a part of its
/// database, that is said.
///
/// # Errors
/// [`Kind::NotFound`] with the nearest name; [`Kind::Usage`] when several begin so, or `latest`
/// could be of several databases.
pub fn archive(wanted: &str, repository: &Path, observer: &dyn Observer) -> Result<PathBuf> {
    // As from a script whose variable is empty: it would be the beginning of every name.
    if wanted.is_empty() {
        return Err(Error::new(Kind::Usage, "the name of the archive is empty"));
    }
    if Path::new(wanted).is_file() {
        return Ok(PathBuf::from(wanted));
    }
    // With a folder it is no name, and whether there is a repository here is of no interest.
    if wanted.contains('/') && Repository::existing(repository).is_err() {
        let text = format!("there is no archive {}", Printable(wanted));
        return Err(Error::new(Kind::NotFound, text).hint(nowhere(wanted)));
    }
    let repository = Repository::existing(repository).map_err(|error| {
        error.while_doing(format!("there is no archive \"{}\"", Printable(wanted)))
    })?;
    if let Some(rest) = wanted.strip_prefix("latest")
        && (rest.is_empty() || rest.starts_with(':'))
    {
        return latest(&repository, rest.strip_prefix(':'), observer);
    }
    let names = repository.names()?;
    if names.iter().any(|name| name == wanted) {
        return Ok(repository.archive_path(wanted));
    }
    let beginnings: Vec<&String> = names.iter().filter(|name| name.starts_with(wanted)).collect();
    match beginnings.as_slice() {
        [name] => Ok(repository.archive_path(name)),
        [] => {
            let error = Error::new(
                Kind::NotFound,
                format!("there is no archive \"{}\"", Printable(wanted)),
            );
            // Of a path that leads nowhere, the name of the file may be the one that was meant.
            let file = Path::new(wanted).file_name().and_then(|name| name.to_str());
            let typed = file.unwrap_or(wanted);
            let typed = typed.strip_suffix(".tar").unwrap_or(typed);
            let latest = std::iter::once(String::from("latest"));
            let meant = match wanted.split_once(':') {
                Some((word, database)) => {
                    nearest(word, latest).map(|word| format!("{word}:{database}"))
                }
                None => nearest(typed, names.into_iter().chain(latest)),
            };
            Err(match meant {
                Some(name) => error.hint(format!("did you mean \"{name}\"?")),
                None if wanted.contains('/') => error.hint(nowhere(wanted)),
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

/// What is wrong with a path that leads to no file.
fn nowhere(path: &str) -> &'static str {
    match Path::new(path).is_dir() {
        true => "it is a folder: name a file in it, or a repository with --repo",
        false => "there is no such file",
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

/// The newest archive of a database, and the newest that is whole.
struct Newest {
    started: DateTime<Utc>,
    name: String,
    whole: Option<(DateTime<Utc>, String)>,
}

impl Newest {
    fn place(self, repository: &Repository, observer: &dyn Observer) -> PathBuf {
        match self.whole {
            Some((_, whole)) if whole == self.name => {}
            Some((_, whole)) => observer.warn(&format!(
                "the latest archive is {}, which holds a part of its database; the latest whole one is {whole}",
                self.name
            )),
            None => observer.warn(&format!(
                "the latest archive is {}, which holds a part of its database; none is whole",
                self.name
            )),
        }
        repository.archive_path(&self.name)
    }
}

fn latest(
    repository: &Repository,
    database: Option<&str>,
    observer: &dyn Observer,
) -> Result<PathBuf> {
    let mut newest: BTreeMap<String, Newest> = BTreeMap::new();
    for name in repository.names()? {
        let Some(json) = repository.manifest(&name)? else { continue };
        let manifest = Manifest::from_json(&json)
            .map_err(|error| error.while_doing(format!("cannot read manifest {name}.json")))?;
        let whole = manifest.is_whole().then(|| (manifest.started, name.clone()));
        let this = Newest { started: manifest.started, name, whole };
        match newest.entry(manifest.source.database) {
            Entry::Vacant(place) => {
                place.insert(this);
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                known.whole = known.whole.take().max(this.whole);
                if known.started < this.started {
                    (known.started, known.name) = (this.started, this.name);
                }
            }
        }
    }
    if let Some(database) = database {
        if let Some(found) = newest.remove(database) {
            return Ok(found.place(repository, observer));
        }
        let text = format!("there is no archive of database \"{database}\" in the repository");
        let error = Error::new(Kind::NotFound, text);
        let there: Vec<String> = newest.into_keys().collect();
        return Err(match nearest(database, there.iter().cloned()) {
            Some(name) => error.hint(format!("did you mean \"latest:{name}\"?")),
            None if there.is_empty() => error,
            None => error.hint(format!("there are archives of {}", enumerate(&there))),
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
        Some(found) => Ok(found.place(repository, observer)),
        None => Err(Error::new(Kind::NotFound, "there is no archive in the repository")),
    }
}
