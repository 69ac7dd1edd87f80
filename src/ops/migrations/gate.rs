//! What must hold before migrations are changed: files that fit together, a database that has
//! applied exactly these, and nobody else at work.

use super::project::{self, AlembicProject, Sought};
use super::scratch;
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::{QualifiedName, enumerate};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::{Purpose, Session};
use crate::pg::version_table::{self, Hold};
use crate::pg::{catalog, database, target};
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::position;
use crate::rules::selection::nearest;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// A project that was asked for.
///
/// # Errors
/// There is none; a run that was killed has left it between old and new.
pub fn load(sought: &Sought, observer: &dyn Observer) -> Result<AlembicProject> {
    project::load_settled(sought, observer)?.ok_or_else(missing)
}

/// The same in the middle of an exchange.
pub fn load_unsettled(sought: &Sought, observer: &dyn Observer) -> Result<AlembicProject> {
    project::load(sought, observer)?.ok_or_else(missing)
}

/// The folder of a project that was asked for, whose files may be broken.
///
/// # Errors
/// There is none.
pub fn root(sought: &Sought) -> Result<PathBuf> {
    project::root(sought)?.ok_or_else(missing)
}

fn missing() -> Error {
    Error::new(Kind::NotFound, "no migration project in this folder")
        .hint("name the folder of alembic.ini with --migrations DIR")
}

/// The one version table of a database, or of those that were named: `schema.name` or `name`.
///
/// # Errors
/// There is none, or there are several.
pub fn version_table(session: &mut Session, named: Option<&str>) -> Result<QualifiedName> {
    let mut found = catalog::alembic_ledgers(&mut session.client)?;
    let database = session.facts.database.clone();
    if let Some(named) = named {
        let text = |table: &QualifiedName| format!("{}.{}", table.schema, table.name);
        let all: Vec<String> = found.iter().map(text).collect();
        found.retain(|table| text(table) == named || table.name == named);
        if found.is_empty() {
            let error = Error::new(
                Kind::NotFound,
                format!("\"{database}\" has no version table \"{named}\""),
            );
            return Err(match nearest(named, all.into_iter()) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            });
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::refused(format!(
            "\"{database}\" has no version table: no migration was ever applied to it by Alembic"
        ))
        .hint("run `alembic upgrade head`, or name the right database with --url")),
        _ => Err(Error::refused(format!(
            "\"{database}\" has several version tables: {}",
            enumerate(&found.iter().map(ToString::to_string).collect::<Vec<_>>())
        ))
        .hint("say which one is this project's with --version-table SCHEMA.NAME")),
    }
}

/// The live database while its migrations are changed: a session with an open transaction that
/// holds the version table; or one that only looks, and is in no transaction, which would hold on to
/// whatever it has read.
pub struct Held {
    /// The session.
    pub session: Session,
    /// The version table.
    pub table: QualifiedName,
    /// All version tables of the database, of whatever project.
    pub tables: Vec<QualifiedName>,
    patience: Duration,
}

impl Held {
    /// Connects, keeps other runs out, and holds the version table against writers, unless only a
    /// look is wanted.
    pub fn take(
        connection: &Connection,
        named: Option<&str>,
        patience: Duration,
        look_only: bool,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut session = interrupt.open(connection, None, Purpose::Write)?;
        session.check_not_pooled()?;
        target::check_unmarked(&mut session)?;
        let table = version_table(&mut session, named)?;
        let tables = catalog::alembic_ledgers(&mut session.client)?;
        let mut held = Self { session, table, tables, patience };
        if look_only {
            // A run that is at its proof holds the table alone.
            version_table::only_look(&mut held.session, patience)?;
        } else {
            version_table::lock_out_others(&mut held.session)?;
            held.session.execute("BEGIN")?;
            held.hold(Hold::AgainstWriters)?;
        }
        Ok(held)
    }

    /// Holds the table more strongly.
    pub fn hold(&mut self, hold: Hold) -> Result<()> {
        version_table::hold(&mut self.session, &self.table, hold, self.patience)
    }

    /// The rows of the version table.
    pub fn rows(&mut self) -> Result<Vec<String>> {
        catalog::alembic_revisions(&mut self.session.client, &self.table)
    }
}

