//! Rows fit the schema that they were written under: the archive's revision against those of the
//! target and of the files at hand.

use super::Options;
use crate::archive::manifest::{Ledger, Manifest};
use crate::error::{Error, Result};
use crate::model::ledger::Tool;
use crate::model::name::QualifiedName;
use crate::ops::migrations::project::{self, AlembicProject, Place};
use crate::ops::migrations::{ledgers, status};
use crate::ops::observer::{Observer, Silent};
use crate::pg::catalog::CatalogTable;
use crate::pg::session::Session;
use std::collections::BTreeSet;

const TOLD: &str = "--allow-revision-mismatch";

/// Compares the archive's ledgers with those of the target, and gives the tables whose rows stay as
/// they are: a ledger says what schema is there, which a data-only restore does not change. One that
/// is empty says nothing, and takes the archive's rows.
///
/// # Errors
/// The target is at another revision, unless that was allowed.
pub fn compare(
    session: &mut Session,
    manifest: &Manifest,
    there: &[CatalogTable],
    options: &Options,
    observer: &dyn Observer,
) -> Result<BTreeSet<QualifiedName>> {
    let readable = |table: &&CatalogTable| table.readable && !table.rows_hidden;
    let readable: Vec<CatalogTable> = there.iter().filter(readable).cloned().collect();
    let targets = ledgers::read(session, &readable)?;
    let mut stay = BTreeSet::new();
    for archived in &manifest.ledgers {
        let Some(target) = counterpart(archived, manifest, &targets) else { continue };
        let is_same = |a: &Ledger, b: &Ledger| {
            let sorted =
                |ledger: &Ledger| ledger.revisions.iter().cloned().collect::<BTreeSet<_>>();
            sorted(a) == sorted(b) && a.unfinished == b.unfinished
        };
        if target.revisions.is_empty() && target.unfinished.is_empty() {
            continue;
        }
        if is_same(archived, target) {
            observer.note(&format!("{} is at {} already", target.table, target.position()));
        } else {
            let both = format!(
                "the archive is at revision {}, and the target at {} ({})",
                archived.position(),
                target.position(),
                target.table
            );
            if !options.allow_revision_mismatch {
                return Err(Error::refused(both).hint(format!(
                    "bring the target to the archive's revision; or load rows that fit with {TOLD}, which leaves {} as it is",
                    target.table
                )));
            }
            observer.warn(&format!("{both}; {} stays as it is", target.table));
        }
        stay.extend([target.table.clone(), archived.table.clone()]);
    }
    Ok(stay)
}

/// The target's ledger of the same table; where Alembic has one table in each, whatever their names.
fn counterpart<'a>(
    archived: &Ledger,
    manifest: &Manifest,
    targets: &'a [Ledger],
) -> Option<&'a Ledger> {
    let same_tool = |ledger: &&Ledger| ledger.tool == archived.tool;
    let by_name = targets.iter().filter(same_tool).find(|ledger| ledger.table == archived.table);
    by_name.or_else(|| {
        let mut others = targets.iter().filter(same_tool);
        let only_one = manifest.ledgers.iter().filter(same_tool).count() == 1;
        let other = others.next().filter(|_| only_one && archived.tool == Tool::Alembic.name())?;
        others.next().is_none().then_some(other)
    })
}

/// Compares the archive's revision with the files of the project that was named or found.
///
/// # Errors
/// They are at another revision, unless that was allowed.
pub fn check_files(manifest: &Manifest, options: &Options, observer: &dyn Observer) -> Result<()> {
    let is_alembic = |ledger: &&Ledger| ledger.tool == Tool::Alembic.name();
    if !manifest.ledgers.iter().any(|ledger| is_alembic(&ledger)) {
        return Ok(());
    }
    let found_by_chance = matches!(options.migrations.place, Place::Find);
    let graph = match project::load(&options.migrations, &Silent) {
        Ok(None) => return Ok(()),
        Ok(Some(project)) => AlembicProject::graph(&project),
        Err(error) => Err(error),
    };
    let graph = match graph {
        Ok(graph) => graph,
        Err(error) if found_by_chance || options.allow_revision_mismatch => {
            observer.warn(&format!("the files' revision cannot be compared: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    match status::check_agreement(&graph, &manifest.ledgers, "the archive") {
        Err(error) if options.allow_revision_mismatch => {
            observer.warn(&error.to_string());
            Ok(())
        }
        Err(error) => Err(Error::refused(error.to_string()).hint(format!(
            "check out the code of the archive (`pgark extract ARCHIVE --migrations` gives it back), or restore with {TOLD} and run `alembic upgrade head` afterwards; --no-migrations does not look at files"
        ))),
        Ok(()) => Ok(()),
    }
}
