//! [`Contended`]: a lock of `sync` that a fiber has waited for, and who holds it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::FiberId;
use crate::base::lock::lock;

/// A lock that a fiber has waited for. It has a number, by which a dump finds its holder for as long as
/// the lock exists.
///
/// The holder is a figure for dumps, which orders nothing.
#[derive(Debug)]
pub(crate) struct Contended {
    number: u64,
    holder: AtomicU64,
}

static LOCKS: Mutex<BTreeMap<u64, Weak<Contended>>> = Mutex::new(BTreeMap::new());

impl Contended {
    /// Makes the record of a lock. No holder is known.
    pub(crate) fn new() -> Arc<Contended> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let contended = Arc::new(Contended {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            holder: AtomicU64::new(0),
        });
        lock(&LOCKS).insert(contended.number, Arc::downgrade(&contended));
        contended
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Records that the fiber with this number holds the lock, or, if it is 0, none that is known.
    pub(crate) fn set_holder(&self, fiber: u64) {
        self.holder.store(fiber, Ordering::Relaxed);
    }

    /// Returns the holder of the lock with this number, if the lock exists and a fiber holds it.
    pub(crate) fn holder_of(number: u64) -> Option<FiberId> {
        let contended = lock(&LOCKS).get(&number).and_then(Weak::upgrade)?;
        FiberId::known(contended.holder.load(Ordering::Relaxed))
    }
}

impl Drop for Contended {
    fn drop(&mut self) {
        lock(&LOCKS).remove(&self.number);
    }
}
