//! A server that is silent although an answer is due, on a session of the driver's.
//!
//! A statement may rightly take hours without a byte, so silence alone is no failure: after the
//! limit another connection asks the server what the session's process is at. Only if nobody
//! answers there, or the process is at nothing, the session has failed.

use super::dial::stalled;
use super::target::Target;
use crate::pg::failure;
use crate::pg::wire::Wire;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How often the question's answer is looked for.
const GLANCE: Duration = Duration::from_millis(200);

/// Watches a session that is ready.
pub struct Silence {
    target: Arc<Target>,
    process: Option<i32>,
    limit: Duration,
    /// An answer is due.
    waiting: bool,
    frames: Frames,
    last: Instant,
    wake: Pin<Box<Sleep>>,
    question: Option<Receiver<bool>>,
}

impl Silence {
    /// Watches a session with this server process, if the target has a limit.
    pub fn new(target: &Arc<Target>, process: Option<i32>) -> Option<Self> {
        let limit = target.stall_timeout?;
        let last = Instant::now();
        Some(Self {
            target: Arc::clone(target),
            process,
            limit,
            waiting: false,
            frames: Frames::default(),
            last,
            wake: Box::pin(tokio::time::sleep_until(last + limit)),
            question: None,
        })
    }

    /// The server has sent these bytes.
    pub fn heard(&mut self, bytes: &[u8]) {
        if self.frames.end_with_ready(bytes) {
            self.waiting = false;
        }
        self.moved();
    }

    /// Something was sent to the server.
    pub fn said(&mut self) {
        self.waiting = true;
        self.moved();
    }

    fn moved(&mut self) {
        self.last = Instant::now();
        self.question = None;
    }

    /// Nothing has come: fails once the server has been silent for too long. Called whenever the
    /// session is waited for, and sees to it that it is called again in time.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`].
    pub fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.waiting {
            let due = match &self.question {
                None => self.last + self.limit,
                Some(question) => match question.try_recv() {
                    Ok(true) => {
                        self.moved();
                        continue;
                    }
                    Ok(false) | Err(TryRecvError::Disconnected) => {
                        return Err(stalled("sent", self.limit));
                    }
                    Err(TryRecvError::Empty) => Instant::now() + GLANCE,
                },
            };
            self.wake.as_mut().reset(due);
            if self.wake.as_mut().poll(context) == Poll::Pending {
                return Ok(());
            }
            if self.question.is_none() {
                self.question = Some(ask(&self.target, self.process));
            }
        }
        Ok(())
    }
}

/// Asks on another connection whether the process still works on what it was told to do.
fn ask(target: &Arc<Target>, process: Option<i32>) -> Receiver<bool> {
    let (say, hear) = mpsc::channel();
    let mut target = Target::clone(target).with_patience();
    target.stall_timeout = target.connect_timeout;
    std::thread::spawn(move || {
        // Nobody listens any more if something has come meanwhile.
        say.send(works(&target, process)).ok();
    });
    hear
}

fn works(target: &Target, process: Option<i32>) -> bool {
    let doing = "cannot ask what the server is at";
    let state = Wire::connect(target).and_then(|mut wire| match process {
        // Then it is enough that statements are answered.
        None => wire.value("SELECT 'active'", doing),
        Some(process) => wire.value(
            &format!(
                "SELECT coalesce(max(state), 'gone') FROM pg_catalog.pg_stat_activity WHERE pid = {process}"
            ),
            doing,
        ),
    });
    match state {
        Ok(state) => state == "active" || state == "fastpath function call",
        // A server that refuses another session is alive.
        Err(error) => failure::is_servers(&error),
    }
}

/// Messages of the protocol, of which only type and end matter.
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    left: usize,
}

impl Frames {
    /// Whether these bytes complete a ReadyForQuery, with nothing after it.
    fn end_with_ready(&mut self, mut bytes: &[u8]) -> bool {
        let mut ready = false;
        while !bytes.is_empty() {
            if self.header.len() < 5 {
                let (taken, rest) = bytes.split_at(bytes.len().min(5 - self.header.len()));
                self.header.extend(taken);
                bytes = rest;
                ready = false;
                if let [_, a, b, c, d] = self.header[..] {
                    // The length counts itself.
                    self.left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                }
            }
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.header.len() == 5 && self.left == 0 {
                ready = self.header[0] == b'Z';
                self.header.clear();
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn the_end_of_an_answer_is_seen_however_its_bytes_are_cut() {
        let bytes = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05T";
        for size in 1..=bytes.len() {
            let mut frames = Frames::default();
            let ready: Vec<bool> =
                bytes.chunks(size).map(|chunk| frames.end_with_ready(chunk)).collect();
            assert!(ready[ready.len() - 1], "{size}");
            assert_eq!(ready.iter().filter(|ready| **ready).count(), 1, "{size}");
        }
        let mut frames = Frames::default();
        assert!(!frames.end_with_ready(b"Z\0\0\0\x05TZ\0\0"), "another answer has begun");
    }
}
