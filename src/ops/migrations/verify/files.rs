//! The checks of files, and of the version table against them.

use super::{List, NOT_REACHED, Options};
use crate::archive::hashing;
use crate::archive::reader::ArchiveReader;
use crate::error::Result;
use crate::model::name::shown;
use crate::ops::migrations::consolidated::{self, Consolidated};
use crate::ops::migrations::project::AlembicProject;
use crate::ops::migrations::{archived, gate, new_tree};
use crate::pg::catalog;
use crate::pg::session::Session;
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::revision_file;
use std::collections::BTreeSet;

const NOT_KNOWN: &str = "what the migration files say is not known";

/// Fails unless the archive is the one of before the consolidation.
pub fn check_before(project: &AlembicProject, old: &AlembicProject, archive: &str) -> Result<()> {
    let written = consolidated::find(&project.files, &project.version_locations);
    consolidated::check_before(old, archive, &written)
}

/// Compares the project's files with the archive's, where these can be read.
pub fn check(list: &mut List<'_>, project: Option<&AlembicProject>, old: Option<&AlembicProject>) {
    let Some(project) = project else {
        for name in ["written", "revisions", "hashes"] {
            list.add(name, vec![String::from(NOT_KNOWN)]);
        }
        return;
    };
    let written = consolidated::find(&project.files, &project.version_locations);
    let mut changed = not_as_written(&written);
    changed.extend(old.iter().flat_map(|old| of_others(project, old, &written)));
    list.add("written", changed);
    let Some(old) = old else {
        for name in ["revisions", "hashes"] {
            list.add(name, vec![String::from("what the archive's files say is not known")]);
        }
        return;
    };
    list.add("revisions", lost(project, old, &written));
    list.add("hashes", different(project, old));
}

/// What pgark has written and somebody has changed.
fn not_as_written(written: &[Consolidated<'_>]) -> Vec<String> {
    let changed = written.iter().filter(|written| written.intact == Some(false));
    changed
        .map(|written| format!("{} was changed after it was written", written.file.path))
        .collect()
}

/// What has the id of one of the archive's revisions without being its file or bearing a seal.
fn of_others(
    project: &AlembicProject,
    old: &AlembicProject,
    written: &[Consolidated<'_>],
) -> Vec<String> {
    let content = |of: &AlembicProject, path: &str| of.file(path).map(|file| file.content.clone());
    let mut findings = Vec::new();
    for now in &project.revisions {
        let Some(then) = old.revisions.iter().find(|then| then.id == now.id) else { continue };
        let sealed = written.iter().any(|w| w.file.path == now.path && w.intact.is_some());
        if !sealed && content(project, &now.path) != content(old, &then.path) {
            findings.push(format!(
                "{} is revision {}, and neither the archive's file nor under pgark's seal",
                now.path, now.id
            ));
        }
    }
    findings
}

/// Revisions of the archive that are neither there nor stood for.
fn lost(
    project: &AlembicProject,
    old: &AlembicProject,
    written: &[Consolidated<'_>],
) -> Vec<String> {
    let intact = written.iter().filter(|written| written.intact == Some(true));
    let there: BTreeSet<&String> = intact
        .flat_map(|written| &written.stands_for)
        .chain(project.revisions.iter().map(|revision| &revision.id))
        .collect();
    let lost = old.revisions.iter().filter(|file| !there.contains(&file.id));
    lost.map(|file| format!("{} is nowhere", file.id)).collect()
}

/// Files other than revisions that are not what they are in the archive.
fn different(project: &AlembicProject, old: &AlembicProject) -> Vec<String> {
    let mut different = Vec::new();
    for file in old.files.iter().filter(|file| !new_tree::is_compiled(&file.path)) {
        let is_revision = old.revisions.iter().any(|revision| revision.path == file.path)
            || revision_file::is_revision_file(&file.path, false)
                && new_tree::is_below_any(&file.path, &old.version_locations);
        match project.file(&file.path) {
            Some(now) if now.content == file.content => {}
            Some(now) if is_revision && new_tree::is_sealed(&now.content).is_some() => {}
            Some(now) => different.push(format!(
                "{} has SHA-256 {}, and {} in the archive{}",
                file.path,
                hashing::sha256(&now.content),
                hashing::sha256(&file.content),
                match without_returns(&now.content) == without_returns(&file.content) {
                    true => ": its lines end in another way, as Git can make them",
                    false => "",
                }
            )),
            None if is_revision => {}
            None => different.push(format!("{} is gone", file.path)),
        }
    }
    different
}

fn without_returns(content: &[u8]) -> Vec<u8> {
    content.iter().copied().filter(|byte| *byte != b'\r').collect()
}

/// Compares the version table with what it said, and with the files.
///
/// # Errors
/// An interruption.
pub fn check_version(
    list: &mut List<'_>,
    options: &Options,
    reader: &ArchiveReader,
    graph: Option<&Graph>,
    session: Option<&mut Session>,
) -> Result<()> {
    let Some(session) = session else {
        for name in ["version", "head"] {
            list.add(name, vec![String::from(NOT_REACHED)]);
        }
        return Ok(());
    };
    let found = gate::version_table(session, options.version_table.as_deref())
        .and_then(|table| Ok((catalog::alembic_revisions(&mut session.client, &table)?, table)));
    let (rows, table) = match found {
        Ok(found) => found,
        Err(error) => {
            for name in ["version", "head"] {
                list.add(name, vec![list.told(&error)]);
            }
            return Ok(());
        }
    };
    let before = archived::ledger(reader, &table);
    let before = before.map(|ledger| ledger.revisions.clone()).unwrap_or_default();
    let differs =
        (rows != before).then(|| format!("it says {}, and said {}", shown(&rows), shown(&before)));
    list.add("version", differs.into_iter().collect());
    match graph {
        None => list.add("head", vec![String::from(NOT_KNOWN)]),
        Some(graph) => {
            let database = session.facts.database.clone();
            list.result("head", gate::check_at_head(graph, &rows, &database))?;
        }
    }
    Ok(())
}
