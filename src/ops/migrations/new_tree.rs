//! The folders of a project with other revisions in them.

use super::project::AlembicProject;
use crate::archive::hashing;
use crate::error::{Error, Result};
use crate::rules::alembic::{override_ini, written};
use crate::store::project_files::ProjectFile;
use crate::store::tree_swap::NewTree;
use std::collections::{BTreeMap, BTreeSet};

/// A revision that is to be written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Path relative to the project.
    pub path: String,
    /// The file whose mode it gets.
    pub like: String,
    /// Its text, without seal.
    pub text: String,
}

/// What the folders of revisions are to hold: what they hold now, without the files `without`, and
/// with what was written.
pub fn files(
    project: &AlembicProject,
    without: &BTreeSet<String>,
    written: &[Written],
) -> Vec<ProjectFile> {
    let locations = &project.version_locations;
    let mut files: BTreeMap<String, ProjectFile> = BTreeMap::new();
    for file in project.files.iter().filter(|file| is_below_any(&file.path, locations)) {
        if !without.contains(&file.path) && !is_compiled(&file.path) {
            files.insert(file.path.clone(), file.clone());
        }
    }
    for new in written {
        let mode = project.file(&new.like).map_or(0o644, |file| file.mode);
        let hash = hash(&with_newline(&new.text));
        let sealed = written::sealed(&new.text, &hash);
        let file = ProjectFile { path: new.path.clone(), mode, content: sealed.into_bytes() };
        files.insert(new.path.clone(), file);
    }
    for folder in locations {
        if !files.keys().any(|path| is_below(path, folder)) {
            // Git keeps no empty folders, and Alembic is silent about one that is missing.
            let path = format!("{folder}/.gitkeep");
            files.insert(path.clone(), ProjectFile { path, mode: 0o644, content: Vec::new() });
        }
    }
    files.into_values().collect()
}

