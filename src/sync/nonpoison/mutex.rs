//! [`Mutex`] without poisoning.

use std::fmt;
use std::ops::{Deref, DerefMut};

use tokio::task::coop;

use crate::current::{SiteKind, WaitSite};
use crate::sync::cell::{Held, MutexCell};
use crate::sync::waiters::Seat;
use crate::wait::wait_at;

/// A [`sync::Mutex`](crate::sync::Mutex) that is not poisoned: whoever gets it after a panic or a cancel
/// finds the value as it was left.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use switchback::sync::nonpoison::Mutex;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let count = Arc::new(Mutex::new(0));
/// let other = count.clone();
/// let fails = thread::spawn(move || {
///     *other.lock() += 1;
///     let _guard = other.lock();
///     panic!("with the lock");
/// });
/// assert!(fails.join().is_err());
/// assert_eq!(*count.lock(), 1);
/// # }).unwrap();
/// ```
pub struct Mutex<T: ?Sized> {
    cell: MutexCell<T>,
}

/// The hold on a [`Mutex`], which gives it back when it is dropped.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(in crate::sync) mutex: &'a Mutex<T>,
    held: Held<'a, T>,
}

impl<T> Mutex<T> {
    /// Creates a mutex that is free.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            cell: MutexCell::new(value),
        }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the mutex is free and takes it.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call does not have the mutex, and has lost its place in the line.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the mutex is free.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if WaitSite::allows_unless_it_waits() {
            if let Some(held) = self.cell.try_hold() {
                return self.guard(held);
            }
        }
        self.lock_anywhere()
    }

    #[track_caller]
    #[inline(never)]
    fn lock_anywhere(&self) -> MutexGuard<'_, T> {
        let site = WaitSite::here_unless_async("`Mutex::lock`", "await `lock_async`");
        self.lock_at(site)
    }

    #[track_caller]
    #[inline]
    pub(in crate::sync) fn lock_at(&self, site: WaitSite) -> MutexGuard<'_, T> {
        match self.cell.try_hold() {
            Some(held) => self.guard(held),
            None => self.lock_slowly(site),
        }
    }

    #[cold]
    #[track_caller]
    fn lock_slowly(&self, site: WaitSite) -> MutexGuard<'_, T> {
        if let SiteKind::Thread = site.kind {
            if let Some(held) = self.cell.spin() {
                return self.guard(held);
            }
        }
        self.guard(wait_at(site, self.cell.wait(Seat::of_call())))
    }

    /// As [`lock`](Mutex::lock), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it does not have the mutex, and has lost its place in the line.
    pub async fn lock_async(&self) -> MutexGuard<'_, T> {
        let held = coop::cooperative(self.cell.wait(Seat::of_future())).await;
        self.guard(held)
    }

    /// Takes the mutex if it is free. Never waits.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`] if it is held.
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, WouldBlock> {
        match self.cell.try_hold() {
            Some(held) => Ok(self.guard(held)),
            None => Err(WouldBlock),
        }
    }

    /// Returns the value, which nobody else can hold.
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }

    #[inline]
    fn guard<'a>(&'a self, held: Held<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { mutex: self, held }
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
        match self.try_lock() {
            Ok(guard) => mutex.field("data", &&*guard),
            Err(WouldBlock) => mutex.field("data", &format_args!("<locked>")),
        };
        mutex.finish_non_exhaustive()
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
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

/// The lock is held, and a call that never waits has not got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

impl fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is held, and the call does not wait")
    }
}

impl std::error::Error for WouldBlock {}