/// Fails unless the version table says exactly what it says where all revisions are applied.
///
/// # Errors
/// [`Kind::Refused`], with what is wrong and what to do.
pub fn check_at_head(graph: &Graph, rows: &[String], database: &str) -> Result<()> {
    let mut findings = position::compare(graph, Some(rows));
    findings.retain(|finding| !finding.is_agreement());
    let Some(first) = findings.first() else { return Ok(()) };
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Err(Error::refused(format!("\"{database}\" is not at the head: {}", enumerate(&shown)))
        .hint(first.next_step()))
}

/// A database that stands at a revision of the project which is not the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The database, as people know it.
    pub database: String,
    /// The rows of its version table.
    pub revisions: Vec<String>,
}

/// What stands beside the version table that is held.
#[derive(Debug, Default)]
pub struct Others {
    /// Databases, and other version tables of this one, that have applied some revisions and not all.
    pub behind: Vec<Behind>,
    /// Other version tables of the database that say revisions of the project.
    pub same: Vec<QualifiedName>,
    /// Other version tables of the database that say revisions of other projects.
    pub foreign: Vec<QualifiedName>,
    /// Databases of the server that could not be looked into, with the reason.
    pub not_looked_into: Vec<(String, String)>,
}

/// Who else has applied revisions of the project: in the same database, on the same server as far as
/// the role may look, and in the databases of `also`.
pub fn others(
    held: &mut Held,
    connection: &Connection,
    also: &[(String, Connection)],
    graph: &Graph,
    observer: &dyn Observer,
) -> Result<Others> {
    let mut others = Others::default();
    let database = held.session.facts.database.clone();
    for table in held.tables.clone().into_iter().filter(|table| *table != held.table) {
        let revisions = catalog::alembic_revisions(&mut held.session.client, &table)?;
        if revisions.is_empty() {
            continue;
        }
        if is_of(graph, &revisions) {
            let name = format!("\"{database}\" ({table})");
            others.behind.extend(behind(graph, name, revisions));
            others.same.push(table);
        } else {
            others.foreign.push(table);
        }
    }
    let scratch = scratch::marked(&mut held.session)?;
    let mut databases = version_table::other_databases(&mut held.session)?;
    databases.retain(|(name, _)| !scratch.contains(name));
    for (name, may_connect) in databases {
        let looked = match may_connect {
            false => Err(Error::refused("the role may not connect to it")),
            true => look_into(connection, &name, graph),
        };
        match looked {
            Ok(found) => others.behind.extend(found),
            // It may have been dropped meanwhile.
            Err(error) if database::exists(&mut held.session, &name)? => {
                let why = error.in_full();
                observer.warn(&format!(
                    "database \"{name}\" was not looked into ({why}): whether it has applied these revisions is not known"
                ));
                others.not_looked_into.push((name, why));
            }
            Err(_) => {}
        }
    }
    for (name, connection) in also {
        let mut session = Session::open(connection, None, Purpose::Catalog)?;
        others.behind.extend(look(&mut session, name, graph)?);
    }
    Ok(others)
}

/// Looks into a database. Whatever ends that may come of somebody who is about to drop the database, which
/// a new session waits for: so it is tried once more, unless a lock is in the way.
fn look_into(connection: &Connection, name: &str, graph: &Graph) -> Result<Vec<Behind>> {
    let once = || {
        let mut session = Session::open(connection, Some(name), Purpose::Catalog)?;
        look(&mut session, &format!("\"{name}\""), graph)
    };
    match once() {
        Err(error) if error.kind() != Kind::Locked => once(),
        looked => looked,
    }
}

fn look(session: &mut Session, name: &str, graph: &Graph) -> Result<Vec<Behind>> {
    // Where somebody migrates, another database must not wait for it.
    session.execute("SET lock_timeout = '2s'")?;
    let mut found = Vec::new();
    for table in catalog::alembic_ledgers(&mut session.client)? {
        let revisions = catalog::alembic_revisions(&mut session.client, &table)?;
        found.extend(behind(graph, name.to_owned(), revisions));
    }
    Ok(found)
}

/// Whether these rows are of the project.
fn is_of(graph: &Graph, revisions: &[String]) -> bool {
    revisions.iter().any(|row| graph.get(row).is_some())
}

fn behind(graph: &Graph, database: String, revisions: Vec<String>) -> Option<Behind> {
    let newest: BTreeSet<&str> = graph.tips().into_iter().collect();
    let all = revisions.iter().map(String::as_str).collect::<BTreeSet<_>>() == newest;
    (is_of(graph, &revisions) && !all).then_some(Behind { database, revisions })
}
