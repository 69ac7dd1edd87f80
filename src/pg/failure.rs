//! Errors of the `postgres` crate as pgark's own: the server's words once, with the SQLSTATE.

use crate::error::{Error, Kind};
use postgres::error::{DbError, SqlState};
use std::error::Error as _;
use std::fmt;

/// What the server said, on one line.
#[derive(Debug)]
struct ServerMessage(String);

impl fmt::Display for ServerMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ServerMessage {}

/// The failure of `doing`, for the reason that `error` gives.
pub fn server(doing: impl Into<String>, error: postgres::Error) -> Error {
    let Some(reason) = error.as_db_error() else {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        return Error::new(Kind::Server, doing).caused_by(ServerMessage(cause));
    };
    let failure = Error::new(kind(reason.code()), doing).caused_by(ServerMessage(words(reason)));
    match reason.hint().map(str::to_owned).or_else(|| hint(reason)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The server's words, without the rows that it quotes: they would end up in logs and in mail.
fn words(reason: &DbError) -> String {
    let code = reason.code().code();
    let place = reason.where_().and_then(place);
    let about_values = matches!(&code[..2], "22" | "23");
    let message = match reason.message().split_once(": \"") {
        // `invalid input syntax for type integer: "…"` while rows are loaded.
        Some((said, _)) if about_values && place.is_some() => said,
        _ => reason.message(),
    };
    let mut words = format!("{message} (SQLSTATE {code})");
    // `Failing row contains (…)`, `Key (email)=(…) already exists`.
    if let Some(detail) = reason.detail().filter(|_| !about_values) {
        words.push_str(&format!("; detail: {}", detail.replace('\n', " ")));
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

fn kind(code: &SqlState) -> Kind {
    if *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED {
        return Kind::Locked;
    }
    match &code.code()[..2] {
        // Connection exceptions, invalid authorization, unknown database, shutdown.
        "08" | "28" | "3D" | "57" => Kind::Server,
        _ => Kind::Failed,
    }
}

fn hint(reason: &DbError) -> Option<String> {
    let code = reason.code();
    let hint = if *code == SqlState::INVALID_PASSWORD {
        "check the password: PGPASSWORD, a .pgpass file, or the connection string"
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        "check the database's name in the connection string; `psql -l` lists what is there"
    } else if *code == SqlState::OUT_OF_MEMORY && reason.message().contains("shared memory") {
        "raise max_locks_per_transaction on the server"
    } else if *code == SqlState::DISK_FULL {
        "the server's disk is full"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::place;

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
