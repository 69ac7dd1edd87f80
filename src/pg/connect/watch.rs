//! What the server says before the session is ready is read along: nothing is sent in answer to a
//! request for a password that the connection does not allow.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

/// How the server wants the user to be proved. The names are those of `require_auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The password itself.
    Password,
    /// A salted MD5 digest of the password.
    Md5,
    /// SCRAM-SHA-256, bound to the channel or not.
    ScramSha256,
    /// GSSAPI.
    Gss,
    /// SSPI.
    Sspi,
    /// OAuth.
    Oauth,
    /// Not at all.
    None,
}

const NAMES: &[(&str, Method)] = &[
    ("password", Method::Password),
    ("md5", Method::Md5),
    ("scram-sha-256", Method::ScramSha256),
    ("gss", Method::Gss),
    ("sspi", Method::Sspi),
    ("oauth", Method::Oauth),
    ("none", Method::None),
];

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, method)| method == self).map_or("none", |(name, _)| name);
        out.write_str(name)
    }
}

/// The methods that the connection allows: the parameter `require_auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods(BTreeSet<Method>);

impl Default for Methods {
    fn default() -> Self {
        Self(NAMES.iter().map(|(_, method)| *method).collect())
    }
}

impl Methods {
    /// Reads `require_auth`: methods with commas between them, all or none with `!` before them.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn parse(list: &str) -> Result<Self, String> {
        if list.is_empty() {
            return Ok(Self::default());
        }
        let negated = list.starts_with('!');
        let mut named = BTreeSet::new();
        for item in list.split(',') {
            let name = match (item.strip_prefix('!'), negated) {
                (Some(name), true) => name,
                (None, false) => item,
                _ => return Err(String::from("methods with and without \"!\" cannot be mixed")),
            };
            match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, method)) if named.insert(*method) => {}
                Some(_) => return Err(format!("\"{name}\" is there twice")),
                None => {
                    let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                    return Err(format!("\"{name}\" is none of {}", known.join(", ")));
                }
            }
        }
        Ok(match negated {
            false => Self(named),
            true => Self(Self::default().0.difference(&named).copied().collect()),
        })
    }

    fn allow(&self, method: Method) -> bool {
        self.0.contains(&method)
    }

    fn list(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// What was seen of the beginning of a session.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How the server wanted the user to be proved.
    pub method: Option<Method>,
    /// What the server calls the session.
    pub key: Option<Key>,
    /// Why pgark broke off.
    pub refused: Option<Refusal>,
    /// The session is ready.
    pub ready: bool,
}

/// What the server calls a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Its process; a pooler names one of its own making.
    pub process: i32,
    /// What proves that a request to cancel comes from whoever has the session.
    pub secret: i32,
}

