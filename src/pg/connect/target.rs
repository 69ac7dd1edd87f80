//! One server to try, with everything that it takes to open a session there.

use super::tls::{Showing, Tls};
use super::watch::Methods;
use crate::error::{Error, Kind, Result};
use crate::model::connection::{Password, Person};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take that a run cannot wait for, where others may take for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server to try.
///
/// A target that [`super::targets`] gives may stand for several addresses and for both an encrypted
/// and a plain attempt; the target of an open session is exactly the one that worked.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its place in the list of hosts, from 0.
    pub number: usize,
    /// Where it listens.
    pub address: Address,
    /// The role to connect as.
    pub user: String,
    /// The password, if one was found for this server.
    pub password: Option<Password>,
    /// The file that the password was found in, if it was found in one.
    pub password_file: Option<PathBuf>,
    /// The database.
    pub database: String,
    /// Command-line options for the server process.
    pub options: Option<String>,
    /// What the server's lists of sessions show.
    pub application_name: String,
    /// How long one attempt may take until the session is ready; none is for ever.
    pub connect_timeout: Option<Duration>,
    /// How long an open session's server may be silent when it should speak; none is for ever.
    pub stall_timeout: Option<Duration>,
    /// Who hears the server's notices.
    pub listener: Listener,
    /// How long what was sent may stay unacknowledged; none is the system's own limit.
    pub tcp_user_timeout: Option<Duration>,
    /// Whether and how the system asks a silent server for a sign of life.
    pub keepalives: Option<Keepalives>,
    /// How to speak with it, in the order of the attempts.
    pub encryption: Vec<Encryption>,
    /// How encryption is done.
    pub tls: Arc<Tls>,
    /// Whether the login must be bound to the encrypted channel.
    pub channel_binding: ChannelBinding,
    /// Which ways to prove the user the server may ask for.
    pub methods: Methods,
    /// Which user's process must listen, where that is a socket of this machine.
    pub required_peer: Option<String>,
}

/// Who hears the server's notices.
#[derive(Clone, Default)]
pub struct Listener(pub Option<Arc<dyn Person>>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Listener(…)")
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in a folder, or an abstract one (`@name`).
    Unix {
        /// The folder, or `@` and a name.
        folder: String,
        /// The number in the socket's name.
        port: u16,
    },
    /// TCP.
    Tcp {
        /// The name that was given, for the certificate; an address if there was none.
        host: String,
        /// The address, if it is known; else the host's addresses are tried one after the other.
        at: Option<SocketAddr>,
        /// The port.
        port: u16,
        /// The host's addresses are tried in any order.
        shuffled: bool,
    },
}

/// One way to speak with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// In the clear.
    Plain,
    /// TLS.
    Tls,
}

/// The parameter `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server can.
    Prefer,
    /// Or no session.
    Require,
}

/// How the system asks a silent server for a sign of life; none is the system's own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalives {
    /// After how much silence.
    pub idle: Option<Duration>,
    /// How long from one question to the next.
    pub interval: Option<Duration>,
    /// How many unanswered questions end the session.
    pub count: Option<u32>,
}

/// One address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket's path; one that begins with a zero byte is abstract.
    Unix(PathBuf),
    /// An address and port.
    Tcp(SocketAddr),
}

impl Target {
    /// The addresses to try.
    ///
    /// # Errors
    /// [`Kind::Server`] when the host has none.
    pub fn places(&self) -> Result<Vec<Place>> {
        let (host, port, shuffled) = match &self.address {
            Address::Unix { folder, port } => {
                let name = format!("{folder}/.s.PGSQL.{port}");
                // An abstract socket's name begins with a zero byte, which is written as `@`.
                let path = match name.strip_prefix('@') {
                    Some(rest) => format!("\0{rest}"),
                    None => name,
                };
                return Ok(vec![Place::Unix(PathBuf::from(path))]);
            }
            Address::Tcp { at: Some(at), .. } => return Ok(vec![Place::Tcp(*at)]),
            Address::Tcp { host, at: None, port, shuffled } => (host.as_str(), *port, *shuffled),
        };
        let unknown = || {
            Error::new(Kind::Server, format!("host \"{host}\" has no address")).hint(match host {
                host if host.ends_with(".railway.internal") => {
                    "only programs that run on Railway know this name: from elsewhere, use DATABASE_PUBLIC_URL"
                }
                _ => "check the host's name in the connection string or in PGHOST",
            })
        };
        let mut found: Vec<Place> = match (host, port).to_socket_addrs() {
            Ok(addresses) => addresses.map(Place::Tcp).collect(),
            Err(error) => return Err(unknown().caused_by(error)),
        };
        if found.is_empty() {
            return Err(unknown());
        }
        if shuffled {
            super::shuffle(&mut found);
        }
        Ok(found)
    }

    /// The same target, narrowed to what worked.
    pub fn at(&self, place: &Place, encryption: Encryption) -> Self {
        let mut target = Self { encryption: vec![encryption], ..self.clone() };
        if let (Address::Tcp { at, .. }, Place::Tcp(address)) = (&mut target.address, place) {
            *at = Some(*address);
        }
        target
    }

    /// The same target, which does not wait for ever for a connection.
    pub fn with_patience(mut self) -> Self {
        self.connect_timeout.get_or_insert(PATIENCE);
        self
    }

    /// Whether nobody else can read what is sent: it is encrypted, or does not leave the machine.
    pub fn is_private(&self, encrypted: bool) -> bool {
        match &self.address {
            Address::Unix { .. } => true,
            Address::Tcp { at, .. } => encrypted || at.is_some_and(|at| at.ip().is_loopback()),
        }
    }

    /// What the connection demands that only an encrypted one can give.
    pub fn demand_of_encryption(&self) -> Option<&'static str> {
        if self.channel_binding == ChannelBinding::Require {
            Some("channel_binding=require")
        } else if self.tls.showing == Showing::Require {
            Some("sslcertmode=require")
        } else {
            None
        }
    }

    /// Where it is, for people: `database "x" at host:port as "role"`.
    pub fn describe(&self) -> String {
        format!("database \"{}\" at {} as \"{}\"", self.database, self.address, self.user)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix { folder, port } => write!(out, "{folder}:{port}"),
            Self::Tcp { host, port, at: Some(at), .. } if !is_written(host, *at) => {
                write!(out, "{host}:{port} ({})", at.ip())
            }
            Self::Tcp { host, port, .. } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(out, "{host}:{port}"),
        }
    }
}

/// Whether the host is the address itself, with or without its network interface.
fn is_written(host: &str, address: SocketAddr) -> bool {
    host.split('%').next() == Some(address.ip().to_string().as_str())
}
