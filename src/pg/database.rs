//! Databases of a server: create, rename, drop, and who is connected.

use super::failure::server;
use super::ident::{literal, quote};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::model::server::ServerFacts;
use postgres::error::SqlState;

/// Longest name that PostgreSQL keeps, in bytes.
const LONGEST_NAME: usize = 63;

/// `stem` with `suffix`, shortened to what PostgreSQL keeps of a name.
pub fn suffixed(stem: &str, suffix: &str) -> String {
    let room = LONGEST_NAME - suffix.len();
    let mut end = stem.len().min(room);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &stem[..end])
}

/// The owner of a database, or `None` where there is no such database.
pub fn owner(session: &mut Session, database: &str) -> Result<Option<String>> {
    session
        .client
        .query_opt(
            "SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database WHERE datname = $1",
            &[&database],
        )
        .map(|row| row.map(|row| row.get(0)))
        .map_err(|error| server(format!("cannot look up database \"{database}\""), error))
}

/// Names of databases that begin so.
pub fn beginning_with(session: &mut Session, beginning: &str) -> Result<Vec<String>> {
    let rows = session
        .client
        .query(
            "SELECT datname::text FROM pg_catalog.pg_database
             WHERE pg_catalog.starts_with(datname::text, $1) ORDER BY 1",
            &[&beginning],
        )
        .map_err(|error| server("cannot list the databases", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How many other sessions are connected to a database.
pub fn sessions(session: &mut Session, database: &str) -> Result<i64> {
    session
        .client
        .query_one(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
             WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'",
            &[&database],
        )
        .map(|row| row.get(0))
        .map_err(|error| server("cannot list the sessions", error))
}

/// Ends all other sessions of a database.
pub fn disconnect(session: &mut Session, database: &str) -> Result<()> {
    session
        .client
        .query(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
             WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()",
            &[&database],
        )
        .map(drop)
        .map_err(|error| server(format!("cannot disconnect the sessions of \"{database}\""), error))
}

/// Creates an empty database with the encoding and the locale of `like`.
pub fn create(
    session: &mut Session,
    name: &str,
    like: &ServerFacts,
    owner: Option<&str>,
) -> Result<()> {
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quote(name),
        literal(&like.encoding),
        literal(&like.collate),
        literal(&like.ctype)
    );
    if session.facts.major() >= 15 {
        match (like.locale_provider, &like.locale) {
            ('i', Some(locale)) => {
                sql.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale)));
            }
            ('b', Some(locale)) if session.facts.major() >= 17 => {
                sql.push_str(&format!(
                    " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}",
                    literal(locale)
                ));
            }
            _ => sql.push_str(" LOCALE_PROVIDER libc"),
        }
    }
    if let Some(owner) = owner {
        sql.push_str(&format!(" OWNER {}", quote(owner)));
    }
    session
        .client
        .batch_execute(&sql)
        .map_err(|error| server(format!("cannot create database \"{name}\""), error))
}

/// Gives a database another's connection limit and settings (`ALTER DATABASE … SET`,
/// `ALTER ROLE … IN DATABASE … SET`), and names those that the role may not set.
pub fn copy_settings(session: &mut Session, from: &str, to: &str) -> Result<Vec<String>> {
    let failed = |error| server(format!("cannot read the settings of \"{from}\""), error);
    let limit: i32 = session
        .client
        .query_one("SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = $1", &[&from])
        .map_err(failed)?
        .get(0);
    session.execute(&format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", quote(to)))?;
    let rows = session
        .client
        .query(
            "SELECT r.rolname::text, c.setting
             FROM pg_catalog.pg_db_role_setting AS s
             JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
             LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
             CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(setting)
             WHERE d.datname = $1 AND (s.setrole = 0 OR r.oid IS NOT NULL)",
            &[&from],
        )
        .map_err(failed)?;
    let mut lost = Vec::new();
    for row in &rows {
        let (role, setting): (Option<String>, String) = (row.get(0), row.get(1));
        let Some((name, value)) = setting.split_once('=') else { continue };
        let whose = match role {
            Some(role) => format!("ROLE {} IN DATABASE {}", quote(&role), quote(to)),
            None => format!("DATABASE {}", quote(to)),
        };
        // FROM CURRENT takes the value as it is kept: a list stays a list (dump-correctness P11).
        let sql = format!(
            "BEGIN; SELECT pg_catalog.set_config({}, {}, true); ALTER {whose} SET {} FROM CURRENT; COMMIT",
            literal(name),
            literal(value),
            quote_setting(name)
        );
        if session.client.batch_execute(&sql).is_err() {
            session.execute("ROLLBACK")?;
            lost.push(setting);
        }
    }
    Ok(lost)
}

/// A setting's name as SQL: one of an extension has two parts.
fn quote_setting(name: &str) -> String {
    name.split('.').map(quote).collect::<Vec<_>>().join(".")
}

/// Drops a database.
pub fn remove(session: &mut Session, name: &str) -> Result<()> {
    session.execute(&format!("DROP DATABASE IF EXISTS {}", quote(name)))
}

/// Renames databases in one transaction: all of them, or none.
///
/// # Errors
/// [`Kind::Locked`] when somebody is connected to one of them.
pub fn rename(session: &mut Session, renames: &[(&str, &str)]) -> Result<()> {
    let mut sql = String::from("BEGIN; SET LOCAL synchronous_commit = on;");
    for (from, to) in renames {
        sql.push_str(&format!("ALTER DATABASE {} RENAME TO {};", quote(from), quote(to)));
    }
    sql.push_str("COMMIT");
    session.client.batch_execute(&sql).map_err(|error| {
        let busy = error.code() == Some(&SqlState::OBJECT_IN_USE);
        let failure = server("cannot rename the databases", error);
        let rolled_back = session.client.batch_execute("ROLLBACK");
        match (busy, rolled_back) {
            (true, _) => {
                Error::new(Kind::Locked, "somebody is connected to the database").caused_by(failure)
            }
            (false, _) => failure,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_suffix() {
        let name = suffixed(&"é".repeat(40), "_before_20260101");
        assert!(name.len() <= 63 && name.ends_with("é_before_20260101"));
    }
}
