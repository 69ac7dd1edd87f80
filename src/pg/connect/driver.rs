//! A session of the driver with a target.
//!
//! The driver is given a connection as if TLS were to begin at once. What happens then is decided
//! here: ask for TLS or not, and read along until the session is ready.

use super::dial::{self, Socket, take_tls_answer, tls_request, too_late};
use super::silence::Silence;
use super::target::{Address, ChannelBinding, Encryption, Place, Target};
use super::tls;
use super::watch::{Seen, Watch};
use crate::error::{Error, Kind, Result};
use crate::pg::client::Client;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep};
use tokio_postgres::Config;
use tokio_postgres::config::{self, SslMode, SslNegotiation};
use tokio_postgres::tls::{self as driver_tls, TlsConnect, TlsStream};

/// Does for one target what the driver calls TLS.
struct Connector {
    target: Arc<Target>,
    encryption: Encryption,
    until: Option<Instant>,
    seen: Arc<Mutex<Seen>>,
}

/// A session, or why there is none.
pub struct Attempt {
    /// The session.
    pub session: std::result::Result<Client, tokio_postgres::Error>,
    /// What the server said before the session was ready.
    pub seen: Seen,
}

/// Tries one address in one way.
///
/// # Errors
/// [`Kind::Server`] when nobody answers there.
pub fn attempt(target: &Target, place: &Place, encryption: Encryption) -> Result<Attempt> {
    let target = target.at(place, encryption);
    let begun = Instant::now();
    let socket = dial::reach(&target, place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("cannot wait for a server", error))?;
    let seen = Arc::default();
    let connector = Connector {
        until: target.connect_timeout.map(|timeout| begun + timeout),
        target: Arc::new(target),
        encryption,
        seen: Arc::clone(&seen),
    };
    let (config, listener) = (configured(&connector.target), connector.target.listener.clone());
    let session = runtime.block_on(async {
        let socket =
            watched(socket).map_err(|error| Error::io("cannot wait for a server", error))?;
        Ok::<_, Error>(config.connect_raw(socket, connector).await)
    })?;
    let notice = move |notice: &tokio_postgres::error::DbError| {
        if let Some(person) = &listener.0 {
            person.detail(&format!("the server says: {}: {}", notice.severity(), notice.message()));
        }
    };
    let session =
        session.map(|(session, connection)| Client::new(runtime, session, connection, notice));
    let seen = match seen.lock() {
        Ok(seen) => seen.clone(),
        Err(poisoned) => poisoned.into_inner().clone(),
    };
    Ok(Attempt { session, seen })
}

/// What the driver says to the server.
fn configured(target: &Target) -> Config {
    let mut config = Config::new();
    config
        .user(&target.user)
        .dbname(&target.database)
        .application_name(&target.application_name)
        // See `Connector`.
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct)
        .channel_binding(match target.channel_binding {
            ChannelBinding::Disable => config::ChannelBinding::Disable,
            ChannelBinding::Prefer => config::ChannelBinding::Prefer,
            ChannelBinding::Require => config::ChannelBinding::Require,
        });
    if let Some(options) = &target.options {
        config.options(options);
    }
    if let Some(password) = &target.password {
        config.password(password.reveal());
    }
    config
}

/// A socket as the driver waits for it.
type Waited = Box<dyn Both>;

/// What can be read and written.
trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

fn watched(socket: Socket) -> io::Result<Waited> {
    Ok(match socket {
        Socket::Unix(stream) => {
            stream.set_nonblocking(true)?;
            Box::new(UnixStream::from_std(stream)?)
        }
        Socket::Tcp(stream) => {
            stream.set_nonblocking(true)?;
            Box::new(TcpStream::from_std(stream)?)
        }
    })
}

/// What the driver reads and writes.
pub struct Session {
    transport: Waited,
    channel_binding: Option<Vec<u8>>,
    watch: Option<Watch>,
    deadline: Option<Pin<Box<Sleep>>>,
    target: Arc<Target>,
    seen: Arc<Mutex<Seen>>,
    silence: Option<Silence>,
}

impl TlsConnect<Waited> for Connector {
    type Stream = Session;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Session>> + Send>>;

    fn connect(self, socket: Waited) -> Self::Future {
        Box::pin(self.begin(socket))
    }
}

impl Connector {
    async fn begin(self, socket: Waited) -> Result<Session> {
        let until = self.until;
        let encrypted = self.encryption == Encryption::Tls;
        let (transport, channel_binding): (Waited, _) = match encrypted {
            false => (socket, None),
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
                (Box::new(stream), binding)
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
        mut socket: Waited,
    ) -> Result<(tokio_rustls::client::TlsStream<Waited>, Option<Vec<u8>>)> {
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
        let read = Pin::new(&mut session.transport).poll_read(context, buffer);
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
                    let process =
                        session.seen.lock().ok().and_then(|seen| seen.key).map(|key| key.process);
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
        let written = Pin::new(&mut session.transport).poll_write(context, bytes);
        if let (Poll::Ready(Ok(1..)), Some(silence)) = (&written, &mut session.silence) {
            // Reading is not waited for again before something comes.
            silence.said();
            silence.check(context)?;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }
}

impl TlsStream for Session {
    fn channel_binding(&self) -> driver_tls::ChannelBinding {
        match &self.channel_binding {
            Some(data) => driver_tls::ChannelBinding::tls_server_end_point(data.clone()),
            None => driver_tls::ChannelBinding::none(),
        }
    }
}
