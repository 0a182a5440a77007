//! [`Mutex`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use super::nonpoison;
use super::poisoning::{Poison, Watch};
use crate::current::WaitSite;

/// A value that one fiber, thread or task uses at a time: [`std::sync::Mutex`].
///
/// A guard may be held over a wait, and may be sent to another thread if the value may. Waiting for the
/// mutex suspends the fiber, so its hub runs others.
///
/// # Fairness
///
/// The fibers of a hub get it first in, first out. Between threads, a running thread may take it before
/// one that was woken for it and does not run yet; but nobody is passed for longer than half a
/// millisecond.
///
/// # Poisoning
///
/// As std's, a mutex is poisoned if its guard is dropped while its holder unwinds. A cancel unwinds too:
/// put a section that waits with the guard inside [`shield`](crate::shield()) if it must not be cut
/// short, or use [`nonpoison::Mutex`]. Unlike std's, a guard does not poison because some other fiber of
/// the thread unwinds.
///
/// # Examples
///
/// A static, shared by fibers that hold it over a wait:
///
/// ```
/// use switchback::sync::Mutex;
/// use switchback::thread;
///
/// static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
///
/// # switchback::run(|| {
/// let fibers = ["a", "b"].map(|name| {
///     thread::spawn(move || {
///         let mut log = LOG.lock().unwrap();
///         log.push(format!("{name} begins"));
///         thread::yield_now(); // the other one waits for the lock
///         log.push(format!("{name} ends"));
///     })
/// });
/// fibers.map(|fiber| fiber.join().unwrap());
/// assert_eq!(*LOG.lock().unwrap(), ["a begins", "a ends", "b begins", "b ends"]);
/// # }).unwrap();
/// ```
///
/// After a panic with the lock, the next holder decides what to do with the value:
///
/// ```
/// use std::sync::Arc;
/// use switchback::{sync::Mutex, thread};
///
/// # switchback::run(|| {
/// let count = Arc::new(Mutex::new(0));
/// let other = count.clone();
/// let fails = thread::spawn(move || {
///     let mut count = other.lock().unwrap();
///     *count = 7;
///     panic!("half way");
/// });
/// assert!(fails.join().is_err());
/// assert!(count.is_poisoned());
/// let mut guard = count.lock().unwrap_or_else(|poisoned| {
///     count.clear_poison();
///     poisoned.into_inner()
/// });
/// *guard = 0;
/// drop(guard);
/// assert_eq!(*count.lock().unwrap(), 0);
/// # }).unwrap();
/// ```
pub struct Mutex<T: ?Sized> {
    poison: Poison,
    inner: nonpoison::Mutex<T>,
}

/// The hold on a [`Mutex`], which gives it back when it is dropped.
///
/// Unlike std's it is `Send` if the value is.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) mutex: &'a Mutex<T>,
    /// Dropped first.
    _watch: Watch<'a>,
    inner: nonpoison::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    /// Creates a mutex that is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Mutex;
    ///
    /// static TOTAL: Mutex<u64> = Mutex::new(0);
    /// ```
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            poison: Poison::new(),
            inner: nonpoison::Mutex::new(value),
        }
    }

    /// Returns the value.
    ///
    /// # Errors
    ///
    /// Returns an error with the value if the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Mutex;
    ///
    /// let mut mutex = Mutex::new(1);
    /// *mutex.get_mut().unwrap() += 1;
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    pub fn into_inner(self) -> LockResult<T> {
        let poison = self.poison;
        poison.result(self.inner.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the mutex is free and takes it.
    ///
    /// A holder that locks it again waits for itself, for ever; use a
    /// [`ReentrantLock`](super::ReentrantLock) for that.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call does not have the mutex, and has lost its place in the line.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does; in async code and in
    /// [`assert_no_switchpoints`](crate::assert_no_switchpoints), even if the mutex is free.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::Mutex, thread};
    ///
    /// let total = Arc::new(Mutex::new(0));
    /// let other = total.clone();
    /// thread::spawn(move || *other.lock().unwrap() += 1).join().unwrap();
    /// assert_eq!(*total.lock().unwrap(), 1);
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.guard(self.inner.lock())
    }

    #[track_caller]
    #[inline]
    pub(super) fn lock_at(&self, site: WaitSite) -> LockResult<MutexGuard<'_, T>> {
        self.guard(self.inner.lock_at(site))
    }

    /// As [`lock`](Mutex::lock), for async code. A guard from one is the same as from the other.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it does not have the mutex, and has lost its place in the line.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use switchback::sync::Mutex;
    ///
    /// #[tokio::main]
    /// async fn main() {
    ///     let count = Arc::new(Mutex::new(0));
    ///     let other = count.clone();
    ///     let task = tokio::spawn(async move {
    ///         let mut count = other.lock_async().await.unwrap();
    ///         tokio::task::yield_now().await;
    ///         *count += 1;
    ///     });
    ///     task.await.unwrap();
    ///     assert_eq!(*count.lock_async().await.unwrap(), 1);
    /// }
    /// ```
    pub async fn lock_async(&self) -> LockResult<MutexGuard<'_, T>> {
        self.guard(self.inner.lock_async().await)
    }

    /// Takes the mutex if it is free. Never waits, and works everywhere.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError::WouldBlock`] if it is held, and an error with the guard if it is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::{Mutex, TryLockError};
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    /// drop(guard);
    /// assert!(mutex.try_lock().is_ok());
    /// ```
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(held) => Ok(self.guard(held)?),
            Err(nonpoison::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }

    /// Returns whether the mutex is poisoned. Another thread may change that at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::Mutex, thread};
    ///
    /// let value = Arc::new(Mutex::new(0));
    /// let other = value.clone();
    /// let fails = thread::spawn(move || {
    ///     let _guard = other.lock().unwrap();
    ///     panic!("half way");
    /// });
    /// assert!(fails.join().is_err());
    /// assert!(value.is_poisoned());
    /// # }).unwrap();
    /// ```
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Makes the mutex count as not poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::Mutex, thread};
    ///
    /// let value = Arc::new(Mutex::new(0));
    /// let other = value.clone();
    /// let fails = thread::spawn(move || {
    ///     let _guard = other.lock().unwrap();
    ///     panic!("half way");
    /// });
    /// assert!(fails.join().is_err());
    /// let mut guard = value.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    /// *guard = 1; // mended
    /// value.clear_poison();
    /// drop(guard);
    /// assert!(!value.is_poisoned());
    /// # }).unwrap();
    /// ```
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Returns the value, which nobody else can hold.
    ///
    /// # Errors
    ///
    /// Returns an error with the value if the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Mutex;
    ///
    /// let mut value = Mutex::new(0);
    /// *value.get_mut().unwrap() = 10; // nobody else can have it now
    /// assert_eq!(*value.lock().unwrap(), 10);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.poison.is_set();
        let value = self.inner.get_mut();
        match poisoned {
            false => Ok(value),
            true => Err(PoisonError::new(value)),
        }
    }

    #[inline]
    fn guard<'a>(&'a self, inner: nonpoison::MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.poison.result(MutexGuard {
            mutex: self,
            _watch: self.poison.watch(),
            inner,
        })
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.inner.try_lock() {
            Ok(guard) => mutex.field("data", &&*guard),
            Err(nonpoison::WouldBlock) => mutex.field("data", &format_args!("<locked>")),
        };
        mutex
            .field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
