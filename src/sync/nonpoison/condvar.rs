//! [`Condvar`] for a [`Mutex`] without poisoning.

use std::fmt;
use std::time::Duration;

use super::{Mutex, MutexGuard};
use crate::base::deadline_after;
use crate::current::WaitSite;
use crate::sync::WaitTimeoutResult;
use crate::sync::line::{Line, Notified};
use crate::sync::waiters::Seat;
use crate::wait::{block_until, wait_at};

/// A [`sync::Condvar`](crate::sync::Condvar) for a mutex without poisoning.
///
/// # Cancel safety
///
/// A cancelled wait does not have the mutex again. A notification that it had is passed on.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use switchback::sync::nonpoison::{Condvar, Mutex};
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let shared = Arc::new((Mutex::new(0), Condvar::new()));
/// let other = shared.clone();
/// thread::spawn(move || {
///     *other.0.lock() = 1;
///     other.1.notify_one();
/// });
/// let guard = shared.1.wait_while(shared.0.lock(), |n| *n == 0);
/// assert_eq!(*guard, 1);
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct Condvar(Line);

impl Condvar {
    /// Creates a condition variable.
    pub const fn new() -> Condvar {
        Condvar(Line::new())
    }

    /// Gives the mutex back, waits until notified, and takes the mutex again.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let site = WaitSite::here_unless_async("`Condvar::wait`", "await `wait_async`");
        self.wait_at(site, guard)
    }

    #[track_caller]
    fn wait_at<'a, T>(&self, site: WaitSite, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let (mutex, notified) = self.release(guard, Seat::of_call());
        let notification = wait_at(site, notified);
        let locked = mutex.lock_at(site);
        notification.keep();
        locked
    }

    /// Waits as long as `condition` is true.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the condition is false.
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> MutexGuard<'a, T>
    where
        F: FnMut(&mut T) -> bool,
    {
        let site = WaitSite::here_unless_async("`Condvar::wait_while`", "await `wait_async`");
        while condition(&mut guard) {
            guard = self.wait_at(site, guard);
        }
        guard
    }

    /// As [`wait`](Condvar::wait), for async code.
    pub async fn wait_async<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let (mutex, notified) = self.release(guard, Seat::of_future());
        let notification = notified.await;
        let locked = mutex.lock_async().await;
        notification.keep();
        locked
    }

    /// As [`wait`](Condvar::wait), but no longer than `duration`: see
    /// [`sync::Condvar::wait_timeout`](crate::sync::Condvar::wait_timeout).
    ///
    /// # Panics
    ///
    /// Panics where [`wait_timeout`](crate::Wait::wait_timeout) does.
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let (call, instead) = ("`Condvar::wait_timeout`", "await `wait_async`");
        let Some(site) = WaitSite::here_or_error_unless_async(call, instead) else {
            return (guard, WaitTimeoutResult::new(true));
        };
        let (mutex, notified) = self.release(guard, Seat::of_call());
        let notification = block_until(site, notified, deadline_after(duration)).ok();
        let result = WaitTimeoutResult::new(notification.is_none());
        let locked = mutex.lock_at(site);
        if let Some(notification) = notification {
            notification.keep();
        }
        (locked, result)
    }

    /// Joins the line and gives the mutex back, in this order.
    fn release<'a, T>(&self, guard: MutexGuard<'a, T>, seat: Seat) -> (&'a Mutex<T>, Notified<'_>) {
        let notified = self.0.join(seat);
        (guard.mutex, notified)
    }

    /// Wakes the waiter that has waited longest. Never waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiters. Never waits.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
