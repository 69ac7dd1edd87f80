//! What of an archive's files is there, what is missing, and what is newer.

use crate::error::{Error, Result};
use crate::model::name::enumerate;
use crate::ops::migrations::consolidated::Consolidated;
use crate::ops::migrations::new_tree::{self, is_below_any, is_compiled};
use crate::ops::migrations::project::AlembicProject;
use crate::store::project_files::{self, ProjectFile};
use std::collections::BTreeSet;

/// The files that are there now: all in the folders of the migrations, and what else is the
/// archive's.
pub fn present(old: &AlembicProject) -> Result<Vec<ProjectFile>> {
    let mut paths = BTreeSet::new();
    for folder in std::iter::once(&old.script_location).chain(&old.version_locations) {
        if project_files::has_folder(&old.root, folder) {
            paths.extend(project_files::list(&old.root, folder, false)?);
        }
    }
    let others = old.files.iter().map(|file| &file.path);
    paths.extend(others.filter(|path| project_files::exists(&old.root, path)).cloned());
    paths.iter().map(|path| project_files::read(&old.root, path)).collect()
}

/// The archive's files in the folders of revisions, and those that have come since: not what pgark
/// has `written` in their place.
pub fn together(
    old: &AlembicProject,
    now: &[ProjectFile],
    written: &[Consolidated<'_>],
) -> (Vec<ProjectFile>, Vec<String>) {
    let mut files = new_tree::files(old, &BTreeSet::new(), &[]);
    let mut carried = Vec::new();
    for file in now.iter().filter(|file| is_below_any(&file.path, &old.version_locations)) {
        let known = files.iter().any(|other| other.path == file.path);
        let replaced = written.iter().any(|written| written.file.path == file.path);
        if known || replaced || keeps_folder(&file.path) {
            continue;
        }
        carried.push(file.path.clone());
        files.push(file.clone());
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    (files, carried)
}

/// Whether the folders of revisions hold exactly these files already. Which bits of permission they
/// have depends on who wrote them, and Git keeps but one; a file that only keeps a folder in Git is none.
pub fn is_same(old: &AlembicProject, now: &[ProjectFile], files: &[ProjectFile]) -> bool {
    fn revealing(file: &ProjectFile) -> (&str, bool, &[u8]) {
        (&file.path, file.mode & 0o100 != 0, &file.content)
    }
    let counts = |file: &&ProjectFile| !keeps_folder(&file.path);
    let now = now.iter().filter(|file| is_below_any(&file.path, &old.version_locations));
    old.version_locations.iter().all(|folder| project_files::has_folder(&old.root, folder))
        && now.filter(counts).map(revealing).eq(files.iter().filter(counts).map(revealing))
}

fn keeps_folder(path: &str) -> bool {
    path.ends_with("/.gitkeep")
}

/// Fails where the folders of revisions no longer hold what they held.
///
/// # Errors
/// [`Refused`](crate::error::Kind::Refused), with the files.
pub fn check_revisions_unchanged(old: &AlembicProject, then: &[ProjectFile]) -> Result<()> {
    let now = present(old)?;
    let changed = |these: &[ProjectFile], those: &[ProjectFile]| {
        let inside = these.iter().filter(|file| is_below_any(&file.path, &old.version_locations));
        let changed = inside.filter(|file| !those.contains(file));
        changed.map(|file| file.path.clone()).collect::<BTreeSet<_>>()
    };
    let mut paths = changed(&now, then);
    paths.extend(changed(then, &now));
    match paths.is_empty() {
        true => Ok(()),
        false => Err(Error::refused(format!(
            "files of revisions were changed meanwhile: {}",
            enumerate(&paths.into_iter().collect::<Vec<_>>())
        ))),
    }
}

/// The archive's files outside of the folders of revisions: configuration, `env.py`, templates.
pub struct Frame {
    /// Those that are gone.
    pub missing: Vec<ProjectFile>,
    /// Paths of those that are there and say something else.
    pub different: Vec<String>,
}

/// Compares them with what is there.
pub fn frame(old: &AlembicProject, now: &[ProjectFile]) -> Frame {
    let mut frame = Frame { missing: Vec::new(), different: Vec::new() };
    let outside = |file: &&ProjectFile| {
        !is_below_any(&file.path, &old.version_locations) && !is_compiled(&file.path)
    };
    for file in old.files.iter().filter(outside) {
        match now.iter().find(|other| other.path == file.path) {
            None => frame.missing.push(file.clone()),
            Some(there) if there.content != file.content => {
                frame.different.push(file.path.clone());
            }
            Some(_) => {}
        }
    }
    frame
}