fn with_newline(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// Whether pgark has written a file, and nobody has changed it since; none if pgark has not.
pub fn is_sealed(content: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(content).ok()?;
    written::seal(text).map(|(above, said)| hash(above) == said)
}

fn hash(text: &str) -> String {
    hashing::sha256(written::with_line_feeds(text).as_bytes())
}

/// What to exchange so that the folders of revisions hold `files`: the one folder that they all lie
/// in, or else each of them.
///
/// # Errors
/// Revisions that lie in the project's folder itself, which cannot be exchanged as a whole.
pub fn swaps(
    project: &AlembicProject,
    files: &[ProjectFile],
    parked: &str,
    companion: Option<(String, String, u32)>,
) -> Result<Vec<NewTree>> {
    let folders = exchanged(project);
    check_exchange(project)?;
    let several = folders.len() > 1;
    let tree = |(number, folder): (usize, &String)| {
        let kept = project.files.iter().filter(|file| {
            is_below(&file.path, folder)
                && !is_compiled(&file.path)
                && !is_below_any(&file.path, &project.version_locations)
        });
        let new = files.iter().filter(|file| is_below(&file.path, folder));
        NewTree {
            folder: folder.clone(),
            files: kept.chain(new).cloned().collect(),
            parked: if several { format!("{parked}/{folder}") } else { parked.to_owned() },
            companion: companion.clone().filter(|_| number == 0),
        }
    };
    Ok(folders.iter().enumerate().map(tree).collect())
}

/// Fails where the revisions' folders cannot be exchanged.
///
/// # Errors
/// Revisions that lie in the project's folder itself.
pub fn check_exchange(project: &AlembicProject) -> Result<()> {
    if exchanged(project).iter().any(String::is_empty) {
        return Err(Error::refused(
            "the revisions lie in the project's own folder, which cannot be exchanged as a whole",
        )
        .hint("move them into a folder of their own, and set version_locations"));
    }
    Ok(())
}

/// Where a file of the folders that are exchanged lies when they are parked.
pub fn parked_path(project: &AlembicProject, parked: &str, path: &str) -> String {
    match exchanged(project).as_slice() {
        [folder] => format!("{parked}{}", &path[folder.len()..]),
        _ => format!("{parked}/{path}"),
    }
}

/// The folders to exchange: the one that holds all revisions, if nothing but the project's migrations
/// can lie in it; exchanging one is a single step. Else each folder of revisions.
pub fn exchanged(project: &AlembicProject) -> Vec<String> {
    let locations = &project.version_locations;
    match common_folder(locations) {
        Some(folder)
            if locations.contains(&folder)
                || !folder.is_empty() && is_below(&folder, &project.script_location) =>
        {
            vec![folder]
        }
        _ => locations.clone(),
    }
}

/// The deepest folder that holds all of them.
fn common_folder(folders: &[String]) -> Option<String> {
    let mut common: Vec<&str> = folders.first()?.split('/').collect();
    for folder in folders {
        let parts: Vec<&str> = folder.split('/').collect();
        let same = common.iter().zip(&parts).take_while(|(one, other)| one == other).count();
        common.truncate(same);
    }
    Some(common.join("/"))
}

/// Where the old folders go: beside the revisions, where Alembic does not look.
pub fn parking_place(project: &AlembicProject, wanted: Option<&str>, name: &str) -> String {
    if let Some(wanted) = wanted {
        let parts: Vec<&str> = wanted.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        return parts.join("/");
    }
    let inside = match project.script_location.as_str() {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    match is_below_any(&inside, &project.version_locations) {
        false => inside,
        true => format!("{}-{name}", project.script_location.replace('/', "-")),
    }
}

/// The ini file in the parked folder, or in the first of several, by which Alembic finds the old
/// revisions: its path in the project, and the file's name, text and mode. The text may hold a password,
/// so the mode is that of the project's ini file.
pub fn legacy_ini(
    project: &AlembicProject,
    section: &str,
    parked: &str,
) -> (String, (String, String, u32)) {
    let folders = exchanged(project);
    let inside = parked_path(project, parked, folders.first().map_or("", String::as_str));
    let above = vec![".."; inside.split('/').count()].join("/");
    let ini = project.config_file.as_deref().and_then(|name| project.file(name));
    let ini = ini.filter(|file| !file.path.ends_with(".toml"));
    let mode = ini.map_or(0o644, |file| file.mode & 0o777);
    let ini = ini.and_then(|file| std::str::from_utf8(&file.content).ok());
    let places: Vec<String> = project
        .version_locations
        .iter()
        .map(|place| {
            let place = parked_path(project, parked, place);
            if place == inside {
                return String::from("%(here)s");
            }
            match is_below(&place, &inside) {
                true => format!("%(here)s{}", &place[inside.len()..]),
                false => format!("%(here)s/{above}/{place}"),
            }
        })
        .collect();
    let scripts = format!("%(here)s/{above}/{}", project.script_location);
    let mut values = vec![("script_location", scripts)];
    values.extend(override_ini::locations(ini, section, &places));
    let here = format!("%(here)s/{above}");
    let name = String::from("alembic.ini");
    let text = override_ini::with(ini, section, Some(&here), &values);
    (format!("{inside}/{name}"), (name, text, mode))
}

/// Whether Python has made a file out of another: with `sourceless`, that of a revision which is gone
/// would come back to life.
pub fn is_compiled(path: &str) -> bool {
    path.ends_with(".pyc") || path.ends_with(".pyo")
}

/// Whether a path lies in one of the folders.
pub fn is_below_any(path: &str, folders: &[String]) -> bool {
    folders.iter().any(|folder| is_below(path, folder))
}

/// Whether a path lies in a folder, or is it.
pub fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_is_of_whole_names() {
        let of = |folders: &[&str]| {
            common_folder(&folders.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["m/versions"]).as_deref(), Some("m/versions"));
        assert_eq!(of(&["m/v1", "m/v2/x"]).as_deref(), Some("m"));
        assert_eq!(of(&["ab", "ac"]).as_deref(), Some(""));
    }
}
