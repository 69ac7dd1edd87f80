//! `pgark migrations status`: does the database stand where the files end.

use super::ledgers;
use super::project::{self, AlembicProject, Sought};
use crate::archive::manifest::Ledger;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::ledger::Tool;
use crate::model::name::{QualifiedName, enumerate, shown};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::Purpose;
use crate::pg::{catalog, snapshot, target};
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::position::{self, Finding};
use crate::rules::selection::nearest;
use std::time::Duration;

/// What to look at.
pub struct Options {
    /// The database.
    pub connection: Connection,
    /// The project.
    pub sought: Sought,
    /// The version tables that are the project's, `name` or `schema.name`; all, if none is named.
    pub version_tables: Vec<String>,
    /// How long to wait for a version table that somebody has locked.
    pub lock_timeout: Duration,
}

/// How things stand.
pub struct Summary {
    /// The database's name.
    pub database: String,
    /// The section of the ini file.
    pub section: String,
    /// The project; there may be none where ledgers of other tools are looked at.
    pub project: Option<AlembicProject>,
    /// Its graph.
    pub graph: Option<Graph>,
    /// The project's version tables, each with what is found; without a table if there is none.
    pub positions: Vec<Position>,
    /// The ledgers that are not the project's.
    pub others: Vec<Ledger>,
    /// What files say in two ways.
    pub contradictions: Vec<String>,
}

/// One version table against the files.
#[derive(Debug)]
pub struct Position {
    /// The table and its rows.
    pub ledger: Option<Ledger>,
    /// What keeps it from standing at the one head.
    pub findings: Vec<Finding>,
}

impl Summary {
    /// Whether everything is at the one head, and no ledger has a migration that did not end.
    pub fn is_fine(&self) -> bool {
        self.positions.iter().all(|position| position.findings.is_empty())
            && self.others.iter().all(|ledger| ledger.unfinished.is_empty())
    }
}

/// Compares the files with the database.
///
/// # Errors
/// No project and no ledger; revisions that cannot be told or do not fit together.
pub fn run(options: &Options, observer: &dyn Observer, interrupt: &Interrupt) -> Result<Summary> {
    let project = project::load_settled(&options.sought, observer)?;
    let graph = project.as_ref().map(AlembicProject::graph).transpose()?;
    observer.phase("reading the ledgers", None);
    let (database, found) = interrupt.explain(read(options, interrupt))?;
    let (own, others): (Vec<Ledger>, Vec<Ledger>) =
        found.into_iter().partition(|ledger| ledger.tool == Tool::Alembic.name());
    let (own, mut foreign) = chosen(own, &options.version_tables)?;
    let mut summary = Summary {
        database,
        section: options.sought.section.clone(),
        project,
        graph,
        positions: Vec::new(),
        others,
        contradictions: Vec::new(),
    };
    match &summary.graph {
        Some(graph) => {
            summary.contradictions =
                graph.order().iter().filter_map(|file| file.contradiction.clone()).collect();
            summary.positions = positions(graph, own);
        }
        None => foreign.extend(own),
    }
    summary.others.extend(foreign);
    if summary.project.is_none() && summary.others.is_empty() {
        return Err(Error::new(
            Kind::NotFound,
            format!(
                "there is no migration project here, and no ledger of one in \"{}\"",
                summary.database
            ),
        )
        .hint("name the folder of alembic.ini with --migrations DIR"));
    }
    Ok(summary)
}

/// The position of each version table.
pub fn positions(graph: &Graph, ledgers: Vec<Ledger>) -> Vec<Position> {
    if ledgers.is_empty() {
        return vec![Position { ledger: None, findings: position::compare(graph, None) }];
    }
    let position = |ledger: Ledger| Position {
        findings: position::compare(graph, Some(&ledger.revisions)),
        ledger: Some(ledger),
    };
    ledgers.into_iter().map(position).collect()
}

/// The version tables that were named, and the others.
fn chosen(ledgers: Vec<Ledger>, named: &[String]) -> Result<(Vec<Ledger>, Vec<Ledger>)> {
    let text = |table: &QualifiedName| format!("{}.{}", table.schema, table.name);
    let is_named =
        |ledger: &Ledger, name: &String| ledger.table.name == *name || text(&ledger.table) == *name;
    for name in named {
        if !ledgers.iter().any(|ledger| is_named(ledger, name)) {
            let error = Error::new(Kind::NotFound, format!("there is no version table \"{name}\""));
            // Suggested in the way in which it was written.
            let there = ledgers.iter().map(|ledger| match name.contains('.') {
                true => text(&ledger.table),
                false => ledger.table.name.clone(),
            });
            return Err(match nearest(name, there) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint("version tables have one column, version_num"),
            });
        }
    }
    Ok(ledgers
        .into_iter()
        .partition(|ledger| named.is_empty() || named.iter().any(|name| is_named(ledger, name))))
}

fn read(options: &Options, interrupt: &Interrupt) -> Result<(String, Vec<Ledger>)> {
    let mut session = interrupt.open(&options.connection, None, Purpose::Catalog)?;
    session.check_not_pooled()?;
    target::check_unmarked(&mut session)?;
    session.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    snapshot::limit_lock_waits(&mut session, options.lock_timeout)?;
    let tables = catalog::tables(&mut session.client)?;
    let ledgers = ledgers::read(&mut session, &tables)?;
    session.execute("COMMIT")?;
    Ok((session.facts.database.clone(), ledgers))
}

/// Fails unless the ledgers of a database, or of an archive, agree with the files: everything that
/// the files hold is applied, and nothing else.
///
/// # Errors
/// [`Kind::Differs`], with everything that was found and what to do.
pub fn check_agreement(graph: &Graph, ledgers: &[Ledger], of: &str) -> Result<()> {
    let own = ledgers.iter().filter(|ledger| ledger.tool == Tool::Alembic.name()).cloned();
    let mut found = Vec::new();
    let mut next = None;
    for position in positions(graph, own.collect()) {
        for finding in position.findings.iter().filter(|finding| !finding.is_agreement()) {
            next.get_or_insert_with(|| finding.next_step());
            found.push(match &position.ledger {
                Some(ledger) => format!("{}: {finding}", ledger.table),
                None => finding.to_string(),
            });
        }
    }
    match next {
        None => Ok(()),
        Some(next) => {
            let heads: Vec<String> = graph.heads().into_iter().map(str::to_owned).collect();
            let rows: Vec<String> = ledgers
                .iter()
                .filter(|ledger| ledger.tool == Tool::Alembic.name())
                .flat_map(|ledger| ledger.revisions.clone())
                .collect();
            Err(Error::new(
                Kind::Differs,
                format!(
                    "{of} is at {}, and the files end at {}: {}",
                    shown(&rows),
                    shown(&heads),
                    enumerate(&found)
                ),
            )
            .hint(next))
        }
    }
}
