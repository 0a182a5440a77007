//! [`RwLock`] without poisoning.

use std::fmt;
use std::ops::{Deref, DerefMut};

use tokio::task::coop;

use super::WouldBlock;
use crate::current::{SiteKind, WaitSite};
use crate::sync::cell::{HeldToRead, HeldToWrite, RwCell};
use crate::sync::waiters::Seat;
use crate::wait::wait_at;

/// A [`sync::RwLock`](crate::sync::RwLock) that is not poisoned.
///
/// # Examples
///
/// ```
/// use switchback::sync::nonpoison::RwLock;
///
/// # switchback::run(|| {
/// let lock = RwLock::new(5);
/// {
///     let (one, other) = (lock.read(), lock.read());
///     assert_eq!(*one + *other, 10);
/// }
/// *lock.write() += 1;
/// assert_eq!(*lock.read(), 6);
/// # }).unwrap();
/// ```
pub struct RwLock<T: ?Sized> {
    cell: RwCell<T>,
}

/// A shared hold on an [`RwLock`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    held: HeldToRead<'a, T>,
}

/// An exclusive hold on an [`RwLock`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    held: HeldToWrite<'a, T>,
}

impl<T> RwLock<T> {
    /// Creates a lock that is free.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            cell: RwCell::new(value),
        }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, or waits to write, and shares the lock.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the lock is free.
    #[track_caller]
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let site = WaitSite::here_unless_async("`RwLock::read`", "await `read_async`");
        let held = match self.cell.try_read() {
            Some(held) => held,
            None => self.read_slowly(site),
        };
        RwLockReadGuard { held }
    }

    #[cold]
    #[track_caller]
    fn read_slowly(&self, site: WaitSite) -> HeldToRead<'_, T> {
        let spun = match site.kind {
            SiteKind::Thread => self.cell.spin_read(),
            _ => None,
        };
        match spun {
            Some(held) => held,
            None => wait_at(site, self.cell.wait_read(Seat::of_call())),
        }
    }

    /// As [`read`](RwLock::read), for async code.
    pub async fn read_async(&self) -> RwLockReadGuard<'_, T> {
        let held = coop::cooperative(self.cell.wait_read(Seat::of_future())).await;
        RwLockReadGuard { held }
    }

    /// Shares the lock if nobody writes or waits for it. Never waits.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`] if it cannot be had now.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, WouldBlock> {
        let held = self.cell.try_read().ok_or(WouldBlock)?;
        Ok(RwLockReadGuard { held })
    }

    /// Waits until the lock is free and takes it.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the lock is free.
    #[track_caller]
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let site = WaitSite::here_unless_async("`RwLock::write`", "await `write_async`");
        let held = match self.cell.try_write() {
            Some(held) => held,
            None => self.write_slowly(site),
        };
        RwLockWriteGuard { held }
    }

    #[cold]
    #[track_caller]
    fn write_slowly(&self, site: WaitSite) -> HeldToWrite<'_, T> {
        let spun = match site.kind {
            SiteKind::Thread => self.cell.spin_write(),
            _ => None,
        };
        match spun {
            Some(held) => held,
            None => wait_at(site, self.cell.wait_write(Seat::of_call())),
        }
    }

    /// As [`write`](RwLock::write), for async code.
    pub async fn write_async(&self) -> RwLockWriteGuard<'_, T> {
        let held = coop::cooperative(self.cell.wait_write(Seat::of_future())).await;
        RwLockWriteGuard { held }
    }

    /// Takes the lock if it is free. Never waits.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`] if it is held.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, WouldBlock> {
        let held = self.cell.try_write().ok_or(WouldBlock)?;
        Ok(RwLockWriteGuard { held })
    }

    /// Returns the value, which nobody else can hold.
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on as a reader, without the lock being free in between. Never waits.
    pub fn downgrade(guard: RwLockWriteGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard {
            held: guard.held.downgrade(),
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
        match self.try_read() {
            Ok(guard) => lock.field("data", &&*guard),
            Err(WouldBlock) => lock.field("data", &format_args!("<locked>")),
        };
        lock.finish_non_exhaustive()
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
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
