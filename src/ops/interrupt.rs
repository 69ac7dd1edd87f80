//! A signal ends a run: no new work is begun, and the server is told to cancel what runs.

use crate::error::{Error, Kind, Result};
use crate::model::connection::Connection;
use crate::model::server::ServerFacts;
use crate::pg::connect::Canceller;
use crate::pg::copier::Copier;
use crate::pg::session::{Purpose, Session};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often running queries are cancelled after a signal, and how long from one time to the next.
const ROUNDS: usize = 60;
const ROUND: Duration = Duration::from_secs(1);

/// How soon a signal is noticed by who waits.
const GLANCE: Duration = Duration::from_millis(50);

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

    /// Waits, and no longer than until a signal comes.
    ///
    /// # Errors
    /// The interruption.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }

    /// Opens a session whose queries are cancelled when a signal comes.
    ///
    /// # Errors
    /// Those of [`Session::open`], and the interruption.
    pub fn open(
        &self,
        connection: &Connection,
        database: Option<&str>,
        purpose: Purpose,
    ) -> Result<Session> {
        let (connection, database) = (connection.clone(), database.map(str::to_owned));
        let open = move || Session::open(&connection, database.as_deref(), purpose);
        let session = self.wait_for(open)?;
        self.register(session.canceller());
        Ok(session)
    }

    /// The same for a session for rows.
    ///
    /// # Errors
    /// Those of [`Copier::open`], and the interruption.
    pub fn open_copier(
        &self,
        connection: &Connection,
        database: Option<&str>,
        purpose: Purpose,
        facts: &ServerFacts,
    ) -> Result<Copier> {
        let (connection, database) = (connection.clone(), database.map(str::to_owned));
        let facts = facts.clone();
        let open = move || Copier::open(&connection, database.as_deref(), purpose, &facts);
        let copier = self.wait_for(open)?;
        self.register(copier.canceller());
        Ok(copier)
    }

    /// Does `work` on a thread of its own, and waits for it no longer than until a signal comes: the
    /// thread is left to itself then. For what nothing can cancel: looking a host up, connecting to
    /// it, waiting for an answer at the terminal.
    ///
    /// # Errors
    /// Those of `work`, and the interruption.
    pub fn wait_for<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (say, hear) = mpsc::channel();
        std::thread::spawn(move || drop(say.send(work())));
        loop {
            self.check()?;
            match hear.recv_timeout(GLANCE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::failed("a thread broke off; this is a defect of pgark"));
                }
            }
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

    /// The same as [`Interrupt::reason`]; an interruption says what it has left done and undone,
    /// unless that has been said.
    pub fn leaving(&self, error: Error, left: &str) -> Error {
        let error = self.reason(error);
        match (error.kind(), error.next_step()) {
            (Kind::Interrupted(_), None) => error.hint(left),
            _ => error,
        }
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

/// The one message for it.
pub fn interrupted(signal: i32) -> Error {
    let text = format!("interrupted by a signal ({})", signal_name(signal));
    Error::new(Kind::Interrupted(signal), text)
}

/// The name of a signal that ends runs.
pub fn signal_name(signal: i32) -> String {
    match signal {
        1 => String::from("SIGHUP"),
        2 => String::from("SIGINT"),
        15 => String::from("SIGTERM"),
        number => format!("number {number}"),
    }
}
