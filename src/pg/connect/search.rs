//! The search for a server that takes the session: hosts, their addresses, encrypted or not.

use super::dial::{DoesNotEncrypt, unreachable};
use super::driver::{Attempt, attempt};
use super::settings::Wish;
use super::target::{Encryption, Place, Target};
use super::watch::{Method, Refusal, Seen};
use super::{Opened, pooler, tls};
use crate::error::{Error, Kind};
use crate::pg::client::Client;
use crate::pg::failure::{is_servers, server};
use crate::pg::ident;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt;
use std::result::Result;
use tokio_postgres::error::SqlState;

/// What is searched for.
pub struct Search {
    /// Which of several servers is wanted.
    pub wish: Wish,
}

/// Why a search ended without a session.
pub enum Ended {
    /// The server wants a password, and there is none.
    NoPassword(Error),
    /// Anything else.
    Failed(Error),
}

/// Why an attempt failed, and so what is tried next.
enum Failure {
    /// Nothing was heard from a server: another way or another address may do.
    Unreachable(Error),
    /// The server refused: another way may do, another server is not asked.
    Refused(Error),
    /// It is starting or ending, or not the one that is wanted: another server may do.
    NotThis(Error),
    /// It wants a password, and there is none.
    NoPassword(Error),
    /// It wants what the connection does not allow.
    NotAllowed(Error),
}

/// What comes after a server that did not take the session.
enum Next {
    Server,
    Password(Error),
    Nothing,
}

/// What went wrong so far, and where.
type Failures = Vec<(String, Error)>;

impl Ended {
    /// The error, whichever.
    pub fn into_error(self) -> Error {
        match self {
            Self::NoPassword(error) | Self::Failed(error) => error,
        }
    }
}

impl Search {
    /// Tries all targets in their order.
    ///
    /// # Errors
    /// When none takes the session.
    pub fn run(&self, targets: &[Target]) -> Result<Opened, Ended> {
        let wishes = match self.wish {
            Wish::PreferStandby => vec![Wish::Standby, Wish::Any],
            wish => vec![wish],
        };
        let mut failures = Failures::new();
        for wish in wishes {
            failures.clear();
            for target in targets {
                match self.open_target(target, wish, &mut failures) {
                    Ok(opened) => return Ok(opened),
                    Err(Next::Server) => {}
                    Err(Next::Password(error)) => return Err(Ended::NoPassword(error)),
                    Err(Next::Nothing) => return Err(Ended::Failed(summary(targets, failures))),
                }
            }
        }
        Err(Ended::Failed(summary(targets, failures)))
    }

    /// Tries all addresses of one target, in all its ways.
    fn open_target(
        &self,
        target: &Target,
        wish: Wish,
        failures: &mut Failures,
    ) -> Result<Opened, Next> {
        let places = target.places().map_err(|error| {
            failures.push((target.address.to_string(), error));
            Next::Server
        })?;
        for place in &places {
            for (number, encryption) in target.encryption.iter().enumerate() {
                let narrowed = target.at(place, *encryption);
                let failure = match self.open_place(&narrowed, place, *encryption, wish) {
                    Ok(opened) => return Ok(opened),
                    Err(failure) => failure,
                };
                let way = match encryption {
                    _ if target.encryption.len() == 1 => "",
                    Encryption::Plain => ", not encrypted",
                    Encryption::Tls => ", encrypted",
                };
                let last = number + 1 == target.encryption.len();
                let (error, next) = match failure {
                    Failure::Unreachable(error) => (error, None),
                    Failure::Refused(error) if !last => (error, None),
                    Failure::NotThis(error) => (error, Some(Next::Server)),
                    Failure::NoPassword(error) => return Err(Next::Password(error)),
                    Failure::Refused(error) | Failure::NotAllowed(error) => {
                        (error, Some(Next::Nothing))
                    }
                };
                failures.push((format!("{}{way}", narrowed.address), error));
                if let Some(next) = next {
                    return Err(next);
                }
            }
        }
        Err(Next::Server)
    }

    fn open_place(
        &self,
        target: &Target,
        place: &Place,
        encryption: Encryption,
        wish: Wish,
    ) -> Result<Opened, Failure> {
        if encryption == Encryption::Plain
            && let Some(demand) = target.demand_of_encryption()
        {
            let text = format!("{demand} needs an encrypted connection");
            return Err(Failure::Refused(Error::new(Kind::Server, text)));
        }
        let Attempt { session, seen } =
            attempt(target, place, encryption).map_err(Failure::Unreachable)?;
        let mut client = session.map_err(|error| classify(target, &seen, error))?;
        match fits(&mut client, wish) {
            Ok(None) => {}
            Ok(Some(is)) => {
                return Err(Failure::NotThis(Error::new(
                    Kind::Server,
                    format!("target_session_attrs asks for another server: this one is {is}"),
                )));
            }
            Err(error) => {
                let failed = server("cannot ask the server what it is", error);
                return Err(Failure::Unreachable(failed));
            }
        }
        let (target, key) = (target.clone(), seen.key.unwrap_or_default());
        Ok(Opened { client, target, key, method: seen.method })
    }
}

