//! One connection with every setting pinned that could change what is read or written.

use super::client::Client;
use super::connect::{self, Canceller, Target};
use super::failure::server;
use super::ident;
use super::record::{Record, Unread};
use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::name::QualifiedName;
use crate::model::server::ServerFacts;

/// The oldest and newest major versions of PostgreSQL that pgark knows.
pub const KNOWN_MAJORS: std::ops::RangeInclusive<u32> = 13..=18;

/// What a session is for; it decides its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reads the catalogs: UTF-8, and all identifiers quoted in what the server deparses
    /// (dump-correctness P18).
    Catalog,
    /// Reads rows: opaque bytes in the database's own encoding.
    Read,
    /// Creates objects and writes rows.
    Write,
}

/// An open connection whose settings are pinned.
pub struct Session {
    /// The connection itself.
    pub client: Client,
    /// What the server said of itself.
    pub facts: ServerFacts,
    target: Target,
    canceller: Canceller,
    pid: i32,
    client_encoding: String,
}

/// What a connection of either kind can do.
pub trait Statements {
    /// Runs one or more statements that return nothing of interest.
    ///
    /// # Errors
    /// The server's, with the beginning of the statement.
    fn execute(&mut self, sql: &str) -> Result<()>;

    /// What the server said of itself.
    fn facts(&self) -> &ServerFacts;

    /// The encoding in which rows and statements travel.
    fn client_encoding(&self) -> &str;

    /// Whether statements may hold names beyond ASCII as they are: they are sent as UTF-8. If not,
    /// they need Unicode escapes, which a database without an encoding does not know.
    fn takes_plain_names(&self) -> bool {
        matches!(self.client_encoding(), "UTF8" | "SQL_ASCII")
            || self.facts().encoding == "SQL_ASCII"
    }

    /// A name as SQL, whatever the encoding in use.
    fn quote(&self, name: &str) -> String {
        if self.takes_plain_names() { ident::quote(name) } else { ident::quote_ascii(name) }
    }

    /// A schema-qualified name as SQL, whatever the encoding in use.
    fn quote_qualified(&self, name: &QualifiedName) -> String {
        format!("{}.{}", self.quote(&name.schema), self.quote(&name.name))
    }
}

impl Statements for Session {
    fn execute(&mut self, sql: &str) -> Result<()> {
        Self::execute(self, sql)
    }

    fn facts(&self) -> &ServerFacts {
        &self.facts
    }

    fn client_encoding(&self) -> &str {
        &self.client_encoding
    }
}

/// What a failed statement failed to do.
pub(super) fn refused(sql: &str) -> String {
    format!("the server refused: {}", shorten(sql))
}

