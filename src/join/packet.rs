//! The way of a fiber's result from its stack to its joiner.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll};

use super::error::{Cause, JoinError};
use crate::cancel::Cancelled;
use crate::fiber::{Phase, Record};
use crate::hub::{Failure, registry};
use crate::local::Locals;
use crate::report;
use crate::switch::{self, Place};
use crate::sync_util::lock;

/// Holds a fiber's result between its end and its join.
///
/// The fiber and its `Fiber` share it. Whoever comes last gets the result and
/// drops it explicitly, so the last drop of the packet itself runs no user code.
/// (A `Fiber` that was forgotten comes never: then its result leaks.)
#[derive(Debug)]
pub(crate) struct Packet<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    stage: Stage,
    /// Put here as soon as it is there, since a large one should not be moved
    /// through many frames.
    result: Option<Result<T, Cause>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The fiber has not ended.
    Empty,
    /// It has, and nobody has asked yet.
    Done,
    /// The joiner has it, or an error instead.
    Taken,
    /// The `Fiber` was dropped: there will be no joiner.
    Detached,
}

impl<T> Packet<T> {
    pub(crate) fn new() -> Packet<T> {
        Packet(Mutex::new(Slot {
            stage: Stage::Empty,
            result: None,
        }))
    }

    /// The fiber's closure has returned `value`.
    pub(crate) fn put(&self, value: T) {
        lock(&self.0).result = Some(Ok(value));
    }

    /// The fiber ends, with the value that was put or for another `cause`. Called
    /// on its stack: a result that nobody will take, and then its `locals`, are
    /// dropped here, before the fiber counts as ended.
    pub(crate) fn complete(&self, record: &Record, cause: Option<Cause>, locals: &Locals) {
        if let Some(Cause::Panic { .. }) = cause {
            record.set_unclaimed_panic(true);
        }
        {
            let mut slot = lock(&self.0);
            if let Some(cause) = cause {
                slot.result = Some(Err(cause));
            }
            if locals.is_empty() && slot.hand_over(record) {
                return;
            }
        }
        // The result first: its destructor may use the locals.
        self.discard_unclaimed(record);
        locals.end(Some(record));
        if !lock(&self.0).hand_over(record) {
            // It was perhaps only now that the `Fiber` was dropped.
            self.discard_unclaimed(record);
            record.set_phase(Phase::Ended);
        }
    }

    /// The fiber will never begin, and counts as cancelled.
    pub(crate) fn refuse(&self, record: &Record, why: String) {
        let cancelled = Cancelled::new(Some(why.into()));
        self.complete(record, Some(Cause::Cancelled(cancelled)), &Locals::new());
    }

    /// Drops a result that nobody will take.
    fn discard_unclaimed(&self, record: &Record) {
        let unclaimed = {
            let mut slot = lock(&self.0);
            match slot.stage {
                Stage::Empty => None,
                // Taken: a join was told that the fiber was lost with its hub, and
                // its thread has come to unwind it since.
                Stage::Detached | Stage::Taken => slot.result.take(),
                Stage::Done => unreachable!("a fiber ends once"),
            }
        };
        if let Some(result) = unclaimed {
            discard(record, result);
        }
    }

    /// The `Fiber` is dropped.
    pub(crate) fn detach(&self, record: &Record) {
        let unclaimed = {
            let mut slot = lock(&self.0);
            let done = slot.stage == Stage::Done;
            slot.stage = Stage::Detached;
            // What was put by a fiber that has not ended is for that fiber.
            if done { slot.result.take() } else { None }
        };
        if let Some(result) = unclaimed {
            report_unclaimed(record, &result);
            drop(result);
        }
    }

