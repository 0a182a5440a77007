//! [`Event`]: something that has happened or has not.

use std::fmt;
use std::time::Duration;

use super::line::{Line, Notified};
use super::waiters::Seat;
use crate::base::deadline_after;
use crate::base::lock::ConstUsize;
use crate::current::WaitSite;
use crate::wait::{block_until, wait_at};
use std::sync::atomic::Ordering;

/// A flag that fibers, threads and tasks wait for: Gruvi's `Event`, and Python's.
///
/// [`set`](Event::set) lets all who wait go on, also if it is [cleared](Event::clear) right after.
///
/// # Examples
///
/// ```
/// use switchback::sync::Event;
/// use switchback::thread;
///
/// static READY: Event = Event::new();
///
/// # switchback::run(|| {
/// let waiters = [(); 3].map(|()| thread::spawn(|| READY.wait()));
/// thread::yield_now();
/// READY.set();
/// waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
/// assert!(READY.is_set());
/// # }).unwrap();
/// ```
pub struct Event {
    set: ConstUsize,
    line: Line,
}

impl Event {
    /// Creates an event that is not set.
    pub const fn new() -> Event {
        Event {
            set: ConstUsize::new(0),
            line: Line::new(),
        }
    }

    /// Returns whether it is set. Another thread may change that at any time.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst) != 0
    }

    /// Sets it, and wakes all who wait. Never waits.
    pub fn set(&self) {
        self.set.store(1, Ordering::SeqCst);
        self.line.notify_all();
    }

    /// Makes it not set.
    pub fn clear(&self) {
        self.set.store(0, Ordering::SeqCst);
    }

    /// Waits until it is set.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the call is cancelled.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if it is set.
    #[track_caller]
    pub fn wait(&self) {
        let site = WaitSite::here_unless_async("`Event::wait`", "await `wait_async`");
        if let Some(notified) = self.join(Seat::of_call()) {
            wait_at(site, notified).keep();
        }
    }

    /// As [`wait`](Event::wait), for async code.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn wait_async(&self) {
        if let Some(notified) = self.join(Seat::of_future()) {
            notified.await.keep();
        }
    }

    /// Waits until it is set, but no longer than `timeout`. Returns whether it was set.
    ///
    /// While the fiber unwinds, and in a fiber whose hub has ended, this does not wait.
    ///
    /// # Panics
    ///
    /// Panics where [`wait_timeout`](crate::Wait::wait_timeout) does, even if it is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::sync::Event;
    ///
    /// # switchback::run(|| {
    /// let event = Event::new();
    /// assert!(!event.wait_timeout(Duration::from_millis(1)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let call = "`Event::wait_timeout`";
        let site = WaitSite::here_or_error_unless_async(call, "await `wait_async`");
        match (self.join(Seat::of_call()), site) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(notified), Some(site)) => {
                match block_until(site, notified, deadline_after(timeout)) {
                    Ok(notification) => {
                        notification.keep();
                        true
                    }
                    Err(_) => false,
                }
            }
        }
    }

    /// Joins the line, unless it is set.
    fn join(&self, seat: Seat) -> Option<Notified<'_>> {
        if self.is_set() {
            return None;
        }
        let notified = self.line.join(seat);
        // It may have been set before the line was joined. The line's lock orders this look behind the
        // `notify_all` of a `set` that has missed the new place.
        match self.is_set() {
            true => None,
            false => Some(notified),
        }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}
