//! A blocking connection that speaks PostgreSQL's protocol for the one thing that pgark does
//! most: COPY. Statements go by the simple protocol; several in one message need one round trip.
//!
//! The driver hands over COPY rows one by one through a channel, which costs more than compressing
//! them does; docs/performance.md has the measurement.

pub mod inbox;
pub mod outbox;

use super::connect::{self, Canceller, ChannelBinding, Stream, Target};
use super::failure::{self, Refusal};
use crate::error::{Error, Kind, Result};
use bytes::{BufMut, BytesMut};
use fallible_iterator::FallibleIterator;
use inbox::Inbox;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, DataRowBody, Message};
use postgres_protocol::message::frontend;
use std::io::Write;

/// What comes of the statements of one message.
pub trait Sink {
    /// The next COPY begins.
    fn begin(&mut self) -> Result<()>;
    /// Rows of it, many at once; a row may be cut where it is longer than the buffer.
    fn rows(&mut self, piece: &[u8]) -> Result<()>;
    /// It has ended, and the server counts so many rows.
    fn end(&mut self, rows: u64) -> Result<()>;
}

/// For statements that copy nothing.
struct NoRows;

impl Sink for NoRows {
    fn begin(&mut self) -> Result<()> {
        Err(Error::new(Kind::Server, "the server began a COPY that nobody asked for"))
    }

    fn rows(&mut self, _: &[u8]) -> Result<()> {
        self.begin()
    }

    fn end(&mut self, _: u64) -> Result<()> {
        self.begin()
    }
}

/// An open connection.
pub struct Wire {
    stream: Stream,
    inbox: Inbox,
    target: Target,
    /// Answers are due that nobody waited for: the connection is of no more use.
    broken: bool,
}

