//! Which of several pieces of work may run at once: what they need first, and the locks that they
//! take on relations. Two pieces that would wait for each other's locks are never started together.

use crate::model::name::QualifiedName;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What a piece of work does to a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Others may do the same at once: CREATE INDEX.
    Shared,
    /// Nobody else may hold it: ALTER TABLE.
    Alone,
    /// It must be free at the beginning, for a moment: the table that a foreign key refers to.
    Briefly,
}

/// One piece of work.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Positions of the pieces that must have ended before.
    pub after: BTreeSet<usize>,
    /// The relations that it locks.
    pub locks: Vec<(QualifiedName, Hold)>,
    /// About how much there is to do; what is more comes first.
    pub weight: u64,
    /// Whether it is done in a moment, and others may wait for it: it comes as soon as it may run.
    pub at_once: bool,
}

/// Pieces of work that wait, and what those that run hold.
#[derive(Debug)]
pub struct LockPlan {
    work: Vec<Work>,
    waiting: BTreeSet<usize>,
    running: BTreeSet<usize>,
    /// For each relation, how many hold it, and whether alone.
    held: BTreeMap<QualifiedName, (usize, bool)>,
}

impl LockPlan {
    /// All pieces wait.
    pub fn new(work: Vec<Work>) -> Self {
        let waiting = (0..work.len()).collect();
        Self { work, waiting, running: BTreeSet::new(), held: BTreeMap::new() }
    }

    /// Starts a piece that is to come at once, or else the heaviest that may run now; pieces of one
    /// weight come in their order.
    ///
    /// Where nothing runs and everything waits for something (a circle), the first piece is
    /// started: it fails, and is told so.
    pub fn start(&mut self) -> Option<usize> {
        let free = |piece: &&usize| self.is_free(**piece);
        let first = |piece: &&usize| {
            let work = &self.work[**piece];
            (work.at_once, work.weight, Reverse(**piece))
        };
        let chosen = match self.waiting.iter().filter(free).max_by_key(first) {
            Some(chosen) => *chosen,
            None if self.running.is_empty() => *self.waiting.first()?,
            None => return None,
        };
        self.waiting.remove(&chosen);
        self.running.insert(chosen);
        for (relation, hold) in &self.work[chosen].locks {
            if *hold != Hold::Briefly {
                let held = self.held.entry(relation.clone()).or_default();
                held.0 += 1;
                held.1 |= *hold == Hold::Alone;
            }
        }
        Some(chosen)
    }

    /// Ends a piece that was started, whether it worked or failed.
    pub fn end(&mut self, piece: usize) {
        self.running.remove(&piece);
        for (relation, hold) in &self.work[piece].locks {
            if *hold == Hold::Briefly {
                continue;
            }
            if let Some(held) = self.held.get_mut(relation) {
                held.0 = held.0.saturating_sub(1);
                if held.0 == 0 {
                    self.held.remove(relation);
                }
            }
        }
    }

    /// Whether all pieces have been started.
    pub fn is_spent(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many pieces of some weight wait or run.
    pub fn heavy(&self) -> usize {
        let heavy = |piece: &&usize| self.work[**piece].weight > 0;
        self.waiting.iter().chain(&self.running).filter(heavy).count()
    }

    fn is_free(&self, piece: usize) -> bool {
        let work = &self.work[piece];
        let open = |needed: &usize| self.waiting.contains(needed) || self.running.contains(needed);
        !work.after.iter().any(open)
            && work.locks.iter().all(|(relation, hold)| match self.held.get(relation) {
                None => true,
                Some((_, alone)) => *hold == Hold::Shared && !alone,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn work(after: &[usize], locks: &[(&str, Hold)], weight: u64) -> Work {
        let locks = locks.iter().map(|(name, hold)| (QualifiedName::new("s", *name), *hold));
        Work {
            after: after.iter().copied().collect(),
            locks: locks.collect(),
            weight,
            at_once: false,
        }
    }

    #[test]
    fn indexes_of_one_table_run_together_and_a_key_runs_alone() {
        let mut plan = LockPlan::new(vec![
            work(&[], &[("t", Hold::Shared)], 5),
            work(&[], &[("t", Hold::Shared)], 7),
            work(&[], &[("t", Hold::Alone)], 6),
            work(&[], &[("u", Hold::Alone), ("t", Hold::Briefly)], 1),
        ]);
        assert_eq!((plan.start(), plan.start(), plan.start()), (Some(1), Some(0), None));
        plan.end(1);
        assert_eq!(plan.start(), None, "t is still held, and u's key needs it for a moment");
        plan.end(0);
        assert_eq!(plan.start(), Some(2));
        plan.end(2);
        assert_eq!(plan.start(), Some(3));
        assert!(plan.is_spent());
    }

    #[test]
    fn what_is_done_in_a_moment_comes_before_what_is_heavier() {
        let mut plan = LockPlan::new(vec![
            work(&[], &[("t", Hold::Shared)], 5),
            Work { at_once: true, ..work(&[0], &[("t", Hold::Alone)], 0) },
            work(&[], &[("u", Hold::Shared)], 3),
            work(&[], &[("v", Hold::Shared)], 4),
        ]);
        assert_eq!(plan.start(), Some(0));
        plan.end(0);
        assert_eq!((plan.start(), plan.start(), plan.start()), (Some(1), Some(3), Some(2)));
    }

    #[test]
    fn a_circle_is_started_all_the_same() {
        let mut plan = LockPlan::new(vec![work(&[1], &[], 0), work(&[0], &[], 0)]);
        assert_eq!((plan.start(), plan.start()), (Some(0), None));
        plan.end(0);
        assert_eq!(plan.start(), Some(1));
    }

    proptest! {
        #[test]
        fn every_piece_is_started_once_after_what_it_needs(
            pieces in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, 0usize..3, 0u64..9), 1..40),
            workers in 1usize..5,
        ) {
            let holds = [Hold::Shared, Hold::Alone, Hold::Briefly];
            let list: Vec<Work> = pieces
                .iter()
                .enumerate()
                .map(|(position, (needed, table, hold, weight))| {
                    let name = ["t", "u", "v"][*table];
                    let after = if position == 0 { vec![] } else { vec![needed.index(position)] };
                    work(&after, &[(name, holds[*hold])], *weight)
                })
                .collect();
            let mut plan = LockPlan::new(list.clone());
            let (mut done, mut running) = (BTreeSet::new(), Vec::new());
            while done.len() < list.len() {
                while running.len() < workers && let Some(piece) = plan.start() {
                    prop_assert!(list[piece].after.is_subset(&done));
                    running.push(piece);
                }
                prop_assert!(!running.is_empty());
                let ended = running.remove(0);
                plan.end(ended);
                prop_assert!(done.insert(ended));
            }
            prop_assert!(plan.is_spent() && plan.start().is_none());
        }
    }
}
