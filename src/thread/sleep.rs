//! [`sleep`], [`sleep_until`] and [`yield_now`].

use std::thread;
use std::time::{Duration, Instant};

use crate::current::{SiteKind, WaitSite};
use crate::wait::wait_at;
use crate::{time, yield_now as yields};

/// Waits until `duration` has passed: a fiber suspends, a plain thread sleeps.
///
/// # Cancel safety
///
/// Nothing is lost if a sleep is cancelled.
///
/// # Panics
///
/// Panics where [`wait`](crate::Wait::wait) does, and in a fiber if the runtime's timers are not
/// enabled.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let begin = Instant::now();
/// thread::sleep(Duration::from_millis(2));
/// assert!(begin.elapsed() >= Duration::from_millis(2));
/// # }).unwrap();
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    let site = WaitSite::here_unless_async("`thread::sleep`", "await a `switchback::sleep`");
    match site.kind {
        SiteKind::Thread => thread::sleep(duration),
        _ => wait_at(site, time::sleep(duration)),
    }
}

/// Waits until `deadline`. If that has passed, returns at once.
///
/// # Cancel safety
///
/// Nothing is lost if a sleep is cancelled.
///
/// # Panics
///
/// Panics where [`sleep`] does.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let next = Instant::now() + Duration::from_millis(2);
/// thread::sleep_until(next);
/// assert!(Instant::now() >= next);
/// # }).unwrap();
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    let instead = "await a `switchback::sleep_until`";
    let site = WaitSite::here_unless_async("`thread::sleep_until`", instead);
    match site.kind {
        SiteKind::Thread => thread::sleep(deadline.saturating_duration_since(Instant::now())),
        _ => wait_at(site, time::sleep_until(deadline)),
    }
}

/// Waits until `ms` milliseconds have passed.
///
/// # Panics
///
/// Panics where [`sleep`] does.
#[deprecated(note = "use `sleep`, as std says")]
#[track_caller]
pub fn sleep_ms(ms: u32) {
    sleep(Duration::from_millis(ms.into()));
}

/// Lets all fibers that are ready now run first; on a plain thread, other threads.
///
/// # Cancel safety
///
/// Nothing is lost if it is cancelled.
///
/// # Panics
///
/// Panics where [`wait`](crate::Wait::wait) does.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let done = Cell::new(false);
/// thread::scope(|s| {
///     s.spawn(|| done.set(true));
///     while !done.get() {
///         thread::yield_now(); // the other fiber runs
///     }
/// });
/// # }).unwrap();
/// ```
#[track_caller]
pub fn yield_now() {
    let instead = "await a `switchback::yield_now`";
    let site = WaitSite::here_unless_async("`thread::yield_now`", instead);
    match site.kind {
        SiteKind::Stack => yields::yield_now().wait(),
        SiteKind::Thread => thread::yield_now(),
        SiteKind::Tokio => wait_at(site, yields::yield_now()),
    }
}