/// One error of all that went wrong.
fn summary(targets: &[Target], mut failures: Failures) -> Error {
    let doing = match targets {
        [target] => format!("cannot connect to {}", target.describe()),
        _ => String::from("cannot connect to any of the servers"),
    };
    // Where another way was tried after it, a server that does not encrypt is no failure.
    if failures.iter().any(|(_, error)| !is_without_encryption(error)) {
        failures.retain(|(_, error)| !is_without_encryption(error));
    }
    // Encrypted and not encrypted may fail for the same reason, which is said once.
    let reasons: BTreeSet<String> = failures.iter().map(|(_, error)| error.in_full()).collect();
    if targets.len() == 1
        && reasons.len() == 1
        && let Some((_, error)) = failures.pop()
    {
        return error.while_doing(doing);
    }
    let kind = failures.last().map_or(Kind::Server, |(_, error)| error.kind());
    // What a server itself has said leads further than what kept others from being reached.
    let answered = failures.iter().find(|(_, error)| is_servers(error));
    let hint = answered.or(failures.last()).and_then(|(_, error)| error.next_step());
    let hint = hint.map(str::to_owned);
    let listed = failures.iter().map(|(place, error)| format!("{place}: {}", error.in_full()));
    // A line for each.
    let tried =
        listed.rev().fold(None, |following, words| Some(Box::new(Tried { words, following })));
    let error = match tried {
        Some(tried) => Error::new(kind, doing).caused_by(*tried),
        None => Error::new(kind, doing),
    };
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn is_without_encryption(error: &Error) -> bool {
    error.source().is_some_and(|source| source.is::<DoesNotEncrypt>())
}

/// An attempt and why it failed, and those that came after it.
#[derive(Debug)]
struct Tried {
    words: String,
    following: Option<Box<Tried>>,
}

impl fmt::Display for Tried {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.words)
    }
}

impl std::error::Error for Tried {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let following = self.following.as_deref()?;
        Some(following)
    }
}

/// What the server is, where that is not what is wished for.
fn fits(
    client: &mut Client,
    wish: Wish,
) -> std::result::Result<Option<&'static str>, tokio_postgres::Error> {
    let mut is = |question: &str, yes: &str| -> Result<bool, tokio_postgres::Error> {
        Ok(client.simple_query(question)?.as_deref() == Some(yes))
    };
    Ok(match wish {
        Wish::Any | Wish::PreferStandby => None,
        Wish::ReadWrite => is("SHOW transaction_read_only", "on")?.then_some("read-only"),
        Wish::ReadOnly => is("SHOW transaction_read_only", "off")?.then_some("read-write"),
        Wish::Primary => is("SELECT pg_catalog.pg_is_in_recovery()", "t")?.then_some("a standby"),
        Wish::Standby => is("SELECT pg_catalog.pg_is_in_recovery()", "f")?.then_some("a primary"),
    })
}

fn not_allowed(refusal: &Refusal) -> Failure {
    let refused = Error::new(Kind::Server, refusal.to_string());
    Failure::NotAllowed(match refusal {
        Refusal::InTheClear => refused.hint("use sslmode=require, or better verify-full"),
        Refusal::NotAllowed(..) => refused.hint(
            "if this is the server that you mean, allow it in require_auth (PGREQUIREAUTH), or leave that out",
        ),
        Refusal::Unproved => {
            refused.hint("it may be another server than you mean: check the host's name")
        }
    })
}

fn classify(target: &Target, seen: &Seen, error: tokio_postgres::Error) -> Failure {
    if let Some(refusal) = &seen.refused {
        return not_allowed(refusal);
    }
    if let Some(reason) = error.as_db_error() {
        let code = reason.code().clone();
        if code == SqlState::PROTOCOL_VIOLATION
            && reason.message().starts_with("unsupported startup parameter")
        {
            return Failure::Refused(pooler::takes_no_options(target, error));
        }
        // Whatever its reason is.
        let mut failed = server("the server refuses the session", error).of_kind(Kind::Server);
        if code == SqlState::INVALID_PASSWORD
            && let Some(file) = &target.password_file
        {
            failed = failed.hint(format!("the password came from {}", file.display()));
        }
        if code == SqlState::INSUFFICIENT_PRIVILEGE {
            let (database, user) = (ident::quote(&target.database), ident::quote(&target.user));
            failed = failed.hint(format!("GRANT CONNECT ON DATABASE {database} TO {user};"));
        }
        return match code {
            code if code == SqlState::CANNOT_CONNECT_NOW => Failure::NotThis(failed),
            _ => Failure::Refused(failed),
        };
    }
    let wants_password =
        matches!(seen.method, Some(Method::Password | Method::Md5 | Method::ScramSha256));
    if wants_password && target.password.is_none() && !seen.ready {
        return Failure::NoPassword(
            Error::new(Kind::Server, format!("cannot connect to {}", target.describe()))
                .caused_by("the server asks for a password, and there is none")
                .hint("say it in a .pgpass file, in PGPASSWORD, or at the terminal"),
        );
    }
    // What pgark's own part of the connection said, what the system said, or what the crate makes
    // of a login that went wrong.
    let Some(source) = error.into_source() else {
        return Failure::Unreachable(Error::new(Kind::Server, "the server ended the connection"));
    };
    let source = match source.downcast::<Error>() {
        Ok(own) => return Failure::Unreachable(*own),
        Err(other) => other,
    };
    match source.downcast::<std::io::Error>() {
        Ok(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Failure::Unreachable(tls::explain(&io, target.tls.direct))
        }
        Ok(io) => {
            Failure::Unreachable(unreachable(format!("no session at {}", target.address), *io))
        }
        Err(login) => {
            let binding = login.to_string().contains("channel binding");
            let failed = Error::new(Kind::Server, "no login").caused_by(login);
            Failure::NotAllowed(match binding {
                true => failed.hint(
                    "channel_binding=require (PGCHANNELBINDING) needs TLS, and a role whose password is proved by scram-sha-256",
                ),
                false => failed,
            })
        }
    }
}
