//! Whoever waits for a lock says for whom: another session asks while the first one waits.

use super::observer::Observer;
use crate::error::{Kind, Result};
use crate::model::connection::Connection;
use crate::pg::blockers::{self, Blocked};
use crate::pg::session::{Purpose, Session};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// A lock that is there sooner is worth no question.
const SOON: Duration = Duration::from_millis(500);

/// How often the question is asked. Locks are asked for in short attempts with moments between
/// them in which nobody is in the way.
const ROUND: Duration = Duration::from_millis(150);

/// Does `work`, in which the session with this server process may wait for locks. Who is in the
/// way is told the observer once, and stands in the error if the lock was not to be had.
///
/// # Errors
/// Those of `work`.
pub fn told<T>(
    connection: &Connection,
    database: Option<&str>,
    process: i32,
    observer: &dyn Observer,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        let watcher = scope.spawn(move || {
            if wait.recv_timeout(SOON) != Err(RecvTimeoutError::Timeout) {
                return None;
            }
            watch(&ask(connection, database, process), &wait, observer)
        });
        let result = work();
        drop(done);
        let blocked = watcher.join().ok().flatten();
        match (result, blocked) {
            (Err(error), Some(blocked)) if error.kind() == Kind::Locked => {
                let remedy = blocked.remedy();
                Err(error
                    .hint(format!("{blocked}; {remedy}, or allow more time with --lock-timeout")))
            }
            (result, _) => result,
        }
    })
}

/// The last that was heard of who is in the way.
fn watch(
    answers: &Receiver<Option<Blocked>>,
    wait: &Receiver<()>,
    observer: &dyn Observer,
) -> Option<Blocked> {
    let mut last: Option<Blocked> = None;
    loop {
        match answers.recv_timeout(ROUND) {
            Ok(Some(blocked)) => {
                if last.is_none() {
                    observer.note(&format!("waiting for a lock: {blocked}"));
                }
                last = Some(blocked);
            }
            // Between two attempts nobody is in the way.
            Ok(None) | Err(RecvTimeoutError::Timeout) => {}
            // There is no other session to be had: the waiting goes on without an answer.
            Err(RecvTimeoutError::Disconnected) => {
                while wait.recv().is_ok() {}
                return last;
            }
        }
        if wait.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
            return last;
        }
    }
}

/// Asks until nobody listens. Connecting may take long, and nobody waits for it: the thread is
/// left to itself.
fn ask(connection: &Connection, database: Option<&str>, process: i32) -> Receiver<Option<Blocked>> {
    let (say, hear) = mpsc::channel();
    let (connection, database) = (connection.clone(), database.map(str::to_owned));
    std::thread::spawn(move || {
        let opened = Session::open(&connection, database.as_deref(), Purpose::Catalog);
        let Ok(mut session) = opened else { return };
        while let Ok(found) = blockers::of(&mut session, process) {
            if say.send(found).is_err() {
                return;
            }
            std::thread::sleep(ROUND);
        }
    });
    hear
}
