//! Lines on standard output and standard error, whose reader may have stopped reading: whoever writes
//! to a full pipe hears no signal. So it is asked before each piece whether there is room, and once a
//! signal has come a reader is waited for no longer than a moment.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A pipe that has room takes so much at once without waiting (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

/// How soon a signal is noticed by who waits for room.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How long a reader is waited for after a signal.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A signal has come.
static ENDING: AtomicBool = AtomicBool::new(false);

/// From now on readers that have stopped are not waited for.
pub fn end_soon() {
    ENDING.store(true, Ordering::SeqCst);
}

/// One of the two streams.
pub struct Stream {
    /// Whether what comes still goes anywhere. Lines of several threads do not mix.
    reads: Mutex<bool>,
    handle: fn() -> BorrowedFd<'static>,
}

/// Standard output.
pub static STDOUT: Stream = Stream { reads: Mutex::new(true), handle: rustix::stdio::stdout };

/// Standard error.
pub static STDERR: Stream = Stream { reads: Mutex::new(true), handle: rustix::stdio::stderr };

impl Stream {
    /// Writes a line. What a reader does not take after a signal is dropped, and all that would follow.
    ///
    /// # Errors
    /// The system's.
    pub fn line(&self, text: &str) -> io::Result<()> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{text}\n");
        let (mut left, mut until) = (line.as_bytes(), None);
        while !left.is_empty() && *reads {
            if ENDING.load(Ordering::SeqCst) {
                let until = *until.get_or_insert_with(|| Instant::now() + LAST_WORD);
                *reads = Instant::now() < until;
            }
            let stream = (self.handle)();
            let mut asked = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
            match poll(&mut asked, Some(&GLANCE)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match rustix::io::write(stream, &left[..left.len().min(PIECE)]) {
                Ok(written) => (left, until) = (&left[written..], None),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
