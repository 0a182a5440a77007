//! [`Timers`]: the sleeps that fibers of the hub wait for, behind one timer of tokio's.
//!
//! A timer of tokio's has an allocation, a waker and two locks, and is in four or five cache lines of
//! its own. A sleep here is an entry of a queue. Tokio's timer is set to the earliest of them, so tokio
//! knows when the runtime has to wake up, and how far a paused clock may advance.
//!
//! The timer wakes the hub, which wakes the fibers at the beginning of its turn. So a fiber resumes when
//! it would with a timer of its own, or up to a millisecond earlier: tokio rounds each deadline up to
//! whole milliseconds, while here a fiber is woken together with an earlier one if its own time has come.

use std::cell::{Cell, OnceCell, RefCell};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::coop;
use tokio::time::Instant;

use super::sleeps::{Sleeper, Sleeps};
use crate::shared::{LocalJoiner, Mailbox};

/// What tokio's timer is set to while nobody sleeps.
const NEVER: u64 = u64::MAX;

/// Methods that may find that a sleep is over take a function that wakes its fiber.
pub(crate) struct Timers {
    runtime: Handle,
    /// Tokio's timer is set to the first of these, except while a method runs.
    sleeps: RefCell<Sleeps>,
    next: Cell<u64>,
    /// All times here are in nanoseconds from this.
    start: OnceCell<Instant>,
    timer: Cell<Option<Pin<Box<tokio::time::Sleep>>>>,
    set_to: Cell<u64>,
    /// The sleeps up to this time are over.
    fired: Cell<u64>,
    waker: Waker,
    /// Whether the runtime is known to have timers.
    pub(crate) are_enabled: Cell<bool>,
}

/// Identifies a sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SleepKey {
    when: u64,
    number: u64,
}

impl Timers {
    pub(super) fn new(hub: &Arc<Mailbox>, runtime: &Handle) -> Timers {
        Timers {
            runtime: runtime.clone(),
            sleeps: RefCell::default(),
            next: Cell::new(0),
            start: OnceCell::new(),
            timer: Cell::new(None),
            set_to: Cell::new(NEVER),
            fired: Cell::new(0),
            waker: Waker::from(Arc::new(Notify(hub.clone()))),
            are_enabled: Cell::new(false),
        }
    }

    /// Adds a sleep of this fiber. Its deadline is later than everything that has fired.
    pub(crate) fn add(
        &self,
        deadline: Instant,
        fiber: LocalJoiner,
        wake: impl Fn(LocalJoiner),
    ) -> SleepKey {
        let when = self.nanos(deadline);
        let number = self.next.get();
        self.next.set(number + 1);
        let sleeper = Sleeper {
            when,
            number,
            fiber,
        };
        self.sleeps.borrow_mut().push(sleeper);
        if when < self.set_to.get() {
            self.set();
            self.fire(wake);
        }
        SleepKey { when, number }
    }

    /// Returns whether a sleep is over, and its fiber was woken.
    #[inline]
    pub(crate) fn has_fired(&self, sleep: SleepKey) -> bool {
        sleep.when <= self.fired.get()
    }

    /// Removes a sleep that is dropped.
    #[inline]
    pub(crate) fn remove(&self, sleep: SleepKey, wake: impl Fn(LocalJoiner)) {
        if !self.has_fired(sleep) {
            self.remove_early(sleep, wake);
        }
    }

    #[inline(never)]
    fn remove_early(&self, sleep: SleepKey, wake: impl Fn(LocalJoiner)) {
        self.sleeps.borrow_mut().remove(sleep.number);
        if sleep.when == self.set_to.get() {
            self.set();
            self.fire(wake);
        }
    }

    /// Removes all sleeps, because the hub has ended.
    pub(crate) fn clear(&self) {
        self.sleeps.take();
        self.set_to.set(NEVER);
        drop(self.timer.take());
    }

    /// Wakes the fibers whose time has come, if tokio's timer has fired.
    #[inline(always)]
    pub(crate) fn fire(&self, wake: impl Fn(LocalJoiner)) {
        if self.set_to.get() != NEVER {
            self.fire_if_due(wake);
        }
    }

    #[inline(never)]
    fn fire_if_due(&self, wake: impl Fn(LocalJoiner)) {
        while self.is_due() {
            // The runtime has its own clock.
            let entered = self.runtime.enter();
            let now = self.nanos(Instant::now()).max(self.set_to.get());
            drop(entered);
            self.set_to.set(NEVER);
            self.fired.set(now);
            let next = || self.sleeps.borrow_mut().pop_until(now);
            while let Some(sleeper) = next() {
                wake(sleeper.fiber);
            }
            self.set();
        }
    }

    fn is_due(&self) -> bool {
        let timer = self.timer.take();
        let has_elapsed = timer.as_ref().is_some_and(|timer| timer.is_elapsed());
        self.timer.set(timer);
        has_elapsed && self.set_to.get() != NEVER
    }

    /// Sets tokio's timer to the first sleep.
    fn set(&self) {
        let first = self.sleeps.borrow_mut().first();
        let timer = self.timer.take();
        let Some(when) = first else {
            self.set_to.set(NEVER);
            // One that has fired does nothing, and is used again.
            self.timer.set(timer.filter(|timer| timer.is_elapsed()));
            return;
        };
        if self.set_to.replace(when) == when && timer.is_some() {
            self.timer.set(timer);
            return;
        }
        let deadline = *self.start() + Duration::from_nanos(when);
        let mut timer = match timer {
            Some(mut timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            None => {
                let _entered = self.runtime.enter();
                Box::pin(tokio::time::sleep_until(deadline))
            }
        };
        // If it is ready at once, the next look finds that it has elapsed.
        let polled = pin!(coop::unconstrained(timer.as_mut()));
        let _ = polled.poll(&mut Context::from_waker(&self.waker));
        // The waker of a driver may be the user's, and have led here again.
        if self.timer.replace(Some(timer)).is_some() {
            self.set_to.set(NEVER);
            self.set();
        }
    }

    fn start(&self) -> &Instant {
        self.start.get_or_init(Instant::now)
    }

    fn nanos(&self, time: Instant) -> u64 {
        let nanos = time.saturating_duration_since(*self.start()).as_nanos();
        // Not zero, which has always fired.
        u64::try_from(nanos).unwrap_or(NEVER).clamp(1, NEVER - 1)
    }
}

/// Wakes the hub of this mailbox, which then looks at its timers.
struct Notify(Arc<Mailbox>);

impl Wake for Notify {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.scheduler().notify(&self.0);
    }
}
