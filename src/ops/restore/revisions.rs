//! Rows fit the schema that they were written under: the archive's revision against those of the
//! target and of the files at hand.

use super::Options;
use super::origin::Origin;
use crate::archive::manifest::{Ledger, Manifest};
use crate::error::{Error, Kind, Result};
use crate::model::ledger::Tool;
use crate::model::name::QualifiedName;
use crate::model::provenance::Provenance;
use crate::ops::interrupt::Interrupt;
use crate::ops::migrations::project::{self, AlembicProject, Place};
use crate::ops::migrations::{ledgers, status};
use crate::ops::observer::{Observer, Silent};
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::session::{Purpose, Session};
use crate::pg::snapshot;
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
    let targets = visible(session, there)?;
    let mut stay = BTreeSet::new();
    for (archived, target) in pairs(manifest, &targets) {
        if is_same(archived, target) {
            observer.note(&format!("{} is at {} already", target.table, target.position()));
        } else {
            let both = differ(Provenance::Archive, archived, target);
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

/// Compares the archive's ledgers with those of the database that a new one is to replace. One that
/// cannot be read is what a restore is for: that is a warning.
///
/// # Errors
/// It is at another revision, unless that was allowed.
pub fn compare_replaced(
    origin: &dyn Origin,
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let (manifest, from) = (origin.manifest(), origin.provenance());
    if manifest.ledgers.is_empty() {
        return Ok(());
    }
    let targets = match of_replaced(options, interrupt) {
        Ok(targets) => targets,
        Err(error) if matches!(error.kind(), Kind::Interrupted(_)) => return Err(error),
        Err(error) => {
            observer.warn(&format!("the revision of the old database cannot be compared: {error}"));
            return Ok(());
        }
    };
    for (archived, target) in pairs(manifest, &targets) {
        match differ(from, archived, target) {
            _ if is_same(archived, target) => {}
            both if options.allow_revision_mismatch => observer.warn(&both),
            both => {
                return Err(Error::refused(both).hint(format!(
                    "go on with {TOLD} if the new database is to be at the revision of {from}; the old one is kept"
                )));
            }
        }
    }
    Ok(())
}

fn of_replaced(options: &Options, interrupt: &Interrupt) -> Result<Vec<Ledger>> {
    let mut session = interrupt.open(&options.connection, None, Purpose::Catalog)?;
    session.execute("BEGIN TRANSACTION READ ONLY")?;
    snapshot::limit_lock_waits(&mut session, options.lock_timeout)?;
    let there = catalog::tables(&mut session.client)?;
    interrupt.explain(visible(&mut session, &there))
}

/// The ledgers that the role may read.
fn visible(session: &mut Session, there: &[CatalogTable]) -> Result<Vec<Ledger>> {
    let readable = |table: &&CatalogTable| table.readable && !table.rows_hidden;
    let readable: Vec<CatalogTable> = there.iter().filter(readable).cloned().collect();
    ledgers::read(session, &readable)
}

/// Each of the archive's ledgers with the target's, where that one says anything.
fn pairs<'a>(manifest: &'a Manifest, targets: &'a [Ledger]) -> Vec<(&'a Ledger, &'a Ledger)> {
    let both = |archived: &'a Ledger| Some((archived, counterpart(archived, manifest, targets)?));
    let says = |(_, target): &(&Ledger, &Ledger)| {
        !target.revisions.is_empty() || !target.unfinished.is_empty()
    };
    manifest.ledgers.iter().filter_map(both).filter(says).collect()
}

fn is_same(archived: &Ledger, target: &Ledger) -> bool {
    let set = |ledger: &Ledger| ledger.revisions.iter().cloned().collect::<BTreeSet<_>>();
    set(archived) == set(target) && archived.unfinished == target.unfinished
}

fn differ(from: Provenance, archived: &Ledger, target: &Ledger) -> String {
    format!(
        "{from} is at revision {}, and the target at {} ({})",
        archived.position(),
        target.position(),
        target.table
    )
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

/// Compares the archive's revision with the files of the project that was named or found. Files that
/// happen to be in the current folder are warned of alone: an archive that is older than the code is
/// what people restore in an emergency, and it brings its own ledger.
///
/// # Errors
/// Files that were named are at another revision, unless that was allowed.
pub fn check_files(manifest: &Manifest, options: &Options, observer: &dyn Observer) -> Result<()> {
    let is_alembic = |ledger: &&Ledger| ledger.tool == Tool::Alembic.name();
    if !manifest.ledgers.iter().any(|ledger| is_alembic(&ledger)) {
        return Ok(());
    }
    let found_by_chance = matches!(options.migrations.place, Place::Find);
    let graph = match project::load_settled(&options.migrations, &Silent) {
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
    let sought = &options.migrations;
    let agreed = status::check_agreement(&graph, &manifest.ledgers, "the archive");
    match agreed.map_err(|error| sought.in_section(error)) {
        Err(error) if found_by_chance || options.allow_revision_mismatch => {
            let next = error.next_step().map(|next| format!("; {next}")).unwrap_or_default();
            observer.warn(&format!("{error}{next}"));
            Ok(())
        }
        Err(error) => Err(sought.in_section(Error::refused(error.to_string()).hint(format!(
            "check out the code of the archive (`pgark extract ARCHIVE --migrations` gives it back), or restore with {TOLD} and run `alembic upgrade head` afterwards; --no-migrations does not look at files"
        )))),
        Ok(()) => Ok(()),
    }
}