impl Wire {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Kind::Server`] when the server cannot be reached or refuses.
    pub fn connect(target: &Target) -> Result<Self> {
        let stream = connect::dial(target)?;
        let narrowed = stream.target().clone();
        let mut wire = Self { stream, inbox: Inbox::new(), target: narrowed, broken: false };
        wire.log_in(&format!("cannot connect to {}", target.describe()))?;
        Ok(wire)
    }

    /// Whether the connection is of no more use.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// What another thread needs to cancel this connection's statement.
    pub fn canceller(&self) -> Canceller {
        Canceller::new(self.target.clone(), self.stream.key())
    }

    /// Runs statements that return no rows of interest.
    pub fn execute(&mut self, sql: &str, doing: &str) -> Result<()> {
        self.run(sql, doing, &mut NoRows).map(drop)
    }

    /// Runs statements and gives the first column of the first row that they return.
    pub fn value(&mut self, sql: &str, doing: &str) -> Result<String> {
        let row = self.run(sql, doing, &mut NoRows)?;
        let nothing = || Error::new(Kind::Server, format!("{doing}: the server gave no value"));
        let row = row.ok_or_else(nothing)?;
        let first = row.ranges().next().ok().flatten().flatten().ok_or_else(nothing)?;
        Ok(String::from_utf8_lossy(&row.buffer()[first]).into_owned())
    }

    /// Runs statements, hands what they COPY out to `sink`, and gives the first row of others.
    ///
    /// # Errors
    /// The server's; `sink`'s, after which the connection is of no more use.
    pub fn run(
        &mut self,
        sql: &str,
        doing: &str,
        sink: &mut dyn Sink,
    ) -> Result<Option<DataRowBody>> {
        self.ask(sql, doing)?;
        let mut copying = false;
        let mut first = None;
        let mut refused = None;
        loop {
            match self.message_after(&refused, doing)? {
                Message::CopyOutResponse(_) => {
                    sink.begin().inspect_err(|_| self.broken = true)?;
                    self.inbox
                        .rows(&mut self.stream, |piece| sink.rows(piece))
                        .map_err(|error| self.lost(doing, error))?
                        .inspect_err(|_| self.broken = true)?;
                    copying = true;
                }
                Message::CommandComplete(body) if copying => {
                    copying = false;
                    let count = body.tag().ok().and_then(copied);
                    let count = count.ok_or_else(|| self.surprised(doing))?;
                    sink.end(count).inspect_err(|_| self.broken = true)?;
                }
                Message::DataRow(row) => {
                    first.get_or_insert(row);
                }
                Message::ErrorResponse(body) => {
                    copying = false;
                    refused = Some(Refusal::read(body.fields()));
                }
                Message::CommandComplete(_)
                | Message::CopyDone
                | Message::RowDescription(_)
                | Message::EmptyQueryResponse => {}
                Message::ReadyForQuery(_) => break,
                _ => return Err(self.surprised(doing)),
            }
        }
        match refused {
            Some(refused) => Err(refused.fails(doing)),
            None => Ok(first),
        }
    }

    /// Begins a COPY … FROM STDIN. Rows follow by [`Wire::put`], then [`Wire::put_end`].
    pub fn begin_put(&mut self, sql: &str, doing: &str) -> Result<()> {
        self.ask(sql, doing)?;
        match self.message(doing)? {
            Message::CopyInResponse(_) => Ok(()),
            Message::ErrorResponse(body) => {
                let refused = Refusal::read(body.fields());
                self.until_ready(doing)?;
                Err(refused.fails(doing))
            }
            _ => Err(self.surprised(doing)),
        }
    }

    /// Sends rows, cut anywhere. The server looks at errors only when it is told of the end: it
    /// drops what comes after one, and sends nothing meanwhile that could fill its socket,
    /// because sessions are opened with `client_min_messages = error`.
    pub fn put(&mut self, piece: &[u8], doing: &str) -> Result<()> {
        outbox::copy_data(&mut self.stream, piece).map_err(|error| self.lost(doing, error))
    }

    /// Ends the COPY and gives the number of rows that the server took.
    pub fn put_end(&mut self, doing: &str) -> Result<u64> {
        let mut done = BytesMut::new();
        frontend::copy_done(&mut done);
        self.send(&done, doing)?;
        self.until_ready(doing)?.and_then(|tag| copied(&tag)).ok_or_else(|| self.surprised(doing))
    }

    /// Gives a COPY up: the server takes back what it took.
    pub fn put_abort(&mut self, doing: &str) -> Result<()> {
        let mut fail = BytesMut::new();
        frontend::copy_fail("given up", &mut fail).map_err(|error| broken(doing, error))?;
        self.send(&fail, doing)?;
        // It answers with the error that it was asked for.
        match self.until_ready(doing) {
            Err(error) if self.broken => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads up to ReadyForQuery, and gives the last command's tag.
    fn until_ready(&mut self, doing: &str) -> Result<Option<String>> {
        let mut tag = None;
        let mut refused = None;
        loop {
            match self.message_after(&refused, doing)? {
                Message::CommandComplete(body) => tag = body.tag().ok().map(str::to_owned),
                Message::ErrorResponse(body) => refused = Some(Refusal::read(body.fields())),
                Message::ReadyForQuery(_) => break,
                _ => return Err(self.surprised(doing)),
            }
        }
        match refused {
            Some(refused) => Err(refused.fails(doing)),
            None => Ok(tag),
        }
    }

    fn ask(&mut self, sql: &str, doing: &str) -> Result<()> {
        if self.broken {
            return Err(Error::new(Kind::Server, format!("{doing}: the connection was given up")));
        }
        let mut query = BytesMut::with_capacity(sql.len() + 16);
        frontend::query(sql, &mut query).map_err(|error| broken(doing, error))?;
        self.send(&query, doing)
    }

    fn send(&mut self, bytes: &[u8], doing: &str) -> Result<()> {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.lost(doing, error))
    }

    /// The next message that is not said beside the matter.
    fn message(&mut self, doing: &str) -> Result<Message> {
        loop {
            match self.inbox.message(&mut self.stream) {
                Err(error) => return Err(self.lost(doing, error)),
                Ok(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Ok(message) => return Ok(message),
            }
        }
    }

    /// The next message, or the server's own words if it said why it would end the connection.
    fn message_after(&mut self, said: &Option<Refusal>, doing: &str) -> Result<Message> {
        self.message(doing).map_err(|lost| match said {
            Some(said) => said.clone().fails(doing),
            None => lost,
        })
    }

    fn lost(&mut self, doing: &str, error: std::io::Error) -> Error {
        self.broken = true;
        broken(doing, error)
    }

    fn surprised(&mut self, doing: &str) -> Error {
        self.broken = true;
        Error::new(Kind::Server, format!("{doing}: the server's answer does not fit the question"))
    }

    /// Start-up and authentication (PostgreSQL, "Message Flow"). What the server may ask for at
    /// all is the stream's to watch.
    fn log_in(&mut self, doing: &str) -> Result<()> {
        let target = self.target.clone();
        let mut startup = BytesMut::new();
        let parameters = [
            ("user", Some(target.user.as_str())),
            ("database", Some(target.database.as_str())),
            ("options", target.options.as_deref()),
            ("application_name", Some(target.application_name.as_str())),
            ("client_encoding", Some("UTF8")),
        ];
        let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        frontend::startup_message(parameters, &mut startup)
            .map_err(|error| broken(doing, error))?;
        self.send(&startup, doing)?;
        let mut scram: Option<Scram> = None;
        loop {
            let mut answer = BytesMut::new();
            let answered = match self.message(doing)? {
                Message::AuthenticationOk => match &scram {
                    Some(scram) if scram.bound => Ok(()),
                    _ if target.channel_binding == ChannelBinding::Require => {
                        return Err(unbound(doing));
                    }
                    _ => Ok(()),
                },
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password(&target, doing)?, &mut answer)
                }
                Message::AuthenticationMd5Password(body) => {
                    let password = password(&target, doing)?;
                    let hash = md5_hash(target.user.as_bytes(), password, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut answer)
                }
                Message::AuthenticationSasl(body) => {
                    let begun = self.begin_scram(&target, &body, doing)?;
                    let begun = scram.insert(begun);
                    let mechanism = if begun.bound { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
                    frontend::sasl_initial_response(mechanism, begun.state.message(), &mut answer)
                }
                Message::AuthenticationSaslContinue(body) => match &mut scram {
                    Some(scram) => scram
                        .state
                        .update(body.data())
                        .and_then(|()| frontend::sasl_response(scram.state.message(), &mut answer)),
                    None => return Err(self.surprised(doing)),
                },
                Message::AuthenticationSaslFinal(body) => match &mut scram {
                    Some(scram) => scram.state.finish(body.data()),
                    None => return Err(self.surprised(doing)),
                },
                // The stream has read it along.
                Message::BackendKeyData(_) => Ok(()),
                Message::ErrorResponse(body) => {
                    return Err(Refusal::read(body.fields()).fails(doing));
                }
                Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(unknown_login(doing)),
            };
            answered.map_err(|error| broken(doing, error))?;
            if !answer.is_empty() {
                self.send(&answer, doing)?;
            }
        }
    }

    /// Chooses the mechanism (PostgreSQL, "SASL Authentication"): bound to the channel wherever
    /// both sides can.
    fn begin_scram(
        &self,
        target: &Target,
        offered: &AuthenticationSaslBody,
        doing: &str,
    ) -> Result<Scram> {
        let offers =
            |name: &str| offered.mechanisms().any(|offer| Ok(offer == name)).unwrap_or(false);
        let wanted = target.channel_binding != ChannelBinding::Disable;
        let data = self.stream.channel_binding().filter(|_| wanted);
        let (binding, bound) = match data {
            Some(data) if offers(SCRAM_SHA_256_PLUS) => {
                (sasl::ChannelBinding::tls_server_end_point(data.to_vec()), true)
            }
            _ if target.channel_binding == ChannelBinding::Require => return Err(unbound(doing)),
            _ if !offers(SCRAM_SHA_256) => return Err(unknown_login(doing)),
            // Says that it could: a server that could too knows then that somebody is between.
            Some(_) => (sasl::ChannelBinding::unrequested(), false),
            None => (sasl::ChannelBinding::unsupported(), false),
        };
        Ok(Scram { state: ScramSha256::new(password(target, doing)?, binding), bound })
    }
}

struct Scram {
    state: ScramSha256,
    bound: bool,
}

fn password<'a>(target: &'a Target, doing: &str) -> Result<&'a [u8]> {
    target.password.as_ref().map(|password| password.reveal().as_bytes()).ok_or_else(|| {
        Error::new(Kind::Server, format!("{doing}: the server asks for a password"))
            .hint("give it in PGPASSWORD, a .pgpass file, or the connection string")
    })
}

impl Drop for Wire {
    fn drop(&mut self) {
        // A server that is told ends the session at once, and says nothing of a lost client in
        // its log. One that does not listen notices the closed socket.
        if !self.broken {
            let mut end = BytesMut::new();
            end.put_slice(b"X\0\0\0\x04");
            drop(self.stream.write_all(&end).and_then(|()| self.stream.flush()));
        }
    }
}

/// `COPY n`.
fn copied(tag: &str) -> Option<u64> {
    tag.strip_prefix("COPY ")?.parse().ok()
}

fn broken(doing: &str, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ended =
        matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe);
    let failed = Error::new(Kind::Server, doing).caused_by(error);
    match ended {
        true => failed.hint(failure::ENDED),
        false => failed,
    }
}

fn unbound(doing: &str) -> Error {
    Error::new(Kind::Server, format!("{doing}: the server does not bind the login to the channel"))
        .hint("channel_binding=require needs TLS and a password that is stored for scram-sha-256")
}

fn unknown_login(doing: &str) -> Error {
    Error::new(
        Kind::Server,
        format!("{doing}: the server asks for a way to log in that pgark does not know"),
    )
    .hint("pgark knows scram-sha-256, md5 and password; look at pg_hba.conf")
}
