//! A signal ends a run: no new work is begun, and the server is told to cancel what runs.

use crate::error::{Error, Kind, Result};
use crate::pg::session::Canceller;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// How often running queries are cancelled after a signal, and how long from one time to the next.
const ROUNDS: usize = 60;
const ROUND: Duration = Duration::from_secs(1);

/// Whether and by which signal the run was interrupted. One per run, shared by all its threads.
#[derive(Default)]
pub struct Interrupt {
    signal: AtomicI32,
    /// The run has heard of it, and what its sessions do from now on is to clean up.
    heard: AtomicBool,
    running: Mutex<Vec<Canceller>>,
}

impl Interrupt {
    /// Interrupts the run: cancels the queries of all registered sessions, and again every second
    /// until the run has heard of it, for a cancel request that comes between two statements is
    /// lost. This may take long: call it on a thread of its own.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
        for _ in 0..ROUNDS {
            self.cancel_since(0);
            std::thread::sleep(ROUND);
            if self.heard.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// How many sessions have been registered so far.
    pub fn registered(&self) -> usize {
        self.running.lock().map_or(0, |running| running.len())
    }

    /// Cancels the queries of the sessions that were registered after the first `registered`,
    /// without interrupting the run.
    pub fn cancel_since(&self, registered: usize) {
        let running: Vec<Canceller> = match self.running.lock() {
            // A request may hang; whoever registers a session must not wait for it.
            Ok(running) => running.iter().skip(registered).cloned().collect(),
            Err(_) => return,
        };
        std::thread::scope(|scope| {
            for session in &running {
                scope.spawn(|| session.cancel());
            }
        });
    }

    /// # Errors
    /// [`Kind::Interrupted`] once a signal has come.
    pub fn check(&self) -> Result<()> {
        match self.signal.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(interrupted(signal)),
        }
    }

    /// Cancels this session's query too when a signal comes.
    pub fn register(&self, session: Canceller) {
        if let Ok(mut running) = self.running.lock() {
            running.push(session);
        }
    }

    /// `result`, or the interruption that is the real reason for its failure.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.reason(error))
    }

    /// `error`, or the interruption that is the real reason for it.
    pub fn reason(&self, error: Error) -> Error {
        if self.signal.load(Ordering::SeqCst) != 0 {
            self.heard.store(true, Ordering::SeqCst);
        }
        match (error.kind(), self.signal.load(Ordering::SeqCst)) {
            (Kind::Interrupted(_), _) | (_, 0) => error,
            (_, signal) => interrupted(signal),
        }
    }
}

fn interrupted(signal: i32) -> Error {
    Error::new(Kind::Interrupted(signal), "interrupted by a signal")
}
