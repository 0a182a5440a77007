//! Locks that do not care about poisoning, and what the models replace.
//!
//! The models of `ci/loom.sh` run what is built on [`Mutex`] and these atomics in
//! every order that its threads can take. They are unit tests in modules named `loom_tests`, and
//! are compiled with `cfg(switchback_loom)` only.

use std::sync::{LockResult, PoisonError};

#[cfg(all(test, switchback_loom))]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, fence},
};
#[cfg(not(all(test, switchback_loom)))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, fence},
};

/// Stands beside what is shared without a lock: a model fails if two threads touch
/// that at a time, or one after the other without an order, or if it is never freed.
#[derive(Debug)]
pub(crate) struct Witness {
    #[cfg(all(test, switchback_loom))]
    touched: loom::alloc::Track<loom::cell::UnsafeCell<()>>,
}

impl Witness {
    #[inline(always)]
    pub(crate) fn new() -> Witness {
        Witness {
            #[cfg(all(test, switchback_loom))]
            touched: loom::alloc::Track::new(loom::cell::UnsafeCell::new(())),
        }
    }

    /// The one beside is read or written.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        #[cfg(all(test, switchback_loom))]
        self.touched.get_ref().with_mut(|_| ());
    }
}

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
