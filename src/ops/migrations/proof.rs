//! Schemas and rows in scratch databases, and whether they are equal.

use super::alembic::Alembic;
use super::reach::Reach;
use super::scratch::{self, Scratch};
use crate::error::{Error, Result};
use crate::model::connection::Connection;
use crate::model::content::Content;
use crate::model::copy_format::CopyFormat;
use crate::model::name::{QualifiedName, counted};
use crate::model::table::SequenceState;
use crate::ops::interrupt::Interrupt;
use crate::ops::observer::Observer;
use crate::ops::{described, scan};
use crate::pg::catalog::{self, CatalogTable};
use crate::pg::copy::RowSource;
use crate::pg::ident::quote;
use crate::pg::session::{Purpose, Session};
use crate::pg::version_table;
use crate::rules::alembic::baseline;
use crate::rules::alembic::written::Step;
use crate::rules::schema_diff::{self, Aspect, Comparison, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long definitions in a scratch database may be locked by somebody else.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether somebody waits for the version table.
const LOOK: Duration = Duration::from_millis(500);

/// Where proofs are made.
pub struct Bench<'a> {
    /// Scratch databases.
    pub scratch: Scratch<'a>,
    /// The project's Alembic, if there is one.
    pub alembic: Option<Alembic>,
    /// Alembic's table.
    pub version_table: QualifiedName,
    /// All version tables, which no comparison is about.
    pub version_tables: Vec<QualifiedName>,
    /// Who hears of progress.
    pub observer: &'a dyn Observer,
    /// What ends it early.
    pub interrupt: &'a Interrupt,
}

/// What a database holds, apart from the version table.
#[derive(Clone, Debug)]
pub struct State {
    /// Its schema.
    pub schema: Schema,
    /// Its rows.
    pub rows: Rows,
    /// What is there besides, and never in a revision that is written from the catalogs.
    pub left_out: Vec<String>,
}

/// The rows of a database, and where they have left its sequences.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// What each table holds that is not empty.
    pub tables: BTreeMap<QualifiedName, Content>,
    /// Positions of sequences.
    pub sequences: BTreeMap<QualifiedName, SequenceState>,
}

impl Bench<'_> {
    /// Makes a scratch database. Alembic makes the version table before the first revision runs:
    /// its schema must be there.
    pub fn database(&mut self, purpose: &str) -> Result<Reach> {
        let reach = self.scratch.database(purpose)?;
        let schema = &self.version_table.schema;
        if schema != "public" {
            let mut session =
                Session::open(&reach.connection, Some(&reach.database), Purpose::Write)?;
            session.execute(&format!("CREATE SCHEMA {}", quote(schema)))?;
        }
        Ok(reach)
    }

    /// Fails unless the project's Alembic goes to this database, and to no other; nothing is run.
    ///
    /// # Errors
    /// Alembic's own; that it goes elsewhere.
    pub fn check_aim(&self, on: &Reach, held: Option<&mut Session>) -> Result<()> {
        self.watched(held, |alembic, watch| {
            alembic.check_aim(on, None, &self.version_table, watch)?;
            alembic.check_one_database(on, watch)
        })
    }

    /// Runs the project's Alembic up to a revision. While it runs, `held` is the session that holds
    /// the version table of the live database: an Alembic that waits for it is in the wrong place.
    ///
    /// # Errors
    /// Alembic's own; that it was about to change the live database.
    pub fn upgrade(
        &self,
        on: &Reach,
        revisions: Option<&[PathBuf]>,
        revision: &str,
        rows: &BTreeSet<String>,
        held: Option<&mut Session>,
    ) -> Result<()> {
        self.watched(held, |alembic, watch| {
            alembic.check_aim(on, revisions, &self.version_table, watch)?;
            alembic.upgrade(on, revisions, revision, rows, watch)
        })
    }

    fn watched(
        &self,
        held: Option<&mut Session>,
        run: impl FnOnce(&Alembic, &mut dyn FnMut() -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let Some(alembic) = &self.alembic else {
            return Err(Error::failed("no Alembic was found to run the migrations with")
                .hint("name it with --alembic 'CMD'; it is looked for in .venv, venv and PATH"));
        };
        let mut held = match held {
            None => None,
            Some(session) => Some((version_table::clock(session)?, session)),
        };
        let mut looked = Instant::now();
        let mut watch = || {
            self.interrupt.check()?;
            let Some((since, session)) = &mut held else { return Ok(()) };
            if looked.elapsed() < LOOK {
                return Ok(());
            }
            looked = Instant::now();
            match version_table::waiting_since(session, since)?.as_slice() {
                [] => Ok(()),
                waiting => Err(Error::refused(format!(
                    "while Alembic ran for the scratch database, {} began to wait for the live one's version table",
                    waiting.join(", ")
                ))
                .hint("if that was env.py: it takes its database from elsewhere; set it with --alembic-env NAME={url}, or with --alembic 'alembic -x …'")),
            }
        };
        run(alembic, &mut watch)
    }

    /// Runs statements one by one in one transaction, as the revision does.
    pub fn run_statements(&self, on: &Reach, steps: &[Step]) -> Result<()> {
        let mut session = Session::open(&on.connection, Some(&on.database), Purpose::Write)?;
        session.execute("RESET search_path")?;
        session.execute("BEGIN")?;
        for step in steps {
            self.interrupt.check()?;
            session.run_single(&step.sql, &format!("cannot create {}", step.about))?;
        }
        session.execute("COMMIT")
    }

    /// What a scratch database holds.
    pub fn state(&self, of: &Reach) -> Result<State> {
        let mut schema =
            described::database(&of.connection, Some(&of.database), PATIENCE, self.interrupt)?;
        schema.objects.retain(|object| !scratch::is_mark(object));
        let tables = &self.version_tables;
        let rows = rows(&of.connection, Some(&of.database), tables, None)?;
        let mut left_out = baseline::left_out(&schema);
        let mut session = Session::open(&of.connection, Some(&of.database), Purpose::Catalog)?;
        let objects = catalog::count_large_objects(&mut session.client)?;
        if objects > 0 {
            left_out.push(counted(objects as usize, "large object"));
        }
        Ok(State { schema: baseline::comparable(&schema, tables), rows, left_out })
    }
}

