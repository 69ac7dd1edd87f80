//! The migration project's files and the state of its ledger go into the archive.

use crate::archive::manifest::{Ledger, Member, MigrationBundle, MigrationFile, RevisionEntry};
use crate::archive::writer::ArchiveWriter;
use crate::error::{Error, Kind, Result};
use crate::ops::migrations::project::{self, AlembicProject, Sought};
use crate::ops::migrations::{ledgers, status};
use crate::ops::observer::Observer;
use crate::pg::catalog::CatalogTable;
use crate::pg::session::Session;
use std::io::Write;

/// The project whose files go into the archive. Where a run that was killed has left them between old
/// and new, a backup of the rows is worth more than none, unless the files are `required`.
pub fn project(
    sought: &Sought,
    required: bool,
    observer: &dyn Observer,
) -> Result<Option<AlembicProject>> {
    let project = project::load(sought, observer)?;
    let settled = project.as_ref().map_or(Ok(()), |project| project::check_settled(&project.root));
    match settled {
        Err(error) if required => Err(error.while_doing("nothing was backed up")),
        Err(error) => {
            let next = error.next_step().unwrap_or_default();
            observer
                .warn(&format!("{error}; the archive holds all of them as they lie there; {next}"));
            Ok(project)
        }
        Ok(()) => Ok(project),
    }
}

/// Writes the files into the archive, with their modes.
pub fn append<W: Write>(
    project: Option<AlembicProject>,
    archive: &mut ArchiveWriter<W>,
    members: &mut Vec<Member>,
) -> Result<Option<MigrationBundle>> {
    let Some(project) = project else { return Ok(None) };
    let revisions = entries(&project);
    let mut bundle = MigrationBundle {
        tool: String::from("alembic"),
        config: project.config_file,
        script_location: Some(project.script_location),
        version_locations: project.version_locations,
        files: Vec::new(),
        revisions,
    };
    for file in project.files {
        let name = format!("migrations/{}", file.path);
        let member = archive.add_with_mode(&name, &file.content, file.mode)?;
        bundle.files.push(MigrationFile {
            path: file.path,
            mode: file.mode,
            size: member.size,
            sha256: member.sha256.clone(),
        });
        members.push(member);
    }
    Ok(Some(bundle))
}

/// The revision graph, file by file.
fn entries(project: &AlembicProject) -> Vec<RevisionEntry> {
    let read = project.revisions.iter().map(|file| RevisionEntry {
        path: file.path.clone(),
        id: Some(file.id.clone()),
        down: file.down.clone(),
        branch_labels: file.branch_labels.clone(),
        depends_on: file.depends_on.clone(),
        cannot_tell: None,
    });
    let unread = project.unreadable.iter().map(|file| RevisionEntry {
        path: file.path.clone(),
        cannot_tell: Some(file.problem.to_string()),
        ..RevisionEntry::default()
    });
    let mut entries: Vec<RevisionEntry> = read.chain(unread).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// The ledgers that the role can see, with what they say.
pub fn ledgers(session: &mut Session, tables: &[CatalogTable]) -> Result<Vec<Ledger>> {
    let visible = |table: &&CatalogTable| table.readable && !table.rows_hidden;
    let tables: Vec<CatalogTable> = tables.iter().filter(visible).cloned().collect();
    ledgers::read(session, &tables)
}

/// Fails unless files and database agree. No project is an error only if one is `required`.
///
/// # Errors
/// No project, files that cannot be understood, a database that has applied anything else.
pub fn agreement(
    project: Option<&AlembicProject>,
    ledgers: &[Ledger],
    sought: &Sought,
    required: bool,
) -> Result<()> {
    match project {
        Some(project) => status::check_agreement(&project.graph()?, ledgers, "the database")
            .map_err(|error| sought.in_section(error)),
        None if required => Err(Error::new(Kind::NotFound, "no migration project was found")
            .hint("name its folder with --migrations DIR, or leave --require-migrations out")),
        None => Ok(()),
    }
}

/// The same before a backup: a warning if agreement is not `required`.
pub fn check(
    project: Option<&AlembicProject>,
    ledgers: &[Ledger],
    sought: &Sought,
    required: bool,
    observer: &dyn Observer,
) -> Result<()> {
    match agreement(project, ledgers, sought, required) {
        Err(error) if required => Err(error.while_doing("nothing was backed up")),
        Err(error) => {
            observer.warn(&format!(
                "files and database do not agree, which the backup goes on with: {error}"
            ));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
