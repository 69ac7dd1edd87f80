//! What PostgreSQL wants of whoever is to own something: CREATE on where it lies, USAGE on what it goes
//! through. The owner may have lost it since, or never had it, if a superuser gave him the thing; so it
//! is lent. The mark of the restore says what is: a run that is killed cannot take it back.

use super::failure::server;
use super::ident::{literal, quote};
use super::session::Session;
use super::target::MARK;
use crate::error::Result;
use std::collections::BTreeSet;
use std::fmt;

/// What an owner needs a privilege on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A schema.
    Schema(String),
    /// The database at hand.
    Database(String),
    /// A foreign-data wrapper, for its servers.
    Wrapper(String),
}

impl Place {
    fn kind(&self) -> &'static str {
        match self {
            Self::Schema(_) => "schema",
            Self::Database(_) => "database",
            Self::Wrapper(_) => "foreign data wrapper",
        }
    }

    /// The privilege.
    fn privilege(&self) -> &'static str {
        match self {
            Self::Schema(_) | Self::Database(_) => "CREATE",
            Self::Wrapper(_) => "USAGE",
        }
    }

    /// `CREATE ON SCHEMA "public"`, as GRANT and REVOKE want it.
    pub fn sql(&self) -> String {
        let kind = self.kind().to_uppercase();
        format!("{} ON {kind} {}", self.privilege(), quote(self.name()))
    }

    /// What roles without the privilege cannot do.
    pub fn denied(&self) -> String {
        match self {
            Self::Schema(_) | Self::Database(_) => {
                format!("may create nothing in {self}, where something of theirs is to be")
            }
            Self::Wrapper(_) => format!("may not use {self}, as a server of theirs is to do"),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Schema(name) | Self::Database(name) | Self::Wrapper(name) => name,
        }
    }

    /// The server's function that tells who has a privilege on it.
    fn asking(&self) -> String {
        format!("pg_catalog.has_{}_privilege", self.kind().replace(' ', "_"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind(), crate::model::name::Printable(self.name()))
    }
}

/// Whether the database has a foreign-data wrapper of this name.
///
/// # Errors
/// The server's.
pub fn has_wrapper(session: &mut Session, name: &str) -> Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwname::text = $1)";
    let asked = session.client.query_one(sql, &[&name], |row| row.at(0));
    asked.map_err(|error| server("cannot look for foreign-data wrappers", error))
}

/// Which of the roles lack the privilege there.
///
/// # Errors
/// The server's.
pub fn lacking(
    session: &mut Session,
    place: &Place,
    roles: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT r.rolname::text FROM pg_catalog.pg_roles AS r WHERE r.rolname::text = ANY ($1)
           AND NOT {}(r.oid, $2::text, '{}') ORDER BY 1",
        place.asking(),
        place.privilege()
    );
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    session
        .client
        .query(&sql, &[&roles, &place.name()], |row| row.at(0))
        .map_err(|error| server(format!("cannot ask for privileges on {place}"), error))
}

/// Whether the session may give others the privilege there.
///
/// # Errors
/// The server's.
pub fn may_lend(session: &mut Session, place: &Place) -> Result<bool> {
    let sql =
        format!("SELECT {}($1::text, '{} WITH GRANT OPTION')", place.asking(), place.privilege());
    let asked = session.client.query_one(&sql, &[&place.name()], |row| row.at(0));
    asked.map_err(|error| server(format!("cannot ask who may grant on {place}"), error))
}

/// Who owns a schema, where the session has not his rights.
///
/// # Errors
/// The server's.
pub fn other_owner(session: &mut Session, schema: &str) -> Result<Option<String>> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(nspowner)::text FROM pg_catalog.pg_namespace
               WHERE nspname::text = $1 AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE')";
    let asked = session.client.query_opt(sql, &[&schema], |row| row.at(0));
    asked.map_err(|error| server("cannot ask who owns a schema", error))
}

/// What has been lent: the statements that take it back.
#[derive(Default)]
pub struct Lent(Vec<String>);

impl Lent {
    /// Gives the privilege to those of the roles who lack it there.
    ///
    /// # Errors
    /// The server's.
    pub fn lend(
        &mut self,
        session: &mut Session,
        place: &Place,
        roles: &BTreeSet<String>,
    ) -> Result<()> {
        let lacking = lacking(session, place, roles)?;
        if lacking.is_empty() {
            return Ok(());
        }
        let privilege = place.sql();
        let roles = lacking.iter().map(|role| quote(role)).collect::<Vec<_>>().join(", ");
        let back = format!("REVOKE {privilege} FROM {roles}");
        // What is sent as one is one transaction: nothing is lent that the mark does not know.
        session.execute(&format!(
            "GRANT {privilege} TO {roles}; INSERT INTO {MARK}.lent VALUES ({})",
            literal(&back)
        ))?;
        self.0.push(back);
        Ok(())
    }

    /// Takes it all back.
    ///
    /// # Errors
    /// The server's: it is all lent as before.
    pub fn take_back(&mut self, session: &mut Session) -> Result<()> {
        if !self.0.is_empty() {
            session.execute(&format!("{}; DELETE FROM {MARK}.lent", self.0.join("; ")))?;
            self.0.clear();
        }
        Ok(())
    }
}
