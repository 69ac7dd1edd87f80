//! Some revisions stay, and the others fold forward into them.

use super::baseline::{Folders, differs, holder, rights_that_differ};
use super::varying::{self, Side};
use super::{Proved, Work};
use crate::error::{Error, Kind, Result};
use crate::model::name::enumerate;
use crate::ops::migrations::gate::Behind;
use crate::ops::migrations::new_tree::Written;
use crate::ops::migrations::proof::{self, Bench, Compared};
use crate::ops::migrations::reach::Reach;
use crate::rules::alembic::baseline;
use crate::rules::alembic::fold::{self, Kept};
use crate::rules::alembic::graph::{Graph, Lookup};
use crate::rules::alembic::revision_file::RevisionFile;
use crate::rules::alembic::written::Header;
use crate::rules::python::Source;
use std::collections::BTreeSet;

/// What stays and what folds into it.
///
/// # Errors
/// An unknown revision; [`Kind::Refused`] for a set that would break a database or the graph, with
/// the nearest one that does not.
pub(super) fn plan(graph: &Graph, keep: &[String], behind: &[Behind]) -> Result<Vec<Kept>> {
    let mut ids = BTreeSet::new();
    for wanted in keep {
        let id = graph.find(wanted).map_err(|problem| match problem {
            Lookup::Unknown => Error::new(Kind::NotFound, format!("there is no revision {wanted}")),
            Lookup::Ambiguous(ids) => Error::new(
                Kind::Usage,
                format!("several revisions begin with {wanted}: {}", enumerate(&ids)),
            ),
        })?;
        ids.insert(id.to_owned());
    }
    let mut needed = Vec::new();
    for database in behind {
        for revision in &database.revisions {
            if graph.get(revision).is_some() {
                needed.push((revision.clone(), format!("{} stands there", database.database)));
            }
        }
    }
    let kept = fold::plan(graph, &ids, &needed).map_err(|unsound| {
        let reasons: Vec<String> =
            unsound.missing.iter().map(|(id, reason)| format!("{id} ({reason})")).collect();
        Error::refused(format!("these revisions must stay too: {}", enumerate(&reasons)))
            .hint(format!("the nearest set is --keep {}", unsound.nearest.join(",")))
    })?;
    if kept.iter().all(|kept| kept.folds.is_empty()) {
        return Err(Error::refused("all revisions are kept: there is nothing to consolidate"));
    }
    Ok(kept)
}

/// Writes the revisions into which others fold, and proves at each revision that stays that old and
/// new build the same up to there.
pub(super) fn prove(work: &mut Work<'_>, bench: &mut Bench<'_>, old: Reach) -> Result<Proved> {
    let fold = work.fold.to_vec();
    let changed: Vec<&Kept> = fold.iter().filter(|kept| !kept.folds.is_empty()).collect();
    let written: Vec<Written> =
        changed.iter().map(|kept| revision(work, kept)).collect::<Result<_>>()?;
    let replaced: Vec<String> = changed.iter().flat_map(|kept| kept.folds.clone()).collect();
    let path_of = |id: &String| work.graph.get(id).map(|file| file.path.clone());
    let gone: BTreeSet<String> = replaced.iter().filter_map(path_of).collect();

    bench.scratch.make_roles(&work.roles())?;
    let folders = Folders::of(work, &gone, &written)?;
    let new = bench.database("new")?;
    let mut compared = Vec::new();
    let mut uncompared = Vec::new();
    let mut reached: Vec<String> = Vec::new();
    let mut last = None;
    for kept in &fold {
        work.observer.phase(&format!("comparing old and new at {}", kept.id), None);
        reached.push(kept.id.clone());
        let rows = rows_at(work.graph, &reached);
        bench
            .upgrade(&old, None, &kept.id, &rows, holder(work))
            .map_err(|error| unproved(error, &kept.id))?;
        bench.upgrade(&new, Some(&folders.places), &kept.id, &rows, holder(work))?;
        let (ours, theirs) = (bench.state(&old)?, bench.state(&new)?);
        let found =
            compare(work, bench, &reached, (&old, &ours), (&new, &theirs), &mut uncompared)?;
        if !found.is_equal() {
            return Err(differs(
                &found,
                &format!("old and new revisions do not build the same up to {}", kept.id),
            ));
        }
        compared.push(found);
        last = Some(ours);
    }
    let mut notes = Vec::new();
    if let Some(state) = &last {
        let live = baseline::comparable(work.live, &work.held.tables);
        let schema = work.as_run_live(&state.schema, bench.scratch.runner());
        let found = Compared::schemas(("old revisions", &schema), ("live", &live), &work.ignored());
        notes.extend(rights_that_differ(&schema, &live));
        if !found.is_equal() {
            return Err(differs(&found, "the revisions do not build what is live"));
        }
        compared.push(found);
    }
    Ok(Proved {
        written,
        gone,
        replaced,
        fold,
        compared,
        uncompared,
        // The old bodies run as they did, whatever they make.
        left_out: Vec::new(),
        notes,
        seeds: Vec::new(),
    })
}

