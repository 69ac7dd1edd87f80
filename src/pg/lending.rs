//! What PostgreSQL wants of whoever is to own something: CREATE on where it lies. The owner may have
//! lost it since, or never had it, if a superuser gave him the thing; so it is lent.

use super::failure::server;
use super::ident::quote;
use super::session::Session;
use crate::error::Result;
use std::fmt;

/// What CREATE is a privilege on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A schema.
    Schema(String),
    /// The database at hand.
    Database(String),
}

impl Place {
    fn kind(&self) -> &'static str {
        match self {
            Self::Schema(_) => "schema",
            Self::Database(_) => "database",
        }
    }

    /// What `GRANT … ON` names.
    pub fn sql(&self) -> String {
        format!("{} {}", self.kind().to_uppercase(), quote(self.name()))
    }

    fn name(&self) -> &str {
        match self {
            Self::Schema(name) | Self::Database(name) => name,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind(), crate::model::name::Printable(self.name()))
    }
}

/// Which of the roles may not create anything there.
///
/// # Errors
/// The server's.
pub fn lacking(session: &mut Session, place: &Place, roles: &[String]) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT r.rolname::text FROM pg_catalog.pg_roles AS r WHERE r.rolname::text = ANY ($1)
           AND NOT pg_catalog.has_{}_privilege(r.oid, $2::text, 'CREATE') ORDER BY 1",
        place.kind()
    );
    let rows = session
        .client
        .query(&sql, &[&roles, &place.name()])
        .map_err(|error| server(format!("cannot ask who may create in {place}"), error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether the session may let others create there.
///
/// # Errors
/// The server's.
pub fn may_lend(session: &mut Session, place: &Place) -> Result<bool> {
    let sql = format!(
        "SELECT pg_catalog.has_{}_privilege($1::text, 'CREATE WITH GRANT OPTION')",
        place.kind()
    );
    let asked = session.client.query_one(&sql, &[&place.name()]);
    let row =
        asked.map_err(|error| server(format!("cannot ask who may grant on {place}"), error))?;
    Ok(row.get(0))
}

/// Who owns a schema, where the session has not his rights.
///
/// # Errors
/// The server's.
pub fn other_owner(session: &mut Session, schema: &str) -> Result<Option<String>> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(nspowner)::text FROM pg_catalog.pg_namespace
               WHERE nspname::text = $1 AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE')";
    let asked = session.client.query_opt(sql, &[&schema]);
    let row = asked.map_err(|error| server("cannot ask who owns a schema", error))?;
    Ok(row.map(|row| row.get(0)))
}

/// What has been lent to whom.
#[derive(Default)]
pub struct Lent(Vec<(Place, String)>);

impl Lent {
    /// Lets those of the roles who may not create there do so.
    ///
    /// # Errors
    /// The server's.
    pub fn lend(&mut self, session: &mut Session, place: &Place, roles: &[String]) -> Result<()> {
        for role in lacking(session, place, roles)? {
            session.execute(&Self::statement("GRANT", place, "TO", &role))?;
            self.0.push((place.clone(), role));
        }
        Ok(())
    }

    /// Takes it all back.
    ///
    /// # Errors
    /// The server's.
    pub fn take_back(&mut self, session: &mut Session) -> Result<()> {
        self.0.drain(..).try_for_each(|(place, role)| {
            session.execute(&Self::statement("REVOKE", &place, "FROM", &role))
        })
    }

    fn statement(verb: &str, place: &Place, preposition: &str, role: &str) -> String {
        format!("{verb} CREATE ON {} {preposition} {}", place.sql(), quote(role))
    }
}
