//! One turn of the hub: what a poll of its driver does, in this order.
//!
//! 1. Take in a part of the mail from other threads: see [`super::intake`].
//! 2. Cancel the root fiber if Ctrl-C was pressed. (This is also done before each resume of the root.)
//! 3. If the hub is one of a pool, begin fibers from the pool's queue, each as soon as it is taken. If
//!    one of them blocks this thread, those that are still in the queue begin on other hubs.
//! 4. Handle entries from the front of the ready queue, that is, resume fibers and run callbacks, until
//!    one of these is true:
//!     * the queue is empty;
//!     * the next fiber has given way in this turn: it queued itself while it ran, as `yield_now` does;
//!     * a pass over ready descriptors has given way in this turn;
//!     * [`MAX_RESUMES`] entries were handled;
//!     * tokio's cooperative budget, which all fibers of one poll share, is spent. This is checked after
//!       each entry, except after a fiber that gives way, so at least one entry is handled.
//! 5. If anything is left, ask to be polled again: behind the tasks that are ready now and, every
//!    [`MAX_RESUMES`] entries, also behind a poll of the I/O and time drivers.
//!
//! The turn's end is a place in the queue, [`Core::turn_end`]: [`MAX_RESUMES`] entries from its
//! beginning, or just before the first fiber that has given way. So no fiber has to record when it gave
//! way.
//!
//! Fibers that give way for ever leave tokio's other tasks at least as much time as the same number of
//! tasks would: these get a turn after each pass over the fibers, or after each 128 fibers if there are
//! more. Tokio polls for I/O after 128 fibers, which take about as long as the 61 tasks after which it
//! does so otherwise (its `event_interval`). If other tasks give way for ever too, the fibers get 128
//! resumes for each 61 polls of those tasks, however many fibers there are.

use std::mem;
use std::ptr;
use std::rc::Rc;
use std::task::Context;
use std::time::Instant;

use tokio::task::coop;

use super::{callbacks, closing, intake};
use crate::base::executors::{wake_after_io, wake_contained_after_io};
use crate::base::{Surroundings, Unwinding, contain, report, thread_end};
use crate::current::{place, unwinding};
use crate::hub::{CANCELLED_BY_TEST, Children, Core, Ready, ReadyTimes, Trial};
use crate::shared::{
    FiberRef, HubPart, HubState, LocalPhase, LongRun, Phase, TimeRecord, held_locks, interrupt,
};
use crate::switch::{Step, Suspension};

/// The maximum number of entries of the ready queue that are handled in one turn, and between two
/// polls for I/O.
const MAX_RESUMES: u64 = intake::TURN_LENGTH as u64;

/// The number of requests from other threads that are taken in before a turn even if the ready
/// queue is long.
const LEAST_NEW: usize = intake::TURN_LENGTH / 4;

/// Below this many live fibers, their headers and stacks are still in cache, and prefetching only
/// costs.
const PREFETCH_FROM: usize = 64;

/// Runs one turn for a driver that is polled with `cx`.
#[inline]
pub(super) fn drive(core: &Rc<Core>, cx: &mut Context<'_>, driven_in: Surroundings) {
    debug_assert!(!thread_end::has_begun(), "the end of its thread ends a hub");
    core.awake.set(true);
    core.learn_driver();
    // A hub may be driven from inside one of its own fibers.
    let outer = core.driven_in.get();
    let outer_end = core.turn_end.get();
    let outer_fiber = core.mailbox.running.now();
    core.driven_in.set(driven_in);
    let handled = unwinding::while_resuming(|| run(core));
    core.driven_in.set(outer);
    core.turn_end.set(outer_end);
    core.mailbox.running.set(outer_fiber);
    core.let_go_of_kept();
    let added = core.table.added();
    thread_end::stacks_have_begun(added - core.noticed.replace(added));
    core.mailbox.counters.publish(&core.counted());
    let since_io = core.resumes_since_io.get() + handled;
    let has_work = !core.ready.is_empty() || core.mailbox.has_mail() || core.has_left_mail.get();
    if !has_work && core.waits_for_starts() {
        core.resumes_since_io.set(0);
        core.awake.set(false);
        core.trim();
    } else if core.rests(cx) {
        core.resumes_since_io.set(0);
        core.awake.set(false);
    } else if since_io < MAX_RESUMES {
        core.resumes_since_io.set(since_io);
        contain::wake_by_ref(cx.waker());
    } else {
        core.resumes_since_io.set(0);
        match driven_in.are_in_task() {
            true => wake_after_io(cx),
            // A `run_until` may be polled with any waker.
            false => wake_contained_after_io(cx),
        }
    }
}

