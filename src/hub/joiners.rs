//! Who waits for fibers of a hub to end, other than fibers of the same hub.
//!
//! A joiner leaves its waker with the hub, not with the fiber: then one lock is enough to
//! have it woken when the fiber ends and, by whoever finds that out, when the hub fails.
//! The fiber's record has the key, which is written under the lock.
//!
//! Whoever leaves a waker looks after that whether the fiber has ended or the hub has
//! failed. Ordering: of the end, see [`Record::leave_waker`]. The failure is set before the
//! wakers are taken out, so whoever comes too late for that sees it after the lock.

use std::fmt;
use std::mem;
use std::task::Waker;

use slab::Slab;

use crate::fiber::Record;
use crate::foreign;
use crate::sync_util::{Mutex, lock};

/// The wakers of joiners.
pub(crate) struct Joiners(Mutex<Slab<Waker>>);

impl Joiners {
    pub(super) fn new() -> Joiners {
        Joiners(Mutex::new(Slab::new()))
    }

    /// Has `waker` woken, instead of an earlier one, when the fiber has ended.
    pub(crate) fn leave(&self, fiber: &Record, waker: &Waker) {
        // A waker's clone and its drop are not our code: not under the lock.
        let waker = waker.clone();
        let _old = {
            let mut wakers = lock(&self.0);
            // If the hub has failed, the key may be of a waker that was taken.
            let known = fiber.joiner_key().and_then(|key| wakers.get_mut(key));
            match known {
                Some(known) => Some(mem::replace(known, waker)),
                None => {
                    fiber.set_joiner_key(Some(wakers.insert(waker)));
                    None
                }
            }
        };
    }

    /// Takes the waker of whoever waits for the fiber, if it has left one.
    #[inline]
    pub(crate) fn take(&self, fiber: &Record) -> Option<Waker> {
        fiber.joiner_key()?;
        self.take_left(fiber)
    }

    fn take_left(&self, fiber: &Record) -> Option<Waker> {
        let mut wakers = lock(&self.0);
        // Somebody else may have been faster.
        let key = fiber.joiner_key()?;
        fiber.set_joiner_key(None);
        wakers.try_remove(key)
    }

    /// The hub has failed: tells all.
    pub(super) fn tell(&self) {
        let wakers = mem::take(&mut *lock(&self.0));
        for (_, waker) in wakers {
            foreign::wake(waker);
        }
    }
}

impl fmt::Debug for Joiners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joiners").finish_non_exhaustive()
    }
}
