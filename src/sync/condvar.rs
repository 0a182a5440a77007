//! [`Condvar`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::line::{Line, Notified};
use super::waiters::Seat;
use super::{Mutex, MutexGuard};
use crate::base::deadline_after;
use crate::current::WaitSite;
use crate::wait::{block_until, wait_at};

/// Waits until another fiber, thread or task has changed a value behind a [`Mutex`]:
/// [`std::sync::Condvar`].
///
/// Waiters are notified first in, first out. Unlike std's, a waiter returns only if it was notified. One
/// that is cancelled after it was notified and before it has the mutex again passes the notification on
/// to the next.
///
/// # Cancel safety
///
/// A cancelled wait does not have the mutex again, and so does not poison it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use switchback::sync::{Condvar, Mutex};
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let shared = Arc::new((Mutex::new(false), Condvar::new()));
/// let other = shared.clone();
/// thread::spawn(move || {
///     *other.0.lock().unwrap() = true;
///     other.1.notify_one();
/// });
/// let (ready, changed) = &*shared;
/// let mut guard = ready.lock().unwrap();
/// while !*guard {
///     guard = changed.wait(guard).unwrap();
/// }
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct Condvar(Line);

impl Condvar {
    /// Creates a condition variable.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Condvar;
    ///
    /// static CHANGED: Condvar = Condvar::new();
    /// ```
    pub const fn new() -> Condvar {
        Condvar(Line::new())
    }

