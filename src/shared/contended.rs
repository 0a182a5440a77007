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
    /// Twice the number of the fiber that holds the lock, or 0; and one more if the lock is shared.
    holder: AtomicU64,
}

/// A fiber that holds a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockHolder {
    pub(crate) fiber: FiberId,
    /// Whether others may hold it too.
    pub(crate) is_shared: bool,
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
    pub(crate) fn set_holder(&self, fiber: u64, is_shared: bool) {
        let holder = fiber << 1 | u64::from(is_shared);
        self.holder.store(holder, Ordering::Relaxed);
    }

    /// Returns the holder of the lock with this number, if the lock exists and a fiber holds it. If
    /// several share it, it is one of them.
    pub(crate) fn holder_of(number: u64) -> Option<LockHolder> {
        let contended = lock(&LOCKS).get(&number).and_then(Weak::upgrade)?;
        let holder = contended.holder.load(Ordering::Relaxed);
        Some(LockHolder {
            fiber: FiberId::known(holder >> 1)?,
            is_shared: holder & 1 != 0,
        })
    }
}

impl Drop for Contended {
    fn drop(&mut self) {
        lock(&LOCKS).remove(&self.number);
    }
}
