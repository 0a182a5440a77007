//! [`FiberId`]: identifies a fiber.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a fiber. No two fibers of the process have the same ID.
///
/// It is meant for diagnostics, like [`tokio::task::Id`]. The number does not tell when or where
/// the fiber was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiberId(NonZeroU64);

/// The next number that is free.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl FiberId {
    pub(crate) fn next() -> FiberId {
        FiberId::new(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the number, which is not zero.
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    /// Returns the fiber with this number; none has 0.
    pub(crate) fn known(number: u64) -> Option<FiberId> {
        NonZeroU64::new(number).map(FiberId)
    }

    fn new(id: u64) -> FiberId {
        FiberId(NonZeroU64::new(id).expect("2^64 fibers were made"))
    }
}

/// Numbers that a hub takes in blocks, because taking one writes to memory that all threads share.
#[derive(Debug, Default)]
pub(crate) struct FiberIds {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl FiberIds {
    const BLOCK: u64 = 256;

    #[inline]
    pub(crate) fn next(&self) -> FiberId {
        if self.next.get() == self.end.get() {
            let next = NEXT.fetch_add(Self::BLOCK, Ordering::Relaxed);
            self.next.set(next);
            self.end.set(next + Self::BLOCK);
        }
        let id = self.next.get();
        self.next.set(id + 1);
        FiberId::new(id)
    }
}

impl fmt::Display for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FiberId({})", self.0)
    }
}
