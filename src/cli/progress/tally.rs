//! What has moved and what is under way: the numbers behind bars, lines and events.

use crate::ops::observer::Item;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// The rate is that of the last so many seconds: what was fast an hour ago helps nobody.
const WINDOW: Duration = Duration::from_secs(15);

/// How often a sample is taken for it.
const SAMPLE: Duration = Duration::from_millis(250);

/// From when on, and from which part of the work on, the time that is left is more than a guess.
const HONEST_AFTER: Duration = Duration::from_secs(2);
const HONEST_FROM: f64 = 0.005;

/// Counts rows and bytes, by phase, by worker and by name.
pub struct Tally {
    state: Mutex<State>,
    /// Whether names of items are of interest at all: writing them out costs.
    named: bool,
}

struct State {
    phase: String,
    begun: Instant,
    total: Option<u64>,
    rows: u64,
    bytes: u64,
    /// Of the items that have ended: what they stood for, and what they were.
    ended: Amounts,
    /// What has moved outside of items.
    loose: u64,
    workers: Vec<Worker>,
    samples: VecDeque<(Instant, u64)>,
    names: BTreeMap<String, Named>,
}

#[derive(Default)]
struct Amounts {
    expected: u64,
    moved: u64,
}

struct Worker {
    thread: ThreadId,
    name: String,
    part: u64,
    parts: u64,
    expected: u64,
    rows: u64,
    bytes: u64,
    begun: Instant,
}

/// What has been done of a name.
#[derive(Default)]
struct Named {
    begun: u64,
    ended: u64,
    rows: u64,
    bytes: u64,
}

/// A name whose parts have all been done.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
}

/// How a run stands.
pub struct View {
    pub phase: String,
    pub elapsed: Duration,
    pub rows: u64,
    pub bytes: u64,
    /// Which part of the phase is done, 0 to 1, where that can be told.
    pub fraction: Option<f64>,
    /// Bytes per second of late.
    pub rate: u64,
    /// How long the phase will go on, once that can be told.
    pub left: Option<Duration>,
    /// Those who are at something, the first that began first.
    pub workers: Vec<Busy>,
}

/// One who is at something.
pub struct Busy {
    pub name: String,
    /// Which part of how many.
    pub part: (u64, u64),
    pub rows: u64,
    pub bytes: u64,
    /// Bytes per second since it began.
    pub rate: u64,
    pub left: Option<Duration>,
}

impl Tally {
    /// Nothing has happened. `named`: whether names will be asked for.
    pub fn new(named: bool) -> Self {
        let state = State {
            phase: String::new(),
            begun: Instant::now(),
            total: None,
            rows: 0,
            bytes: 0,
            ended: Amounts::default(),
            loose: 0,
            workers: Vec::new(),
            samples: VecDeque::new(),
            names: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), named }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a phase.
    pub fn phase(&self, what: &str, total: Option<u64>) {
        let mut state = self.state();
        *state = State {
            phase: what.to_owned(),
            begun: Instant::now(),
            total,
            rows: 0,
            bytes: 0,
            ended: Amounts::default(),
            loose: 0,
            workers: Vec::new(),
            samples: VecDeque::new(),
            names: BTreeMap::new(),
        };
    }

    /// The phase will move about so many bytes.
    pub fn expect(&self, total: u64) {
        self.state().total = Some(total);
    }

    /// The calling thread begins an item.
    pub fn begin(&self, item: &Item<'_>) {
        let name = if self.named { item.name.to_string() } else { String::new() };
        let mut state = self.state();
        let thread = std::thread::current().id();
        state.workers.retain(|worker| worker.thread != thread);
        let mut part = 0;
        if self.named {
            let named = state.names.entry(name.clone()).or_default();
            named.begun += 1;
            part = named.begun;
        }
        state.workers.push(Worker {
            thread,
            name,
            part,
            parts: item.parts,
            expected: item.bytes,
            rows: 0,
            bytes: 0,
            begun: Instant::now(),
        });
    }

    /// The calling thread has done its item. The answer is its name, if that was its last part.
    pub fn end(&self) -> Option<Done> {
        let mut state = self.state();
        let thread = std::thread::current().id();
        let at = state.workers.iter().position(|worker| worker.thread == thread)?;
        let worker = state.workers.remove(at);
        state.ended.expected += worker.expected;
        state.ended.moved += worker.bytes;
        let named = state.names.get_mut(&worker.name)?;
        named.ended += 1;
        named.rows += worker.rows;
        named.bytes += worker.bytes;
        if named.ended < worker.parts {
            return None;
        }
        let named = state.names.remove(&worker.name)?;
        Some(Done { name: worker.name, rows: named.rows, bytes: named.bytes })
    }

