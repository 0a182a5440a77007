//! One turn of the hub: what a poll of its driver does, and in which order.
//!
//! 1. Take the wakes that came from other threads into the ready queue.
//! 2. Resume fibers from the front of the queue until one of these holds:
//!    the queue is empty; the next fiber has already given way in this turn
//!    (it queued itself while it ran, as `yield_now` does); [`MAX_RESUMES`]
//!    entries were handled; the cooperative budget of tokio, which all fibers of
//!    one poll share, is spent.
//! 3. If entries are left, ask to be polled again: behind the tasks that are
//!    ready now and, every [`MAX_RESUMES`] entries, behind a poll of the I/O and
//!    time drivers too.
//!
//! So to tokio's other tasks, a hub with `n` fibers that give way for ever is
//! like `n` tasks that do; and tokio polls for I/O after as many fibers as it
//! does after tasks (61, its `event_interval`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::thread::panicking;

use tokio::task::coop;

use super::core::{Core, Ready, State};
use crate::fiber::{Phase, Record, interrupt};
use crate::report;
use crate::scope::ScopeData;
use crate::switch::{self, Coroutine, Step, Suspension};

/// How many entries of the ready queue are handled in one turn, and between two
/// polls for I/O, at the most.
const MAX_RESUMES: u32 = 61;

impl Core {
    /// Runs one turn for a driver that is polled with `cx`.
    pub(super) fn drive(self: &Rc<Self>, cx: &mut Context<'_>) {
        self.awake.set(true);
        let resumes = self.run_turn();
        let since_io = self.resumes_since_io.get() + resumes;
        if !self.has_ready() {
            self.resumes_since_io.set(0);
            self.awake.set(false);
        } else if since_io < MAX_RESUMES {
            self.resumes_since_io.set(since_io);
            cx.waker().wake_by_ref();
        } else {
            self.resumes_since_io.set(0);
            wake_after_io(cx);
        }
    }

