//! The migration project's files and the state of its ledger go into the archive.

use crate::archive::manifest::{Ledger, Member, MigrationBundle, MigrationFile};
use crate::archive::writer::ArchiveWriter;
use crate::error::Result;
use crate::ops::migrations::project::AlembicProject;
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::session::Session;
use std::collections::BTreeSet;
use std::io::Write;

/// Writes the files into the archive, with their modes.
pub fn append<W: Write>(
    project: Option<AlembicProject>,
    archive: &mut ArchiveWriter<W>,
    members: &mut Vec<Member>,
) -> Result<Option<MigrationBundle>> {
    let Some(project) = project else { return Ok(None) };
    let mut bundle = MigrationBundle {
        tool: String::from("alembic"),
        config: project.config_file,
        script_location: Some(project.script_location),
        version_locations: project.version_locations,
        files: Vec::new(),
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

/// The ledgers that the role can see, with their rows.
pub fn ledgers(session: &mut Session, tables: &[CatalogTable]) -> Result<Vec<Ledger>> {
    let readable: BTreeSet<_> =
        tables.iter().filter(|t| t.readable && !t.rows_hidden).map(|t| t.name.clone()).collect();
    let mut ledgers = Vec::new();
    for table in catalog::alembic_ledgers(&mut session.client)? {
        if readable.contains(&table) {
            let revisions = catalog::alembic_revisions(&mut session.client, &table)?;
            ledgers.push(Ledger { tool: String::from("alembic"), table, revisions });
        }
    }
    Ok(ledgers)
}
