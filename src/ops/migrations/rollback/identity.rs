//! Identity of archive and project: the folder that an archive's files belong into, and whether the
//! project there is the one that it was made of.

use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::ops::migrations::archived;
use crate::ops::migrations::consolidated::Consolidated;
use crate::ops::migrations::project::{AlembicProject, Place, Sought};
use crate::rules::alembic::revision_file::RevisionFile;
use crate::store::project_files::{self, ProjectFile};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const REMEDY: &str = "name an archive of this project, or the folder of the archive's with --migrations DIR; pgark extract ARCHIVE --migrations -o FOLDER gives all its files into a new one";

/// The project's folder: where its configuration is or, if that is gone, its migrations.
///
/// # Errors
/// [`Kind::NotFound`] when nothing of it is there.
pub fn root(sought: &Sought, reader: &ArchiveReader) -> Result<PathBuf> {
    let bundle = reader.manifest().migrations.as_ref();
    let config = bundle.and_then(|bundle| bundle.config.as_deref());
    let named = match &sought.place {
        Place::In(path) if path.is_file() || path.file_name() == config.map(OsStr::new) => {
            path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
        }
        Place::In(path) => path.clone(),
        _ => PathBuf::from("."),
    };
    let candidates = [named.clone(), named.join("..")];
    let with_config = |folder: &&PathBuf| match config {
        Some(config) => project_files::has_file(folder, config),
        None => folder.is_dir(),
    };
    let with_folders = |root: &&PathBuf| {
        let folders =
            bundle.iter().flat_map(|b| b.script_location.iter().chain(&b.version_locations));
        folders.filter(|folder| !folder.is_empty()).any(|f| project_files::has_folder(root, f))
    };
    let found = candidates.iter().find(with_config).or(candidates.iter().find(with_folders));
    found.cloned().ok_or_else(|| {
        let wanted = config.unwrap_or("migrations");
        Error::new(
            Kind::NotFound,
            format!(
                "{} is not the folder of the archive's project: it has no {wanted}",
                named.display()
            ),
        )
        .hint(REMEDY)
    })
}

/// Fails unless the archive was made of the project whose files are there `now`. Names of files say
/// nothing, and neither do short ids, which people give by hand: a revision file must be the same, or
/// an id that Alembic has drawn, or what pgark has written names the archive. Where no revision is
/// left, the configuration must be the same or, if that is gone too, `env.py`.
///
/// # Errors
/// [`Kind::Refused`], with both.
pub fn check(
    old: &AlembicProject,
    archive: &str,
    now: &[ProjectFile],
    written: &[Consolidated<'_>],
) -> Result<()> {
    let (ours, _) = archived::revisions(now, &old.version_locations);
    let there = |path: &str| now.iter().find(|file| file.path == path);
    let is_same = |path: &str| {
        there(path).zip(old.file(path)).is_some_and(|(now, then)| now.content == then.content)
    };
    let drawn = |id: &str| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let own = ours.iter().map(|revision| &revision.id);
    let stood_for = written.iter().flat_map(|written| &written.stands_for);
    let known: BTreeSet<&str> = own.chain(stood_for).map(String::as_str).collect();
    let env = match old.script_location.as_str() {
        "" => String::from("env.py"),
        folder => format!("{folder}/env.py"),
    };
    let config = old.config_file.as_deref();
    let is_ours = match ours.is_empty() {
        true => config.map_or(is_same(&env), |config| {
            is_same(config) || there(config).is_none() && is_same(&env)
        }),
        false => old
            .revisions
            .iter()
            .any(|file| is_same(&file.path) || drawn(&file.id) && known.contains(file.id.as_str())),
    };
    if is_ours || written.iter().any(|written| written.archive.as_deref() == Some(archive)) {
        return Ok(());
    }
    let ids = |files: &[RevisionFile]| {
        let ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        match ids.len() {
            0 => String::from("no revision"),
            1..=3 => ids.join(", "),
            more => format!("{} and {} more", ids[..3].join(", "), more - 3),
        }
    };
    Err(Error::refused(format!(
        "{archive} is not an archive of the project in {}: it holds {}, and the project {}, and no file is the same",
        std::path::absolute(&old.root).unwrap_or_else(|_| old.root.clone()).display(),
        ids(&old.revisions),
        ids(&ours)
    ))
    .hint(REMEDY))
}
