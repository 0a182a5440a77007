//! [`enforce`]: warns of fibers that have their hub's thread for longer than their [`Slice`], and cancels
//! them.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::looks::{Looks, Reports};
use super::watch::period;
use super::{BlockedHub, Running};
use crate::base::lock::lock;
use crate::base::report;
use crate::scheduler::hubs;
use crate::shared::{Observer, Slice};

/// Makes one thread of the process look at the hubs that have slices, until the guard is dropped. Does
/// nothing without a slice.
///
/// # Errors
///
/// Returns an error if the thread cannot be started.
pub(crate) fn enforce(slice: Option<Slice>) -> io::Result<Option<SliceGuard>> {
    let Some(slice) = slice else {
        return Ok(None);
    };
    let mut state = lock(&STATE);
    if !state.is_running {
        let looks = thread::Builder::new().name("switchback-slices".into());
        let observer = Observer::new();
        looks.spawn(move || {
            let _observer = observer;
            look_until_over();
        })?;
        state.is_running = true;
    }
    state.slices.push(slice);
    drop(state);
    // The thread may have to look more often from now on.
    CHANGED.notify_all();
    Ok(Some(SliceGuard(slice)))
}

/// Ends what [`enforce`] has begun. The code that runs a hub with a slice keeps it.
#[derive(Debug)]
pub(crate) struct SliceGuard(Slice);

impl Drop for SliceGuard {
    fn drop(&mut self) {
        let mut state = lock(&STATE);
        let own = state.slices.iter().position(|slice| *slice == self.0);
        own.map(|own| state.slices.swap_remove(own));
        drop(state);
        CHANGED.notify_all();
    }
}

struct State {
    /// The slices of all guards.
    slices: Vec<Slice>,
    is_running: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    slices: Vec::new(),
    is_running: false,
});

static CHANGED: Condvar = Condvar::new();

const WARN: usize = 0;
const CANCEL: usize = 1;

fn look_until_over() {
    let mut looks = Looks::<2>::new(Instant::now());
    let mut reports = Reports::default();
    while let Some(period) = wait() {
        let now = Instant::now();
        looks.begin(now, period);
        for hub in hubs::all() {
            let (Some(slice), Some(running)) = (hub.slice(), Running::of(&hub)) else {
                continue;
            };
            let seen = looks.see(&hub, &running);
            let warns = seen.passes(WARN, slice.warn);
            let cancels = slice.cancel.and_then(|limit| seen.passes(CANCEL, limit));
            let cancels = cancels.filter(|_| running.cancel(WHY));
            let Some(lasts) = cancels.or(warns).filter(|_| reports.may_make(now)) else {
                continue;
            };
            let what = match cancels {
                Some(_) => "; it is cancelled, at its next wait",
                None => "",
            };
            let blocked = BlockedHub::new(&hub, running, lasts);
            report::warn(format_args!("{blocked}{what}"));
        }
    }
}

/// The message of the cancel.
const WHY: &str = "it has had the thread of its hub for longer than its slice";

/// Waits until it is time to look. Returns the time between two looks, or `None` if no hub has a slice any
/// more.
fn wait() -> Option<Duration> {
    let mut state = lock(&STATE);
    if let Some(period) = state.period() {
        // If hubs come or go meanwhile, it looks earlier.
        let waited = CHANGED.wait_timeout(state, period);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    let period = state.period();
    state.is_running = period.is_some();
    period
}

impl State {
    fn period(&self) -> Option<Duration> {
        let limit = |slice: &Slice| slice.cancel.unwrap_or(slice.warn).min(slice.warn);
        self.slices.iter().map(limit).min().map(period)
    }
}