/// Contents of all tables that hold rows, or of these, and the positions of the sequences.
pub fn rows(
    connection: &Connection,
    database: Option<&str>,
    version_tables: &[QualifiedName],
    only: Option<&BTreeSet<QualifiedName>>,
) -> Result<Rows> {
    let mut session = Session::open(connection, database, Purpose::Read)?;
    let mut rows = Rows::default();
    for table in tables(&mut session, version_tables)? {
        if only.is_some_and(|only| !only.contains(&table.name)) {
            continue;
        }
        let source = RowSource {
            table: &table.name,
            columns: &table.columns,
            pages: None,
            condition: None,
            format: CopyFormat::Text,
        };
        let content = scan::content(&mut session, &source)?;
        if content.rows > 0 {
            rows.tables.insert(table.name, content);
        }
    }
    let sequences = catalog::sequences(&mut session.client)?;
    rows.sequences = sequences.into_iter().map(|s| (s.name.clone(), s)).collect();
    Ok(rows)
}

/// Tables that hold rows of their own, but for version tables and those of extensions.
pub fn tables(
    session: &mut Session,
    version_tables: &[QualifiedName],
) -> Result<Vec<CatalogTable>> {
    let mut tables = catalog::tables(&mut session.client)?;
    tables.retain(|table| {
        !table.partitioned && table.extension.is_none() && !version_tables.contains(&table.name)
    });
    Ok(tables)
}

/// One comparison of a proof.
#[derive(Debug)]
pub struct Compared {
    /// The one side: `old chain` …
    pub left: &'static str,
    /// The other side.
    pub right: &'static str,
    /// What was found in the schemas.
    pub schema: Comparison,
    /// What was found in rows and sequences, where these were compared.
    pub rows: Option<Vec<String>>,
}

impl Compared {
    /// Compares two schemas.
    pub fn schemas(
        (left, one): (&'static str, &Schema),
        (right, other): (&'static str, &Schema),
        ignore: &BTreeSet<Aspect>,
    ) -> Self {
        let schema = schema_diff::compare(one.clone(), other.clone(), ignore);
        Self { left, right, schema, rows: None }
    }

    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.schema.differences.is_empty() && self.rows.as_ref().is_none_or(Vec::is_empty)
    }

    /// What differs, line by line, without values.
    pub fn findings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.schema.differences.iter().map(headline).collect();
        lines.extend(self.rows.iter().flatten().cloned());
        lines
    }
}

/// A difference on one line: the object, and what differs.
pub fn headline(difference: &schema_diff::Difference) -> String {
    use schema_diff::{Change, Side};
    let column = difference.column.as_ref().map_or_else(String::new, |c| format!(" column {c}"));
    let what = match &difference.change {
        Change::Only { side: Side::Left, .. } => String::from("is only in the first"),
        Change::Only { side: Side::Right, .. } => String::from("is only in the second"),
        Change::Property { property, .. } => format!("differs in {property}"),
        Change::Order { .. } => String::from("has its columns in another order"),
    };
    format!("{}{column} {what}", difference.object)
}

/// What differs between the rows and sequences that are wanted and those that are there.
pub fn row_differences(wanted: &Rows, there: &Rows) -> Vec<String> {
    let mut found = Vec::new();
    let names: BTreeSet<&QualifiedName> = wanted.tables.keys().chain(there.tables.keys()).collect();
    for name in names {
        let of = |rows: &Rows| rows.tables.get(name).copied().unwrap_or_default();
        let (ours, theirs) = (of(wanted), of(there));
        if ours != theirs {
            found.push(format!("rows of {name} differ: {} and {}", ours.rows, theirs.rows));
        }
    }
    for (name, ours) in &wanted.sequences {
        let position = |state: &SequenceState| (state.last_value, state.is_called);
        if let Some(theirs) = there.sequences.get(name)
            && position(ours) != position(theirs)
        {
            found.push(format!(
                "sequence {name} is at {} and {}",
                ours.last_value, theirs.last_value
            ));
        }
    }
    found
}