/// A demand of the server that the connection does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method is not among those of `require_auth`.
    NotAllowed(Method, String),
    /// The password would travel in the clear.
    InTheClear,
    /// The server ends SCRAM without its own proof that it knows the password.
    Unproved,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(Method::None, allowed) => {
                write!(out, "the server asks for no proof of the user, and require_auth allows {allowed}")
            }
            Self::NotAllowed(method, allowed) => {
                write!(out, "the server asks for method {method}, and require_auth allows {allowed}")
            }
            Self::Unproved => out.write_str("the server does not prove that it knows the password"),
            Self::InTheClear => out.write_str(
                "the server asks for the password in the clear, over a connection that is not encrypted",
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Reads the server's messages along until the session is ready.
pub struct Watch {
    methods: Methods,
    /// A password in the clear is nobody else's to read: TLS, a socket, or this machine.
    private: bool,
    /// Type and length of the message that is being read.
    header: Vec<u8>,
    /// The beginning of its body, as far as it matters.
    body: Vec<u8>,
    /// How much of its body is still to come.
    left: usize,
    /// The server has sent its own proof.
    proved: bool,
    seen: Arc<Mutex<Seen>>,
}

/// How much of a message's body matters: a number, or a process and its key.
const KEPT: usize = 8;

impl Watch {
    /// Watches a session; what is seen goes to `seen`.
    pub fn new(methods: Methods, private: bool, seen: Arc<Mutex<Seen>>) -> Self {
        Self {
            methods,
            private,
            header: Vec::new(),
            body: Vec::new(),
            left: 0,
            proved: false,
            seen,
        }
    }

    /// Takes what the server sent. The answer is whether the session is ready, and there is no
    /// more to watch.
    ///
    /// # Errors
    /// A [`Refusal`] when the server asks for what the connection does not allow.
    pub fn observe(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            if self.header.len() < 5 {
                let (taken, rest) = bytes.split_at(bytes.len().min(5 - self.header.len()));
                self.header.extend(taken);
                bytes = rest;
                if let [_, a, b, c, d] = self.header[..] {
                    // The length counts itself.
                    self.left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                    self.body.clear();
                }
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(self.left));
            self.body.extend(taken.iter().take(KEPT.saturating_sub(self.body.len())));
            self.left -= taken.len();
            bytes = rest;
            if self.header.len() == 5 && self.left == 0 {
                let kind = self.header[0];
                self.header.clear();
                if self.message(kind)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn message(&mut self, kind: u8) -> io::Result<bool> {
        let mut seen = match self.seen.lock() {
            Ok(seen) => seen,
            Err(poisoned) => poisoned.into_inner(),
        };
        let number = self.body.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        let second = self.body.last_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        let method = match (kind, number) {
            (b'Z', _) => {
                seen.ready = true;
                return Ok(true);
            }
            (b'K', _) => {
                seen.key = number.zip(second).map(|(process, secret)| Key { process, secret });
                return Ok(false);
            }
            (b'R', Some(12)) => {
                self.proved = true;
                return Ok(false);
            }
            (b'R', Some(0)) if seen.method == Some(Method::ScramSha256) && !self.proved => {
                seen.refused = Some(Refusal::Unproved);
                return Err(io::Error::other(Refusal::Unproved));
            }
            // AuthenticationOk: where nothing was asked before, nothing was proved.
            (b'R', Some(0)) if seen.method.is_some() => return Ok(false),
            (b'R', Some(0)) => Method::None,
            (b'R', Some(3)) => Method::Password,
            (b'R', Some(5)) => Method::Md5,
            (b'R', Some(7)) => Method::Gss,
            (b'R', Some(9)) => Method::Sspi,
            // The mechanism's name follows.
            (b'R', Some(10)) if self.body[4..].starts_with(b"SCRA") => Method::ScramSha256,
            (b'R', Some(10)) if self.body[4..].starts_with(b"OAUT") => Method::Oauth,
            _ => return Ok(false),
        };
        seen.method = Some(method);
        let refusal = if !self.methods.allow(method) {
            Refusal::NotAllowed(method, self.methods.list())
        } else if method == Method::Password && !self.private {
            Refusal::InTheClear
        } else {
            return Ok(false);
        };
        seen.refused = Some(refusal.clone());
        Err(io::Error::other(refusal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn request(number: i32, more: &[u8]) -> Vec<u8> {
        message(b'R', &[&number.to_be_bytes()[..], more].concat())
    }

    fn watch(methods: &str, private: bool) -> (Watch, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        (Watch::new(Methods::parse(methods).unwrap(), private, Arc::clone(&seen)), seen)
    }

    #[test]
    fn the_list_of_methods_is_read_as_libpq_reads_it() {
        let list = |text| Methods::parse(text).unwrap().list();
        assert_eq!(list("scram-sha-256,md5"), "md5, scram-sha-256");
        assert_eq!(list("!password,!md5,!gss,!sspi,!oauth"), "scram-sha-256, none");
        assert_eq!(Methods::parse("").unwrap(), Methods::default());
        for wrong in ["scram", "!md5,none", "md5,!none", "md5,md5", "md5,", " md5"] {
            assert!(Methods::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_session_is_read_along_however_its_bytes_are_cut() {
        let bytes = [
            request(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
            request(11, b"r=..."),
            request(12, b"v=..."),
            request(0, b""),
            message(b'S', b"server_version\x0018.1\0"),
            message(b'K', &[0, 0, 1, 2, 0, 0, 0, 3]),
            message(b'Z', b"I"),
        ]
        .concat();
        for size in 1..=bytes.len() {
            let (mut watch, seen) = watch("scram-sha-256", false);
            let ready: Vec<bool> =
                bytes.chunks(size).map(|chunk| watch.observe(chunk).unwrap()).collect();
            assert!(ready.iter().filter(|ready| **ready).count() == 1 && ready[ready.len() - 1]);
            let seen = seen.lock().unwrap();
            assert_eq!(seen.method, Some(Method::ScramSha256));
            assert_eq!(seen.key, Some(Key { process: 258, secret: 3 }));
        }
    }

    #[test]
    fn what_is_not_allowed_ends_the_session_before_it_is_answered() {
        let refused = |methods, private, bytes: Vec<u8>| {
            let (mut watch, seen) = watch(methods, private);
            let refused = watch.observe(&bytes).is_err();
            assert_eq!(refused, seen.lock().unwrap().refused.is_some());
            refused
        };
        let (clear, md5, none) = (request(3, b""), request(5, b"salt"), request(0, b""));
        assert!(refused("", false, clear.clone()));
        assert!(!refused("", true, clear.clone()));
        assert!(refused("!password", true, clear));
        assert!(!refused("", false, md5.clone()));
        assert!(refused("scram-sha-256", true, md5));
        assert!(!refused("", false, none.clone()));
        assert!(refused("scram-sha-256", true, none.clone()));
        assert!(!refused("scram-sha-256,none", true, none.clone()));
        let (scram, proof) = (request(10, b"SCRAM-SHA-256\0\0"), request(12, b"v=..."));
        assert!(!refused("", false, [scram.clone(), proof, none.clone()].concat()));
        assert!(refused("", false, [scram, none].concat()));
    }
}