/// Does steps 1 to 4. Returns how many fibers it has begun and entries it has handled, together.
fn run(core: &Rc<Core>) -> u64 {
    let _hub = place::enter_hub(core);
    core.turn.set(core.turn.get() + 1);
    intake::take(core, LEAST_NEW);
    core.notice_interrupt();
    let before = core.ready.handled();
    let most = match core.trial() {
        None => MAX_RESUMES,
        Some(trial) => trial.begin_turn(MAX_RESUMES),
    };
    core.turn_end.set(before + most);
    let begun = match core.may_have_starts() {
        true => begin_sent(core),
        false => 0,
    };
    let prefetches = core.table.len() >= PREFETCH_FROM;
    while core.ready.handled() < core.turn_end.get() && step(core, prefetches) {}
    begun + core.ready.handled() - before
}

/// Begins fibers from the queue of the hub's pool, as many as there is room for in this turn.
/// Returns how many.
#[cold]
fn begin_sent(core: &Rc<Core>) -> u64 {
    let room = intake::TURN_LENGTH.saturating_sub(core.ready.len());
    let room = room.max(LEAST_NEW) as u64;
    let room = core.trial().map_or(room, |trial| trial.starts(room));
    let mut begun = 0;
    while begun < room {
        let Some(fiber) = intake::next_start(core) else {
            break;
        };
        begun += 1;
        let part = core.part(&fiber);
        let begins = begin(&fiber, part);
        debug_assert!(begins, "it was started when it was sent");
        if !resume(core, &fiber, part) {
            break;
        }
    }
    begun
}

/// Handles the next entry of the ready queue. Returns false if the turn is over: the queue is
/// empty, a pass over descriptors has given way in this turn, or tokio's budget is spent.
#[inline(always)]
fn step(core: &Rc<Core>, prefetches: bool) -> bool {
    if let Some(trial) = core.trial() {
        core.pick(trial);
    }
    let Some(entry) = core.ready.pop() else {
        return false;
    };
    let Some(fiber) = entry else {
        return step_other(core);
    };
    let part = core.part(&fiber);
    if prefetches {
        core.ready
            .prefetch(|fiber| core.part(fiber).prefetch_stack());
    }
    part.queued.set(false);
    if part.phase.get() != LocalPhase::Begun && !begin(&fiber, part) {
        left_without_run(core, &fiber, part);
    } else if part.coroutine.is_running() {
        part.requeue.set(true);
    } else {
        return resume(core, &fiber, part);
    }
    true
}

/// Handles a fiber whose entry has left the queue and which must not run.
#[cold]
fn left_without_run(core: &Rc<Core>, fiber: &FiberRef, part: &HubPart) {
    if part.phase.get() == LocalPhase::Over {
        core.table.remove(core.cold_part(fiber).slot.get());
    }
    closing::check(core);
}

/// Handles the next entry, which is not a fiber. Returns what [`step`] returns.
#[cold]
fn step_other(core: &Rc<Core>) -> bool {
    core.mailbox.running.set(ptr::null_mut());
    #[cfg(unix)]
    if core.ready.polls_next() && core.poll.is_over_in(core.turn.get()) {
        core.ready.put_back_other();
        return false;
    }
    match core.ready.pop_other() {
        Some(Ready::Waker(waker)) => contain::wake(waker),
        Some(Ready::Callback(callback)) => {
            core.note_progress();
            callbacks::run(core, callback);
            closing::check(core);
        }
        #[cfg(unix)]
        Some(Ready::Poll) => core.poll.step(core.turn.get()),
        // The end of the hub has emptied the queue.
        None => return false,
    }
    coop::has_budget_remaining()
}

/// Resumes a fiber, which is in the table, until it suspends or ends. Returns false once tokio's
/// cooperative budget is spent. A fiber that only yields polls nothing, so the budget is not
/// checked for it.
#[inline(always)]
fn resume(core: &Rc<Core>, fiber: &FiberRef, part: &HubPart) -> bool {
    match core.times() {
        None => resume_now(core, fiber, part),
        Some((since, record)) => resume_timed(core, since, record, fiber),
    }
}

/// As [`resume`], and records how long the fiber was ready, and how long it runs.
#[cold]
#[inline(never)]
fn resume_timed(
    core: &Rc<Core>,
    since: &ReadyTimes,
    record: &TimeRecord,
    fiber: &FiberRef,
) -> bool {
    // It may end.
    let fiber = fiber.clone();
    let slot = core.cold_part(&fiber).slot.get();
    let began = Instant::now();
    if let Some(since) = since.take(slot, fiber.id()) {
        record.was_ready(began - since);
    }
    let goes_on = resume_now(core, &fiber, core.part(&fiber));
    let ended = Instant::now();
    let lasts = ended - began;
    record.ran(lasts, || LongRun {
        fiber: fiber.id(),
        name: fiber.name().into(),
        place: fiber.origin().place,
        lasts,
    });
    if core.part(&fiber).queued.get() {
        since.set(slot, fiber.id(), ended);
    }
    goes_on
}

