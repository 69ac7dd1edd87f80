//! How fast rows may move: a server that serves others meanwhile must not feel a backup.

use super::interrupt::Interrupt;
use super::observer::{Item, Observer};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much time's worth of rows may move at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Keeps whoever tells of moved bytes waiting until they are due. All workers of a run share one.
pub struct Paced<'a> {
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
    /// Bytes per second.
    limit: f64,
    /// When all that has moved so far was due.
    due: Mutex<Instant>,
}

impl<'a> Paced<'a> {
    /// Lets at most so many bytes of rows move per second, and tells `observer` of them.
    pub fn new(
        bytes_per_second: u64,
        observer: &'a dyn Observer,
        interrupt: &'a Interrupt,
    ) -> Self {
        let limit = bytes_per_second.max(1) as f64;
        Self { observer, interrupt, limit, due: Mutex::new(Instant::now()) }
    }

    fn wait_for(&self, bytes: u64) {
        let due = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = Instant::now().checked_sub(BURST);
            let began = earliest.map_or(*due, |earliest| earliest.max(*due));
            *due = began + Duration::from_secs_f64(bytes as f64 / self.limit);
            *due
        };
        // Whoever is told of the bytes looks for the signal, too.
        drop(self.interrupt.sleep(due.saturating_duration_since(Instant::now())));
    }
}

impl Observer for Paced<'_> {
    fn phase(&self, what: &str, total: Option<u64>) {
        self.observer.phase(what, total);
    }

    fn expect(&self, total: u64) {
        self.observer.expect(total);
    }

    fn begin(&self, item: &Item<'_>) {
        self.observer.begin(item);
    }

    fn end(&self) {
        self.observer.end();
    }

    fn moved(&self, rows: u64, bytes: u64) {
        self.wait_for(bytes);
        self.observer.moved(rows, bytes);
    }

    fn detail(&self, text: &str) {
        self.observer.detail(text);
    }

    fn note(&self, text: &str) {
        self.observer.note(text);
    }

    fn warn(&self, text: &str) {
        self.observer.warn(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::observer::Silent;

    #[test]
    fn workers_share_one_limit_and_a_signal_ends_the_waiting() {
        let interrupt = Interrupt::default();
        let paced = Paced::new(1_000_000, &Silent, &interrupt);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| paced.moved(1, 10_000)));
            }
        });
        // 400 kB at 1 MB/s, less the burst.
        assert!(begun.elapsed() > Duration::from_millis(290), "{:?}", begun.elapsed());
        std::thread::scope(|scope| {
            scope.spawn(|| paced.moved(1, u64::from(u32::MAX)));
            scope.spawn(|| interrupt.raise(15));
            scope.spawn(|| {
                while interrupt.check().is_ok() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                drop(interrupt.reason(crate::error::Error::failed("stopped")));
            });
        });
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
