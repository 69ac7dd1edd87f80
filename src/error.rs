//! The one error type: what failed, on which object, why, and what to do next.

use std::error::Error as StdError;
use std::fmt;

/// The kind of a failure. It decides the exit code and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Anything that has no kind of its own.
    Failed,
    /// The command line, a pattern or a connection string is wrong.
    Usage,
    /// An archive, table, role or file that was asked for does not exist.
    NotFound,
    /// Another run of pgark holds the repository, or a lock in the database was not to be had.
    Locked,
    /// An archive is not what its manifest says.
    Damaged,
    /// Two things that were compared, or a restored database and its archive, are not equal.
    Differs,
    /// A safety rule forbids it; nothing was changed.
    Refused,
    /// No space left on the disk.
    NoSpace,
    /// The server could not be reached, refused, or broke off.
    Server,
    /// A signal ended the run.
    Interrupted(i32),
}

/// A failure. `Display` gives the message alone; the cause is in `source()` and the chain is
/// printed once, by the command line.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Begins each line of what another program has said, within a message. It is shown as a line of its
/// own; a line feed, which any name may hold, is not.
pub const QUOTED: char = '\u{2028}';

/// What another program has said, for the end of a message.
pub fn quoted(words: &str) -> String {
    words.lines().flat_map(|line| [String::from(QUOTED), line.to_owned()]).collect()
}

/// A result with pgark's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind`; the message is lower case, names the object, and has no final stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// A failure without a kind of its own.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// An archive that is not what its manifest says.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(Kind::Damaged, message)
    }

    /// A safety rule forbids it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A failed file operation; a full disk keeps its kind.
    pub fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => Kind::NoSpace,
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failed,
        };
        let error = Self::new(kind, message).caused_by(source);
        match kind {
            Kind::NoSpace => error.hint("make room on the disk, or lift the limit on files"),
            _ => error,
        }
    }

    /// The same failure with its cause.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure with a sentence that says what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure as one of another kind.
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// A failure that happened while doing `message`; kind and hint are kept.
    pub fn while_doing(self, message: impl Into<String>) -> Self {
        let (kind, hint) = (self.kind, self.hint.clone());
        Self { kind, message: message.into(), hint, source: Some(Box::new(self)) }
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The causes, the nearest first.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        std::iter::successors(self.source(), |cause| (*cause).source()).map(ToString::to_string)
    }

    /// The failure with its causes, on one line.
    pub fn in_full(&self) -> String {
        std::iter::once(self.to_string()).chain(self.causes()).collect::<Vec<_>>().join(": ")
    }

    /// What to do next, as a full sentence.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|cause| cause.as_ref() as &(dyn StdError + 'static))
    }
}
