//! What only some roles may create. The answer is the server's own, since managed services give
//! ordinary roles what PostgreSQL leaves to superusers: each thing is created, and taken back.

use super::failure::server;
use super::session::Session;
use crate::error::Result;
use std::collections::BTreeSet;
use tokio_postgres::error::SqlState;

/// Something that not every role may create in a database of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
}

impl Right {
    /// Statements that need the right and nothing else.
    fn probe(self) -> &'static str {
        match self {
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
        }
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
        match session.client.batch_execute(right.probe()) {
            Err(error) if session.client.is_closed() => {
                return Err(server("cannot find out what the role may create", error));
            }
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                missing.insert(*right);
            }
            // What else is wrong will show where the archive's own statement is run.
            _ => {}
        }
        session.execute("ROLLBACK TO SAVEPOINT before_probe")?;
    }
    Ok(())
}
