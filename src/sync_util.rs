//! Locks that do not care about poisoning, and what the models replace.
//!
//! The models of `ci/loom.sh` run what is built on [`Mutex`] in every order that
//! its threads can take. They are unit tests in modules named `loom_tests`, and
//! are compiled with `cfg(switchback_loom)` only.

use std::sync::{LockResult, PoisonError};

#[cfg(all(test, switchback_loom))]
pub(crate) use loom::sync::Mutex;
#[cfg(not(all(test, switchback_loom)))]
pub(crate) use std::sync::Mutex;

/// Locks `mutex`, poisoned or not. No user code runs under a lock of ours, so
/// what it protects is whole even if the thread happened to be panicking.
pub(crate) fn lock<M: Lock>(mutex: &M) -> M::Guard<'_> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// std's mutex, or the one of the models.
pub(crate) trait Lock {
    type Guard<'a>
    where
        Self: 'a;

    fn lock(&self) -> LockResult<Self::Guard<'_>>;
}

impl<T> Lock for std::sync::Mutex<T> {
    type Guard<'a>
        = std::sync::MutexGuard<'a, T>
    where
        Self: 'a;

    fn lock(&self) -> LockResult<Self::Guard<'_>> {
        self.lock()
    }
}

#[cfg(all(test, switchback_loom))]
impl<T> Lock for loom::sync::Mutex<T> {
    type Guard<'a>
        = loom::sync::MutexGuard<'a, T>
    where
        Self: 'a;

    fn lock(&self) -> LockResult<Self::Guard<'_>> {
        self.lock()
    }
}
