//! Databases of a server: create, rename, drop, and who is connected.

use super::failure::server;
use super::ident::{literal, quote};
use super::session::Session;
use super::settings::assignment;
use crate::error::{Error, Kind, Result};
use crate::model::server::{DatabaseProperties, ServerFacts};
use crate::pg::client::Client;
use tokio_postgres::error::SqlState;

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

/// What a database is apart from its encoding and locale, or `None` where there is no such database.
pub fn properties(session: &mut Session, database: &str) -> Result<Option<DatabaseProperties>> {
    session
        .client
        .query_opt(
            "SELECT pg_catalog.pg_get_userbyid(d.datdba)::text,
                    nullif(t.spcname::text, 'pg_default'),
                    CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit END,
                    d.datistemplate, NOT d.datallowconn,
                    pg_catalog.to_jsonb(d)->>'daticurules'
             FROM pg_catalog.pg_database AS d
             JOIN pg_catalog.pg_tablespace AS t ON t.oid = d.dattablespace
             WHERE d.datname = $1",
            &[&database],
            |row| {
                Ok(DatabaseProperties {
                    owner: row.at(0)?,
                    tablespace: row.at(1)?,
                    connection_limit: row.at(2)?,
                    is_template: row.at(3)?,
                    closed: row.at(4)?,
                    icu_rules: row.at(5)?,
                })
            },
        )
        .map_err(|error| server(format!("cannot look up database \"{database}\""), error))
}

/// When the server was started, to the microsecond: that tells it from others, which its system
/// identifier does not, as clones share that.
pub fn server_start(session: &mut Session) -> Result<String> {
    session
        .client
        .query_one("SELECT pg_catalog.pg_postmaster_start_time()::text", &[], |row| row.at(0))
        .map_err(|error| server("cannot ask when the server was started", error))
}

/// Whether there is a database of this name.
pub fn exists(session: &mut Session, database: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)";
    session
        .client
        .query_one(sql, &[&database], |row| row.at(0))
        .map_err(|error| server(format!("cannot look up database \"{database}\""), error))
}

