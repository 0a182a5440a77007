//! [`watch`]: tells of hubs that stand still, while they do.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{BlockedHub, Running};
use crate::base::contain;
use crate::base::lock::lock;
use crate::scheduler::hubs;

/// Calls `f` when one fiber has had the thread of its hub for longer than `limit`, while it has it. So
/// it computes without waiting, or calls something that blocks the thread, and no other fiber of the
/// hub runs.
///
/// This watches all hubs of the process, until the guard is dropped. `f` is told once of each such
/// time, with the fiber, where it was spawned, and on Linux what the thread is doing; and at most
/// six times a minute. [`BlockedHub::report`] as `f` writes it to stderr, or to `tracing`.
///
/// One thread looks at the hubs, eight times in each `limit` and at most a thousand times a second; so
/// `f` comes up to an eighth late. Looking costs a hub nothing. Only fibers are watched: a task, a
/// callback or a future of `run_until` that keeps the thread is not.
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
    let stop = Arc::new(Stop::default());
    let stopped = stop.clone();
    thread::Builder::new()
        .name("switchback-watch".into())
        .spawn(move || look_until(&stopped, limit, f))?;
    Ok(WatchGuard(stop))
}

/// Ends the watch of [`watch`] when it is dropped. A call that has begun is not waited for.
#[must_use = "dropping it ends the watch"]
pub struct WatchGuard(Arc<Stop>);

#[derive(Default)]
struct Stop {
    is_over: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Waits for so long, or until it is over.
    fn wait(&self, period: Duration) {
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
    let period = (limit / 8).max(Duration::from_millis(1));
    let mut looks = Looks::new(limit, period);
    while !stop.is_over() {
        stop.wait(period);
        for hub in looks.begin(Instant::now(), hubs::all()) {
            let number = Arc::as_ptr(&hub).addr();
            let Some(running) = Running::of(&hub) else {
                continue;
            };
            if let Some(lasts) = looks.is_blocked(number, running.resumes()) {
                if stop.is_over() {
                    return;
                }
                let blocked = BlockedHub::new(&hub, running, lasts);
                contain::run("the closure of `watch`", || f(&blocked));
            }
        }
    }
}

/// What was seen of the hubs so far.
struct Looks {
    limit: Duration,
    period: Duration,
    now: Option<Instant>,
    /// By the number of the hub: the count of resumes, since when it has been that, and whether that
    /// was told.
    seen: HashMap<usize, Seen>,
    /// When the last few were told.
    told: Vec<Instant>,
}

#[derive(Clone, Copy)]
struct Seen {
    resumes: u64,
    since: Instant,
    is_told: bool,
    is_new: bool,
}

/// How many are told at most in [`MINUTE`].
const MOST: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);

impl Looks {
    fn new(limit: Duration, period: Duration) -> Looks {
        Looks {
            limit,
            period,
            now: None,
            seen: HashMap::new(),
            told: Vec::new(),
        }
    }

    /// Begins a look at these hubs. Forgets what was seen if this comes much too late: then this
    /// thread did not run, and so maybe no thread did.
    fn begin<H>(&mut self, now: Instant, hubs: Vec<H>) -> Vec<H> {
        let late = self
            .now
            .is_some_and(|last| now - last > 4 * self.period + LATE);
        self.now = Some(now);
        if late {
            self.seen.clear();
        }
        // Those that were not seen in the last look have ended, or no fiber ran.
        self.seen.retain(|_, seen| std::mem::take(&mut seen.is_new));
        hubs
    }

    /// Records that a fiber has the thread of the hub with this number. Returns for how long it has
    /// had it, if that is too long and has to be told.
    fn is_blocked(&mut self, hub: usize, resumes: u64) -> Option<Duration> {
        let now = self.now?;
        let new = Seen {
            resumes,
            since: now,
            is_told: false,
            is_new: true,
        };
        let seen = self.seen.entry(hub).or_insert(new);
        seen.is_new = true;
        if seen.resumes != resumes {
            *seen = new;
        }
        let lasts = now - seen.since;
        if seen.is_told || lasts < self.limit {
            return None;
        }
        seen.is_told = true;
        self.told.retain(|told| now - *told < MINUTE);
        if self.told.len() >= MOST {
            return None;
        }
        self.told.push(now);
        Some(lasts)
    }
}

/// How late this thread may be, on a machine that is busy.
const LATE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(80);
    const PERIOD: Duration = Duration::from_millis(10);

    fn looks() -> (Looks, Instant) {
        (Looks::new(LIMIT, PERIOD), Instant::now())
    }

    #[test]
    fn an_hour_of_healthy_load_is_not_told() {
        let (mut looks, start) = looks();
        let mut resumes = 0;
        for look in 0..360_000_u32 {
            looks.begin(start + PERIOD * look, vec![()]);
            // A fiber runs for 70 ms, often.
            resumes += u64::from(look % 7 == 0);
            assert_eq!(looks.is_blocked(1, resumes), None);
        }
    }

    #[test]
    fn each_blockage_is_told_once_and_six_a_minute() {
        let (mut looks, start) = looks();
        let mut told = 0;
        for look in 0..6_000_u32 {
            looks.begin(start + PERIOD * look, vec![()]);
            let resumes = u64::from(look / 100);
            if let Some(lasts) = looks.is_blocked(1, resumes) {
                assert!(lasts >= LIMIT && lasts < LIMIT + 2 * PERIOD, "{lasts:?}");
                told += 1;
            }
        }
        assert_eq!(told, MOST);
    }

    #[test]
    fn a_hub_that_was_idle_between_is_not_blocked() {
        let (mut looks, start) = looks();
        for look in 0..1000_u32 {
            looks.begin(start + PERIOD * look, vec![()]);
            if look % 5 != 0 {
                assert_eq!(looks.is_blocked(1, 7), None);
            }
        }
    }

    #[test]
    fn a_process_that_was_stopped_is_not_blocked() {
        let (mut looks, start) = looks();
        for look in 0..10_u32 {
            looks.begin(start + Duration::from_secs(5) * look, vec![()]);
            assert_eq!(looks.is_blocked(1, 7), None);
        }
    }
}
