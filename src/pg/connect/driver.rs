//! A session of the `postgres` crate with a target.
//!
//! The crate opens the socket and hands it over as if TLS were to begin at once. What happens then
//! is decided here: ask for TLS or not, and read along until the session is ready. Of a unix
//! socket the crate hands nothing over; what would be read along there is asked for beforehand.

use super::dial::{dial, take_tls_answer, tls_request, too_late, unreachable};
use super::silence::Silence;
use super::target::{Address, ChannelBinding, Encryption, Keepalives, Place, Target};
use super::tls;
use super::watch::{Method, Seen, Watch};
use crate::error::{Error, Kind, Result};
use bytes::BytesMut;
use postgres::config::{SslMode, SslNegotiation};
use postgres::{Client, Config};
use postgres_protocol::message::frontend;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_postgres::Socket;
use tokio_postgres::tls::{self as crate_tls, MakeTlsConnect, TlsConnect, TlsStream};

/// Does for one target what the `postgres` crate calls TLS. It is also what a cancel request needs
/// to reach the server in the same way.
#[derive(Clone)]
pub struct Connector {
    target: Arc<Target>,
    encryption: Encryption,
    seen: Arc<Mutex<Seen>>,
}

impl Connector {
    fn new(target: &Target, encryption: Encryption, seen: Seen) -> Self {
        let seen = Arc::new(Mutex::new(seen));
        Self { target: Arc::new(target.clone()), encryption, seen }
    }
}

/// A session, or why there is none.
pub struct Attempt {
    /// The session.
    pub session: std::result::Result<Client, postgres::Error>,
    /// How to reach the server again.
    pub connector: Connector,
    /// What the server said before the session was ready.
    pub seen: Seen,
}

/// Tries one address in one way; `asked` is what was found out beforehand.
///
/// # Errors
/// [`Kind::Failed`] for a target that has no such address, which is a defect.
pub fn attempt(
    target: &Target,
    place: &Place,
    encryption: Encryption,
    asked: Seen,
) -> Result<Attempt> {
    let target = target.at(place, encryption);
    let mut config = Config::new();
    config
        .user(&target.user)
        .dbname(&target.database)
        .application_name(&target.application_name)
        .channel_binding(match target.channel_binding {
            ChannelBinding::Disable => postgres::config::ChannelBinding::Disable,
            ChannelBinding::Prefer => postgres::config::ChannelBinding::Prefer,
            ChannelBinding::Require => postgres::config::ChannelBinding::Require,
        });
    if let Some(options) = &target.options {
        config.options(options);
    }
    if let Some(password) = &target.password {
        config.password(password.reveal());
    }
    if let Some(timeout) = target.connect_timeout {
        config.connect_timeout(timeout);
    }
    if let Some(person) = target.listener.0.clone() {
        config.notice_callback(move |notice| {
            person.detail(&format!("the server says: {}: {}", notice.severity(), notice.message()));
        });
    }
    if let Some(timeout) = target.tcp_user_timeout {
        config.tcp_user_timeout(timeout);
    }
    config.keepalives(target.keepalives.is_some());
    if let Some(Keepalives { idle, interval, count }) = target.keepalives {
        config.keepalives_idle(idle.unwrap_or(SYSTEMS_IDLE));
        if let Some(interval) = interval {
            config.keepalives_interval(interval);
        }
        if let Some(count) = count {
            config.keepalives_retries(count);
        }
    }
    let connector = Connector::new(&target, encryption, asked);
    match (&target.address, place) {
        (Address::Unix { port, .. }, Place::Unix(path)) => {
            config.port(*port).ssl_mode(SslMode::Disable);
            config.host_path(path.parent().unwrap_or(path));
        }
        (Address::Tcp { port, .. }, Place::Tcp(address)) => {
            config.port(*port).host(&address.ip().to_string()).hostaddr(address.ip());
            config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        }
        _ => return Err(Error::failed("a target and its address are of one kind")),
    }
    let session = config.connect(connector.clone());
    let seen = match connector.seen.lock() {
        Ok(seen) => seen.clone(),
        Err(poisoned) => poisoned.into_inner().clone(),
    };
    Ok(Attempt { session, connector, seen })
}

/// Linux's own `tcp_keepalive_time`; the crate always sets one.
const SYSTEMS_IDLE: std::time::Duration = std::time::Duration::from_secs(2 * 60 * 60);

