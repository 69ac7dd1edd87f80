//! The migration project as an archive holds it.

use super::project::AlembicProject;
use crate::archive::manifest::{Ledger, MigrationBundle};
use crate::archive::reader::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::model::ledger::Tool;
use crate::model::name::QualifiedName;
use crate::rules::alembic::revision_file::{self, RevisionFile, Unreadable};
use crate::store::project_files::ProjectFile;
use std::path::Path;

/// The project, with `root` as the folder that it belongs into. Its revisions are the Python files
/// of its version locations.
///
/// # Errors
/// [`Kind::NotFound`] when the archive holds none; damage.
pub fn project(reader: &ArchiveReader, root: &Path) -> Result<AlembicProject> {
    let bundle: &MigrationBundle = reader.manifest().migrations.as_ref().ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("{} holds no migration project", reader.path().display()),
        )
        .hint("name the archive that pgark migrations consolidate has written")
    })?;
    let mut files = Vec::new();
    for file in &bundle.files {
        let content = reader.file(&format!("migrations/{}", file.path))?;
        files.push(ProjectFile { path: file.path.clone(), mode: file.mode, content });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let (revisions, unreadable) = revisions(&files, &bundle.version_locations);
    Ok(AlembicProject {
        root: root.to_owned(),
        config_file: bundle.config.clone(),
        script_location: bundle.script_location.clone().unwrap_or_default(),
        version_locations: bundle.version_locations.clone(),
        files,
        revisions,
        unreadable,
    })
}

/// The revisions among files, by what they say.
pub fn revisions(
    files: &[ProjectFile],
    locations: &[String],
) -> (Vec<RevisionFile>, Vec<Unreadable>) {
    let (mut revisions, mut unreadable) = (Vec::new(), Vec::new());
    for file in files {
        let inside = super::new_tree::is_below_any(&file.path, locations);
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if !inside || !revision_file::is_revision_file(name, false) {
            continue;
        }
        match revision_file::read(&file.path, &file.content) {
            Ok(revision) => revisions.push(revision),
            Err(problem) => unreadable.push(problem),
        }
    }
    (revisions, unreadable)
}

/// What the archive says of a version table of its database.
pub fn ledger<'a>(reader: &'a ArchiveReader, table: &QualifiedName) -> Option<&'a Ledger> {
    let ledgers = &reader.manifest().ledgers;
    ledgers.iter().find(|ledger| ledger.tool == Tool::Alembic.name() && ledger.table == *table)
}
