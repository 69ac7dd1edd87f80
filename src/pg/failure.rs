//! The server's errors as pgark's own: its words once, with the SQLSTATE.

use super::record::Unread;
use crate::error::{Error, Kind};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;
use std::error::Error as _;
use std::fmt;
use tokio_postgres::error::{DbError, SqlState};

/// What to do about a session that was not ended by pgark.
pub const ENDED: &str =
    "somebody ended the session, or the server is starting or ending; its log says more";

/// What the server, or the way to it, said, on one line.
#[derive(Debug, Default)]
struct ServerMessage {
    words: String,
    /// The SQLSTATE, if the server itself said it.
    code: Option<String>,
    /// Whether a function did not find what it names without a schema.
    of_search_path: bool,
    /// Whether a row does not belong into a partition.
    of_partition: bool,
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.words)
    }
}

impl std::error::Error for ServerMessage {}

/// What a server says when it refuses (PostgreSQL, "Error and Notice Message Fields").
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    /// The server's function that says it.
    routine: Option<String>,
}

impl Refusal {
    /// Reads the fields of an ErrorResponse; what is not UTF-8 is shown as well as can be.
    pub fn read(fields: ErrorFields<'_>) -> Self {
        let mut refusal = Self::default();
        // A malformed field ends the list: what came before it is still worth showing.
        let read = fields.for_each(|field| {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => refusal.code = value,
                b'M' => refusal.message = value,
                b'D' => refusal.detail = Some(value),
                b'H' => refusal.hint = Some(value),
                b'W' => refusal.context = Some(value),
                b'R' => refusal.routine = Some(value),
                _ => {}
            }
            Ok(())
        });
        drop(read);
        refusal
    }

    fn of_driver(reason: &DbError) -> Self {
        Self {
            code: reason.code().code().to_owned(),
            message: reason.message().to_owned(),
            detail: reason.detail().map(str::to_owned),
            hint: reason.hint().map(str::to_owned),
            context: reason.where_().map(str::to_owned),
            routine: reason.routine().map(str::to_owned),
        }
    }

    /// The failure of `doing` for this reason.
    pub fn fails(self, doing: impl Into<String>) -> Error {
        let said = ServerMessage {
            words: words(&self),
            code: Some(self.code.clone()),
            of_search_path: lost_function(&self).is_some(),
            // No other word is the same in all languages, and the SQLSTATE is that of a CHECK.
            of_partition: self.routine.as_deref() == Some("ExecPartitionCheckEmitError"),
        };
        let failure = Error::new(kind(&self.code), doing).caused_by(said);
        match self.hint.clone().or_else(|| hint(&self)) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Why a statement has brought nothing.
#[derive(Debug)]
pub enum Reason {
    /// The server, or the way to it, failed.
    Driver(tokio_postgres::Error),
    /// The answer cannot be read.
    Unread(Unread),
}

impl From<tokio_postgres::Error> for Reason {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Unread> for Reason {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

/// The failure of `doing`, for the reason that is given.
pub fn server(doing: impl Into<String>, reason: impl Into<Reason>) -> Error {
    match reason.into() {
        Reason::Driver(error) => of_driver(doing, error),
        Reason::Unread(unread) => Error::from(unread).while_doing(doing),
    }
}

fn of_driver(doing: impl Into<String>, error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(reason) => Refusal::of_driver(reason).fails(doing),
        None => {
            let closed = error.is_closed();
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let said = ServerMessage { words: cause, ..ServerMessage::default() };
            let failed = Error::new(Kind::Server, doing).caused_by(said);
            match closed {
                true => failed.hint(ENDED),
                false => failed,
            }
        }
    }
}

/// Whether the server itself has said why: it was there, and answered.
pub fn is_servers(error: &Error) -> bool {
    code(error).is_some()
}

/// Whether the server has no such database.
pub fn is_of_no_database(error: &Error) -> bool {
    code(error) == Some(SqlState::INVALID_CATALOG_NAME.code())
}

/// Whether a privilege was lacking.
pub fn is_of_privilege(error: &Error) -> bool {
    code(error) == Some(SqlState::INSUFFICIENT_PRIVILEGE.code())
}

/// Whether a function did not find what it names without a schema.
pub fn is_of_search_path(error: &Error) -> bool {
    said(error).is_some_and(|said| said.of_search_path)
}

/// Whether something is not found, in a function or elsewhere: its words are in the server's language.
pub fn is_of_undefined(error: &Error) -> bool {
    code(error).is_some_and(|code| UNDEFINED.iter().any(|state| state.code() == code))
}

/// Whether a row does not belong into the partition that it was put into.
pub fn is_of_partition(error: &Error) -> bool {
    said(error).is_some_and(|said| said.of_partition)
}

/// The SQLSTATE, if the server itself has said why.
fn code(error: &Error) -> Option<&str> {
    said(error)?.code.as_deref()
}

fn said(error: &Error) -> Option<&ServerMessage> {
    std::iter::successors(error.source(), |cause| (*cause).source())
        .find_map(|cause| cause.downcast_ref::<ServerMessage>())
}

/// What a name without a schema can fail with.
const UNDEFINED: [SqlState; 4] = [
    SqlState::UNDEFINED_FUNCTION,
    SqlState::UNDEFINED_TABLE,
    SqlState::UNDEFINED_OBJECT,
    SqlState::INVALID_SCHEMA_NAME,
];

/// The function whose body names something without a schema, which is not found.
fn lost_function(reason: &Refusal) -> Option<&str> {
    // `relation "s.t"`, `function s.f(integer)`; of an operator the types may have schemas.
    let named = reason.message.split('(').next().unwrap_or_default();
    let is_whole = named.contains('.') && !named.starts_with("operator");
    if is_whole || !UNDEFINED.iter().any(|state| state.code() == reason.code) {
        return None;
    }
    reason.context.as_deref()?.lines().find_map(function)
}

/// The function of a line of a context: `PL/pgSQL function s.f(text) line 1 at RETURN`,
/// `SQL function "f" during inlining`, `compilation of PL/pgSQL function "f" near line 1`. Blocks without
/// a name are pgark's own.
fn function(line: &str) -> Option<&str> {
    let (language, rest) = line.split_once(" function ")?;
    if language != "SQL" && !language.contains("PL/") {
        return None;
    }
    let name = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => &rest[..=rest.find(')')?],
    };
    Some(name)
}

/// The server's words, without the rows that it quotes: they would end up in logs and in mail.
fn words(reason: &Refusal) -> String {
    let code = reason.code.as_str();
    let place = reason.context.as_deref().and_then(place);
    let about_values = code.starts_with("22") || code.starts_with("23");
    let message = match reason.message.split_once(": \"") {
        // `invalid input syntax for type integer: "…"` while rows are loaded.
        Some((said, _)) if about_values && place.is_some() => said,
        _ => &reason.message,
    };
    let mut words = format!("{message} (SQLSTATE {code})");
    // `Failing row contains (…)`, `Key (email)=(…) already exists`.
    if let Some(detail) = reason.detail.as_ref().filter(|_| !about_values) {
        words.push_str(&format!("; detail: {}", detail.replace('\n', " ")));
    }
    if let Some(function) = lost_function(reason) {
        words.push_str(&format!("; in function {function}"));
    }
    if let Some(place) = place {
        words.push_str(&format!("; where: {place}"));
    }
    words
}

/// `COPY table, line N[, column c]` of a context, which goes on with the row itself, or with
/// statements that hold values.
fn place(context: &str) -> Option<String> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (table, rest) = line.split_once(", line ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(digits);
    let column = rest
        .strip_prefix(", column ")
        .map(|rest| rest.split_once(": ").map_or(rest, |(column, _)| column))
        .map(|column| format!(", column {column}"));
    Some(format!("{table}, line {number}{}", column.unwrap_or_default()))
}

fn kind(code: &str) -> Kind {
    if code == SqlState::LOCK_NOT_AVAILABLE.code() || code == SqlState::T_R_DEADLOCK_DETECTED.code()
    {
        return Kind::Locked;
    }
    if code == SqlState::TOO_MANY_CONNECTIONS.code() {
        return Kind::Server;
    }
    if code == SqlState::DISK_FULL.code() {
        return Kind::NoSpace;
    }
    match code.get(..2) {
        // Connection exceptions, invalid authorization, unknown database, shutdown.
        Some("08" | "28" | "3D" | "57") => Kind::Server,
        _ => Kind::Failed,
    }
}

fn hint(reason: &Refusal) -> Option<String> {
    let is = |state: &SqlState| reason.code == state.code();
    let too_many = |of: &str| {
        is(&SqlState::TOO_MANY_CONNECTIONS)
            && reason.message.starts_with(&format!("too many connections for {of}"))
    };
    let hint = if too_many("role") {
        "use fewer workers (--jobs), end idle sessions of the role, or raise its limit: ALTER ROLE … CONNECTION LIMIT"
    } else if too_many("database") {
        "use fewer workers (--jobs), end idle sessions in the database, or raise its limit: ALTER DATABASE … CONNECTION LIMIT"
    } else if is(&SqlState::INVALID_PASSWORD) {
        "check the password: PGPASSWORD, a .pgpass file, or the connection string"
    } else if is(&SqlState::INVALID_CATALOG_NAME) {
        "check the database's name in the connection string; `psql -l` lists what is there"
    } else if is(&SqlState::OUT_OF_MEMORY) && reason.message.contains("shared memory") {
        "raise max_locks_per_transaction on the server"
    } else if is(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) {
        "check the role's name, and that it may log in; the server's pg_hba.conf decides who may from where"
    } else if is(&SqlState::TOO_MANY_CONNECTIONS) {
        "use fewer workers (--jobs), end idle sessions, or raise max_connections on the server"
    } else if is(&SqlState::ADMIN_SHUTDOWN)
        || is(&SqlState::CRASH_SHUTDOWN)
        || is(&SqlState::CANNOT_CONNECT_NOW)
    {
        ENDED
    } else if is(&SqlState::DISK_FULL) {
        "the disk of the server is full: make room there"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{function, place};

    #[test]
    fn the_function_of_a_context_is_found() {
        for (line, found) in [
            ("PL/pgSQL function public.norm(text) line 1 at RETURN", Some("public.norm(text)")),
            ("SQL function \"norm\" during startup", Some("norm")),
            ("compilation of PL/pgSQL function \"norm\" near line 2", Some("norm")),
            ("PL/pgSQL function inline_code_block line 3 at EXECUTE", None),
            ("SQL statement \"SELECT 1\"", None),
            ("COPY t, line 1: \"a function (x)\"", None),
        ] {
            assert_eq!(function(line), found, "{line}");
        }
    }

    #[test]
    fn of_a_context_the_place_is_kept_and_the_row_is_not() {
        let kept = |context| place(context).unwrap();
        assert_eq!(kept("COPY users, line 1: \"1\tsecret\""), "COPY users, line 1");
        assert_eq!(kept("COPY u, line 12, column x: \"secret\""), "COPY u, line 12, column x");
        let nested = "SQL statement \"SELECT secret\"\nPL/pgSQL function f()\nCOPY u, line 3";
        assert_eq!(kept(nested), "COPY u, line 3");
        assert_eq!(place("SQL statement \"INSERT INTO u VALUES ('secret')\""), None);
    }
}
