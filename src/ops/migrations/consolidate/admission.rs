//! The gate: what must hold of the files, of the database and of who else is there before anything is
//! begun; and what is known by then.

use super::seeds::Seeded;
use super::{Options, checks, keep};
use crate::error::Result;
use crate::ops::interrupt::Interrupt;
use crate::ops::migrations::exchange;
use crate::ops::migrations::gate::{self, Behind, Held, Others};
use crate::ops::migrations::new_tree;
use crate::ops::migrations::project::AlembicProject;
use crate::ops::migrations::supported;
use crate::ops::observer::Observer;
use crate::rules::alembic::fold::Kept;
use crate::rules::alembic::graph::Graph;
use crate::store::tree_swap::ProjectLock;
use chrono::{DateTime, Utc};

/// A project and a database that can be consolidated, locked unless it is a dry run.
pub(super) struct Admitted {
    pub lock: ProjectLock,
    pub project: AlembicProject,
    pub graph: Graph,
    /// Where the old files are to be parked.
    pub parked: String,
    pub held: Held,
    /// The rows of the version table.
    pub rows: Vec<String>,
    pub others: Others,
    pub seeded: Seeded,
    /// What stays, and what folds into it; empty for a baseline.
    pub fold: Vec<Kept>,
    pub started: DateTime<Utc>,
}

/// Passes the gate.
///
/// # Errors
/// What keeps the project from being consolidated, with what to do.
pub(super) fn pass(
    options: &Options,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Admitted> {
    let started = Utc::now();
    observer.phase("reading the migrations", None);
    let lock = ProjectLock::take(&gate::root(&options.sought)?, options.dry_run)?;
    exchange::recover(&lock, options.dry_run, observer)?;
    let project = gate::load(&options.sought, observer)?;
    supported::check(&project)?;
    let graph = project.graph()?;
    checks::check_graph(&project, &graph, &options.keep)?;
    let stamp = started.format("%Y%m%d-%H%M%S").to_string();
    let parked =
        new_tree::parking_place(&project, options.park.as_deref(), &format!("legacy-{stamp}"));
    checks::check_folders(&project, options.park.as_deref(), &parked)?;

    observer.phase("locking the version table", None);
    let mut held = Held::take(
        &options.connection,
        options.version_table.as_deref(),
        options.lock_timeout,
        options.dry_run,
        interrupt,
    )?;
    let rows = held.rows()?;
    gate::check_at_head(&graph, &rows, &held.session.facts.database)?;
    let others = gate::others(&mut held, &options.connection, &options.also, &graph, observer)?;
    checks::check_version_tables(&held, &others, options)?;
    let seeded = Seeded::find(options, &held)?;
    let fold = match options.keep.is_empty() {
        true => Vec::new(),
        false => keep::plan(&graph, &options.keep, &others.behind)?,
    };
    foretell(&fold, &others.behind, observer);
    Ok(Admitted { lock, project, graph, parked, held, rows, others, seeded, fold, started })
}

/// Says what is to become of revisions that are kept, and of databases, while it can be left.
fn foretell(fold: &[Kept], behind: &[Behind], observer: &dyn Observer) {
    for kept in fold {
        observer.note(&kept.to_string());
    }
    // With --keep, each stands at a revision that stays.
    for database in behind.iter().filter(|_| fold.is_empty()) {
        observer.warn(&format!(
            "{} is at {}: after the exchange, Alembic refuses it until the parked revisions have brought it on",
            database.database,
            database.revisions.join(", ")
        ));
    }
}