    /// Takes the result, or sees to it that `cx` is woken when it is there.
    pub(crate) fn poll(
        &self,
        record: &Arc<Record>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, JoinError>> {
        if let Poll::Ready(result) = self.take(record) {
            return Poll::Ready(result);
        }
        refuse_deadlock(record);
        record.joiner.register(cx.waker());
        if !joins_same_hub(record) {
            record.hub.watch(record);
        }
        let again = self.take(record);
        if again.is_ready() {
            record.hub.unwatch(record);
        }
        again
    }

    fn take(&self, record: &Arc<Record>) -> Poll<Result<T, JoinError>> {
        // Without the lock, and so the usual answer: the phase is set inside it.
        if record.is_alive() {
            return Poll::Pending;
        }
        let mut slot = lock(&self.0);
        let result = match slot.stage {
            Stage::Done => slot.result.take(),
            Stage::Empty => match lost(record) {
                Some(cause) => Some(Err(cause)),
                None => return Poll::Pending,
            },
            Stage::Taken | Stage::Detached => None,
        };
        let Some(result) = result else {
            drop(slot);
            panic!(
                "the result of fiber '{}' was taken by an earlier join",
                record.name(),
            );
        };
        slot.stage = Stage::Taken;
        drop(slot);
        record.set_claimed();
        if let Err(Cause::Panic { .. }) = result {
            record.set_unclaimed_panic(false);
        }
        Poll::Ready(result.map_err(|cause| JoinError::new(cause, record)))
    }
}

impl<T> Slot<T> {
    /// Leaves the result to the joiner, and the fiber has ended; false if there
    /// will be no joiner.
    fn hand_over(&mut self, record: &Record) -> bool {
        let joinable = self.stage == Stage::Empty;
        if joinable {
            self.stage = Stage::Done;
            // Inside the lock, so that a joiner never sees the result of a fiber
            // that seems to be alive.
            record.set_phase(Phase::Ended);
        }
        joinable
    }
}

/// Why the fiber will never end, if it is so.
fn lost(record: &Record) -> Option<Cause> {
    match (record.phase(), record.hub.failure()) {
        (Phase::Abandoned, _) => Some(Cause::Abandoned),
        (_, Some(Failure::NeverRan)) => Some(Cause::HubNeverRan),
        (_, Some(Failure::Lost)) => Some(Cause::HubLost),
        _ => None,
    }
}

/// Panics where the fiber cannot end while it is joined.
fn refuse_deadlock(record: &Arc<Record>) {
    let (joins_itself, blocks) = switch::with_place(|place| match place {
        Place::Poll(state) => (state.is(record), false),
        Place::ThreadPoll => (false, registry::with_local(&record.hub, |_| ()).is_some()),
        _ => (false, false),
    });
    assert!(
        !joins_itself,
        "a fiber cannot join itself: it would wait for ever"
    );
    assert!(
        !blocks,
        "this join blocks the thread of the hub that has to run fiber '{}': it would wait for \
         ever; await it in the runtime",
        record.name(),
    );
}

/// Whether the joiner is a fiber of the hub it joins a fiber of: if that hub
/// fails, there is nobody to tell.
fn joins_same_hub(record: &Record) -> bool {
    switch::with_place(|place| match place {
        Place::Poll(state) => state
            .hub()
            .is_some_and(|hub| Arc::ptr_eq(&hub.shared, &record.hub)),
        _ => false,
    })
}

/// Drops a result on the stack of the fiber that made it. Its destructor may
/// wait; if it panics, that is reported and ends there.
fn discard<T>(record: &Record, result: Result<T, Cause>) {
    report_unclaimed(record, &result);
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
        let result = Err(Cause::from_panic(payload));
        report_unclaimed::<T>(record, &result);
        // Its drop could panic again, and so on.
        std::mem::forget(result);
    }
}

/// Reports a panic that no joiner will see.
fn report_unclaimed<T>(record: &Record, result: &Result<T, Cause>) {
    if let Err(cause @ Cause::Panic { .. }) = result {
        report::error(format_args!(
            "fiber '{}' {cause}, and nobody joins it",
            record.name(),
        ));
    }
}