    /// Steps 1 and 2; returns how many entries it handled.
    fn run_turn(self: &Rc<Self>) -> u32 {
        let _hub = switch::enter_hub(self);
        self.turn.set(self.turn.get() + 1);
        self.drain_remote();
        let mut handled = 0;
        while handled < MAX_RESUMES && coop::has_budget_remaining() {
            let Some(entry) = self.next() else { break };
            match entry {
                Ready::Fiber(slot) => self.resume(slot),
                Ready::Waker(waker) => {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                        report::error(format_args!("a waker panicked in the hub"));
                        std::mem::forget(panic);
                    }
                }
            }
            handled += 1;
        }
        handled
    }

    /// The next entry of the ready queue, unless it is a fiber that gave way in
    /// this turn: that one stays where it is.
    #[inline]
    fn next(&self) -> Option<Ready> {
        if let Some(slot) = self.peek_fiber() {
            if self.live.borrow()[slot].yielded == self.turn.get() {
                return None;
            }
        }
        self.pop()
    }

    /// Resumes the fiber whose entry has just left the ready queue.
    #[inline]
    fn resume(self: &Rc<Self>, slot: usize) {
        if let Some(coroutine) = self.begin(slot) {
            self.run(slot, coroutine);
        }
    }

    /// Takes a fiber's stack out of the table, if it is to be run.
    #[inline]
    fn begin(&self, slot: usize) -> Option<Coroutine> {
        let mut live = self.live.borrow_mut();
        let fiber = &mut live[slot];
        fiber.queued = false;
        match fiber.record.phase() {
            Phase::Started => {}
            // Either a stray wake, or a cancel before the start: that lets it
            // run, to drop its closure on its own stack.
            Phase::New if fiber.record.interrupts() == 0 => return None,
            Phase::New => {
                fiber.record.claim_start();
            }
            Phase::Ended | Phase::Abandoned => {
                let over = live.remove(slot);
                drop(live);
                drop(over);
                self.check_closed();
                return None;
            }
        }
        let coroutine = fiber.coroutine.take();
        fiber.requeue = coroutine.is_none();
        coroutine
    }

    /// Runs a fiber until it suspends or ends, and puts it where it belongs.
    #[inline]
    fn run(self: &Rc<Self>, slot: usize, mut coroutine: Coroutine) {
        let step = coroutine.resume();
        match step {
            Step::Suspended(Suspension::Waiting) => {
                let requeue = {
                    let mut live = self.live.borrow_mut();
                    let fiber = &mut live[slot];
                    fiber.coroutine = Some(coroutine);
                    fiber.requeue
                };
                if requeue || self.state.get() == State::Ended {
                    self.ran_below(slot);
                }
            }
            Step::Suspended(Suspension::Abandoned) => {
                coroutine.leak();
                self.abandoned(slot);
            }
            Step::Finished => {
                self.stacks.put(coroutine.into_stack());
                self.retire(slot, ScopeData::child_ended);
            }
        }
        self.wake_deferred();
    }

    /// Something happened to a fiber while it ran, on the hub it was driving.
    #[cold]
    fn ran_below(self: &Rc<Self>, slot: usize) {
        if self.state.get() == State::Ended {
            self.end_fiber(slot);
            return;
        }
        let record = {
            let mut live = self.live.borrow_mut();
            let fiber = &mut live[slot];
            fiber.requeue = false;
            fiber.record.clone()
        };
        self.wake(&record);
    }

    /// Takes a fiber that is over out of the table, now or, if it still has an
    /// entry in the ready queue, with that entry; and tells its scope.
    #[inline]
    fn retire(&self, slot: usize, tell: impl FnOnce(&ScopeData, Arc<Record>)) {
        let (scope, record, _over) = {
            let mut live = self.live.borrow_mut();
            let fiber = &mut live[slot];
            let scope = fiber.scope.take();
            let record = scope.is_some().then(|| fiber.record.clone());
            let over = (!fiber.queued).then(|| live.remove(slot));
            (scope, record, over)
        };
        if let (Some(scope), Some(record)) = (scope, record) {
            tell(&scope, record);
        }
        self.check_closed();
    }

    /// A fiber has suspended itself for ever.
    #[cold]
    fn abandoned(&self, slot: usize) {
        let record = self.live.borrow()[slot].record.clone();
        let unwinding = if panicking() {
            "; it was unwinding, so from now on this thread counts as panicking: \
             std's mutexes poison, and cancels reach waits only through `try_wait`"
        } else {
            ""
        };
        report::warn(format_args!(
            "fiber '{}' waited again while it was being ended; its stack is leaked{unwinding}",
            record.name(),
        ));
        record.finish(Phase::Abandoned);
        self.retire(slot, |scope, _| scope.child_abandoned());
    }

    /// Wakes the fibers whose cancel was put off, if nobody unwinds any more.
    #[inline]
    fn wake_deferred(&self) {
        if self.deferred.borrow().is_empty() || panicking() {
            return;
        }
        for record in self.deferred.take() {
            self.wake(&record);
        }
    }

    /// Ends a child of a scope whose parent cannot wait for it. Called on the
    /// parent's stack.
    pub(crate) fn end_child(self: &Rc<Self>, child: &Arc<Record>) {
        let is_there = matches!(
            self.live.borrow().get(child.slot),
            Some(fiber) if Arc::ptr_eq(&fiber.record, child)
        );
        if is_there {
            let _hub = switch::enter_hub(self);
            self.end_fiber(child.slot);
        }
    }

    /// Ends a fiber by force, whatever it waits for: when this returns it has
    /// ended or was abandoned. Does nothing if it is running.
    pub(super) fn end_fiber(self: &Rc<Self>, slot: usize) {
        let coroutine = {
            let mut live = self.live.borrow_mut();
            let Some(fiber) = live.get_mut(slot) else {
                return;
            };
            let Some(coroutine) = fiber.coroutine.take() else {
                return;
            };
            fiber.record.interrupt(interrupt::END);
            fiber.record.claim_start();
            coroutine
        };
        self.run(slot, coroutine);
    }
}

/// Wakes the task behind `cx` after tokio has polled its drivers.
///
/// Tokio's own `yield_now` hands its waker to the scheduler for that; outside a
/// tokio scheduler it wakes at once.
pub(crate) fn wake_after_io(cx: &mut Context<'_>) {
    let asked = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(asked.is_pending());
}
