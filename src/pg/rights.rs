//! What only some roles may create. The answer is the server's own, since managed services give
//! ordinary roles what PostgreSQL leaves to superusers: each thing is created, and taken back.

use super::failure::server;
use super::ident::quote;
use super::session::Session;
use crate::error::Result;
use crate::pg::extensions::Restricted;
use std::borrow::Cow;
use std::collections::BTreeSet;
use tokio_postgres::error::SqlState;

/// Something that not every role may create in a database of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Event triggers.
    EventTrigger,
    /// Foreign-data wrappers.
    ForeignDataWrapper,
    /// Publications of all tables, now and later.
    PublicationOfAll,
    /// Publications of whole schemas.
    PublicationOfSchema,
    /// Subscriptions.
    Subscription,
    /// Access methods.
    AccessMethod,
    /// Operator families and classes, and what is added to them.
    OperatorFamily,
    /// Base types, and the names of types alone.
    BaseType,
    /// Text search parsers.
    TextSearchParser,
    /// Text search templates.
    TextSearchTemplate,
    /// Procedural languages without an extension.
    Language,
    /// Casts without a function.
    BinaryCast,
    /// Functions that are trusted with rows which others must not see.
    Leakproof,
    /// Functions that help the planner.
    Support,
    /// Functions in this language.
    FunctionIn(String),
    /// An extension that its control file leaves to superusers.
    Extension(Restricted),
}

impl Right {
    /// Statements that need the right and nothing else.
    fn probe(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::EventTrigger => {
                "CREATE FUNCTION pgark_restore_unfinished.probe() RETURNS pg_catalog.event_trigger
                   LANGUAGE plpgsql AS 'BEGIN END';
                 CREATE EVENT TRIGGER pgark_probe ON ddl_command_end
                   EXECUTE FUNCTION pgark_restore_unfinished.probe()"
            }
            Self::ForeignDataWrapper => "CREATE FOREIGN DATA WRAPPER pgark_probe",
            Self::PublicationOfAll => "CREATE PUBLICATION pgark_probe FOR ALL TABLES",
            Self::PublicationOfSchema => {
                "CREATE PUBLICATION pgark_probe FOR TABLES IN SCHEMA pgark_restore_unfinished"
            }
            Self::Subscription => {
                "CREATE SUBSCRIPTION pgark_probe CONNECTION 'dbname=x password=x' PUBLICATION p
                   WITH (connect = false, slot_name = NONE)"
            }
            Self::AccessMethod => {
                "CREATE ACCESS METHOD pgark_probe TYPE INDEX HANDLER pg_catalog.bthandler"
            }
            Self::OperatorFamily => {
                "CREATE OPERATOR FAMILY pgark_restore_unfinished.probe USING btree"
            }
            Self::BaseType => "CREATE TYPE pgark_restore_unfinished.probe",
            Self::TextSearchParser => {
                "CREATE TEXT SEARCH PARSER pgark_restore_unfinished.probe (START = prsd_start,
                   GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)"
            }
            Self::TextSearchTemplate => {
                "CREATE TEXT SEARCH TEMPLATE pgark_restore_unfinished.probe (LEXIZE = dsimple_lexize)"
            }
            Self::Language => "CREATE LANGUAGE pgark_probe HANDLER pg_catalog.plpgsql_call_handler",
            // That an enum has no such cast is found out later than who asks for it.
            Self::BinaryCast => {
                "CREATE TYPE pgark_restore_unfinished.probe AS ENUM ();
                 CREATE CAST (pgark_restore_unfinished.probe AS pg_catalog.int4) WITHOUT FUNCTION"
            }
            Self::Leakproof => {
                "CREATE FUNCTION pgark_restore_unfinished.probe() RETURNS pg_catalog.int4
                   LANGUAGE sql LEAKPROOF AS 'SELECT 1'"
            }
            Self::Support => {
                "CREATE FUNCTION pgark_restore_unfinished.probe() RETURNS pg_catalog.int4
                   LANGUAGE sql SUPPORT pg_catalog.generate_series_int4_support AS 'SELECT 1'"
            }
            Self::FunctionIn(language) => {
                return Cow::Owned(format!(
                    "SET LOCAL check_function_bodies = off;
                     CREATE FUNCTION pgark_restore_unfinished.probe() RETURNS pg_catalog.int4
                       LANGUAGE {} AS 'pgark_probe'",
                    quote(language)
                ));
            }
            Self::Extension(Restricted { name, is_bound }) => {
                let place = if *is_bound { "" } else { " SCHEMA pgark_restore_unfinished" };
                return Cow::Owned(format!("CREATE EXTENSION {}{place} CASCADE", quote(name)));
            }
        })
    }
}

/// Which of these rights the session's role lacks. Nothing is left of the attempts.
pub fn missing(session: &mut Session, rights: &BTreeSet<Right>) -> Result<BTreeSet<Right>> {
    let mut missing = BTreeSet::new();
    if rights.is_empty() {
        return Ok(missing);
    }
    session.execute("BEGIN")?;
    let tried = try_all(session, rights, &mut missing);
    session.execute("ROLLBACK")?;
    tried.map(|()| missing)
}

fn try_all(
    session: &mut Session,
    rights: &BTreeSet<Right>,
    missing: &mut BTreeSet<Right>,
) -> Result<()> {
    session.execute("CREATE SCHEMA pgark_restore_unfinished")?;
    for right in rights {
        session.execute("SAVEPOINT before_probe")?;
        match session.client.batch_execute(&right.probe()) {
            Err(error) if session.client.is_closed() => {
                return Err(server("cannot find out what the role may create", error));
            }
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                missing.insert(right.clone());
            }
            // What else is wrong will show where the archive's own statement is run.
            _ => {}
        }
        session.execute("ROLLBACK TO SAVEPOINT before_probe")?;
    }
    Ok(())
}
