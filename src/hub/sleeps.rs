//! [`Sleeps`]: a queue of sleeping fibers, in the order of their deadlines.
//!
//! Those that are over soon are in a heap. If many sleep, the others are in a list for each millisecond
//! or so, and a list becomes the heap when its time has come. So the heap stays small enough for the
//! processor's first cache, and most sleeps are written and read once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::mem;

use crate::shared::LocalJoiner;

/// So many sleeps are in the heap however late they are over, and so many removed ones stay in the queue
/// however few others it has.
const FEW: usize = 64;

/// The logarithm of the nanoseconds that a list is for.
const LIST: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Sleeps {
    soon: BinaryHeap<Reverse<Sleeper>>,
    /// All in the heap are over before this time, and all in the lists are not.
    until: u64,
    later: BTreeMap<u64, Vec<Reverse<Sleeper>>>,
    /// The length of all lists.
    late: usize,
    /// The numbers of removed sleeps that are still in the queue.
    removed: HashSet<u64>,
}

/// A sleep. The order is that of the fields.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sleeper {
    pub(super) when: u64,
    pub(super) number: u64,
    pub(super) fiber: LocalJoiner,
}

impl Sleeps {
    pub(super) fn push(&mut self, sleeper: Sleeper) {
        let when = sleeper.when;
        if self.later.is_empty() && self.soon.len() < FEW {
            self.until = self.until.max(when + 1);
        }
        if when < self.until {
            self.soon.push(Reverse(sleeper));
        } else {
            let list = self.later.entry(when >> LIST).or_default();
            list.push(Reverse(sleeper));
            self.late += 1;
        }
    }

    /// Returns when the first sleep is over.
    pub(super) fn first(&mut self) -> Option<u64> {
        loop {
            while let Some(Reverse(first)) = self.soon.peek() {
                if self.removed.is_empty() || !self.removed.remove(&first.number) {
                    return Some(first.when);
                }
                self.soon.pop();
            }
            let Some((number, list)) = self.later.pop_first() else {
                if self.soon.capacity() > 2 * FEW {
                    // The memory of many is not kept for few.
                    mem::take(self);
                }
                return None;
            };
            self.late -= list.len();
            self.until = (number + 1) << LIST;
            self.soon = BinaryHeap::from(list);
        }
    }

    /// Takes out the first sleep, if it is over then.
    pub(super) fn pop_until(&mut self, now: u64) -> Option<Sleeper> {
        let is_over = self.first()? <= now;
        let first = is_over.then(|| self.soon.pop())?;
        first.map(|Reverse(sleeper)| sleeper)
    }

    /// Removes a sleep that is in the queue.
    pub(super) fn remove(&mut self, number: u64) {
        self.removed.insert(number);
        if self.removed.len() > FEW.max((self.soon.len() + self.late) / 2) {
            let removed = mem::take(&mut self.removed);
            let stays = |Reverse(sleeper): &Reverse<Sleeper>| !removed.contains(&sleeper.number);
            self.soon.retain(stays);
            self.later.retain(|_, list| {
                list.retain(stays);
                !list.is_empty()
            });
            self.late = self.later.values().map(Vec::len).sum();
        }
    }
}
