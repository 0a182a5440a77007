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

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread::panicking;

use tokio::task::coop;

use super::core::{Core, DrivenIn, Live, Ready, Stage, State};
use crate::fiber::{Phase, Record, interrupt};
use crate::foreign;
use crate::report;
use crate::scope::ScopeData;
use crate::switch::{self, Coroutine, Step, Suspension};

/// How many entries of the ready queue are handled in one turn, and between two
/// polls for I/O, at the most.
const MAX_RESUMES: u32 = 61;

impl Core {
    /// Runs one turn for a driver that is polled with `cx`.
    pub(super) fn drive(self: &Rc<Self>, cx: &mut Context<'_>, driven_in: DrivenIn) {
        self.awake.set(true);
        // A hub may be driven from inside one of its own fibers.
        let outer = self.driven_in.replace(driven_in);
        let resumes = self.run_turn();
        self.driven_in.set(outer);
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
            match self.next() {
                Next::Run(slot, coroutine) => self.run(slot, coroutine),
                Next::Wake(waker) => foreign::wake(waker),
                Next::Skip(_over) => self.check_closed(),
                Next::Stop => break,
            }
            handled += 1;
        }
        self.wake_deferred();
        handled
    }

    /// Takes the next entry from the ready queue and, if it is a fiber that is to
    /// run, its stack from the table.
    #[inline]
    fn next(&self) -> Next {
        let mut live = self.live.borrow_mut();
        let Some(slot) = self.peek_fiber() else {
            return match self.pop() {
                Some(Ready::Waker(waker)) => Next::Wake(waker),
                _ => Next::Stop,
            };
        };
        let fiber = &mut live[slot];
        if fiber.yielded == self.turn.get() {
            return Next::Stop;
        }
        let _entry = self.pop();
        fiber.queued = false;
        if fiber.stage != Stage::Begun && !fiber.begin() {
            let over = fiber.stage == Stage::Over;
            return Next::Skip(over.then(|| live.remove(slot)));
        }
        match fiber.coroutine.take() {
            Some(coroutine) => Next::Run(slot, coroutine),
            None => {
                fiber.requeue = true;
                Next::Skip(None)
            }
        }
    }

    /// Runs a fiber until it suspends or ends, and puts it where it belongs.
    #[inline]
    fn run(self: &Rc<Self>, slot: usize, mut coroutine: Coroutine) {
        match coroutine.resume() {
            Step::Suspended(how @ (Suspension::Waiting | Suspension::Yielding)) => {
                let disturbed = {
                    let mut live = self.live.borrow_mut();
                    let fiber = &mut live[slot];
                    fiber.coroutine = Some(coroutine);
                    if how == Suspension::Yielding {
                        fiber.yielded = self.turn.get();
                        if !fiber.queued {
                            fiber.queued = true;
                            self.push_in_turn(Ready::Fiber(slot));
                        }
                    }
                    fiber.requeue
                };
                if disturbed || self.state.get() == State::Ended {
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
    /// entry in the ready queue, with that entry; and tells whoever waits for it.
    #[inline]
    fn retire(&self, slot: usize, tell_scope: impl FnOnce(&ScopeData, Arc<Record>)) {
        let (scope, record) = {
            let mut live = self.live.borrow_mut();
            let fiber = &mut live[slot];
            fiber.stage = Stage::Over;
            let scope = fiber.scope.take();
            let record = match fiber.queued {
                true => fiber.record.clone(),
                false => live.remove(slot).record,
            };
            (scope, record)
        };
        record.tell_joiner();
        if let Some(scope) = scope {
            tell_scope(&scope, record);
        }
        self.check_closed();
    }

    /// A fiber has suspended itself for ever.
    #[cold]
    fn abandoned(&self, slot: usize) {
        let unwinding = if panicking() {
            "; it was unwinding, so from now on this thread counts as panicking: \
             std's mutexes poison, and cancels reach waits only through `try_wait`"
        } else {
            ""
        };
        let record = self.live.borrow()[slot].record.clone();
        report::warn(format_args!(
            "fiber '{}' waited again while it was being ended; its stack is leaked{unwinding}",
            record.name(),
        ));
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
            fiber.begin();
            coroutine
        };
        self.run(slot, coroutine);
    }
}

/// What the next entry of the ready queue comes to.
enum Next {
    /// Run this fiber.
    Run(usize, Coroutine),
    /// Wake this task.
    Wake(Waker),
    /// Nothing: it was a stray wake, or of a fiber that has ended meanwhile and
    /// now leaves the table.
    Skip(Option<Live>),
    /// The turn is over: the queue is empty, or the next fiber has given way in
    /// this turn and stays where it is.
    Stop,
}

impl Live {
    /// Starts a fiber that has not run. False if it is not to run: it is over, or
    /// was woken without having been started. A cancel lets it run, to drop its
    /// closure on its own stack.
    #[cold]
    fn begin(&mut self) -> bool {
        let begins = match self.stage {
            Stage::Over => false,
            Stage::Begun => true,
            Stage::New => {
                let cancelled = self.record.interrupts() != 0;
                if cancelled {
                    self.record.claim_start();
                }
                self.record.phase() == Phase::Started
            }
        };
        if begins {
            self.stage = Stage::Begun;
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
