//! Consolidated revisions, which pgark has written in the place of others, as they are found in a
//! project; and whether an archive is the one of before.

use super::new_tree;
use super::project::{self, AlembicProject, Sought};
use crate::error::{Error, Kind, Result};
use crate::model::name::enumerate;
use crate::ops::observer::Silent;
use crate::rules::alembic::revision_file;
use crate::rules::alembic::written;
use crate::store::project_files::ProjectFile;
use crate::store::repository::Repository;
use crate::store::tree_swap;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file that pgark has written in the place of others.
pub struct Consolidated<'a> {
    /// The file.
    pub file: &'a ProjectFile,
    /// Whether it is as it was written; none where its seal is gone.
    pub intact: Option<bool>,
    /// The archive that it names; none where its docstring is gone.
    pub archive: Option<String>,
    /// The revisions that it stands for, with its own.
    pub stands_for: BTreeSet<String>,
}

/// Those among the files in the folders of revisions.
pub fn find<'a>(files: &'a [ProjectFile], locations: &[String]) -> Vec<Consolidated<'a>> {
    let inside = files.iter().filter(|file| new_tree::is_below_any(&file.path, locations));
    inside.filter_map(read).collect()
}

fn read(file: &ProjectFile) -> Option<Consolidated<'_>> {
    let intact = new_tree::is_sealed(&file.content);
    let origin = std::str::from_utf8(&file.content).ok().and_then(written::origin);
    if intact.is_none() && origin.is_none() {
        return None;
    }
    let own = revision_file::read(&file.path, &file.content).ok().map(|revision| revision.id);
    let (archive, replaces) = match origin {
        Some(origin) => (Some(origin.archive), origin.replaces),
        None => (None, Vec::new()),
    };
    let stands_for = replaces.into_iter().chain(own).collect();
    Some(Consolidated { file, intact, archive, stands_for })
}

/// The archive of before the consolidation, which the project's files name or, where a run was killed
/// that may have exchanged them, its journal.
///
/// # Errors
/// Nothing does, or they name several, or it is not in the repository.
pub fn archive(sought: &Sought, folder: &Path) -> Result<PathBuf> {
    let pending = match project::root(sought) {
        Ok(Some(root)) => tree_swap::pending_archive(&root)?,
        _ => None,
    };
    let name = pending.map_or_else(|| named(sought), Ok)?;
    let repository = Repository::existing(folder)?;
    match repository.names()?.contains(&name) {
        true => Ok(repository.archive_path(&name)),
        false => Err(Error::new(
            Kind::NotFound,
            format!(
                "the project's files name the archive {name}, and it is not in {}",
                folder.display()
            ),
        )
        .hint("name its repository with --repo, or the archive's path")),
    }
}

fn named(sought: &Sought) -> Result<String> {
    const NAME_IT: &str = "name the archive; pgark list shows which there are";
    let project = project::load(sought, &Silent).map_err(|error| {
        error.while_doing("which archive is meant cannot be read").hint(NAME_IT)
    })?;
    let named: BTreeSet<String> = project
        .iter()
        .flat_map(|project| find(&project.files, &project.version_locations))
        .filter_map(|written| written.archive)
        .collect();
    let names: Vec<String> = named.into_iter().collect();
    match names.as_slice() {
        [] => Err(Error::new(
            Kind::NotFound,
            "no file of the project names the archive of before a consolidation",
        )
        .hint(NAME_IT)),
        [name] => Ok(name.clone()),
        several => Err(Error::new(
            Kind::Usage,
            format!("the project's files name several archives: {}", enumerate(several)),
        )
        .hint("name the one of the consolidation that is meant")),
    }
}

/// Fails unless the archive is one of before all that was `written`: it holds every revision that
/// the files stand for, and they are not in it themselves.
///
/// # Errors
/// [`Kind::Refused`], with the archive that is.
pub fn check_before(
    old: &AlembicProject,
    archive: &str,
    written: &[Consolidated<'_>],
) -> Result<()> {
    let ids: BTreeSet<&str> = old.revisions.iter().map(|file| file.id.as_str()).collect();
    let holds = |written: &&Consolidated<'_>| {
        old.file(&written.file.path).is_some_and(|file| file.content == written.file.content)
    };
    let instead = |written: &Consolidated<'_>| match written.archive.as_deref() {
        Some(before) => format!("the archive of before it is {before}"),
        None => String::from("name the archive of before it; pgark list shows which there are"),
    };
    for written in written.iter().filter(|written| !holds(written)) {
        let missing: Vec<String> =
            written.stands_for.iter().filter(|id| !ids.contains(id.as_str())).cloned().collect();
        if !missing.is_empty() {
            return Err(Error::refused(format!(
                "{} stands for revisions that {archive} does not hold: {}",
                written.file.path,
                enumerate(&missing)
            ))
            .hint(instead(written)));
        }
    }
    let names_it = |written: &Consolidated<'_>| written.archive.as_deref() == Some(archive);
    match written.iter().find(holds) {
        Some(same) if !written.iter().any(names_it) => Err(Error::refused(format!(
            "{archive} was taken after the consolidation: it holds {} as it is",
            same.file.path
        ))
        .hint(instead(same))),
        _ => Ok(()),
    }
}
