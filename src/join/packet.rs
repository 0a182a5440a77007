//! The way of a fiber's result from its stack to its joiner.
//!
//! # Safety
//!
//! *Result Invariant*: at any time one side may touch the place for the result: the
//! fiber's until it has ended for its joiner, the `Fiber`'s from then on; and the
//! fiber's for ever if the `Fiber` has detached before. It holds because the two steps,
//! [`Record::end_for_joiner`](crate::fiber::Record::end_for_joiner) and
//! [`Record::detach`](crate::fiber::Record::detach), are changes of one atomic, whichever
//! comes first wins and tells so, and each side asks before it touches anything. The
//! side of the fiber is the code at the root of its stack or, if that never begins,
//! whoever refuses it; the side of the `Fiber` has `&mut` of it. Both come from the
//! making of the fiber, which hands out each once.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use super::error::{Cause, JoinError};
use super::spares::{Spare, Spares};
use crate::cancel::Cancelled;
use crate::fiber::{Count, FiberId, FiberRef, Neighbour, Phase, Record, Start};
use crate::hub::{Failure, Shared, registry};
use crate::local::Locals;
use crate::report;
use crate::switch::{self, Place};
use crate::sync_util::Witness;

/// The one allocation of a fiber. The result is never dropped with it: whoever comes
/// last gets it and drops it explicitly, so to free this runs no user code. (A `Fiber`
/// that was forgotten comes never: then its result leaks.)
#[repr(C)]
pub(super) struct Whole<T> {
    record: Record,
    /// Put here as soon as it is there, since a large one should not be moved
    /// through many frames.
    result: UnsafeCell<ManuallyDrop<Outcome<T>>>,
    /// For the models.
    witness: Witness,
}

// What there may be a million of should not grow unnoticed. (On Linux it has 192 bytes; the
// engine has some more under a sanitizer.)
#[cfg(not(switchback_loom))]
const _: () = assert!(size_of::<Whole<u64>>() <= 256);

/// What a fiber leaves. The rare case is boxed, to make little of each fiber.
type Outcome<T> = Option<Result<T, Box<Cause>>>;

/// Memory for a fiber.
pub(super) type Memory<T> = Box<MaybeUninit<Whole<T>>>;

impl<T> Whole<T> {
    /// Whether its memory is good for that of another, and the other way round.
    pub(super) const fn fits<U>() -> bool {
        let (own, other) = (Layout::new::<Whole<T>>(), Layout::new::<Whole<U>>());
        own.size() == other.size() && own.align() == other.align()
    }

    /// Its memory, for another.
    ///
    /// # Panics
    ///
    /// If it does not [fit](Whole::fits).
    #[inline]
    pub(super) fn reuse<U>(memory: Memory<T>) -> Memory<U> {
        assert!(Self::fits::<U>());
        // SAFETY: the layout is the same, and what is not initialized may be of any type.
        unsafe { Box::from_raw(Box::into_raw(memory).cast()) }
    }
}

/// Drops the fiber and leaves its memory to another.
///
/// # Safety
///
/// `record` is the beginning of a `Whole<T>` that was boxed, and is not used again.
unsafe fn free<T>(record: NonNull<Record>) {
    let whole: *mut MaybeUninit<Whole<T>> = record.cast().as_ptr();
    // SAFETY: as promised by the caller.
    let mut memory = unsafe { Box::from_raw(whole) };
    // SAFETY: as promised by the caller, it is initialized.
    let whole = unsafe { memory.assume_init_mut() };
    // SAFETY: this is called once, and after it the record is only dropped.
    let hub = unsafe { whole.record.take_hub() };
    // SAFETY: as above. What was taken is not dropped with it.
    unsafe { memory.assume_init_drop() };
    if Whole::<T>::fits::<usize>() {
        let memory = Whole::reuse(memory);
        Spares::keep(Spare { memory, hub });
    }
}

/// A fiber with the place for its result, seen from one of the two sides.
///
/// The fiber's side is a [`Delivery`], the `Fiber`'s a [`Receipt`].
struct Packet<T> {
    fiber: FiberRef,
    /// As if it were shared like this: a result goes where `T` may go.
    result: PhantomData<Arc<Mutex<T>>>,
}

