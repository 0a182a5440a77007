//! [`watch`]: tells of hubs that stand still, while they do.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::looks::{Looks, Reports};
use super::{BlockedHub, Running};
use crate::base::contain;
use crate::base::lock::lock;
use crate::scheduler::hubs;
use crate::shared::Observer;

/// Calls `f` when one fiber has had the thread of its hub for longer than `limit`, and still has it.
/// Such a fiber computes without waiting, or calls something that blocks the thread, and no other fiber
/// of the hub runs.
///
/// This watches all hubs of the process, until the guard is dropped. `f` is called once each time that
/// this happens, but at most six times a minute. It is told the fiber, where that was spawned, and on
/// Linux what the thread is doing. [`BlockedHub::report`] as `f` writes it to stderr, or to `tracing`.
///
/// One thread looks at the hubs, eight times in each `limit` and at most a thousand times a second; so
/// `f` comes up to an eighth late. Looking costs a hub nothing; but while anybody watches, each fiber that
/// goes on after a wait records where it has waited, which takes about the time of an uncontended lock.
/// Only fibers are watched: a task, a callback or a future of `run_until` that keeps the thread is not.
///
/// `f` is called on that thread, which waits for it. If `f` panics, that is reported.
///
/// # Errors
///
/// Returns an error if the thread cannot be started, and if `limit` is zero.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use switchback::{Builder, watch};
///
/// # fn main() -> std::io::Result<()> {
/// let (found, finds) = mpsc::channel();
/// let _guard = watch(Duration::from_millis(20), move |blocked| {
///     blocked.report();
///     let _ = found.send(blocked.fiber().name().to_owned());
/// })?;
/// switchback::run(move || {
///     let hog = move || assert_eq!(finds.recv().unwrap(), "hog"); // blocks the thread
///     Builder::new().name("hog").spawn(hog).unwrap().wait().unwrap();
/// #   use switchback::Wait as _;
/// })?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "watchdog")]
#[doc(alias = "enable_watchdog")]
pub fn watch(
    limit: Duration,
    f: impl Fn(&BlockedHub) + Send + Sync + 'static,
) -> io::Result<WatchGuard> {
    if limit.is_zero() {
        let why = "a limit of zero: every fiber has its thread for longer";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let observer = Observer::new();
    WatchGuard::start("switchback-watch", move |stop| {
        let _observer = observer;
        look_until(stop, limit, f);
    })
}

/// Ends the watch of [`watch`] or [`watch_deadlocks`](crate::watch_deadlocks()) when it is dropped. A call
/// that has begun is not waited for.
#[must_use = "dropping it ends the watch"]
pub struct WatchGuard(Arc<Stop>);

impl WatchGuard {
    /// Starts a thread with this name, which has to end when it is told to.
    pub(super) fn start(
        name: &str,
        looks: impl FnOnce(&Stop) + Send + 'static,
    ) -> io::Result<WatchGuard> {
        let stop = Arc::new(Stop::default());
        let stopped = stop.clone();
        let named = thread::Builder::new().name(name.into());
        named.spawn(move || looks(&stopped))?;
        Ok(WatchGuard(stop))
    }
}

/// Whether a thread that watches has to end.
#[derive(Default)]
pub(super) struct Stop {
    is_over: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Waits for so long, or until it is over.
    pub(super) fn wait(&self, period: Duration) {
        let guard = lock(&self.lock);
        let waited = self
            .changed
            .wait_timeout_while(guard, period, |()| !self.is_over());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        // So that the thread is either before its check or in its wait.
        drop(lock(&self.0.lock));
        self.0.changed.notify_all();
    }
}

impl fmt::Debug for WatchGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchGuard")
    }
}

fn look_until(stop: &Stop, limit: Duration, f: impl Fn(&BlockedHub)) {
    let period = period(limit);
    let mut looks = Looks::<1>::new(Instant::now());
    let mut reports = Reports::default();
    while !stop.is_over() {
        stop.wait(period);
        let now = Instant::now();
        looks.begin(now, period);
        for hub in hubs::all() {
            let Some(running) = Running::of(&hub) else {
                continue;
            };
            let passes = looks.see(&hub, &running).passes(0, limit);
            let Some(lasts) = passes.filter(|_| reports.may_make(now)) else {
                continue;
            };
            if stop.is_over() {
                return;
            }
            let blocked = BlockedHub::new(&hub, running, lasts);
            contain::run("the closure of `watch`", || f(&blocked));
        }
    }
}

/// Returns how often to look whether something has lasted for so long.
pub(super) fn period(limit: Duration) -> Duration {
    (limit / 8).max(Duration::from_millis(1))
}
