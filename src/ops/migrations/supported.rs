//! Projects that no consolidation can be proved for, whatever their database says.

use super::project::AlembicProject;
use crate::error::{Error, Result};
use crate::model::name::enumerate;
use crate::rules::python::Source;

/// What Alembic reads as words of its own, in the version table, too.
const WORDS: [&str; 3] = ["base", "head", "heads"];

/// Fails for revisions whose ids are Alembic's own words, and for those that are run once for each of
/// several databases: of all these, only one could be a scratch database.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused), with the files.
pub fn check(project: &AlembicProject) -> Result<()> {
    let named: Vec<String> = project
        .revisions
        .iter()
        .filter(|revision| WORDS.contains(&revision.id.as_str()))
        .map(|revision| format!("{} ({})", revision.id, revision.path))
        .collect();
    if !named.is_empty() {
        return Err(Error::refused(format!(
            "Alembic takes these ids of revisions for words of its own: {}",
            enumerate(&named)
        ))
        .hint("give these revisions other ids, in the files and in the version tables of all databases"));
    }
    let takes = |path: &&String| {
        let source = project.file(path).and_then(|file| Source::read(&file.content).ok());
        source.is_some_and(|source| source.takes_arguments("upgrade"))
    };
    // Alembic's template for several databases makes files that cannot be read for certain.
    let readable = project.revisions.iter().map(|revision| &revision.path);
    let mut paths = readable.chain(project.unreadable.iter().map(|file| &file.path));
    paths.find(takes).map_or(Ok(()), |path| {
        Err(Error::refused(format!(
            "upgrade() of {path} takes an argument: env.py runs each revision for several databases, and pgark proves one"
        ))
        .hint("nothing was run; such projects are archived as they are, and not consolidated"))
    })
}
