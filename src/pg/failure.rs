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

fn words(reason: &DbError) -> String {
    let mut words = format!("{} (SQLSTATE {})", reason.message(), reason.code().code());
    for (label, text) in [("detail", reason.detail()), ("where", reason.where_())] {
        if let Some(text) = text {
            words.push_str(&format!("; {label}: {}", text.replace('\n', " ")));
        }
    }
    words
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