impl<T> Packet<T> {
    /// The place for the result.
    fn result(&self) -> *mut Outcome<T> {
        let whole = self.fiber.as_ptr().cast::<Whole<T>>();
        // SAFETY: the reference counts, so the allocation is there; it is a `Whole<T>`,
        // as nobody makes a packet but for one.
        let whole = unsafe { whole.as_ref() };
        whole.witness.touch();
        whole.result.get().cast()
    }
}

/// Makes a fiber, whose two sides share one allocation.
#[inline]
pub(crate) fn packet<T>(
    hub: Arc<Shared>,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
) -> (Delivery<T>, Receipt<T>) {
    packet_in(Box::new_uninit(), hub, id, name, start)
}

/// As [`packet`], in this memory.
#[inline]
pub(super) fn packet_in<T>(
    mut whole: Memory<T>,
    hub: Arc<Shared>,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
) -> (Delivery<T>, Receipt<T>) {
    // Built where it stays, not copied there.
    whole.write(Whole::<T> {
        record: Record::new(Count::two(free::<T>), hub, id, name, start),
        result: UnsafeCell::new(ManuallyDrop::new(None)),
        witness: Witness::new(),
    });
    let record = NonNull::from(Box::leak(whole)).cast();
    let side = || Packet {
        // SAFETY: the record is at the beginning of a `Whole<T>`, which stays until
        // `free`. It counts two references, and this is called twice.
        fiber: unsafe { FiberRef::from_new(record) },
        result: PhantomData,
    };
    (Delivery(side()), Receipt(side()))
}

/// The fiber's side of its result.
pub(crate) struct Delivery<T>(Packet<T>);

impl<T> Delivery<T> {
    pub(crate) fn fiber(&self) -> &FiberRef {
        &self.0.fiber
    }

    /// Splits it in what the hub's table gets and what the fiber's stack gets, which is
    /// not counted.
    ///
    /// # Safety
    ///
    /// What the stack gets is used only while the reference is there: Table Invariant.
    pub(crate) unsafe fn split(self) -> (FiberRef, ManuallyDrop<Delivery<T>>) {
        let fiber = self.0.fiber;
        let lent = ManuallyDrop::into_inner(
            // SAFETY: as promised by the caller.
            unsafe { FiberRef::lend(fiber.as_ptr()) },
        );
        let packet = Packet {
            fiber: lent,
            result: PhantomData,
        };
        (fiber, ManuallyDrop::new(Delivery(packet)))
    }

    /// The fiber's closure has returned `value`.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        self.set(Ok(value));
    }

    fn set(&self, result: Result<T, Box<Cause>>) {
        // SAFETY: Result Invariant: the fiber has not ended. What was there is `None`,
        // or was made by the fiber; its drop, if there is one, does not come here again.
        let old = unsafe { self.0.result().replace(Some(result)) };
        drop(old);
    }

    /// The fiber ends, with the value that was put or for another `cause`. Called
    /// on its stack: a result that nobody will take, and then its `locals`, are
    /// dropped here, before the fiber counts as ended.
    #[inline]
    pub(crate) fn complete(&self, cause: Option<Cause>, locals: &Locals) {
        if let Some(cause) = cause {
            if let Cause::Panic { .. } = cause {
                self.fiber().set_unclaimed_panic(true);
            }
            self.set(Err(Box::new(cause)));
        }
        if locals.is_empty() && self.fiber().end_for_joiner() {
            return;
        }
        self.complete_slowly(locals);
    }

    #[cold]
    fn complete_slowly(&self, locals: &Locals) {
        // The result first: its destructor may use the locals.
        if self.fiber().is_detached() {
            self.discard();
        }
        locals.end(Some(self.fiber()));
        if !self.fiber().end_for_joiner() {
            // It was perhaps only now that the `Fiber` was dropped.
            self.discard();
            self.fiber().end_detached();
        }
    }

    /// The fiber will never begin, and counts as cancelled.
    pub(crate) fn refuse(&self, why: String) {
        let cancelled = Cancelled::new(Some(why.into()));
        self.complete(Some(Cause::Cancelled(cancelled)), &Locals::new());
    }

    /// Drops a result that nobody will take, on the stack of the fiber that made it.
    /// Its destructor may wait; if it panics, that is reported and ends there.
    fn discard(&self) {
        // SAFETY: Result Invariant: the fiber has not ended.
        let result = unsafe { (*self.0.result()).take() };
        let Some(result) = result else {
            return;
        };
        report_unclaimed(self.fiber(), &result);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            let result = Err(Box::new(Cause::from_panic(payload)));
            report_unclaimed::<T>(self.fiber(), &result);
            // Its drop could panic again, and so on.
            std::mem::forget(result);
        }
    }
}

