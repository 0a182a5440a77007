//! [`park`] and [`park_timeout`].

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Thread, current};
use crate::base::deadline_after;
use crate::current::{Blocker, WaitSite, note};
use crate::wait::{block_until, wait_at};

/// What to do in async code instead.
const INSTEAD: &str = "await a `tokio::sync::Notify`";

/// Waits until [`Thread::unpark`] is called for the calling fiber or thread.
///
/// Each has one token: `unpark` makes it available, and `park` takes it, after waiting for it if
/// necessary. Unlike std's, this never returns without a token.
///
/// # Cancel safety
///
/// A cancelled `park` does not take a token.
///
/// # Panics
///
/// Panics where [`wait`](crate::Wait::wait) does.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let ready = Arc::new(AtomicBool::new(false));
/// let waiter = {
///     let ready = ready.clone();
///     thread::spawn(move || {
///         while !ready.load(Ordering::Acquire) {
///             thread::park();
///         }
///     })
/// };
/// ready.store(true, Ordering::Release);
/// waiter.thread().unpark();
/// waiter.join().unwrap();
/// # }).unwrap();
/// ```
#[track_caller]
pub fn park() {
    let site = WaitSite::here_unless_async("`thread::park`", INSTEAD);
    wait_at(site, Parked(current()));
}

/// Waits until [`Thread::unpark`] is called for the calling fiber or thread, but no longer than
/// `duration`.
///
/// As with std's, nothing tells whether it was unparked or the time has passed. While the fiber
/// unwinds, and in a fiber whose hub has ended, this does not wait.
///
/// # Panics
///
/// Panics where [`wait_timeout`](crate::Wait::wait_timeout) does.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// thread::park_timeout(Duration::from_millis(2)); // nobody unparks
/// # }).unwrap();
/// ```
#[track_caller]
pub fn park_timeout(duration: Duration) {
    let site = WaitSite::here_or_error_unless_async("`thread::park_timeout`", INSTEAD);
    if let Some(site) = site {
        let _ = block_until(site, Parked(current()), deadline_after(duration));
    }
}

/// Waits until the calling fiber or thread is unparked, but no longer than `ms` milliseconds.
///
/// # Panics
///
/// Panics where [`park_timeout`] does.
#[deprecated(note = "use `park_timeout`, as std says")]
#[track_caller]
pub fn park_timeout_ms(ms: u32) {
    park_timeout(Duration::from_millis(ms.into()));
}

/// A future that is ready once the token is available, and takes it.
struct Parked(Thread);

impl Future for Parked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.0.poll_token(cx);
        if polled.is_pending() {
            note(Blocker::Unpark);
        }
        polled
    }
}
