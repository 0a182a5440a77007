//! [`ReentrantLock`]: a lock that its owner may take again.

use std::fmt;
use std::ops::Deref;

use super::cell::{Entered, ReentrantCell};
use crate::current::WaitSite;

/// A value that one fiber or plain thread uses at a time, and may lock again while it has it.
///
/// It is owned by a fiber, or by a plain thread. Async code has no identity that would do (two branches of
/// one `join!` are one task), so there is no async lock, and the guard stays on its thread. The value can
/// only be read, since there may be several guards; put a `Cell` or a `RefCell` into it to change it. (In
/// std it is unstable.)
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use switchback::sync::ReentrantLock;
///
/// static TOTAL: ReentrantLock<Cell<u32>> = ReentrantLock::new(Cell::new(0));
///
/// fn add(n: u32) {
///     let total = TOTAL.lock();
///     total.set(total.get() + n);
/// }
///
/// # switchback::run(|| {
/// let total = TOTAL.lock();
/// add(1); // locks it again
/// add(2);
/// assert_eq!(total.get(), 3);
/// # }).unwrap();
/// ```
pub struct ReentrantLock<T: ?Sized>(ReentrantCell<T>);

/// A hold on a [`ReentrantLock`]. The lock is free again when the owner has dropped all of its guards.
#[must_use = "if unused the ReentrantLock will immediately unlock"]
pub struct ReentrantLockGuard<'a, T: ?Sized>(Entered<'a, T>);

impl<T> ReentrantLock<T> {
    /// Creates a lock that is free.
    pub const fn new(value: T) -> ReentrantLock<T> {
        ReentrantLock(ReentrantCell::new(value))
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> ReentrantLock<T> {
    /// Waits until the lock is free, or has the same owner, and takes it.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call does not have the lock, or has it as often as before.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the lock is free.
    #[track_caller]
    pub fn lock(&self) -> ReentrantLockGuard<'_, T> {
        ReentrantLockGuard(self.0.enter(WaitSite::here_unless_async(
            "`ReentrantLock::lock`",
            "await a `Mutex::lock_async`",
        )))
    }

    /// Returns the value, which nobody else can hold.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: Default> Default for ReentrantLock<T> {
    fn default() -> ReentrantLock<T> {
        ReentrantLock::new(T::default())
    }
}

impl<T> From<T> for ReentrantLock<T> {
    fn from(value: T) -> ReentrantLock<T> {
        ReentrantLock::new(value)
    }
}

impl<T: ?Sized> fmt::Debug for ReentrantLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantLock").finish_non_exhaustive()
    }
}

impl<T: ?Sized> Deref for ReentrantLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
