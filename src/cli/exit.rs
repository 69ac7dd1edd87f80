//! The exit codes: a contract with whoever calls pgark from a script.

use crate::error::Kind;

/// Every exit code, its number, and what it means. Numbers are never used again for another
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Done, and proved.
    Done,
    /// Failed for a reason that has no number of its own.
    Failed,
    /// The command line or a connection string is wrong.
    Usage,
    /// Done, but for objects that were allowed to be missing, materialized views that could not be
    /// filled anew, or settings, comments and owners that the server refused.
    Omissions,
    /// What was compared is not equal.
    Differs,
    /// An archive, table or file that was asked for does not exist.
    NotFound,
    /// Another pgark, or a lock in the database, is in the way.
    Locked,
    /// An archive is damaged.
    Damaged,
    /// A safety rule forbids it; nothing was changed.
    Refused,
    /// No space left on the disk.
    NoSpace,
    /// The server could not be reached, refused, or broke off.
    Server,
    /// Ended by a signal: 128 and its number.
    Signal(i32),
}

/// The table that `pgark help` prints.
pub const TABLE: &str = "\
Exit codes:
    0  done, and proved
    1  failed
    2  wrong usage
    3  done, but for what was allowed to be missing or is named as left over
    4  what was compared is not equal
   10  an archive, table or file that was asked for does not exist
   11  another pgark, or a lock in the database, is in the way
   13  an archive is damaged
   15  a safety rule forbids it; nothing was changed
   16  no space left on the disk
   17  the server could not be reached, refused, or broke off
  128+N  ended by signal N
`pgark help exit-codes` says more.";

/// What `pgark help exit-codes` prints.
pub const EXPLAINED: &str = "\
Exit codes are a contract: a number never gets another meaning.

    0  done, and proved: committed, synced, read again, equal
    1  failed, for a reason that has no number of its own
    2  wrong usage: a flag, a pattern, a connection string; nothing was begun
    3  done, but for what was allowed to be missing (--allow-missing, --leave-out), for
       materialized views that could not be filled, or settings, comments and owners that
       the server refused; the result names them
    4  what was compared, or a restored database and its archive, is not equal
   10  an archive, table, role or file that was asked for does not exist
   11  another pgark holds the repository or the database, or a lock in the database was not
       to be had within --lock-timeout; a restore may have kept its rows, with its mark
   13  an archive is damaged
   15  refused: a safety rule forbids it, and nothing was changed
   16  no space left on the disk, here or at the server
   17  the server could not be reached, refused the session, or broke off
  128+N  ended by signal N: 129 SIGHUP, 130 SIGINT, 143 SIGTERM; the message says what was and
       what was not done. A second signal ends pgark at once

Whatever the number, older archives are as they were. `pgark verify` of several archives ends with
13 if any is damaged, else with the highest number of what kept one from being verified.";

impl ExitCode {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Omissions => 3,
            Self::Differs => 4,
            Self::NotFound => 10,
            Self::Locked => 11,
            Self::Damaged => 13,
            Self::Refused => 15,
            Self::NoSpace => 16,
            Self::Server => 17,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(128),
        }
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Usage => Self::Usage,
            Kind::NotFound => Self::NotFound,
            Kind::Locked => Self::Locked,
            Kind::Damaged => Self::Damaged,
            Kind::Differs => Self::Differs,
            Kind::Refused => Self::Refused,
            Kind::NoSpace => Self::NoSpace,
            Kind::Server => Self::Server,
            Kind::Interrupted(signal) => Self::Signal(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_table_lists_every_number() {
        use ExitCode::*;
        let all = [
            Done, Failed, Usage, Omissions, Differs, NotFound, Locked, Damaged, Refused, NoSpace,
            Server,
        ];
        for code in all {
            let line = format!("\n{:>5}  ", code.number());
            assert!(TABLE.contains(&line), "{code:?} is not in the table");
            assert!(EXPLAINED.contains(&line), "{code:?} is not explained");
        }
        assert_eq!(Signal(2).number(), 130);
    }
}
