//! Several workers, each with its own state, take tasks off one queue and hand results to one
//! consumer through a bounded channel: when the consumer is slow, workers wait, and memory stays
//! flat.

use super::interrupt::Interrupt;
use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon a failure of one worker is seen, and how often the others' queries are then cancelled:
/// a cancel request that comes between two statements is lost.
const GLANCE: Duration = Duration::from_millis(50);
const CANCEL_AGAIN: Duration = Duration::from_secs(1);

/// Hands over one result; fails when the run is ending for another reason.
pub type Emit<'a, R> = &'a mut dyn FnMut(R) -> Result<()>;

/// Works off `tasks` in their order with up to `workers` threads. `open` makes a worker's state,
/// `work` does one task, `consume` gets the results, on the calling thread.
///
/// # Errors
/// The first failure of any of the three; the others stop as soon as they can: what their sessions
/// are at, if they registered them with `interrupt`, is cancelled.
pub fn run<T: Send, R: Send, S>(
    workers: usize,
    tasks: Vec<T>,
    interrupt: &Interrupt,
    open: impl Fn() -> Result<S> + Sync,
    work: impl Fn(&mut S, T, Emit<'_, R>) -> Result<()> + Sync,
    mut consume: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let workers = workers.min(tasks.len());
    // Sessions that were there before are not the workers'.
    let registered = interrupt.registered();
    let queue = Mutex::new(VecDeque::from(tasks));
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let stop = AtomicBool::new(false);
    let fail = |error: Error| {
        stop.store(true, Ordering::SeqCst);
        if let Ok(mut failure) = failure.lock() {
            failure.get_or_insert(error);
        }
    };
    let worker = |results: &Sender<R>| -> Result<()> {
        let mut state = open()?;
        loop {
            interrupt.check()?;
            if stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let next = queue.lock().map_err(|_| panicked())?.pop_front();
            let Some(task) = next else { return Ok(()) };
            let mut emit = |result| {
                if stop.load(Ordering::SeqCst) {
                    return Err(Error::failed("the run is ending"));
                }
                interrupt.check()?;
                results.send(result).map_err(|_| Error::failed("the run is ending"))
            };
            work(&mut state, task, &mut emit)?;
        }
    };
    std::thread::scope(|scope| {
        let (sender, receiver): (Sender<R>, Receiver<R>) = bounded(workers.max(1));
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                let sender = sender.clone();
                let (worker, fail) = (&worker, &fail);
                scope.spawn(move || {
                    if let Err(error) = worker(&sender) {
                        fail(error);
                    }
                })
            })
            .collect();
        drop(sender);
        while !stop.load(Ordering::SeqCst) {
            match receiver.recv_timeout(GLANCE) {
                Ok(result) => {
                    if let Err(error) = consume(result) {
                        fail(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Workers that wait to hand something over see the closed channel.
        drop(receiver);
        let mut cancelled: Option<Instant> = None;
        while stop.load(Ordering::SeqCst) && threads.iter().any(|thread| !thread.is_finished()) {
            if cancelled.is_none_or(|last| last.elapsed() >= CANCEL_AGAIN) {
                interrupt.cancel_since(registered);
                cancelled = Some(Instant::now());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for thread in threads {
            if thread.join().is_err() {
                fail(panicked());
            }
        }
    });
    let failure = failure.into_inner().map_err(|_| panicked())?;
    interrupt.explain(failure.map_or(Ok(()), Err))
}

fn panicked() -> Error {
    Error::failed("a worker of pgark broke off; this is a defect of pgark")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(work: impl Fn(&mut (), u32, Emit<'_, u32>) -> Result<()> + Sync) -> Result<u32> {
        let mut sum = 0;
        let consume = |result| {
            sum += result;
            Ok(())
        };
        run(3, (1..=100).collect(), &Interrupt::default(), || Ok(()), work, consume)?;
        Ok(sum)
    }

    #[test]
    fn every_task_is_done_once() {
        assert_eq!(sum(|(), task, emit| emit(task)).unwrap(), 5050);
    }

    #[test]
    fn one_failure_fails_the_run_and_nothing_hangs() {
        let error =
            sum(|(), task, emit| if task == 50 { Err(Error::failed("fifty")) } else { emit(task) });
        assert_eq!(error.unwrap_err().to_string(), "fifty");
        let consumer = run(
            2,
            vec![1; 100],
            &Interrupt::default(),
            || Ok(()),
            |(), task, emit| emit(task),
            |_| Err(Error::failed("full disk")),
        );
        assert_eq!(consumer.unwrap_err().to_string(), "full disk");
    }
}
