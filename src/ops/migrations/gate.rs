//! What must hold before migrations are changed: files that fit together, a database that has
//! applied exactly these, and nobody else at work.

use super::project::{self, AlembicProject, Sought};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::{QualifiedName, enumerate};
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::pg::session::{Purpose, Session};
use crate::pg::version_table::{self, Hold};
use crate::pg::{catalog, target};
use crate::rules::alembic::graph::Graph;
use crate::rules::alembic::position;
use crate::rules::selection::nearest;
use std::collections::BTreeSet;
use std::time::Duration;

/// A project that was asked for.
///
/// # Errors
/// There is none.
pub fn load(sought: &Sought, observer: &dyn Observer) -> Result<AlembicProject> {
    project::load(sought, observer)?.ok_or_else(|| {
        Error::new(Kind::NotFound, "no migration project in this folder")
            .hint("name the folder of alembic.ini with --migrations DIR")
    })
}

/// The one version table of a database, or the one that was named: `schema.name` or `name`.
///
/// # Errors
/// There is none, or there are several.
pub fn version_table(session: &mut Session, named: Option<&str>) -> Result<QualifiedName> {
    let mut found = catalog::alembic_ledgers(&mut session.client)?;
    let database = session.facts.database.clone();
    if let Some(named) = named {
        let text = |table: &QualifiedName| format!("{}.{}", table.schema, table.name);
        let is_named = |table: &&QualifiedName| text(table) == named || table.name == named;
        return found.iter().find(is_named).cloned().ok_or_else(|| {
            let error = Error::new(
                Kind::NotFound,
                format!("\"{database}\" has no version table \"{named}\""),
            );
            match nearest(named, found.iter().map(text)) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            }
        });
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::refused(format!(
            "\"{database}\" has no version table: no migration was ever applied to it by Alembic"
        ))
        .hint("run alembic upgrade head, or name the right database with --url")),
        _ => Err(Error::refused(format!(
            "\"{database}\" has several version tables: {}",
            enumerate(&found.iter().map(ToString::to_string).collect::<Vec<_>>())
        ))
        .hint("say which one is this project's with --version-table")),
    }
}

/// The live database while its migrations are changed: a session with an open transaction that
/// holds the version table.
pub struct Held {
    /// The session.
    pub session: Session,
    /// The version table.
    pub table: QualifiedName,
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
        let mut session = Session::open(connection, None, Purpose::Write)?;
        interrupt.register(session.canceller());
        session.check_not_pooled()?;
        target::check_unmarked(&mut session)?;
        let table = version_table(&mut session, named)?;
        let mut held = Self { session, table, patience };
        if look_only {
            held.session.execute("BEGIN READ ONLY")?;
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

/// Databases that have applied some revisions of the project and not all: on the same server, as
/// far as the role may look, and those of `also`.
pub fn behind(
    held: &mut Held,
    connection: &Connection,
    also: &[(String, Connection)],
    graph: &Graph,
    observer: &dyn Observer,
) -> Result<Vec<Behind>> {
    let mut found = Vec::new();
    let newest: BTreeSet<&str> = graph.tips().into_iter().collect();
    let mut look = |session: &mut Session, name: &str| -> Result<()> {
        // Where somebody migrates, another database must not wait for it.
        session.execute("SET lock_timeout = '2s'")?;
        for table in catalog::alembic_ledgers(&mut session.client)? {
            let revisions = catalog::alembic_revisions(&mut session.client, &table)?;
            let known = revisions.iter().any(|row| graph.get(row).is_some());
            let all = revisions.iter().map(String::as_str).collect::<BTreeSet<_>>() == newest;
            if known && !all {
                found.push(Behind { database: name.to_owned(), revisions });
            }
        }
        Ok(())
    };
    for database in version_table::other_databases(&mut held.session)? {
        let looked = Session::open(connection, Some(&database), Purpose::Catalog)
            .and_then(|mut session| look(&mut session, &format!("\"{database}\"")));
        if let Err(error) = looked {
            observer.note(&format!("cannot look into database \"{database}\": {error}"));
        }
    }
    for (name, connection) in also {
        let mut session = Session::open(connection, None, Purpose::Catalog)?;
        look(&mut session, name)?;
    }
    Ok(found)
}
