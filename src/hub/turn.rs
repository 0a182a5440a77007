//! One turn of the hub: what a poll of its driver does, and in which order.
//!
//! 1. Take the wakes and callbacks that came from other threads into the ready
//!    queue, and new fibers as far as these can start in this turn, but at least
//!    [`LEAST_NEW`]; the others, and what was sent after them, wait for the next
//!    turn. Cancel the root fiber if Ctrl-C was meant for it.
//! 2. Resume fibers and run callbacks from the front of the queue until one of
//!    these holds:
//!    the queue is empty; the next fiber has already given way in this turn
//!    (it queued itself while it ran, as `yield_now` does), or a pass over ready
//!    descriptors has; [`MAX_RESUMES`] entries were handled; the cooperative budget of
//!    tokio, which all fibers of one poll share, is spent (at which it looks after each
//!    entry but a fiber that gives way, so at least one is handled).
//! 3. If anything is left, ask to be polled again: behind the tasks that are
//!    ready now and, every [`MAX_RESUMES`] entries, behind a poll of the I/O and
//!    time drivers too.
//!
//! So fibers that give way for ever leave tokio's other tasks no less than as
//! many tasks would: a turn for each pass over the fibers, or for each 61 of them
//! if there are more. And tokio polls for I/O after as many fibers as it does
//! after tasks (61, its `event_interval`). What the fibers get is less than they
//! would as tasks, where other tasks give way for ever too: 61 resumes for each
//! 61 polls of those, however many fibers there are.

use std::pin::pin;
use std::rc::Rc;
use std::task::Context;

use tokio::task::coop;

use super::core::{Core, DrivenIn, State};
use super::ready::Ready;
use crate::cancel::{self, Unwinding};
use crate::fiber::{FiberRef, HubSide, Phase, Stage, interrupt};
use crate::foreign;
use crate::report;
use crate::scope::ScopeData;
use crate::switch::{self, Step, Suspension};

/// How many entries of the ready queue are handled in one turn, and between two
/// polls for I/O, at the most.
const MAX_RESUMES: u64 = 61;

/// Fewer fibers find in the caches what they left there.
const PREFETCH_FROM: usize = 1024;

/// The same as a length of the ready queue.
pub(super) const LENGTH: usize = MAX_RESUMES as usize;

/// How many of the fibers that other threads have sent are taken in before a turn,
/// however long the ready queue is.
const LEAST_NEW: usize = LENGTH / 4;

impl Core {
    /// Runs one turn for a driver that is polled with `cx`.
    #[inline]
    pub(super) fn drive(self: &Rc<Self>, cx: &mut Context<'_>, driven_in: DrivenIn) {
        self.awake.set(true);
        self.learn_driver();
        // A hub may be driven from inside one of its own fibers.
        let outer = self.driven_in.replace(driven_in);
        let resumes = cancel::nested(|| self.run_turn());
        self.driven_in.set(outer);
        self.shared.counters.publish(&self.metrics());
        let since_io = self.resumes_since_io.get() + resumes;
        if self.ready.is_empty() && !self.shared.has_errands() {
            self.resumes_since_io.set(0);
            self.awake.set(false);
            self.stacks.idle();
        } else if since_io < MAX_RESUMES {
            self.resumes_since_io.set(since_io);
            cx.waker().wake_by_ref();
        } else {
            self.resumes_since_io.set(0);
            wake_after_io(cx);
        }
    }

    /// Steps 1 and 2; returns how many entries it handled.
    fn run_turn(self: &Rc<Self>) -> u64 {
        let _hub = switch::enter_hub(self);
        self.turn.set(self.turn.get() + 1);
        self.drain_remote_with(LEAST_NEW);
        self.notice_interrupt();
        let prefetches = self.table.len() >= PREFETCH_FROM;
        let before = self.ready.handled();
        while self.ready.handled() - before < MAX_RESUMES && self.step(prefetches) {}
        self.ready.handled() - before
    }

    /// Handles the next entry of the ready queue. False if the turn is over: the queue is
    /// empty, or the next fiber has given way in this turn and stays where it is, or
    /// tokio's budget is spent.
    #[inline(always)]
    fn step(self: &Rc<Self>, prefetches: bool) -> bool {
        let Some(entry) = self.ready.pop() else {
            return false;
        };
        let Some(fiber) = entry else {
            return self.step_other();
        };
        let side = fiber.side(self);
        if side.yielded.get() == self.turn.get() {
            self.ready.put_back(Some(fiber));
            return false;
        }
        if prefetches {
            let prefetch_stack = |fiber: &FiberRef| fiber.side(self).prefetch_stack();
            self.ready.prefetch(prefetch_stack);
        }
        side.queued.set(false);
        if side.stage.get() != Stage::Begun && !self.begin(&fiber) {
            if side.stage.get() == Stage::Over {
                self.table.remove(side.slot.get());
            }
            self.check_closed();
        } else if side.berth.is_out() {
            side.requeue.set(true);
        } else {
            return self.run(&fiber, side);
        }
        true
    }