/// Old and new at the last of the revisions that were reached.
fn compare(
    work: &mut Work<'_>,
    bench: &mut Bench<'_>,
    reached: &[String],
    old: Side<'_>,
    new: Side<'_>,
    uncompared: &mut Vec<String>,
) -> Result<Compared> {
    let mut found = Compared::schemas(
        ("old revisions", &old.1.schema),
        ("new revisions", &new.1.schema),
        &BTreeSet::new(),
    );
    let mut rows = proof::row_differences(&old.1.rows, &new.1.rows);
    if found.is_equal() && !rows.is_empty() {
        let again: Reach = bench.database("again")?;
        for (number, id) in reached.iter().enumerate() {
            let there = rows_at(work.graph, &reached[..=number]);
            bench.upgrade(&again, None, id, &there, holder(work))?;
        }
        let state = bench.state(&again)?;
        let tables = &bench.version_tables;
        let (differing, varying) = varying::differences(old, (&again, &state), new, tables)?;
        rows = differing;
        uncompared.extend(varying);
    }
    found.rows = Some(rows);
    Ok(found)
}

fn unproved(error: Error, revision: &str) -> Error {
    if error.kind() != Kind::Failed || error.next_step().is_some() {
        return error;
    }
    error
        .while_doing(format!("the old revisions cannot be replayed on an empty database up to {revision}, so no part of them can be proved"))
        .hint("consolidate all of them, with --reference live and without --keep")
}

/// The rows of the version table when these revisions and all before them are applied.
fn rows_at(graph: &Graph, reached: &[String]) -> BTreeSet<String> {
    let is_needed = |id: &String| {
        reached
            .iter()
            .any(|other| other != id && graph.ancestors([other.as_str()]).contains(id.as_str()))
    };
    reached.iter().filter(|id| !is_needed(id)).cloned().collect()
}

fn revision(work: &Work<'_>, kept: &Kept) -> Result<Written> {
    let ids = kept.folds.iter().chain([&kept.id]);
    let files: Vec<&RevisionFile> = ids.filter_map(|id| work.graph.get(id)).collect();
    let mut sources = Vec::new();
    for file in &files {
        let content = work.project.file(&file.path).map_or(&[][..], |file| &file.content);
        sources.push(
            Source::read(content)
                .map_err(|problem| unfoldable(&file.path, &problem.to_string()))?,
        );
    }
    let Some(own) = files.last() else {
        return Err(Error::failed(format!("revision {} is not there", kept.id)));
    };
    let header = Header {
        revision: kept.id.clone(),
        down_revision: kept.down.clone(),
        branch_labels: own.branch_labels.clone(),
        depends_on: own.depends_on.clone(),
        message: own.message.clone().unwrap_or_default(),
        replaces: files
            .iter()
            .map(|file| (file.id.clone(), file.message.clone().unwrap_or_default()))
            .collect(),
        archive: work.archive.to_owned(),
        created: work.created(),
    };
    let parts: Vec<(&RevisionFile, &Source)> = files.iter().copied().zip(&sources).collect();
    let text = fold::text(&header, &parts)
        .map_err(|(path, problem)| unfoldable(&path, &problem.to_string()))?;
    Ok(Written { path: own.path.clone(), like: own.path.clone(), text })
}

fn unfoldable(path: &str, why: &str) -> Error {
    Error::refused(format!("{path} cannot be folded into another revision: {why}"))
        .hint("keep it and what comes right before it, or rewrite it")
}
