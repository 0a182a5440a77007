//! [`Rest`]: lets tokio's virtual clock advance while fibers only give way.
//!
//! A paused clock advances when its runtime has nothing to do. A fiber that gives way in a loop, until
//! something that takes time has happened, would therefore keep the clock from advancing for ever. So
//! a hub whose fibers have done nothing but give way for [`PATIENCE`] turns waits for a short timer
//! instead of being polled again. If no task has anything to do either, the clock advances to this
//! timer, or to an earlier one of the program's.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::task::coop::{self, Unconstrained};
use tokio::time::{self, Sleep};

use crate::base::contain;
use crate::base::helper::{self, HelperSleep};

/// The number of turns in a row in which fibers only give way before the hub waits.
const PATIENCE: u32 = 10_000;

/// The shortest wait, which is the resolution of tokio's timers.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long the hub waits while tasks of the runtime keep the clock from advancing: by a real clock.
const LONGEST: Duration = Duration::from_millis(10);

/// The same in a test that has to be replayable, where a busy machine must make no difference.
const LONGEST_IN_TRIAL: Duration = Duration::from_secs(1);

/// What a hub knows about its last turns.
#[derive(Default)]
pub(crate) struct Rest {
    /// Whether anything has happened in this turn, apart from fibers that gave way.
    happened: Cell<bool>,
    /// The number of turns since anything happened.
    turns: Cell<u32>,
    /// For how long the hub has waited since then, by the virtual clock.
    waited: Cell<Duration>,
    timer: RefCell<Option<Timer>>,
}

struct Timer {
    ends: time::Instant,
    virtually: Pin<Box<Unconstrained<Sleep>>>,
    really: HelperSleep,
}

impl Timer {
    /// Returns whether the clock has not advanced while it ran, because a task keeps it.
    fn was_in_vain(&self) -> bool {
        self.really.is_elapsed() && time::Instant::now() < self.ends
    }
}

impl Rest {
    /// Records that something has happened, apart from a fiber that gave way.
    #[inline(always)]
    pub(crate) fn end(&self) {
        self.happened.set(true);
    }

    /// Called after a turn that has left fibers ready. Returns whether the hub waits; if so, `cx` will be
    /// woken. `in_trial` says whether a test has asked for a schedule.
    #[inline]
    pub(crate) fn begins(&self, cx: &mut Context<'_>, in_trial: bool) -> bool {
        if self.happened.take() {
            self.turns.set(0);
            return false;
        }
        self.turns.set(self.turns.get() + 1);
        self.turns.get() >= PATIENCE && self.begins_now(cx, in_trial)
    }

    #[cold]
    fn begins_now(&self, cx: &mut Context<'_>, in_trial: bool) -> bool {
        let is_first = self.turns.get() == PATIENCE;
        if is_first {
            self.waited.set(Duration::ZERO);
        }
        if !clock_stands_still() {
            self.turns.set(0);
            return false;
        }
        // The longer it has waited, the longer it waits, so that an hour passes in 3,000 turns.
        let wait = SHORTEST.max(self.waited.get() / 256);
        self.waited.set(self.waited.get() + wait);
        let longest = if in_trial { LONGEST_IN_TRIAL } else { LONGEST };
        let mut waits = false;
        // This calls the driver's waker. It also fails on a runtime without timers, which cannot wait.
        contain::run("a timer of the hub", || {
            let last = self.timer.take();
            if !is_first && last.is_some_and(|timer| timer.was_in_vain()) {
                // To wait in each turn from now on would take for ever.
                self.turns.set(0);
                return;
            }
            let ends = time::Instant::now() + wait;
            let mut timer = Timer {
                ends,
                virtually: Box::pin(coop::unconstrained(time::sleep_until(ends))),
                really: helper::sleep(longest),
            };
            waits = timer.virtually.as_mut().poll(cx).is_pending()
                && Pin::new(&mut timer.really).poll(cx).is_pending();
            self.timer.replace(Some(timer));
        });
        waits
    }
}

/// Returns whether tokio's clock is paused, as far as this code can tell.
fn clock_stands_still() -> bool {
    let (virtually, really) = (time::Instant::now(), Instant::now());
    while Instant::now() == really {}
    time::Instant::now() == virtually
}
