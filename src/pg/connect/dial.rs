//! A blocking connection to a server, encrypted as the target wants it, before anything of
//! PostgreSQL's protocol has been said.

use super::target::{Address, Encryption, Keepalives, Place, Target};
use super::watch::{Key, Seen, Watch};
use super::{peer, tls};
use crate::error::{Error, Kind, Result};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A connection to a server. The first message to send is the startup message.
///
/// Until the session is ready, whatever the server asks for is held against the target's
/// `require_auth`, reading fails after the target's time, and a password in the clear is only
/// asked for where nobody else can read it.
pub struct Stream {
    transport: Transport,
    channel_binding: Option<Vec<u8>>,
    watch: Option<Watch>,
    seen: Arc<Mutex<Seen>>,
    deadline: Option<Instant>,
    target: Target,
}

enum Transport {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Connects to the first of the target's addresses that answers.
///
/// # Errors
/// [`Kind::Server`] when none does, or not as the target wants it; errors about files of keys and
/// certificates as they are.
pub fn dial(target: &Target) -> Result<Stream> {
    let mut failed = None;
    for place in target.places()? {
        for encryption in &target.encryption {
            match dial_at(target, &place, *encryption) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
    }
    let failed = failed.unwrap_or_else(|| Error::new(Kind::Server, "there is no address to try"));
    Err(failed.while_doing(format!("cannot connect to {}", target.describe())))
}

fn dial_at(target: &Target, place: &Place, encryption: Encryption) -> Result<Stream> {
    let deadline = target.connect_timeout.map(|timeout| Instant::now() + timeout);
    let transport = match reach(target, place)? {
        Socket::Unix(stream) => Transport::Unix(stream),
        Socket::Tcp(stream) if encryption == Encryption::Plain => Transport::Tcp(stream),
        Socket::Tcp(mut stream) => {
            bound(&stream, deadline).map_err(|error| no_connection(target, error))?;
            if !target.tls.direct {
                ask_for_tls(&mut stream)?;
            }
            return encrypted(target, stream, place, deadline);
        }
    };
    Ok(Stream::new(transport, None, target.at(place, encryption), deadline))
}

/// A connection on which nothing has been said yet.
pub enum Socket {
    /// On this machine.
    Unix(UnixStream),
    /// Over the network.
    Tcp(TcpStream),
}

/// Connects to one address, and sees to it that the connection is as the target wants it.
///
/// # Errors
/// [`Kind::Server`] when nobody answers there, or somebody whom `requirepeer` does not allow.
pub fn reach(target: &Target, place: &Place) -> Result<Socket> {
    let failed = |error: io::Error| no_connection(target, error);
    match place {
        Place::Unix(path) => {
            let stream = connect_unix(path, target.connect_timeout).map_err(failed)?;
            if let Some(user) = &target.required_peer {
                peer::check(&stream, user)?;
            }
            Ok(Socket::Unix(stream))
        }
        Place::Tcp(address) => {
            let stream = match target.connect_timeout {
                Some(timeout) => TcpStream::connect_timeout(address, timeout),
                None => TcpStream::connect(address),
            }
            .map_err(failed)?;
            set_up(&stream, target).map_err(failed)?;
            Ok(Socket::Tcp(stream))
        }
    }
}

fn no_connection(target: &Target, error: io::Error) -> Error {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable};
    let no_way = matches!(error.kind(), HostUnreachable | NetworkUnreachable);
    let failed = unreachable(format!("no connection to {}", target.address), error);
    match &target.address {
        Address::Tcp { at: Some(at), .. } if no_way && at.is_ipv6() => failed.hint(
            "this machine has no way to IPv6 addresses: name a host that has an IPv4 address (of Supabase, the pooler in session mode, port 5432)",
        ),
        _ => failed,
    }
}

/// A server that takes no connections, because its queue is full, lets a client wait.
fn connect_unix(path: &Path, timeout: Option<Duration>) -> io::Result<UnixStream> {
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux, this bounds connecting as well.
    socket.set_write_timeout(timeout)?;
    // A path that begins with a zero byte is an abstract socket's, which only Linux has.
    socket.connect(&SockAddr::unix(path)?).map_err(timely)?;
    socket.set_write_timeout(None)?;
    Ok(socket.into())
}

fn set_up(stream: &TcpStream, target: &Target) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(target.tcp_user_timeout)?;
    if let Some(Keepalives { idle, interval, count }) = target.keepalives {
        let mut keepalive = TcpKeepalive::new();
        if let Some(idle) = idle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = count {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

/// Reading and writing fail at `deadline`.
fn bound(stream: &TcpStream, deadline: Option<Instant>) -> io::Result<()> {
    let left = remaining(deadline)?;
    stream.set_read_timeout(left)?;
    stream.set_write_timeout(left)
}

fn remaining(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
        Some(Duration::ZERO) => Err(too_late()),
        left => Ok(left),
    }
}

/// The server did not answer in time.
pub fn too_late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the server did not answer in time (connect_timeout sets how long to wait)",
    )
}