    /// Handles the next entry if it is no fiber's. Returns what [`step`](Core::step)
    /// does; a pass over ready descriptors gives way as a fiber does.
    #[cold]
    fn step_other(self: &Rc<Self>) -> bool {
        #[cfg(unix)]
        if self.ready.polls_next() && self.poll.is_over_in(self.turn.get()) {
            self.ready.put_back(None);
            return false;
        }
        match self.ready.pop_other() {
            Some(Ready::Waker(waker)) => foreign::wake(waker),
            Some(Ready::Callback(callback)) => {
                foreign::run("a callback of the hub", callback);
                self.callback_ran();
                self.check_closed();
            }
            #[cfg(unix)]
            Some(Ready::Poll) => self.poll.step(self.turn.get()),
            // The end of the hub has emptied the queue.
            None => return false,
        }
        coop::has_budget_remaining()
    }

    /// Runs a fiber, which is in the table, until it suspends or ends. False if tokio's
    /// budget is spent: who does not poll has spent nothing.
    #[inline(always)]
    fn run(self: &Rc<Self>, fiber: &FiberRef, side: &HubSide) -> bool {
        self.switches.set(self.switches.get() + 1);
        let gave_way = match side.berth.resume() {
            Step::Suspended(how @ (Suspension::Waiting | Suspension::Yielding)) => {
                let gives_way = how == Suspension::Yielding;
                if gives_way {
                    // What other threads have sent until now comes before it.
                    self.drain_remote();
                    side.yielded.set(self.turn.get());
                    if !side.queued.get() {
                        self.queue(fiber, side);
                    }
                }
                side.berth.rest();
                if side.requeue.get() || self.state.get() == State::Ended {
                    self.ran_below(fiber);
                }
                gives_way
            }
            Step::Suspended(Suspension::Abandoned(unwinding)) => {
                side.berth.leave().leak();
                self.abandoned(fiber, unwinding);
                false
            }
            Step::Finished => {
                if self.depths.any() {
                    self.depths.end(fiber);
                }
                self.stacks.put(side.berth.leave().into_stack());
                self.retire(fiber, ScopeData::child_ended);
                false
            }
        };
        gave_way || coop::has_budget_remaining()
    }

    /// Something happened to a fiber while it ran, on the hub it was driving.
    #[cold]
    fn ran_below(self: &Rc<Self>, fiber: &FiberRef) {
        if self.state.get() == State::Ended {
            self.end_fiber(fiber);
            return;
        }
        fiber.side(self).requeue.set(false);
        self.wake(fiber);
    }

    /// A fiber has suspended itself for ever.
    #[cold]
    fn abandoned(self: &Rc<Self>, fiber: &FiberRef, unwinding: Unwinding) {
        self.depths.end(fiber);
        report::warn(format_args!(
            "fiber '{}' waited again while it was being ended; its stack is leaked{}",
            fiber.name(),
            unwinding.mark(),
        ));
        self.retire(fiber, |scope, _| scope.child_abandoned());
    }

    /// Ends a child of a scope whose parent cannot wait for it. Called on the
    /// parent's stack.
    pub(crate) fn end_child(self: &Rc<Self>, child: &FiberRef) {
        cancel::nested(|| {
            let _hub = switch::enter_hub(self);
            self.end_fiber(child);
        });
    }

    /// Ends a fiber by force, whatever it waits for: when this returns it has
    /// ended or was abandoned. Does nothing if it has ended before or is running.
    pub(super) fn end_fiber(self: &Rc<Self>, fiber: &FiberRef) {
        let side = fiber.side(self);
        let waits = matches!(side.stage.get(), Stage::New | Stage::Begun) && !side.berth.is_out();
        if waits {
            fiber.interrupt(interrupt::END);
            self.begin(fiber);
            self.run(fiber, side);
        }
    }

    /// Starts a fiber that has not run. False if it is not to run: it is over, or
    /// was woken without having been started. A cancel lets it run, to drop its
    /// closure on its own stack.
    #[inline]
    fn begin(&self, fiber: &FiberRef) -> bool {
        let side = fiber.side(self);
        let begins = match side.stage.get() {
            Stage::Absent | Stage::Over => false,
            Stage::Begun => true,
            Stage::New => {
                let cancelled = fiber.interrupts() != 0;
                if cancelled {
                    fiber.claim_start();
                }
                fiber.phase() == Phase::Started
            }
        };
        if begins {
            side.stage.set(Stage::Begun);
        }
        begins
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