/// The tablespace that the session's database puts things into when nothing is said.
pub fn own_tablespace(session: &mut Session) -> Result<String> {
    session
        .client
        .query_one(
            "SELECT t.spcname::text FROM pg_catalog.pg_database AS d
             JOIN pg_catalog.pg_tablespace AS t ON t.oid = d.dattablespace
             WHERE d.datname = pg_catalog.current_database()",
            &[],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look up the database's tablespace", error))
}

/// Names of databases that begin so.
pub fn beginning_with(session: &mut Session, beginning: &str) -> Result<Vec<String>> {
    session
        .client
        .query(
            "SELECT datname::text FROM pg_catalog.pg_database
             WHERE pg_catalog.starts_with(datname::text, $1) ORDER BY 1",
            &[&beginning],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot list the databases", error))
}

/// Names of databases that begin so and bear this comment.
pub fn commented(session: &mut Session, beginning: &str, comment: &str) -> Result<Vec<String>> {
    session
        .client
        .query(
            "SELECT datname::text FROM pg_catalog.pg_database
             WHERE pg_catalog.starts_with(datname::text, $1)
               AND pg_catalog.shobj_description(oid, 'pg_database') = $2 ORDER BY 1",
            &[&beginning, &comment],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot list the databases", error))
}

/// How many other sessions are connected to a database.
pub fn sessions(session: &mut Session, database: &str) -> Result<i64> {
    session
        .client
        .query_one(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
             WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'",
            &[&database],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot list the sessions", error))
}

/// Ends all other sessions of a database.
pub fn disconnect(session: &mut Session, database: &str) -> Result<()> {
    session
        .client
        .execute(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
             WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()",
            &[&database],
        )
        .map(drop)
        .map_err(|error| server(format!("cannot disconnect the sessions of \"{database}\""), error))
}

/// A locale other than the archive's, for a server that does not know that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale {
    /// `c` (libc), `i` (ICU), `b` (builtin), as in `pg_database.datlocprovider`.
    pub provider: char,
    /// Its name.
    pub name: String,
}

/// What a new database is to be.
pub struct NewDatabase<'a> {
    /// Its name.
    pub name: &'a str,
    /// The database whose encoding and locale it gets.
    pub like: &'a ServerFacts,
    /// Another locale than that one's.
    pub locale: Option<&'a Locale>,
    /// Rules that an ICU locale is tailored with.
    pub icu_rules: Option<&'a str>,
    /// Its owner; without one, the role that creates it.
    pub owner: Option<&'a str>,
    /// Its tablespace, where that is not the server's usual one.
    pub tablespace: Option<&'a str>,
}

/// Creates an empty database.
pub fn create(session: &mut Session, new: &NewDatabase<'_>) -> Result<()> {
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {}{}",
        quote(new.name),
        literal(&new.like.encoding),
        locale_clause(new, session.facts.major())
    );
    if let Some(owner) = new.owner {
        sql.push_str(&format!(" OWNER {}", quote(owner)));
    }
    if let Some(tablespace) = new.tablespace {
        sql.push_str(&format!(" TABLESPACE {}", quote(tablespace)));
    }
    session.client.batch_execute(&sql).map_err(|error| {
        let is_locale = new.locale.is_none() && error.code() == Some(&SqlState::WRONG_OBJECT_TYPE)
            || error.as_db_error().is_some_and(|e| e.message().contains("locale"));
        let is_right = error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
            && error.as_db_error().is_some_and(|e| e.message().contains("create database"));
        let failure = server(format!("cannot create database \"{}\"", new.name), error);
        if is_right {
            let role = quote(&session.facts.role);
            return failure.hint(format!("ALTER ROLE {role} CREATEDB;"));
        }
        match is_locale {
            true => failure.hint(
                "the server does not know the archive's locale: name one that it knows with --locale; text then sorts by that",
            ),
            false => failure,
        }
    })
}

fn locale_clause(new: &NewDatabase<'_>, major: u32) -> String {
    let like = new.like;
    let (provider, name) = match new.locale {
        Some(locale) => (locale.provider, Some(&locale.name)),
        None => (like.locale_provider, like.locale.as_ref()),
    };
    let libc = match new.locale {
        Some(locale) if locale.provider == 'c' => format!(" LOCALE {}", literal(&locale.name)),
        // What the server's own databases have is known to it.
        Some(_) => String::new(),
        None => format!(" LC_COLLATE {} LC_CTYPE {}", literal(&like.collate), literal(&like.ctype)),
    };
    if major < 15 {
        return libc;
    }
    match (provider, name) {
        ('i', Some(name)) => {
            let rules = match new.icu_rules.filter(|_| new.locale.is_none() && major >= 16) {
                Some(rules) => format!(" ICU_RULES {}", literal(rules)),
                None => String::new(),
            };
            format!("{libc} LOCALE_PROVIDER icu ICU_LOCALE {}{rules}", literal(name))
        }
        ('b', Some(name)) if major >= 17 => {
            format!("{libc} LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(name))
        }
        _ => format!("{libc} LOCALE_PROVIDER libc"),
    }
}

/// Gives a database its connection limit, and lets it be a template or be closed.
pub fn set_properties(
    session: &mut Session,
    database: &str,
    properties: &DatabaseProperties,
) -> Result<()> {
    let mut options = Vec::new();
    if let Some(limit) = properties.connection_limit {
        options.push(format!("CONNECTION LIMIT {limit}"));
    }
    if properties.is_template {
        options.push(String::from("IS_TEMPLATE true"));
    }
    if properties.closed {
        options.push(String::from("ALLOW_CONNECTIONS false"));
    }
    if options.is_empty() {
        return Ok(());
    }
    session.execute(&format!("ALTER DATABASE {} WITH {}", quote(database), options.join(" ")))
}

/// Gives a database a comment.
pub fn set_comment(session: &mut Session, database: &str, text: &str) -> Result<()> {
    session.execute(&format!("COMMENT ON DATABASE {} IS {}", quote(database), literal(text)))
}

/// The settings that a database has: for all roles (`None`), or for one.
pub type Settings = Vec<(Option<String>, Vec<String>)>;

/// Reads what `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET` have set.
pub fn settings(client: &mut Client, database: &str) -> Result<Settings> {
    client
        .query(
            "SELECT r.rolname::text, s.setconfig
             FROM pg_catalog.pg_db_role_setting AS s
             JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
             LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
             WHERE d.datname = $1 AND (s.setrole = 0 OR r.oid IS NOT NULL)
             ORDER BY r.rolname NULLS FIRST",
            &[&database],
            |row| Ok((row.at(0)?, row.at(1)?)),
        )
        .map_err(|error| server(format!("cannot read the settings of \"{database}\""), error))
}

/// Gives a database these settings, and names those that the server refuses.
pub fn set_settings(
    session: &mut Session,
    database: &str,
    settings: &Settings,
) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for (role, items) in settings {
        let whose = whose(role.as_deref(), database);
        for item in items {
            let Some(assignment) = assignment(item) else { continue };
            let sql = format!("ALTER {whose} SET {assignment}");
            if let Err(error) = session.execute(&sql) {
                if session.client.is_closed() {
                    return Err(error);
                }
                refused.push(item.clone());
            }
        }
    }
    Ok(refused)
}

/// Makes the settings of the session's database what they were. What the role may not set, it
/// cannot have changed.
pub fn put_back_settings(session: &mut Session, before: &Settings) -> Result<()> {
    let database = session.facts.database.clone();
    let there = settings(&mut session.client, &database)?;
    if there == *before {
        return Ok(());
    }
    for (role, _) in &there {
        drop(session.execute(&format!("ALTER {} RESET ALL", whose(role.as_deref(), &database))));
    }
    set_settings(session, &database, before).map(drop)
}

fn whose(role: Option<&str>, database: &str) -> String {
    match role {
        Some(role) => format!("ROLE {} IN DATABASE {}", quote(role), quote(database)),
        None => format!("DATABASE {}", quote(database)),
    }
}

/// Drops a database, and ends the sessions that are still in it.
pub fn remove(session: &mut Session, name: &str) -> Result<()> {
    session.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name)))
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
