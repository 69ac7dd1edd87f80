//! What must hold before anything begins, and what must still hold in the end.

use super::admission::Admitted;
use super::{Options, Proved, Reference};
use crate::error::{Error, Kind, Result};
use crate::model::name::{QualifiedName, enumerate};
use crate::ops::described;
use crate::ops::migrations::gate::{self, Held, Others};
use crate::ops::migrations::new_tree;
use crate::ops::migrations::project::{AlembicProject, Place};
use crate::ops::migrations::proof::Compared;
use crate::ops::observer::Observer;
use crate::rules::alembic::graph::Graph;
use crate::rules::schema_diff::{Aspect, Schema};
use crate::store::tree_swap;
use std::collections::BTreeSet;

/// Fails unless there is something to consolidate, and one way to do it.
pub(super) fn check_graph(project: &AlembicProject, graph: &Graph, keep: &[String]) -> Result<()> {
    let heads: Vec<String> = graph.heads().into_iter().map(str::to_owned).collect();
    match heads.len() {
        0 => {
            return Err(Error::refused(format!("{} has no revisions", project.root.display()))
                .hint("mend version_locations, or name another project with --migrations DIR"));
        }
        1 => {}
        _ if !keep.is_empty() => {}
        _ => {
            return Err(Error::refused(format!("there are several heads: {}", enumerate(&heads)))
                .hint("join them with `alembic merge heads`, or consolidate parts with --keep"));
        }
    }
    if graph.len() == 1 {
        return Err(Error::refused(format!(
            "there is nothing to consolidate: {} is the only revision",
            heads[0]
        )));
    }
    Ok(())
}

/// Fails when somebody has changed the project's files meanwhile.
pub(super) fn check_same_files(
    project: &AlembicProject,
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    let now = gate::load(&options.sought, observer)?;
    match now.files == project.files {
        true => Ok(()),
        false => {
            Err(Error::new(Kind::Failed, "the project's files changed meanwhile; nothing was done")
                .hint("run again when nobody works on the migrations"))
        }
    }
}

/// The new folders have their names: what they say must be what was meant, and the version table
/// must say what it said.
pub(super) fn check_new_files(
    options: &Options,
    admitted: &mut Admitted,
    proved: &Proved,
    observer: &dyn Observer,
) -> Result<()> {
    let Admitted { graph, held, rows, .. } = admitted;
    observer.phase("checking again", None);
    let wrong = |what: &str| Err(Error::failed(format!("after the exchange, {what}")));
    let now = gate::load_unsettled(&options.sought, observer)?;
    let new = now.graph()?;
    if new.tips() != graph.tips() || new.heads() != graph.heads() {
        return wrong("the heads are not those of before");
    }
    if new.len() + proved.replaced.len() != graph.len() {
        return wrong("there are other revisions than were written");
    }
    gate::check_at_head(&new, rows, &held.session.facts.database)?;
    for written in &proved.written {
        let sealed = now.file(&written.path).and_then(|file| new_tree::is_sealed(&file.content));
        if sealed != Some(true) {
            return wrong(&format!("{} is not as it was written", written.path));
        }
    }
    if held.rows()? != *rows {
        return wrong("the version table is not as it was");
    }
    Ok(())
}

/// What was proved must still be what is live: the proof takes its time, and nobody is kept from
/// changing other tables than the version table.
pub(super) fn check_live(live: &Schema, ignored: &BTreeSet<Aspect>, held: &mut Held) -> Result<()> {
    let now = described::through(&mut held.session)?;
    let found = Compared::schemas(("live before", live), ("live now", &now), ignored);
    if found.is_equal() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Differs,
        format!("the live schema changed meanwhile: {}", enumerate(&found.findings())),
    )
    .hint("run again when nobody changes it"))
}

/// Fails unless the folders can be exchanged and the old ones be parked at `parked`, which was asked for
/// as `wanted`.
pub(super) fn check_folders(
    project: &AlembicProject,
    wanted: Option<&str>,
    parked: &str,
) -> Result<()> {
    new_tree::check_exchange(project)?;
    if let Some(wanted) = wanted
        && (parked.is_empty() || wanted.starts_with('/') || parked.split('/').any(|p| p == ".."))
    {
        return Err(Error::new(
            Kind::Usage,
            format!("--park {wanted} is not a folder inside of the project"),
        )
        .hint("give its path relative to the project, without .."));
    }
    if let Some(folder) = project.version_locations.iter().find(|f| new_tree::is_below(parked, f)) {
        return Err(Error::refused(format!(
            "--park {parked} lies in {folder}, where Alembic looks for revisions"
        ))
        .hint("name another place for the old migrations with --park DIR"));
    }
    let (folders, locations) = (new_tree::exchanged(project), &project.version_locations);
    tree_swap::check_parking(&project.root, parked, &folders, locations).map_err(|error| {
        match (error.kind(), error.next_step()) {
            (Kind::Refused, None) => {
                error.hint("name another place for the old migrations with --park DIR")
            }
            _ => error,
        }
    })
}

/// Fails unless the version table alone says what is applied of the project, where that matters.
pub(super) fn check_version_tables(held: &Held, others: &Others, options: &Options) -> Result<()> {
    if !options.keep.is_empty() {
        // The old bodies name their schemas themselves.
        return Ok(());
    }
    let database = &held.session.facts.database;
    let listed = |tables: &[QualifiedName]| {
        enumerate(&tables.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    if !others.same.is_empty() {
        return Err(Error::refused(format!(
            "in \"{database}\" these revisions are applied for {} as well as for {}: a revision that is written from the catalogs would always make the schema of one of them",
            listed(&others.same),
            held.table
        ))
        .hint("keep the bodies of the old revisions, with --keep; or drop the version tables that nobody uses"));
    }
    if !others.foreign.is_empty() && options.reference == Reference::Live {
        return Err(Error::refused(format!(
            "with --reference live everything in \"{database}\" would go into the new revision, and {} belongs to another project",
            listed(&others.foreign)
        ))
        .hint("leave --reference live out, or move that project's objects into a database of their own"));
    }
    Ok(())
}

/// What went wrong when nothing could be undone any more.
pub(super) fn after_parking(error: Error, archive: &str) -> Error {
    error
        .while_doing(
            "the new revisions are in place, and something changed when the old ones were parked",
        )
        .hint(format!("pgark migrations rollback {archive} puts the old files back"))
}

/// Where the project was found, so that the archive is of no other.
pub(super) fn place_of(options: &Options, project: &AlembicProject) -> Place {
    match &options.sought.place {
        Place::In(path) => Place::In(path.clone()),
        _ => Place::In(project.root.clone()),
    }
}
