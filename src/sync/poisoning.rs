//! [`Poison`]: whether a lock was given back by code that was unwinding.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError};

use crate::current::unwinding;

/// The flag of a lock.
#[derive(Debug)]
pub(super) struct Poison(AtomicBool);

/// A part of a guard, which is dropped before the lock is given back. Sets the flag if the code that
/// drops it is unwinding, and was not when it got the lock. What may be the unwinding of another fiber
/// does not count.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    poison: &'a Poison,
    was_unwinding: bool,
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.was_unwinding && unwinding::is_unwinding() {
            self.poison.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Poison {
    pub(super) const fn new() -> Poison {
        Poison(AtomicBool::new(false))
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        // Ordering: the lock orders it for those who have it.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Begins to watch the code that has the lock now.
    #[inline]
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch {
            poison: self,
            was_unwinding: unwinding::is_unwinding(),
        }
    }

    /// Returns what std's locks return.
    #[inline]
    pub(super) fn result<T>(&self, value: T) -> LockResult<T> {
        match self.is_set() {
            false => Ok(value),
            true => Err(PoisonError::new(value)),
        }
    }
}
