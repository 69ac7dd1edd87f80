//! Where a database is: what the user said about it, and what a run has settled since.

use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// A connection as the user gave it: a URL or key/value string, and what libpq's environment
/// variables add. `Debug` shows neither, since both may hold a password.
///
/// Clones share what the run settles: the first session that is open decides on the server, and
/// all later ones go there.
#[derive(Clone, Default)]
pub struct Connection {
    /// `postgresql://…` or `host=… dbname=…`; empty when only the environment speaks.
    pub string: String,
    /// libpq parameter names (`host`, `port`, `user`, `password`, `dbname` …) to values: used for
    /// what the string and the service file leave open.
    pub defaults: BTreeMap<String, String>,
    /// The operating system's name for the user, who connects if no other is named.
    pub system_user: Option<String>,
    /// Where libpq's files are.
    pub places: Places,
    /// When the person is asked for the password.
    pub asking: Asking,
    /// Which of several it is, for the question: `the source`.
    pub called: Option<&'static str>,
    /// The person at the terminal, if there is one.
    pub person: Option<Arc<dyn Person>>,
    /// How long an attempt to connect may take, whatever else says so; zero is for ever.
    pub connect_timeout: Option<Duration>,
    /// How long an open session's server may be silent when it should speak; none is for ever.
    pub stall_timeout: Option<Duration>,
    /// What the run has settled.
    pub settled: Arc<Settled>,
}

/// Folders and files that libpq looks into.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The user's home: `.pgpass`, `.pg_service.conf` and `.postgresql/` are there.
    pub home: Option<PathBuf>,
    /// PGSERVICEFILE, which stands for the `.pg_service.conf` at home.
    pub service_file: Option<PathBuf>,
    /// PGSYSCONFDIR, the folder of the system's `pg_service.conf`.
    pub system_folder: Option<PathBuf>,
}

/// When the person is asked for the password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// When the server wants one and none was found.
    #[default]
    IfNeeded,
    /// Never; the connection fails then.
    Never,
    /// Before connecting, whatever else says a password.
    First,
}

/// Whoever runs pgark.
pub trait Person: Send + Sync {
    /// The password that answers `question`; none where there is no terminal.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    fn password(&self, question: &str) -> Result<Option<Password>>;
    /// Something for those who want to know everything.
    fn detail(&self, text: &str);
    /// Something that should be looked after.
    fn warn(&self, text: &str);
}

/// A password. No formatting shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// What the sessions of one run have in common once the first one is open.
#[derive(Default)]
pub struct Settled {
    /// The server that answered.
    pub server: OnceLock<Server>,
    /// The password that was typed in.
    pub password: OnceLock<Password>,
    /// Databases whose sessions were seen to keep their server process, and so may be set up.
    pub steady: Mutex<BTreeSet<String>>,
    /// What the person has been warned of or told.
    pub warned: Mutex<BTreeSet<String>>,
}

/// The server among those that the connection names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its place in the list of hosts, from 0.
    pub number: usize,
    /// Which of the host's addresses; none for a socket.
    pub address: Option<SocketAddr>,
    /// Whether the session is encrypted.
    pub encrypted: bool,
}

impl Password {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password in the clear, for the server alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Connection {
    /// Warns the person, once a run.
    pub fn warn(&self, text: &str) {
        if let Some(person) = self.new_to_person(text) {
            person.warn(text);
        }
    }

    /// Tells the person a detail, once a run.
    pub fn detail(&self, text: &str) {
        if let Some(person) = self.new_to_person(text) {
            person.detail(text);
        }
    }

    /// The person, if this was not said before.
    fn new_to_person(&self, text: &str) -> Option<&Arc<dyn Person>> {
        let new = self.settled.warned.lock().is_ok_and(|mut warned| warned.insert(text.to_owned()));
        self.person.as_ref().filter(|_| new)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Connection(…)")
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(…)")
    }
}
