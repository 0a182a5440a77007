//! Locks that ignore poisoning, and the types that the models replace.
//!
//! The models of `ci/loom.sh` run code that is built on [`Mutex`] and these atomics in every order
//! that its threads can take. They are unit tests in modules named `loom_tests` and in the two
//! files `*_models.rs` of `src/shared`, and are compiled only with `cfg(switchback_loom)`.

use std::sync::{LockResult, PoisonError};

#[cfg(all(test, switchback_loom))]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence},
};
#[cfg(not(all(test, switchback_loom)))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence},
};

#[cfg(all(test, switchback_loom))]
pub(crate) use in_models::{ConstMutex, ConstUsize};
/// A mutex and a number that are made in a `const fn`, as statics need.
#[cfg(not(all(test, switchback_loom)))]
pub(crate) use std::sync::{Mutex as ConstMutex, atomic::AtomicUsize as ConstUsize};

/// Those of the models, which are made when they are first used.
#[cfg(all(test, switchback_loom))]
mod in_models {
    use std::ops::Deref;
    use std::sync::{LockResult, Mutex, OnceLock};

    #[derive(Debug)]
    pub(crate) struct ConstMutex<T> {
        first: Mutex<Option<T>>,
        mutex: OnceLock<loom::sync::Mutex<T>>,
    }

    impl<T> ConstMutex<T> {
        pub(crate) const fn new(value: T) -> ConstMutex<T> {
            ConstMutex {
                first: Mutex::new(Some(value)),
                mutex: OnceLock::new(),
            }
        }
    }

    impl<T> super::Lock for ConstMutex<T> {
        type Guard<'a>
            = loom::sync::MutexGuard<'a, T>
        where
            T: 'a;

        fn lock(&self) -> LockResult<Self::Guard<'_>> {
            let first = || self.first.lock().unwrap().take().expect("it is used first");
            self.mutex
                .get_or_init(|| loom::sync::Mutex::new(first()))
                .lock()
        }
    }

    #[derive(Debug)]
    pub(crate) struct ConstUsize {
        first: usize,
        number: OnceLock<loom::sync::atomic::AtomicUsize>,
    }

    impl ConstUsize {
        pub(crate) const fn new(first: usize) -> ConstUsize {
            ConstUsize {
                first,
                number: OnceLock::new(),
            }
        }
    }

    impl Deref for ConstUsize {
        type Target = loom::sync::atomic::AtomicUsize;

        fn deref(&self) -> &loom::sync::atomic::AtomicUsize {
            let make = || loom::sync::atomic::AtomicUsize::new(self.first);
            self.number.get_or_init(make)
        }
    }
}

/// Marks data that is shared without a lock. A model fails if two threads touch the data at the
/// same time or without an order between them, or if the data is never freed.
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

    /// Records that the marked data is read or written.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        #[cfg(all(test, switchback_loom))]
        self.touched.get_ref().with_mut(|_| ());
    }
}

/// Locks `mutex`, whether or not it is poisoned. No user code runs under a lock of ours, so the
/// data is consistent even if the thread was panicking.
pub(crate) fn lock<M: Lock>(mutex: &M) -> M::Guard<'_> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mutex: std's, or that of the models.
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