/// The side of the `Fiber`.
pub(crate) struct Receipt<T>(Packet<T>);

impl<T> Receipt<T> {
    #[inline]
    pub(crate) fn fiber(&self) -> &FiberRef {
        &self.0.fiber
    }

    /// The `Fiber` is dropped.
    pub(crate) fn detach(&mut self) {
        if !self.fiber().detach() {
            // What was put by a fiber that has not ended is for that fiber.
            return;
        }
        // SAFETY: Result Invariant: the fiber had ended for its joiner before.
        let unclaimed = unsafe { (*self.0.result()).take() };
        if let Some(result) = unclaimed {
            report_unclaimed(self.fiber(), &result);
            drop(result);
        }
    }

    /// Takes the result, or sees to it that `cx` is woken when it is there.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let fiber = self.fiber();
        if fiber.is_alive() {
            if self.register_neighbour(cx) {
                return Poll::Pending;
            }
            fiber.leave_waker(cx.waker());
            if fiber.is_alive() {
                return Poll::Pending;
            }
        }
        // This poll, or an earlier one, may have left its waker as the fiber ended.
        fiber.forget_waker();
        Poll::Ready(self.take())
    }

    /// Notes that a fiber of the same hub waits, by its own waker. That hub need not be
    /// watched: if it fails, there is nobody to tell.
    ///
    /// # Panics
    ///
    /// Where the fiber cannot end while it is joined.
    #[inline]
    fn register_neighbour(&self, cx: &mut Context<'_>) -> bool {
        let fiber = self.fiber();
        switch::with_place(|place| match place {
            Place::Poll(state) => {
                let (Some(own), Some(core)) = (state.record(), state.hub()) else {
                    return false;
                };
                assert!(
                    !FiberRef::ptr_eq(own, fiber),
                    "a fiber cannot join itself: it would wait for ever"
                );
                let registers = core.is_hub_of(fiber) && own.is_waker(cx.waker());
                if registers {
                    let joiner = Neighbour {
                        slot: own.side(core).slot.get(),
                        id: own.id(),
                    };
                    fiber.side(core).joiner.set(Some(joiner));
                }
                registers
            }
            Place::ThreadPoll => {
                assert!(
                    registry::with_local(&fiber.hub, |_| ()).is_none(),
                    "this join blocks the thread of the hub that has to run fiber '{}': it would \
                     wait for ever; await it in the runtime",
                    fiber.name(),
                );
                false
            }
            _ => false,
        })
    }

    /// Takes the result of a fiber that is over. (A large one is moved as seldom as can
    /// be.)
    #[inline]
    fn take(&mut self) -> Result<T, JoinError> {
        let fiber = self.fiber();
        assert!(
            !fiber.is_claimed(),
            "the result of fiber '{}' was taken by an earlier join",
            fiber.name(),
        );
        fiber.set_claimed();
        let cause = if fiber.phase() == Phase::Ended || fiber.detach() {
            // SAFETY: Result Invariant: the fiber has ended for its joiner, as it was
            // not told that there is none.
            match unsafe { (*self.0.result()).take() } {
                Some(Ok(value)) => return Ok(value),
                Some(Err(cause)) => Some(*cause),
                None => None,
            }
        } else {
            lost(fiber)
        };
        if let Some(Cause::Panic { .. }) = cause {
            fiber.set_unclaimed_panic(false);
        }
        let cause = cause.expect("a fiber ends with a result, or for a reason");
        Err(JoinError::new(cause, fiber))
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

/// Reports a panic that no joiner will see.
fn report_unclaimed<T>(record: &Record, result: &Result<T, Box<Cause>>) {
    if let Some(cause @ Cause::Panic { .. }) = result.as_ref().err().map(Box::as_ref) {
        report::error(format_args!(
            "fiber '{}' {cause}, and nobody joins it",
            record.name(),
        ));
    }
}
