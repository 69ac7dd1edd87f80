//! Definitions that others change while they are read are read again, until they stood still.

use super::interrupt::Interrupt;
use crate::error::{Error, Kind, Result};
use crate::pg::session::Session;
use crate::pg::snapshot::LOCK_ATTEMPT;
use std::time::{Duration, Instant};

/// How often definitions that change are read, however little patience there is.
const ATTEMPTS: usize = 3;

/// How long to wait before the second attempt: definitions that change come in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// And at most, as each pause is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long an attempt waits for one lock at most, as each waits twice as long as the one before: less
/// than `deadlock_timeout`, which is 1 s by default.
const LONGEST_LOCK_WAIT: Duration = Duration::from_millis(800);

/// What one attempt may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The patience that is left.
    pub patience: Duration,
    /// How long it may wait for one lock while it holds others.
    pub lock_wait: Duration,
}

/// Calls `attempt` until it gives something. `None`: definitions changed while it read them. It must
/// hold no lock when it returns without having succeeded ([`let_go`]), or whoever changes the
/// definitions would wait for it.
///
/// # Errors
/// [`Kind::Locked`] when the patience is at its end; other errors of `attempt`, and a signal, at once.
pub fn read<T>(
    patience: Duration,
    interrupt: &Interrupt,
    mut attempt: impl FnMut(Limits) -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    let left = || deadline.saturating_duration_since(Instant::now());
    let (mut pause, mut lock_wait) = (FIRST_PAUSE, LOCK_ATTEMPT);
    let mut attempts = 0;
    loop {
        interrupt.check()?;
        attempts += 1;
        let (failure, enough) = match attempt(Limits { patience: left(), lock_wait }) {
            Ok(Some(read)) => return Ok(read),
            Ok(None) => (changing(), attempts >= ATTEMPTS),
            Err(error) if error.kind() == Kind::Locked => (error, true),
            Err(error) => return Err(error),
        };
        if enough && left().is_zero() {
            return Err(failure);
        }
        // The last attempt is made when the patience ends.
        interrupt.sleep(if enough { pause.min(left()) } else { pause })?;
        pause = (pause * 2).min(LONGEST_PAUSE);
        lock_wait = (lock_wait * 2).min(LONGEST_LOCK_WAIT);
    }
}

/// Ends the transaction of an attempt that has not succeeded, and so frees what it has locked.
///
/// # Errors
/// Those of the attempt.
pub fn let_go<T>(session: &mut Session, attempt: Result<Option<T>>) -> Result<Option<T>> {
    match attempt {
        Ok(None) => session.execute("ROLLBACK").map(|()| None),
        Err(error) => {
            // Where the session has ended, why it has counts, and not that it cannot go on.
            drop(session.execute("ROLLBACK"));
            Err(error)
        }
        read => read,
    }
}

fn changing() -> Error {
    Error::new(Kind::Locked, "definitions in the database did not stop changing")
        .hint("run again when no migration is running")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked() -> Error {
        Error::new(Kind::Locked, "locked")
    }

    /// Reads with this patience and gives how often it was tried, and what came of it.
    fn tried(
        milliseconds: u64,
        mut attempt: impl FnMut(usize) -> Result<Option<()>>,
    ) -> (Vec<Limits>, Result<()>) {
        let mut limits = Vec::new();
        let read = read(Duration::from_millis(milliseconds), &Interrupt::default(), |given| {
            limits.push(given);
            attempt(limits.len())
        });
        (limits, read)
    }

    #[test]
    fn what_changes_is_read_three_times_however_little_patience_there_is() {
        let (tries, result) = tried(1, |_| Ok(None));
        assert_eq!(tries.len(), 3);
        assert!(result.unwrap_err().to_string().contains("did not stop changing"));
        let (tries, result) = tried(1, |number| Ok((number == 2).then_some(())));
        assert_eq!((tries.len(), result.is_ok()), (2, true));
    }

    #[test]
    fn what_is_locked_is_tried_until_the_patience_ends_and_once_more_then() {
        let (tries, result) = tried(500, |_| Err(locked()));
        assert_eq!(result.unwrap_err().to_string(), "locked");
        assert_eq!(tries.len(), 3, "at 0, 200 and 500 ms");
        assert!(tries[2].patience.is_zero());
        assert_eq!(tries[2].lock_wait, LOCK_ATTEMPT * 4);
        let (tries, result) =
            tried(60_000, |number| if number == 1 { Err(locked()) } else { Ok(Some(())) });
        assert_eq!((tries.len(), result.is_ok()), (2, true));
    }

    #[test]
    fn another_failure_and_a_signal_end_it_at_once() {
        let (tries, result) = tried(60_000, |_| Err(Error::failed("broken")));
        assert_eq!((tries.len(), result.unwrap_err().to_string()), (1, String::from("broken")));
        let interrupt = Interrupt::default();
        std::thread::scope(|scope| {
            let result = read(Duration::from_secs(60), &interrupt, |_| {
                scope.spawn(|| interrupt.raise(15));
                Ok(None::<()>)
            });
            let error = interrupt.explain(result).unwrap_err();
            assert!(matches!(error.kind(), Kind::Interrupted(15)), "{error}");
        });
    }
}