#[inline(always)]
fn resume_now(core: &Rc<Core>, fiber: &FiberRef, part: &HubPart) -> bool {
    core.notice_interrupt_if_root(fiber);
    core.mailbox.running.resume(fiber.as_ptr().cast());
    let step = place::resume(&part.coroutine);
    // What follows is not the fiber's, such as the destructors of what is taken in and refused.
    core.mailbox.running.leave();
    let gave_way = match step {
        Step::Suspended(how @ (Suspension::Waiting | Suspension::Yielding)) => {
            let gives_way = how == Suspension::Yielding;
            if gives_way {
                // The mail that has arrived until now comes before this fiber.
                intake::take(core, 0);
                if !part.queued.get() {
                    core.queue_again(fiber, part);
                }
            }
            part.coroutine.park();
            if let Some(trial) = core.trial() {
                suspended_in_trial(core, trial, fiber, gives_way);
            }
            if part.requeue.get() || core.state.get() == HubState::Ended {
                resumed_below(core, fiber, part);
            }
            gives_way
        }
        Step::Suspended(Suspension::Abandoned(unwinding)) => {
            part.coroutine.take().leak();
            abandoned(core, fiber, unwinding);
            false
        }
        Step::Finished => {
            if core.depths.any() {
                core.depths.end(fiber);
            }
            core.stacks.put(part.coroutine.take().into_stack());
            retire(core, fiber, part, Children::end);
            false
        }
    };
    if !gave_way {
        core.note_progress();
    }
    gave_way || coop::has_budget_remaining()
}

/// Tells a test that a fiber has suspended, and cancels the fiber if the test wants that.
#[cold]
fn suspended_in_trial(core: &Rc<Core>, trial: &Trial, fiber: &FiberRef, gave_way: bool) {
    trial.suspended(core.cold_part(fiber).slot.get(), gave_way);
    if fiber.interrupts() & interrupt::PROBE != 0 && trial.probe.suspends() {
        fiber.cancel(Some(CANCELLED_BY_TEST.into()));
    }
}

/// Handles what happened to a fiber while it ran and drove its own hub: the hub has ended, or has
/// handled the fiber's entry.
#[cold]
fn resumed_below(core: &Rc<Core>, fiber: &FiberRef, part: &HubPart) {
    if core.state.get() == HubState::Ended {
        end_fiber(core, fiber);
        return;
    }
    part.requeue.set(false);
    core.wake(fiber);
}

/// Retires a fiber that has suspended itself for ever.
#[cold]
fn abandoned(core: &Rc<Core>, fiber: &FiberRef, unwinding: Unwinding) {
    // Table Invariant: what is on the stack keeps references that are not counted.
    mem::forget(fiber.clone());
    core.depths.end(fiber);
    core.uncount_taken(fiber.id());
    let name = fiber.name().to_owned();
    let locks = held_locks::consequence(fiber.id());
    retire(core, fiber, core.part(fiber), |children, _| {
        children.abandon()
    });
    // This may run the user's code, which may end the hub. So the fiber is over before.
    report::warn(format_args!(
        "fiber '{name}' waited again while it was being ended; its stack is leaked{}{locks}",
        unwinding.consequence(),
    ));
}

/// Removes a fiber that is over from the table, and wakes its joiner and its scope.
#[inline]
fn retire(
    core: &Rc<Core>,
    fiber: &FiberRef,
    part: &HubPart,
    tell_scope: impl FnOnce(&Children, FiberRef),
) {
    part.phase.set(LocalPhase::Over);
    core.keep_if_read(fiber);
    let cold = core.cold_part(fiber);
    let joiner = cold.joiner.take();
    let over = core.table.retire(cold.slot.get(), part.queued.get());
    if let Some(joiner) = joiner {
        core.wake_if_live(joiner);
    }
    over.fiber.tell_joiner();
    if let Some(children) = over.children {
        tell_scope(&children, over.fiber);
    }
    closing::check(core);
}

/// Ends a fiber by force, whatever it waits for. When this returns, the fiber has ended or was
/// abandoned. Does nothing if it has ended before or is running.
pub(super) fn end_fiber(core: &Rc<Core>, fiber: &FiberRef) {
    let part = core.part(fiber);
    let lives = matches!(part.phase.get(), LocalPhase::New | LocalPhase::Begun);
    if lives && !part.coroutine.is_running() {
        debug_assert!(!thread_end::has_begun(), "the thread's end leaks fibers");
        fiber.interrupt(interrupt::END);
        begin(fiber, part);
        // It is resumed here, not in a turn of a driver.
        let outer = core.driven_in.get();
        core.driven_in.set(Surroundings::in_task());
        resume(core, fiber, part);
        core.driven_in.set(outer);
    }
}

/// Begins a fiber that has not run. Returns false if it must not run: it is over, or it was woken
/// without having been started. A fiber that was cancelled does run, to drop its closure on its own
/// stack.
#[inline]
fn begin(fiber: &FiberRef, part: &HubPart) -> bool {
    let begins = match part.phase.get() {
        LocalPhase::Absent | LocalPhase::Over => false,
        LocalPhase::Begun => true,
        LocalPhase::New => {
            if fiber.is_interrupted() {
                fiber.claim_start();
            }
            fiber.phase() == Phase::Started
        }
    };
    if begins {
        part.phase.set(LocalPhase::Begun);
    }
    begins
}