/// Asks a socket's server, on a connection of its own, how it wants the user to be proved, and
/// whether it answers at all.
///
/// # Errors
/// [`Kind::Server`] when it does not.
pub fn ask(target: &Target) -> Result<Seen> {
    let failed = |error: io::Error| unreachable(format!("no session at {}", target.address), error);
    let mut stream = dial(target)?;
    let mut message = BytesMut::new();
    let parameters = [("user", target.user.as_str()), ("database", target.database.as_str())];
    frontend::startup_message(parameters, &mut message).map_err(failed)?;
    stream.write_all(&message).map_err(failed)?;
    let mut buffer = [0; 512];
    loop {
        let seen = stream.seen();
        let read = match seen.method {
            // Where no proof is wanted the session begins at once, and is ended in order.
            Some(Method::None) if seen.ready => {
                message.clear();
                frontend::terminate(&mut message);
                drop(stream.write_all(&message));
                return Ok(Seen { process: None, ready: false, ..seen });
            }
            Some(Method::None) => stream.read(&mut buffer),
            // An error will be said again.
            None if seen.answered => return Ok(seen),
            None => stream.read(&mut buffer),
            Some(_) => return Ok(seen),
        };
        match read {
            Ok(0) => return Ok(Seen { process: None, ..seen }),
            Ok(_) => {}
            Err(_) if stream.seen().refused.is_some() => return Ok(stream.seen()),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// What the crate reads and writes.
pub struct Session {
    transport: Transport,
    channel_binding: Option<Vec<u8>>,
    watch: Option<Watch>,
    deadline: Option<Pin<Box<Sleep>>>,
    target: Arc<Target>,
    seen: Arc<Mutex<Seen>>,
    silence: Option<Silence>,
}

enum Transport {
    Plain(Socket),
    Tls(Box<tokio_rustls::client::TlsStream<Socket>>),
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Session;
    type TlsConnect = Self;
    type Error = Error;

    fn make_tls_connect(&mut self, _: &str) -> Result<Self> {
        Ok(self.clone())
    }
}

impl TlsConnect<Socket> for Connector {
    type Stream = Session;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Session>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(self.begin(socket))
    }
}

impl Connector {
    async fn begin(self, socket: Socket) -> Result<Session> {
        let until = self.target.connect_timeout.map(|timeout| Instant::now() + timeout);
        let encrypted = self.encryption == Encryption::Tls;
        let (transport, channel_binding) = match encrypted {
            false => (Transport::Plain(socket), None),
            true => {
                let encrypt = self.encrypt(socket);
                let (stream, binding) = match until {
                    Some(until) => {
                        tokio::time::timeout_at(until, encrypt).await.map_err(|_| {
                            Error::new(Kind::Server, "no encrypted connection")
                                .caused_by(too_late())
                        })??
                    }
                    None => encrypt.await?,
                };
                (Transport::Tls(Box::new(stream)), binding)
            }
        };
        let private = self.target.is_private(encrypted);
        let watch = Watch::new(self.target.methods.clone(), private, Arc::clone(&self.seen));
        let deadline = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
        Ok(Session {
            transport,
            channel_binding,
            watch: Some(watch),
            deadline,
            target: self.target,
            seen: self.seen,
            silence: None,
        })
    }

    async fn encrypt(
        &self,
        mut socket: Socket,
    ) -> Result<(tokio_rustls::client::TlsStream<Socket>, Option<Vec<u8>>)> {
        let Address::Tcp { host, .. } = &self.target.address else {
            return Err(Error::failed("a socket is not encrypted"));
        };
        let handshake = self.target.tls.handshake(host)?;
        if !self.target.tls.direct {
            let mut answer = [0];
            let silent = |error: io::Error| {
                Error::new(Kind::Server, "no answer to the request for encryption").caused_by(error)
            };
            socket.write_all(&tls_request()).await.map_err(silent)?;
            socket.read_exact(&mut answer).await.map_err(silent)?;
            take_tls_answer(answer[0])?;
        }
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(&handshake.config))
            .connect(handshake.name.clone(), socket)
            .await
            .map_err(|error| tls::explain(&error, self.target.tls.direct))?;
        let binding = handshake.finish(stream.get_ref().1)?;
        Ok((stream, binding))
    }
}

impl AsyncRead for Session {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let session = self.get_mut();
        let before = buffer.filled().len();
        let read = match &mut session.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        let Some(watch) = &mut session.watch else {
            let Some(silence) = &mut session.silence else { return read };
            match &read {
                Poll::Ready(_) => silence.heard(&buffer.filled()[before..]),
                Poll::Pending => silence.check(context)?,
            }
            return read;
        };
        match read {
            Poll::Ready(Ok(())) => {
                if watch.observe(&buffer.filled()[before..])? {
                    session.watch = None;
                    session.deadline = None;
                    let process = session.seen.lock().ok().and_then(|seen| seen.process);
                    session.silence = Silence::new(&session.target, process);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(failed) => Poll::Ready(failed),
            Poll::Pending => {
                let late = session.deadline.as_mut().map(|sleep| sleep.as_mut().poll(context));
                match late.is_some_and(|late| late.is_ready()) {
                    true => Poll::Ready(Err(too_late())),
                    false => Poll::Pending,
                }
            }
        }
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let session = self.get_mut();
        let written = match &mut session.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        if let (Poll::Ready(Ok(1..)), Some(silence)) = (&written, &mut session.silence) {
            silence.said();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl TlsStream for Session {
    fn channel_binding(&self) -> crate_tls::ChannelBinding {
        match &self.channel_binding {
            Some(data) => crate_tls::ChannelBinding::tls_server_end_point(data.clone()),
            None => crate_tls::ChannelBinding::none(),
        }
    }
}
