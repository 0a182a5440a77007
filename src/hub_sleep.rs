//! [`HubSleep`]: a sleep of a fiber, in the timers of its hub.
//!
//! A sleep that a fiber makes and waits for at once is such a one. It is a timer of tokio's where that
//! could make a difference: if another stack, task or thread polls it, or the fiber with another waker
//! than its own; if it was made earlier, because tokio's timer may have fired by then; in a test with a
//! schedule; or in another runtime.

use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::base::executors::is_current;
use crate::base::{CountedTimer, Timer};
use crate::current::{Place, Resumer, with_place};
use crate::hub::{Core, SleepKey};
use crate::scheduler::registry;
use crate::shared::{FiberId, FiberRef, LocalJoiner};

/// A sleep that the timers of a hub may have.
pub(crate) struct HubSleep {
    pub(crate) deadline: Instant,
    hub: u64,
    runtime: Handle,
    /// How often the hub had resumed fibers when the sleep was made.
    resumes: u64,
    /// The fiber that waits, from the first poll.
    waits: Option<(FiberId, SleepKey)>,
    _counted: CountedTimer,
}

impl HubSleep {
    /// Makes a sleep of the running fiber, unless it has to be tokio's.
    #[inline]
    pub(crate) fn new(deadline: Instant) -> Option<HubSleep> {
        with_fiber(|_, core| {
            if !core.timers.are_enabled.get() || core.trial().is_some() {
                return None;
            }
            let runtime = Handle::try_current().ok()?;
            let is_here = runtime.id() == core.runtime.id();
            is_here.then(|| HubSleep {
                deadline,
                hub: core.number,
                runtime,
                resumes: core.mailbox.running.resumes(),
                waits: None,
                _counted: CountedTimer::new(),
            })
        })
    }

    /// Records that a timer of tokio's could be made, if that is on the runtime of this fiber's hub.
    pub(crate) fn note_timers() {
        with_fiber(|_, core| {
            let are_enabled = &core.timers.are_enabled;
            are_enabled.set(are_enabled.get() || is_current(&core.runtime));
            Some(())
        });
    }

    /// Returns `None` if the sleep has to be tokio's.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Poll<()>> {
        with_fiber(|fiber, core| {
            if core.number != self.hub || !core.is_running() || !fiber.is_waker(cx.waker()) {
                return None;
            }
            let id = fiber.id();
            match self.waits {
                None if self.resumes == core.mailbox.running.resumes() => {
                    let slot = core.rest(fiber).slot.get();
                    let joiner = LocalJoiner { slot, id };
                    let wake = |sleeper| core.wake_if_live(sleeper);
                    let key = core.timers.add(self.deadline, joiner, wake);
                    self.waits = Some((id, key));
                    Some(Poll::Pending)
                }
                Some((own, key)) if own == id => Some(match core.timers.has_fired(key) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }),
                _ => None,
            }
        })
    }

    /// Returns the timer of tokio's that would have been made.
    pub(crate) fn to_timer(&self) -> Timer {
        let _entered = self.runtime.enter();
        Timer::new(self.deadline)
    }

    /// Has the hub remove the sleep, which was taken out of its fiber.
    #[cold]
    fn remove_elsewhere(&self, key: SleepKey) {
        let (runtime, hub) = (self.runtime.id(), self.hub);
        drop(self.runtime.spawn(async move {
            if let Some(core) = registry::listed(runtime).filter(|core| core.number == hub) {
                core.timers
                    .remove(key, |sleeper| core.wake_if_live(sleeper));
            }
        }));
    }
}

impl Drop for HubSleep {
    #[inline]
    fn drop(&mut self) {
        let Some((_, key)) = self.waits else {
            return;
        };
        let removed = with_place(|place| {
            let core = place.hub().filter(|core| core.number == self.hub)?;
            core.timers
                .remove(key, |sleeper| core.wake_if_live(sleeper));
            Some(())
        });
        if removed.is_none() {
            self.remove_elsewhere(key);
        }
    }
}

/// Calls `f` with the running fiber and its hub.
#[inline]
fn with_fiber<R>(f: impl FnOnce(&FiberRef, &Rc<Core>) -> Option<R>) -> Option<R> {
    with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) => match &state.resumer {
            Resumer::Hub { fiber, hub } => f(fiber, hub),
            Resumer::Task(_) => None,
        },
        _ => None,
    })
}