/// The server of an open session is silent for too long.
pub fn stalled(what: &str, limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!(
            "the server has {what} nothing for {} s (--stall-timeout sets how long to wait)",
            limit.as_secs()
        ),
    )
}

/// A timeout in words: the system calls it a resource that is temporarily unavailable.
fn timely(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => too_late(),
        _ => error,
    }
}

/// The question whether the server can encrypt.
pub fn tls_request() -> BytesMut {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    request
}

/// The server cannot encrypt. Where the connection may do without, this is no failure.
#[derive(Debug)]
pub struct DoesNotEncrypt;

impl fmt::Display for DoesNotEncrypt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the server does not encrypt")
    }
}

impl std::error::Error for DoesNotEncrypt {}

/// No connection, for the system's reason, with what to do about it.
pub fn unreachable(doing: impl Into<String>, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there: check host and port, and that the server runs and takes connections at this address (listen_addresses, port)"
        }
        io::ErrorKind::NotFound => {
            "no server has its socket there: check the folder and the port, and that the server runs (unix_socket_directories)"
        }
        io::ErrorKind::PermissionDenied => "check the permissions of the server's socket",
        io::ErrorKind::TimedOut => "check host and port, and whether a firewall is between",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "check the host and the network on the way to it"
        }
        _ => {
            "the way to the server is broken, or what answers is no PostgreSQL server; the server's log may say more"
        }
    };
    Error::new(Kind::Server, doing).caused_by(error).hint(hint)
}

/// What the server's answer to [`tls_request`] means.
///
/// # Errors
/// [`Kind::Server`] when it cannot encrypt, or does not know the question.
pub fn take_tls_answer(answer: u8) -> Result<()> {
    match answer {
        b'S' => Ok(()),
        b'N' => Err(Error::new(Kind::Server, "no encrypted connection")
            .caused_by(DoesNotEncrypt)
            .hint("sslmode=prefer goes on without encryption")),
        // What it says may be anybody's words.
        b'E' => Err(Error::new(
            Kind::Server,
            "the server answers with an error where it is asked to encrypt",
        )),
        _ => Err(Error::new(Kind::Server, "what answers is no PostgreSQL server")),
    }
}

fn ask_for_tls(stream: &mut TcpStream) -> Result<()> {
    // One byte and no more: whatever came with it would be in the clear (CVE-2021-23222).
    let mut answer = [0];
    stream.write_all(&tls_request()).and_then(|()| stream.read_exact(&mut answer)).map_err(
        |error| {
            Error::new(Kind::Server, "no answer to the request for encryption")
                .caused_by(timely(error))
        },
    )?;
    take_tls_answer(answer[0])
}

