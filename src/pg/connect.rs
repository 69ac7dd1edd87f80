//! Connections as libpq makes them: from what the user said to a session with the right server.

mod cancel;
mod certificate;
mod dial;
mod driver;
mod parameters;
mod parse;
mod passfile;
mod peer;
mod pooler;
mod search;
mod service;
mod settings;
mod silence;
mod target;
mod tls;
mod watch;

pub use cancel::Canceller;
pub use dial::{Stream, dial};
pub use parse::parse;
pub use target::{Address, ChannelBinding, Encryption, Target};
pub use watch::{Key, Method};

use crate::error::{Error, Result};
use crate::model::connection::{Asking, Connection, Server};
use crate::pg::client::Client;
use crate::pg::failure;
use parameters::Values;
use rand::seq::SliceRandom;
use search::{Ended, Search};

/// A session, and how it came about.
pub struct Opened {
    /// The session.
    pub client: Client,
    /// The server, narrowed to the address and the encryption that worked.
    pub target: Target,
    /// What the server calls the session.
    key: Key,
    /// How the server wanted the user to be proved.
    method: Option<Method>,
}

impl Opened {
    /// What another thread needs to cancel what the session is at.
    pub fn canceller(&self) -> Canceller {
        Canceller::new(self.target.clone(), self.key)
    }
}

/// The servers to try for a session with `database`, or with the database that the connection
/// itself names. Once a session of this connection is open, it is that session's server alone.
///
/// # Errors
/// [`Usage`](crate::error::Kind::Usage) for a connection that cannot be read or is not supported.
pub fn targets(connection: &Connection, database: Option<&str>) -> Result<Vec<Target>> {
    targets_of(connection, &parameters::resolve(connection)?, database)
}

fn targets_of(
    connection: &Connection,
    values: &Values,
    database: Option<&str>,
) -> Result<Vec<Target>> {
    let mut targets = settings::targets(connection, values, database)?;
    if let Some(server) = connection.settled.server.get() {
        targets.retain(|target| target.number == server.number);
        for target in &mut targets {
            if let (Address::Tcp { at, .. }, Some(_)) = (&mut target.address, server.address) {
                *at = server.address;
            }
            target.encryption = match server.encrypted {
                true => vec![Encryption::Tls],
                false => vec![Encryption::Plain],
            };
        }
    } else if settings::shuffled(values)? {
        shuffle(&mut targets);
    }
    Ok(targets)
}

fn shuffle<T>(list: &mut [T]) {
    list.shuffle(&mut rand::rng());
}

/// The database that the connection names, or that libpq would take.
///
/// # Errors
/// [`Usage`](crate::error::Kind::Usage) for a connection that cannot be read.
pub fn database_name(connection: &Connection) -> Result<String> {
    settings::database(connection, &parameters::resolve(connection)?)
}

/// Opens a session with `database`, or with the database that the connection itself names.
///
/// Servers, their addresses, and encryption or not are tried in libpq's order. A server that
/// refuses the user ends the search. The session keeps its server process: one that a pooler would
/// move is refused before anything is set in it.
///
/// # Errors
/// [`Usage`](crate::error::Kind::Usage) for a connection that cannot be read,
/// [`Server`](crate::error::Kind::Server) when no server can be reached or one refuses.
pub fn open(connection: &Connection, database: Option<&str>) -> Result<Opened> {
    let values = parameters::resolve(connection)?;
    let mut targets = targets_of(connection, &values, database)?;
    if connection.asking == Asking::First {
        ask_for_password(connection, &mut targets)?;
    }
    let search = Search { wish: settings::wish(&values)? };
    let mut opened = match search.run(&targets) {
        // The person is asked once: a password that is typed wrongly is refused.
        Err(Ended::NoPassword(error)) => {
            if !ask_for_password(connection, &mut targets)? {
                return Err(error);
            }
            search.run(&targets)
        }
        other => other,
    }
    .map_err(|ended| unnamed(&values, ended.into_error()))?;
    warn(connection, &opened);
    connection.detail(&described(&opened));
    pooler::check(connection, &mut opened)?;
    // Of several sessions that begin at once, the first decides on the server.
    drop(connection.settled.server.set(server_of(&opened.target)));
    Ok(opened)
}

/// The error of a server that did not answer, and that nobody has named.
fn unnamed(values: &Values, error: Error) -> Error {
    let named = ["host", "hostaddr"].iter().any(|name| values.contains_key(*name));
    match named || failure::is_servers(&error) {
        true => error,
        false => error.hint(
            "no server was named, and none listens at the usual place: name one with --url, DATABASE_URL or PGHOST",
        ),
    }
}

fn server_of(target: &Target) -> Server {
    let address = match &target.address {
        Address::Tcp { at, .. } => *at,
        Address::Unix { .. } => None,
    };
    let encrypted = target.encryption == [Encryption::Tls];
    Server { number: target.number, address, encrypted }
}

fn warn(connection: &Connection, opened: &Opened) {
    let remote = matches!(opened.target.address, Address::Tcp { .. });
    if remote && opened.method == Some(Method::Md5) {
        connection.warn(&format!(
            "the server takes the password of \"{}\" as an MD5 digest, which is as good as the password \
             to whoever reads it; set password_encryption = 'scram-sha-256' there, and the password anew",
            opened.target.user
        ));
    }
}

/// How a session came about, for those who want to know.
fn described(opened: &Opened) -> String {
    let encrypted = match (&opened.target.address, opened.target.encryption.as_slice()) {
        (Address::Unix { .. }, _) => "on a socket of this machine",
        (_, [Encryption::Tls]) => "encrypted",
        _ => "not encrypted",
    };
    let proof = match opened.method {
        None | Some(Method::None) => String::from("the server asks for no proof of the user"),
        Some(method) => format!("proved by {method}"),
    };
    format!("connected to {}, {encrypted}, {proof}", opened.target.describe())
}

/// Asks the person, once a run. The answer is whether there is a password now.
fn ask_for_password(connection: &Connection, targets: &mut [Target]) -> Result<bool> {
    let (Some(person), Some(first)) = (&connection.person, targets.first()) else {
        return Ok(false);
    };
    if connection.asking == Asking::Never {
        return Ok(false);
    }
    if connection.settled.password.get().is_none() {
        let of = connection.called.map(|name| format!(" of {name}")).unwrap_or_default();
        let question = format!("Password for user {}{of}: ", first.user);
        match person.password(&question)? {
            Some(password) => drop(connection.settled.password.set(password)),
            None => return Ok(false),
        }
    }
    for target in targets {
        target.password = connection.settled.password.get().cloned();
    }
    Ok(true)
}
