//! [`RwLock`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use super::nonpoison;
use super::poisoning::{Poison, Watch};

/// A value that is read by several at a time or changed by one: [`std::sync::RwLock`].
///
/// Guards may be held over a wait. Who waits to write keeps new readers waiting, so a reader that reads
/// again while somebody waits to write waits for itself, as it may with std's.
///
/// Only a writer poisons it, as with [`Mutex`](super::Mutex#poisoning). Writers and readers that wait are
/// served first in, first out, and readers that are next to each other together.
///
/// # Examples
///
/// ```
/// use switchback::sync::RwLock;
/// use switchback::thread;
///
/// static LIMITS: RwLock<Vec<u32>> = RwLock::new(Vec::new());
///
/// # switchback::run(|| {
/// LIMITS.write().unwrap().extend([1, 2, 3]);
/// let sums = [(); 2].map(|()| {
///     thread::spawn(|| {
///         let limits = LIMITS.read().unwrap();
///         thread::yield_now(); // both read
///         limits.iter().sum::<u32>()
///     })
/// });
/// assert_eq!(sums.map(|sum| sum.join().unwrap()), [6, 6]);
/// # }).unwrap();
/// ```
pub struct RwLock<T: ?Sized> {
    poison: Poison,
    inner: nonpoison::RwLock<T>,
}

/// A shared hold on an [`RwLock`], which gives it back when it is dropped.
///
/// Unlike std's it is `Send` if the value may be shared.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    inner: nonpoison::RwLockReadGuard<'a, T>,
}

/// An exclusive hold on an [`RwLock`], which gives it back when it is dropped.
///
/// Unlike std's it is `Send` if the value is.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    /// Dropped first.
    watch: Watch<'a>,
    inner: nonpoison::RwLockWriteGuard<'a, T>,
}