    /// The calling thread has moved rows and bytes.
    pub fn moved(&self, rows: u64, bytes: u64) {
        let mut state = self.state();
        state.rows += rows;
        state.bytes += bytes;
        let thread = std::thread::current().id();
        match state.workers.iter_mut().find(|worker| worker.thread == thread) {
            Some(worker) => {
                worker.rows += rows;
                worker.bytes += bytes;
            }
            None => state.loose += bytes,
        }
    }

    /// How it stands.
    pub fn view(&self) -> View {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        if state.samples.back().is_none_or(|(at, _)| now - *at >= SAMPLE) {
            state.samples.push_back((now, state.bytes));
        }
        while state.samples.get(1).is_some_and(|(at, _)| now - *at > WINDOW) {
            state.samples.pop_front();
        }
        let elapsed = now - state.begun;
        let rate = match state.samples.front() {
            Some((at, bytes)) if state.samples.len() > 4 => {
                per_second(state.bytes - bytes, now - *at)
            }
            _ => per_second(state.bytes, elapsed),
        };
        // Sizes on disk say how far the work is, not how many bytes it will come to: what has been
        // done tells how the two relate.
        let stretch = match &state.ended {
            Amounts { expected: 0, .. } | Amounts { moved: 0, .. } => 1.0,
            ended => ended.moved as f64 / ended.expected as f64,
        };
        let done = |worker: &Worker| {
            let expected = worker.expected as f64;
            (worker.bytes as f64 / stretch).min(expected)
        };
        let fraction = state.total.filter(|total| *total > 0).map(|total| {
            let under_way: f64 = state.workers.iter().map(done).sum();
            let moved = state.ended.expected as f64 + state.loose as f64 + under_way;
            (moved / total as f64).min(1.0)
        });
        let workers = state
            .workers
            .iter()
            .map(|worker| {
                let elapsed = now - worker.begun;
                let expected = worker.expected as f64;
                let fraction = (expected > 0.0).then(|| done(worker) / expected);
                Busy {
                    name: worker.name.clone(),
                    part: (worker.part, worker.parts),
                    rows: worker.rows,
                    bytes: worker.bytes,
                    rate: per_second(worker.bytes, elapsed),
                    left: fraction.and_then(|fraction| left(fraction, elapsed)),
                }
            })
            .collect();
        View {
            phase: state.phase.clone(),
            elapsed,
            rows: state.rows,
            bytes: state.bytes,
            fraction,
            rate,
            left: fraction.and_then(|fraction| left(fraction, elapsed)),
            workers,
        }
    }
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    match elapsed.as_secs_f64() {
        seconds if seconds > 0.05 => (bytes as f64 / seconds) as u64,
        _ => 0,
    }
}

fn left(fraction: f64, elapsed: Duration) -> Option<Duration> {
    let honest = elapsed >= HONEST_AFTER && (HONEST_FROM..1.0).contains(&fraction);
    honest.then(|| elapsed.mul_f64((1.0 - fraction) / fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item<'a>(name: &'a &'a str, parts: u64, bytes: u64) -> Item<'a> {
        Item { name, parts, bytes }
    }

    #[test]
    fn a_name_is_done_with_its_last_part() {
        let tally = Tally::new(true);
        tally.phase("reading", Some(300));
        tally.begin(&item(&"t", 2, 100));
        tally.moved(1, 50);
        assert_eq!(tally.end(), None);
        tally.begin(&item(&"t", 2, 100));
        assert_eq!(tally.view().workers[0].part, (2, 2));
        tally.moved(2, 60);
        let done = Done { name: String::from("t"), rows: 3, bytes: 110 };
        assert_eq!(tally.end(), Some(done));
        assert_eq!(tally.end(), None, "nobody is at anything");
    }

    #[test]
    fn the_part_that_is_done_follows_what_was_expected_and_ends_at_the_whole() {
        let tally = Tally::new(false);
        tally.phase("reading", Some(400));
        let fraction = || tally.view().fraction.unwrap();
        assert_eq!(fraction(), 0.0);
        // Twice as many bytes as their size on disk.
        tally.begin(&item(&"a", 1, 100));
        tally.moved(1, 50);
        assert_eq!(fraction(), 0.125);
        tally.moved(1, 150);
        assert_eq!(fraction(), 0.25, "an item is no more than what it stands for");
        tally.end();
        tally.begin(&item(&"b", 1, 300));
        tally.moved(1, 300);
        assert_eq!(fraction(), 0.625, "what is done tells how many bytes are to come");
        tally.moved(1, 300);
        tally.end();
        assert_eq!(fraction(), 1.0);
        assert!(tally.view().left.is_none());
    }

    #[test]
    fn of_what_is_unknown_nothing_is_said() {
        let tally = Tally::new(false);
        tally.phase("syncing", None);
        tally.moved(1, 1000);
        let view = tally.view();
        assert_eq!((view.fraction, view.left, view.bytes), (None, None, 1000));
        assert_eq!(left(0.5, Duration::from_secs(1)), None, "too early");
        assert_eq!(left(0.25, Duration::from_secs(10)), Some(Duration::from_secs(30)));
    }
}