/// Settings of every session; a setting that the server does not know is left out.
///
/// The first line closes CVE-2018-1058, so it is applied alone, before any other statement. The
/// rest pins how values are written as text: a role's or database's own settings must not change
/// a value (dump-correctness 1.1, P8, P9).
const PINNED: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("standard_conforming_strings", "on"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("timezone", "UTC"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("array_nulls", "on"),
    ("synchronize_seqscans", "off"),
    ("row_security", "off"),
    ("jit", "off"),
    ("client_min_messages", "warning"),
];

/// Settings of reading sessions. The first closes CVE-2024-7348.
const PINNED_TO_READ: &[(&str, &str)] =
    &[("restrict_nonsystem_relation_kind", "view, foreign-table")];

/// Settings of writing sessions.
const PINNED_TO_WRITE: &[(&str, &str)] = &[
    ("default_transaction_read_only", "off"),
    ("check_function_bodies", "off"),
    ("default_tablespace", ""),
    ("default_table_access_method", "heap"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("event_triggers", "off"),
    ("synchronous_commit", "off"),
    ("escape_string_warning", "off"),
];

impl Session {
    /// Connects to `database` (or to the one that the connection names) and pins the settings.
    ///
    /// # Errors
    /// [`Server`](crate::error::Kind::Server) when the server cannot be reached, [`Refused`](crate::error::Kind::Refused) for a server version
    /// that pgark does not know.
    pub fn open(connection: &Connection, database: Option<&str>, purpose: Purpose) -> Result<Self> {
        let opened = connect::open(connection, database)?;
        let canceller = opened.canceller();
        let connect::Opened { mut client, target, .. } = opened;
        let failed = |error| server("cannot set up the session", error);
        client.batch_execute(EMPTY_SEARCH_PATH).map_err(failed)?;
        let (facts, pid) = read_facts(&mut client)?;
        if !KNOWN_MAJORS.contains(&facts.major()) {
            return Err(Error::refused(format!(
                "the server is PostgreSQL {}, and this pgark knows {} to {}",
                facts.server_version,
                KNOWN_MAJORS.start(),
                KNOWN_MAJORS.end()
            )));
        }
        for settings in settings(purpose) {
            client.execute(&pin_sql(settings), &[]).map_err(failed)?;
        }
        let client_encoding = String::from("UTF8");
        Ok(Self { client, facts, target, canceller, pid, client_encoding })
    }

    /// Rows travel in `encoding` from here on; see [`Self::takes_plain_names`].
    ///
    /// `SQL_ASCII` means bytes as they are. COPY would not look at them then, and would put bytes
    /// that are no UTF-8 into a UTF-8 database: they travel in the database's own encoding.
    pub fn use_encoding(&mut self, encoding: &str) -> Result<()> {
        let encoding = encoding_of_rows(encoding, &self.facts);
        self.execute(&format!("SET client_encoding = {}", ident::literal(&encoding)))?;
        self.client_encoding = encoding;
        Ok(())
    }

    /// Runs one or more statements that return nothing of interest.
    ///
    /// # Errors
    /// The server's, with the beginning of the statement.
    pub fn execute(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).map_err(|error| server(refused(sql), error))
    }

    /// Runs exactly one statement over the extended protocol, which takes no more than one, and
    /// gives the number of rows it concerned.
    pub fn run_single(&mut self, sql: &str, doing: &str) -> Result<u64> {
        self.client.execute(sql, &[]).map_err(|error| server(doing, error))
    }

    /// Fails when a connection pooler has moved the session to another server process: the
    /// settings above, the snapshot and the locks would be gone without a word.
    pub fn check_not_pooled(&mut self) -> Result<()> {
        let pid: i32 = self
            .client
            .query_one("SELECT pg_catalog.pg_backend_pid()", &[], |row| row.at(0))
            .map_err(|error| server("cannot ask for the server process", error))?;
        if pid == self.pid {
            return Ok(());
        }
        Err(pooled())
    }

    /// The server: exactly the address, and encryption or not, with which this session works.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its server process.
    pub fn process(&self) -> i32 {
        self.pid
    }

    /// What another thread needs to cancel this session's query.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

/// The encoding in which rows of an archive in `encoding` travel.
pub(super) fn encoding_of_rows(encoding: &str, facts: &ServerFacts) -> String {
    let opaque = encoding == "SQL_ASCII";
    if opaque { facts.encoding.clone() } else { encoding.to_owned() }
}

/// The settings of a session, in the order in which they are pinned.
pub(super) fn settings(purpose: Purpose) -> [&'static [(&'static str, &'static str)]; 3] {
    match purpose {
        Purpose::Catalog => [PINNED, PINNED_TO_READ, &[("quote_all_identifiers", "on")]],
        Purpose::Read => [PINNED, PINNED_TO_READ, &[("quote_all_identifiers", "off")]],
        Purpose::Write => [PINNED, PINNED_TO_WRITE, &[("quote_all_identifiers", "off")]],
    }
}

/// The very first statement of a session.
pub(super) const EMPTY_SEARCH_PATH: &str = "SELECT pg_catalog.set_config('search_path', '', false)";

/// A query that sets what of `settings` the server knows.
pub(super) fn pin_sql(settings: &[(&str, &str)]) -> String {
    let values: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("({}, {})", ident::literal(name), ident::literal(value)))
        .collect();
    // A setting that needs a privilege (event_triggers) is pinned only where it may be.
    format!(
        "SELECT pg_catalog.set_config(pinned.name, pinned.value, false)
         FROM (VALUES {}) AS pinned(name, value)
         JOIN pg_catalog.pg_settings AS known ON known.name = pg_catalog.lower(pinned.name)
           OR pg_catalog.lower(known.name) = pinned.name
         WHERE known.context = 'user'
            OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)",
        values.join(", ")
    )
}

/// A pooler has taken the settings, the snapshot and the locks away.
pub(super) fn pooled() -> Error {
    Error::new(Kind::Server, "a connection pooler moved the session to another server process")
        .hint("connect to PostgreSQL directly, or through a session-mode pool")
}

/// The beginning of a statement, for messages.
pub fn shorten(sql: &str) -> String {
    let line: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 160 {
        return line;
    }
    let mut short: String = line.chars().take(157).collect();
    short.push('…');
    short
}

fn read_facts(client: &mut Client) -> Result<(ServerFacts, i32)> {
    let (mut facts, pid) = client
        .query_one(
            "SELECT pg_catalog.current_database()::text,
                    pg_catalog.current_setting('server_version'),
                    pg_catalog.current_setting('server_version_num')::int,
                    pg_catalog.pg_encoding_to_char(d.encoding)::text,
                    d.datcollate::text, d.datctype::text,
                    coalesce(pg_catalog.to_jsonb(d)->>'datlocprovider', 'c'),
                    coalesce(pg_catalog.to_jsonb(d)->>'datlocale', pg_catalog.to_jsonb(d)->>'daticulocale'),
                    pg_catalog.pg_is_in_recovery(),
                    current_user::text,
                    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
                    pg_catalog.pg_backend_pid()
             FROM pg_catalog.pg_database AS d
             WHERE d.datname = pg_catalog.current_database()",
            &[],
            |row| Ok((server_facts(row)?, row.at(11)?)),
        )
        .map_err(|error| server("cannot read the server's version and encoding", error))?;
    // Denied to some managed services' roles: then the archive does not name the cluster.
    let sql = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    facts.system_identifier = client.query_one(sql, &[], |row| row.at(0)).ok();
    Ok((facts, pid))
}

fn server_facts(row: &Record) -> Result<ServerFacts, Unread> {
    Ok(ServerFacts {
        database: row.at(0)?,
        server_version: row.at(1)?,
        server_version_num: u32::try_from(row.at::<i32>(2)?).unwrap_or_default(),
        encoding: row.at(3)?,
        collate: row.at(4)?,
        ctype: row.at(5)?,
        locale_provider: row.at::<&str>(6)?.chars().next().unwrap_or('c'),
        locale: row.at(7)?,
        in_recovery: row.at(8)?,
        role: row.at(9)?,
        superuser: row.at(10)?,
        system_identifier: None,
    })
}