impl<T> RwLock<T> {
    /// Creates a lock that is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// static NAMES: RwLock<Vec<String>> = RwLock::new(Vec::new());
    /// ```
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            poison: Poison::new(),
            inner: nonpoison::RwLock::new(value),
        }
    }

    /// Returns the value.
    ///
    /// # Errors
    ///
    /// Returns an error with the value if the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// let names = RwLock::new(vec!["a"]);
    /// names.write().unwrap().push("b");
    /// assert_eq!(names.into_inner().unwrap(), ["a", "b"]);
    /// ```
    pub fn into_inner(self) -> LockResult<T> {
        let poison = self.poison;
        poison.result(self.inner.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, or waits to write, and shares the lock.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call does not have the lock, and has lost its place in the line.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the lock is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the lock is free.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::RwLock, thread};
    ///
    /// let value = Arc::new(RwLock::new(1));
    /// let other = value.clone();
    /// let here = value.read().unwrap();
    /// let reads = thread::spawn(move || *other.read().unwrap());
    /// assert_eq!(reads.join().unwrap(), *here); // both read at once
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.reader(self.inner.read())
    }

    /// As [`read`](RwLock::read), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it does not have the lock, and has lost its place in the line.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the lock is poisoned.
    pub async fn read_async(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.reader(self.inner.read_async().await)
    }

    /// Shares the lock if nobody writes or waits for it. Never waits, and works everywhere.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError::WouldBlock`] if it cannot be had now, and an error with the guard if it is
    /// poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// let value = RwLock::new(1);
    /// assert_eq!(*value.try_read().unwrap(), 1);
    /// let _writes = value.write().unwrap();
    /// assert!(value.try_read().is_err());
    /// ```
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        match self.inner.try_read() {
            Ok(inner) => Ok(self.reader(inner)?),
            Err(nonpoison::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }

    /// Waits until the lock is free and takes it.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call does not have the lock, and has lost its place in the line.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the lock is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the lock is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// let value = RwLock::new(1);
    /// *value.write().unwrap() += 1;
    /// assert_eq!(*value.read().unwrap(), 2);
    /// ```
    #[track_caller]
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.writer(self.inner.write())
    }

    /// As [`write`](RwLock::write), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it does not have the lock, and has lost its place in the line.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// static LIMIT: RwLock<u32> = RwLock::new(1);
    ///
    /// #[tokio::main]
    /// async fn main() {
    ///     tokio::spawn(async { *LIMIT.write_async().await.unwrap() = 2 }).await.unwrap();
    ///     assert_eq!(*LIMIT.read_async().await.unwrap(), 2);
    /// }
    /// ```
    pub async fn write_async(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.writer(self.inner.write_async().await)
    }

    /// Takes the lock if it is free. Never waits, and works everywhere.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError::WouldBlock`] if it is held, and an error with the guard if it is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// let lock = RwLock::new(1);
    /// let reader = lock.try_read().unwrap();
    /// assert!(lock.try_write().is_err());
    /// drop(reader);
    /// *lock.try_write().unwrap() += 1;
    /// assert_eq!(lock.into_inner().unwrap(), 2);
    /// ```
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        match self.inner.try_write() {
            Ok(inner) => Ok(self.writer(inner)?),
            Err(nonpoison::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }

    /// Returns whether the lock is poisoned. Another thread may change that at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::RwLock, thread};
    ///
    /// let value = Arc::new(RwLock::new(0));
    /// let other = value.clone();
    /// let fails = thread::spawn(move || {
    ///     let _guard = other.write().unwrap();
    ///     panic!("half way");
    /// });
    /// assert!(fails.join().is_err());
    /// assert!(value.is_poisoned());
    /// # }).unwrap();
    /// ```
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Makes the lock count as not poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::RwLock, thread};
    ///
    /// let value = Arc::new(RwLock::new(0));
    /// let other = value.clone();
    /// let fails = thread::spawn(move || {
    ///     let _guard = other.write().unwrap();
    ///     panic!("half way");
    /// });
    /// assert!(fails.join().is_err());
    /// *value.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = 1; // mended
    /// value.clear_poison();
    /// assert_eq!(*value.read().unwrap(), 1);
    /// # }).unwrap();
    /// ```
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Returns the value, which nobody else can hold.
    ///
    /// # Errors
    ///
    /// Returns an error with the value if the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::RwLock;
    ///
    /// let mut value = RwLock::new(0);
    /// *value.get_mut().unwrap() = 10; // nobody else can have it now
    /// assert_eq!(*value.read().unwrap(), 10);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.poison.is_set();
        let value = self.inner.get_mut();
        match poisoned {
            false => Ok(value),
            true => Err(PoisonError::new(value)),
        }
    }

    fn reader<'a>(
        &'a self,
        inner: nonpoison::RwLockReadGuard<'a, T>,
    ) -> LockResult<RwLockReadGuard<'a, T>> {
        self.poison.result(RwLockReadGuard { inner })
    }

    fn writer<'a>(
        &'a self,
        inner: nonpoison::RwLockWriteGuard<'a, T>,
    ) -> LockResult<RwLockWriteGuard<'a, T>> {
        self.poison.result(RwLockWriteGuard {
            watch: self.poison.watch(),
            inner,
        })
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on as a reader, without the lock being free in between. Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::{RwLock, RwLockWriteGuard};
    ///
    /// # switchback::run(|| {
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.write().unwrap();
    /// *writer = 2;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!(*reader + *lock.read().unwrap(), 4);
    /// # }).unwrap();
    /// ```
    pub fn downgrade(guard: RwLockWriteGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { watch, inner } = guard;
        mem::forget(watch);
        RwLockReadGuard {
            inner: nonpoison::RwLockWriteGuard::downgrade(inner),
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.inner.try_read() {
            Ok(guard) => lock.field("data", &&*guard),
            Err(nonpoison::WouldBlock) => lock.field("data", &format_args!("<locked>")),
        };
        lock.field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
