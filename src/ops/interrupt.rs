//! A signal ends a run: no new work is begun, and the server is told to cancel what runs.

use crate::error::{Error, Kind, Result};
use crate::pg::session::{Canceller, Session};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};

/// Whether and by which signal the run was interrupted. One per run, shared by all its threads.
#[derive(Default)]
pub struct Interrupt {
    signal: AtomicI32,
    running: Mutex<Vec<Canceller>>,
}

impl Interrupt {
    /// Interrupts the run: cancels the queries of all registered sessions.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
        if let Ok(running) = self.running.lock() {
            running.iter().for_each(Canceller::cancel);
        }
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
    pub fn register(&self, session: &Session) {
        if let Ok(mut running) = self.running.lock() {
            running.push(session.canceller());
        }
    }

    /// `result`, or the interruption that is the real reason for its failure.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.reason(error))
    }

    /// `error`, or the interruption that is the real reason for it.
    pub fn reason(&self, error: Error) -> Error {
        match (error.kind(), self.signal.load(Ordering::SeqCst)) {
            (Kind::Interrupted(_), _) | (_, 0) => error,
            (_, signal) => interrupted(signal),
        }
    }
}

fn interrupted(signal: i32) -> Error {
    Error::new(Kind::Interrupted(signal), "interrupted by a signal")
}
