//! Some revisions stay, and the others fold forward into them.

use super::baseline::{Folders, bench, differs, holder};
use super::{Proved, Work};
use crate::error::{Error, Kind, Result};
use crate::model::name::enumerate;
use crate::ops::migrations::alembic::Reach;
use crate::ops::migrations::gate::Behind;
use crate::ops::migrations::new_tree::Written;
use crate::ops::migrations::proof::{self, Bench, Compared, State};
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
pub(super) fn prove(work: &mut Work<'_>) -> Result<Proved> {
    let fold = plan(work.graph, &work.options.keep, work.behind)?;
    let changed: Vec<&Kept> = fold.iter().filter(|kept| !kept.folds.is_empty()).collect();
    let written: Vec<Written> =
        changed.iter().map(|kept| revision(work, kept)).collect::<Result<_>>()?;
    let replaced: Vec<String> = changed.iter().flat_map(|kept| kept.folds.clone()).collect();
    let path_of = |id: &String| work.graph.get(id).map(|file| file.path.clone());
    let gone: BTreeSet<String> = replaced.iter().filter_map(path_of).collect();

    let mut bench = bench(work)?;
    if bench.alembic.is_none() {
        return Err(Error::refused(
            "a consolidation with --keep can only be proved with the project's Alembic",
        )
        .hint("name it with --alembic 'CMD'; it is looked for in .venv, venv and PATH"));
    }
    let folders = Folders::of(work, &gone, &written)?;
    let (old, new) = (bench.database("old")?, bench.database("new")?);
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
        let found = compare(work, &mut bench, kept, &ours, &theirs, &mut uncompared)?;
        if !found.is_equal() {
            return Err(differs(
                &found,
                &format!("old and new revisions do not build the same up to {}", kept.id),
            ));
        }
        compared.push(found);
        last = Some(ours);
    }
    if let Some(state) = &last {
        let live = baseline::comparable(&work.live, &work.held.table);
        let found =
            Compared::schemas(("old revisions", &state.schema), ("live", &live), &work.ignored());
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
        left_out: Vec::new(),
        seeds: Vec::new(),
    })
}

/// Old and new at one revision. Rows that differ from run to run (now(), random values) say nothing
/// of the revisions: they are found by another run of the old ones.
fn compare(
    work: &mut Work<'_>,
    bench: &mut Bench<'_>,
    kept: &Kept,
    ours: &State,
    theirs: &State,
    uncompared: &mut Vec<String>,
) -> Result<Compared> {
    let mut found = Compared::schemas(
        ("old revisions", &ours.schema),
        ("new revisions", &theirs.schema),
        &BTreeSet::new(),
    );
    let mut rows = proof::row_differences((&ours.rows, &ours.sequences), theirs);
    if !rows.is_empty() {
        let again: Reach = bench.database("again")?;
        let reached = rows_at(work.graph, std::slice::from_ref(&kept.id));
        bench.upgrade(&again, None, &kept.id, &reached, holder(work))?;
        let again = bench.state(&again)?;
        let changing = proof::row_differences((&ours.rows, &ours.sequences), &again);
        rows.retain(|line| !changing.contains(line));
        uncompared.extend(
            changing.into_iter().map(|line| format!("{line}, in every run of the old revisions")),
        );
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
        archive: work.archive.clone(),
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