fn encrypted(
    target: &Target,
    mut stream: TcpStream,
    place: &Place,
    deadline: Option<Instant>,
) -> Result<Stream> {
    let Address::Tcp { host, .. } = &target.address else {
        return Err(Error::failed("a socket is not encrypted"));
    };
    let handshake = target.tls.handshake(host)?;
    let mut session = handshake.begin()?;
    while session.is_handshaking() {
        bound(&stream, deadline)
            .and_then(|()| session.complete_io(&mut stream).map(|_| ()))
            .map_err(|error| tls::explain(&timely(error), target.tls.direct))?;
    }
    let channel_binding = handshake.finish(&session)?;
    let transport = Transport::Tls(Box::new(StreamOwned::new(session, stream)));
    Ok(Stream::new(transport, channel_binding, target.at(place, Encryption::Tls), deadline))
}

impl Stream {
    fn new(
        transport: Transport,
        channel_binding: Option<Vec<u8>>,
        target: Target,
        deadline: Option<Instant>,
    ) -> Self {
        let private = target.is_private(target.encryption.first() == Some(&Encryption::Tls));
        let seen = Arc::default();
        let watch = Some(Watch::new(target.methods.clone(), private, Arc::clone(&seen)));
        Self { transport, channel_binding, watch, seen, deadline, target }
    }

    /// The server, narrowed to the address and the encryption that worked.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The data of `tls-server-end-point`, if TLS is in use and the certificate has any.
    pub fn channel_binding(&self) -> Option<&[u8]> {
        self.channel_binding.as_deref()
    }

    /// What the server calls the session, once it is ready.
    pub fn key(&self) -> Key {
        self.seen.lock().ok().and_then(|seen| seen.key).unwrap_or_default()
    }

    /// Reading fails after so long without a byte; none is never.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.transport {
            Transport::Unix(stream) => stream.set_read_timeout(timeout),
            Transport::Tcp(stream) => stream.set_read_timeout(timeout),
            Transport::Tls(stream) => stream.sock.set_read_timeout(timeout),
        }
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.transport {
            Transport::Unix(stream) => stream.set_write_timeout(timeout),
            Transport::Tcp(stream) => stream.set_write_timeout(timeout),
            Transport::Tls(stream) => stream.sock.set_write_timeout(timeout),
        }
    }

    /// A timeout of an open session in words.
    fn stalled(&self, error: io::Error, what: &str) -> io::Error {
        match (error.kind(), self.target.stall_timeout) {
            // The system's own timeouts of TCP have another kind.
            (io::ErrorKind::WouldBlock, Some(limit)) if self.watch.is_none() => {
                stalled(what, limit)
            }
            _ => error,
        }
    }

    /// Ends the connection in both directions, for whoever waits for it on another thread.
    pub fn shutdown(&self) -> io::Result<()> {
        match &self.transport {
            Transport::Unix(stream) => stream.shutdown(Shutdown::Both),
            Transport::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Transport::Tls(stream) => stream.sock.shutdown(Shutdown::Both),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_some() {
            let left = remaining(self.deadline)?;
            self.set_read_timeout(left)?;
            self.set_write_timeout(left)?;
        }
        let read = match &mut self.transport {
            Transport::Unix(stream) => stream.read(buffer),
            Transport::Tcp(stream) => stream.read(buffer),
            Transport::Tls(stream) => stream.read(buffer),
        };
        let Some(watch) = &mut self.watch else {
            return read.map_err(|error| self.stalled(error, "sent"));
        };
        let read = read.map_err(timely)?;
        if watch.observe(&buffer[..read])? {
            self.watch = None;
            self.set_read_timeout(self.target.stall_timeout)?;
            self.set_write_timeout(self.target.stall_timeout)?;
        }
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.transport {
            Transport::Unix(stream) => stream.write(buffer),
            Transport::Tcp(stream) => stream.write(buffer),
            Transport::Tls(stream) => stream.write(buffer),
        }
        .map_err(|error| self.stalled(error, "taken"))
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.transport {
            Transport::Unix(stream) => stream.flush(),
            Transport::Tcp(stream) => stream.flush(),
            Transport::Tls(stream) => stream.flush(),
        }
        .map_err(|error| self.stalled(error, "taken"))
    }
}