    /// Gives the mutex back, waits until notified, and takes the mutex again.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Condvar#cancel-safety).
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::sync::{Condvar, Mutex};
    /// use switchback::thread;
    ///
    /// static STARTED: Mutex<bool> = Mutex::new(false);
    /// static CHANGED: Condvar = Condvar::new();
    ///
    /// thread::spawn(|| {
    ///     *STARTED.lock().unwrap() = true;
    ///     CHANGED.notify_one();
    /// });
    /// let mut started = STARTED.lock().unwrap();
    /// while !*started {
    ///     started = CHANGED.wait(started).unwrap(); // the mutex is free meanwhile
    /// }
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_at(here("`Condvar::wait`", "await `wait_async`"), guard)
    }

    #[track_caller]
    fn wait_at<'a, T>(
        &self,
        site: WaitSite,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let (mutex, notified) = self.release(guard, Seat::of_call());
        let notification = wait_at(site, notified);
        let locked = mutex.lock_at(site);
        notification.keep();
        locked
    }

    /// Waits as long as `condition` is true.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if the condition is false.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use switchback::sync::{Condvar, Mutex};
    /// use switchback::thread;
    ///
    /// # switchback::run(|| {
    /// let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    /// let other = shared.clone();
    /// thread::spawn(move || {
    ///     other.0.lock().unwrap().push("job");
    ///     other.1.notify_all();
    /// });
    /// let (jobs, changed) = &*shared;
    /// let mut jobs = changed
    ///     .wait_while(jobs.lock().unwrap(), |jobs| jobs.is_empty())
    ///     .unwrap();
    /// assert_eq!(jobs.pop(), Some("job"));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        let site = here("`Condvar::wait_while`", "await `wait_while_async`");
        while condition(&mut guard) {
            guard = self.wait_at(site, guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Condvar::wait), for async code.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Condvar#cancel-safety).
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    pub async fn wait_async<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let (mutex, notified) = self.release(guard, Seat::of_future());
        let notification = notified.await;
        let locked = mutex.lock_async().await;
        notification.keep();
        locked
    }

    /// As [`wait_while`](Condvar::wait_while), for async code.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Condvar#cancel-safety).
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use switchback::sync::{Condvar, Mutex};
    ///
    /// #[tokio::main]
    /// async fn main() {
    ///     let shared = Arc::new((Mutex::new(0), Condvar::new()));
    ///     let other = shared.clone();
    ///     tokio::spawn(async move {
    ///         *other.0.lock_async().await.unwrap() = 1;
    ///         other.1.notify_one();
    ///     });
    ///     let guard = shared.0.lock_async().await.unwrap();
    ///     let guard = shared.1.wait_while_async(guard, |n| *n == 0).await.unwrap();
    ///     assert_eq!(*guard, 1);
    /// }
    /// ```
    pub async fn wait_while_async<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut guard) {
            guard = self.wait_async(guard).await?;
        }
        Ok(guard)
    }

    /// As [`wait`](Condvar::wait), but no longer than `duration`. The mutex is waited for without a limit.
    ///
    /// While the fiber unwinds, and in a fiber whose hub has ended, it does not wait to be notified, and
    /// says that the time has passed.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait_timeout`](crate::Wait::wait_timeout) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::sync::{Condvar, Mutex};
    ///
    /// # switchback::run(|| {
    /// let (mutex, nobody) = (Mutex::new(()), Condvar::new());
    /// let guard = mutex.lock().unwrap();
    /// let (_guard, result) = nobody.wait_timeout(guard, Duration::from_millis(1)).unwrap();
    /// assert!(result.timed_out());
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        match timed("`Condvar::wait_timeout`", "await `wait_async`") {
            Some(site) => self.wait_until_at(site, guard, deadline_after(duration)),
            None => Ok((guard, WaitTimeoutResult(true))),
        }
    }

    /// As [`wait_timeout`](Condvar::wait_timeout), in milliseconds. Returns whether it was notified.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait_timeout`](Condvar::wait_timeout) does.
    #[deprecated(note = "use `wait_timeout`, as std says")]
    #[track_caller]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let was_notified = |(guard, result): (_, WaitTimeoutResult)| (guard, !result.timed_out());
        match self.wait_timeout(guard, Duration::from_millis(ms.into())) {
            Ok(waited) => Ok(was_notified(waited)),
            Err(poisoned) => Err(PoisonError::new(was_notified(poisoned.into_inner()))),
        }
    }

    /// As [`wait_while`](Condvar::wait_while), but no longer than `duration`. The condition is tested
    /// once more when the time has passed.
    ///
    /// # Errors
    ///
    /// Returns an error with the guard if the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where [`wait_timeout`](Condvar::wait_timeout) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::time::Duration;
    /// use switchback::sync::{Condvar, Mutex};
    ///
    /// let (pending, changed) = (Mutex::new(true), Condvar::new());
    /// let limit = Duration::from_millis(10);
    /// let (pending, result) = changed
    ///     .wait_timeout_while(pending.lock().unwrap(), limit, |pending| *pending)
    ///     .unwrap();
    /// assert!(*pending && result.timed_out()); // nobody has changed it
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        duration: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let site = timed("`Condvar::wait_timeout_while`", "await `wait_while_async`");
        let deadline = deadline_after(duration);
        let mut passed = false;
        while condition(&mut guard) {
            let site = site.filter(|_| !passed && Instant::now() < deadline);
            let Some(site) = site else {
                return Ok((guard, WaitTimeoutResult(true)));
            };
            let (locked, result) = self.wait_until_at(site, guard, deadline)?;
            guard = locked;
            passed = result.timed_out();
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    #[track_caller]
    fn wait_until_at<'a, T>(
        &self,
        site: WaitSite,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (mutex, notified) = self.release(guard, Seat::of_call());
        let notification = block_until(site, notified, deadline).ok();
        let result = WaitTimeoutResult(notification.is_none());
        let locked = mutex.lock_at(site);
        if let Some(notification) = notification {
            notification.keep();
        }
        match locked {
            Ok(guard) => Ok((guard, result)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
        }
    }

    /// Joins the line and gives the mutex back, in this order.
    fn release<'a, T>(&self, guard: MutexGuard<'a, T>, seat: Seat) -> (&'a Mutex<T>, Notified<'_>) {
        let notified = self.0.join(seat);
        (guard.mutex, notified)
    }

    /// Wakes the waiter that has waited longest. Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::sync::{Condvar, Mutex};
    /// use switchback::thread;
    ///
    /// static TICKETS: Mutex<u32> = Mutex::new(0);
    /// static CHANGED: Condvar = Condvar::new();
    ///
    /// let fiber = thread::spawn(|| {
    ///     let tickets = TICKETS.lock().unwrap();
    ///     *CHANGED.wait_while(tickets, |tickets| *tickets == 0).unwrap() -= 1;
    /// });
    /// *TICKETS.lock().unwrap() += 1;
    /// CHANGED.notify_one(); // one is enough for one ticket
    /// fiber.join().unwrap();
    /// # }).unwrap();
    /// ```
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiters. Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::sync::{Condvar, Mutex};
    /// use switchback::thread;
    ///
    /// static OPEN: Mutex<bool> = Mutex::new(false);
    /// static CHANGED: Condvar = Condvar::new();
    ///
    /// let fibers = [(); 3].map(|()| {
    ///     thread::spawn(|| drop(CHANGED.wait_while(OPEN.lock().unwrap(), |open| !*open)))
    /// });
    /// thread::yield_now();
    /// *OPEN.lock().unwrap() = true;
    /// CHANGED.notify_all();
    /// fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
    /// # }).unwrap();
    /// ```
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

#[track_caller]
fn here(call: &'static str, instead: &str) -> WaitSite {
    WaitSite::here_unless_async(call, instead)
}

#[track_caller]
fn timed(call: &'static str, instead: &str) -> Option<WaitSite> {
    WaitSite::here_or_error_unless_async(call, instead)
}

/// Whether a wait with a time limit ended because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(super) fn new(timed_out: bool) -> WaitTimeoutResult {
        WaitTimeoutResult(timed_out)
    }

    /// Returns whether the time has passed before the waiter was notified, or before the condition was
    /// false.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::time::Duration;
    /// use switchback::sync::{Condvar, Mutex};
    ///
    /// let (value, changed) = (Mutex::new(()), Condvar::new());
    /// let waited = changed.wait_timeout(value.lock().unwrap(), Duration::from_millis(1));
    /// assert!(waited.unwrap().1.timed_out());
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}
