//! Definitions that others change while they are read are read again, until they stood still.

use super::interrupt::Interrupt;
use crate::error::{Error, Kind, Result};
use std::time::{Duration, Instant};

/// How often definitions are read anew however little patience there is.
const ATTEMPTS: usize = 3;

/// How long to wait before that at first: definitions that change come in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// And at most, as each pause is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls `attempt` with the patience that is left, until it gives something. `None`: definitions
/// changed while it read them. It must hold no lock when it returns without having succeeded, or
/// whoever changes the definitions would wait for it.
///
/// # Errors
/// [`Kind::Locked`] when the patience is at its end; other errors of `attempt` at once.
pub fn read<T>(
    patience: Duration,
    interrupt: &Interrupt,
    mut attempt: impl FnMut(Duration) -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    for attempts in 1.. {
        interrupt.check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let (failure, enough) = match attempt(left) {
            Ok(Some(read)) => return Ok(read),
            Ok(None) => (changing(), attempts >= ATTEMPTS),
            Err(error) if error.kind() == Kind::Locked => (error, true),
            Err(error) => return Err(error),
        };
        if enough && Instant::now() + pause >= deadline {
            return Err(failure);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(changing())
}

fn changing() -> Error {
    Error::new(Kind::Locked, "definitions in the database did not stop changing")
        .hint("run again when no migration is running")
}
