//! The way of a fiber's result from its stack to its joiner.
//!
//! # Safety
//!
//! *Result Invariant*: at any time one side may touch the place for the result. The fiber's side may
//! until it has ended for its joiner, the `Fiber`'s side from then on; if the `Fiber` has detached
//! before, the fiber's side may for ever. It holds because the two steps,
//! [`Header::end_for_joiner`](super::Header::end_for_joiner) and
//! [`Header::detach`](super::Header::detach), are changes of one atomic: the first one wins, and
//! each side learns whether it won before it touches anything. The side of the fiber is its
//! [`ResultSender`], which the code at the root of its stack has or, if that never begins, what
//! refuses it; the side of the `Fiber` is its [`ResultReceiver`], of which it has `&mut`. The making
//! of the fiber hands out each once.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use super::header::{Header, Phase, Start};
use super::mailbox::Mailbox;
use super::reference::{Count, FiberRef, Uncounted};
use super::{Cancelled, Cause, FiberId, HubFailure};
use crate::base::lock::Witness;
use crate::base::report;

/// The one allocation of a fiber. The result is not dropped with it: the side that comes last gets
/// the result and drops it explicitly, so freeing this runs no user code. (If the `Fiber` was
/// forgotten, its result leaks.)
#[repr(C)]
pub(super) struct Allocation<T> {
    header: Header,
    /// Put here as soon as it is there, since a large result should not be moved through many
    /// frames.
    result: UnsafeCell<ManuallyDrop<Outcome<T>>>,
    /// For the models.
    witness: Witness,
}

// A program may have a million of these, so they must not grow unnoticed. (On Linux one has 192
// bytes. Under a sanitizer the engine has some more.)
#[cfg(not(switchback_loom))]
const _: () = assert!(size_of::<Allocation<u64>>() <= 256);

/// What a fiber leaves. The rare case is boxed, to keep the allocation small.
type Outcome<T> = Option<Result<T, Box<Cause>>>;

/// Uninitialized memory for a fiber.
pub(super) struct Memory<T>(Box<MaybeUninit<Allocation<T>>>);

/// The memory of fibers whose result is a word, which is what the recycler keeps.
pub(super) type Word = MaybeUninit<Allocation<usize>>;

impl<T> Memory<T> {
    /// Whether it can be used for a fiber whose result is a word, and the other way round.
    const IS_WORD: bool = {
        let own = Layout::new::<Allocation<T>>();
        let word = Layout::new::<Allocation<usize>>();
        own.size() == word.size() && own.align() == word.align()
    };

    /// Recycled memory.
    #[inline]
    pub(super) fn from_word(memory: Box<Word>) -> Memory<T> {
        assert!(Self::IS_WORD);
        // SAFETY: the layout is the same, and uninitialized memory may be of any type.
        Memory(unsafe { Box::from_raw(Box::into_raw(memory).cast()) })
    }

    #[inline]
    fn into_word(self) -> Box<Word> {
        assert!(Self::IS_WORD);
        // SAFETY: as in `from_word`.
        unsafe { Box::from_raw(Box::into_raw(self.0).cast()) }
    }
}

/// Drops the fiber, and leaves its memory to another one of its hub.
///
/// # Safety
///
/// `header` is the beginning of an `Allocation<T>` that was boxed, and is not used again.
unsafe fn free<T>(header: NonNull<Header>) {
    let allocation: *mut MaybeUninit<Allocation<T>> = header.cast().as_ptr();
    // SAFETY: as promised by the caller.
    let mut memory = unsafe { Box::from_raw(allocation) };
    // SAFETY: as promised by the caller, it is initialized.
    let allocation = unsafe { memory.assume_init_mut() };
    // SAFETY: this is called once, and after it the header is only dropped.
    let mailbox = unsafe { allocation.header.take_mailbox() };
    // SAFETY: as above. What was taken out is not dropped with it.
    unsafe { memory.assume_init_drop() };
    if Memory::<T>::IS_WORD {
        let schedule = mailbox.schedule();
        let memory: Box<dyn Any> = Memory(memory).into_word();
        schedule.recycle(mailbox, memory);
    }
}

/// Makes a fiber, whose two sides share one allocation: the hub's reference to it, the fiber's side
/// and the `Fiber`'s.
#[inline]
pub(crate) fn result_channel<T>(
    mailbox: Arc<Mailbox>,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
    result_channel_in(Memory(Box::new_uninit()), mailbox, id, name, start)
}

/// As [`result_channel`], in this memory.
#[inline]
pub(super) fn result_channel_in<T>(
    Memory(mut memory): Memory<T>,
    mailbox: Arc<Mailbox>,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
    // Built where it stays, not copied there.
    memory.write(Allocation::<T> {
        header: Header::new(Count::two(free::<T>), mailbox, id, name, start),
        result: UnsafeCell::new(ManuallyDrop::new(None)),
        witness: Witness::new(),
    });
    let header = NonNull::from(Box::leak(memory)).cast();
    // SAFETY: the header is at the beginning of an `Allocation<T>`, which stays until `free`. It
    // counts two references, and this is the first.
    let fiber = unsafe { FiberRef::from_new(header) };
    // SAFETY: as above, and this is the second.
    let joined = unsafe { FiberRef::from_new(header) };
    let sender = ResultSender {
        fiber: fiber.lend(),
        result: PhantomData,
    };
    let receiver = ResultReceiver {
        fiber: joined,
        taken: false,
        result: PhantomData,
    };
    (fiber, sender, receiver)
}

/// The place for the result of a fiber.
///
/// # Safety
///
/// The fiber was made by `result_channel::<T>`, and is there.
unsafe fn place<T>(fiber: &FiberRef) -> *mut Outcome<T> {
    let allocation = fiber.as_ptr().cast::<Allocation<T>>();
    // SAFETY: as promised by the caller.
    let allocation = unsafe { allocation.as_ref() };
    allocation.witness.touch();
    allocation.result.get().cast()
}

/// The fiber's side of its result.
///
/// It does not count. Table Invariant of [`FiberRef`]: it is used where the fiber is held by the
/// table of its hub, or by what has come with it out of [`result_channel`].
pub(crate) struct ResultSender<T> {
    fiber: Uncounted,
    /// A result goes where `T` may go, as if the two sides shared it like this.
    result: PhantomData<Arc<Mutex<T>>>,
}

impl<T> ResultSender<T> {
    #[inline]
    pub(crate) fn fiber(&self) -> &FiberRef {
        &self.fiber
    }

    #[inline]
    fn place(&self) -> *mut Outcome<T> {
        // SAFETY: it came out of `result_channel::<T>`, and the fiber is there while it is used.
        unsafe { place(&self.fiber) }
    }

    /// The fiber's closure has returned `value`.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        self.set(Ok(value));
    }

    fn set(&self, result: Result<T, Box<Cause>>) {
        // SAFETY: Result Invariant: the fiber has not ended. What was there is `None`, or was made
        // by the fiber; its drop, if there is one, does not come here again.
        let old = unsafe { self.place().replace(Some(result)) };
        drop(old);
    }

    /// The fiber ends, with the value that was put or for another `cause`. Called on its stack.
    ///
    /// A result that nobody will take is dropped here, and then `end_locals` drops the fiber-locals,
    /// before the fiber counts as ended. `has_locals` says whether there are any yet.
    #[inline]
    pub(crate) fn complete(
        &self,
        cause: Option<Cause>,
        has_locals: bool,
        end_locals: &mut dyn FnMut(),
    ) {
        if let Some(cause) = cause {
            if let Cause::Panic { .. } = cause {
                self.fiber.set_unclaimed_panic(true);
            }
            self.set(Err(Box::new(cause)));
        }
        if has_locals || !self.fiber.end_for_joiner() {
            self.complete_slowly(end_locals);
        }
    }

    #[cold]
    fn complete_slowly(&self, end_locals: &mut dyn FnMut()) {
        // The result first: its destructor may use the locals.
        if self.fiber.is_detached() {
            self.discard();
        }
        end_locals();
        if !self.fiber.end_for_joiner() {
            // The `Fiber` may have been dropped only now.
            self.discard();
            self.fiber.end_detached();
        }
    }

    /// The fiber will never begin, and counts as cancelled.
    pub(crate) fn refuse(&self, cancelled: Cancelled) {
        self.complete(Some(Cause::Cancelled(cancelled)), false, &mut || ());
    }

    /// Drops a result that nobody will take, on the stack of the fiber that made it. Its destructor
    /// may wait. If it panics, that is reported and ends there.
    fn discard(&self) {
        // SAFETY: Result Invariant: the fiber has not ended.
        let result = unsafe { (*self.place()).take() };
        let Some(result) = result else {
            return;
        };
        report_unclaimed(&self.fiber, &result);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            let result = Err(Box::new(Cause::from_panic(payload)));
            report_unclaimed::<T>(&self.fiber, &result);
            // Its destructor could panic again, and so on.
            std::mem::forget(result);
        }
    }
}

/// The `Fiber`'s side of the result.
pub(crate) struct ResultReceiver<T> {
    fiber: FiberRef,
    /// Whether the result, or an error instead of it, was taken.
    taken: bool,
    /// As in [`ResultSender`].
    result: PhantomData<Arc<Mutex<T>>>,
}

impl<T> ResultReceiver<T> {
    /// Whether the allocations of fibers with this result are recycled.
    pub(super) const fn is_recycled() -> bool {
        Memory::<T>::IS_WORD
    }

    #[inline]
    pub(crate) fn fiber(&self) -> &FiberRef {
        &self.fiber
    }

    /// Whether the result, or an error instead of it, was taken.
    pub(crate) fn was_taken(&self) -> bool {
        self.taken
    }

    fn place(&mut self) -> *mut Outcome<T> {
        // SAFETY: it came out of `result_channel::<T>`, and counts.
        unsafe { place(&self.fiber) }
    }

    /// The `Fiber` is dropped.
    pub(crate) fn detach(&mut self) {
        if !self.fiber.detach() {
            // What was put by a fiber that has not ended is for that fiber.
            return;
        }
        // SAFETY: Result Invariant: the fiber had ended for its joiner before.
        let unclaimed = unsafe { (*self.place()).take() };
        if let Some(result) = unclaimed {
            report_unclaimed(&self.fiber, &result);
            drop(result);
        }
    }

    /// Takes the result of the fiber, or sees to it that `cx` is woken when it is there.
    /// `registers` does so in a cheaper way, if it can, and says whether it has.
    ///
    /// # Panics
    ///
    /// If the result was taken before.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        registers: impl FnOnce(&FiberRef, &mut Context<'_>) -> bool,
    ) -> Poll<Result<T, Cause>> {
        if self.fiber.is_alive() {
            if registers(&self.fiber, cx) {
                return Poll::Pending;
            }
            self.fiber.leave_waker(cx.waker());
            if self.fiber.is_alive() {
                return Poll::Pending;
            }
        }
        // This poll, or an earlier one, may have left its waker as the fiber ended.
        self.fiber.forget_waker();
        Poll::Ready(self.take())
    }

    /// Takes the result of a fiber that is over. A large one is moved as seldom as can be.
    #[inline]
    fn take(&mut self) -> Result<T, Cause> {
        assert!(
            !self.taken,
            "the result of fiber '{}' was taken by an earlier join",
            self.fiber.name(),
        );
        self.taken = true;
        let cause = if self.fiber.phase() == Phase::Ended || self.fiber.detach() {
            // SAFETY: Result Invariant: the fiber has ended for its joiner, as it was not told that
            // there is none.
            match unsafe { (*self.place()).take() } {
                Some(Ok(value)) => return Ok(value),
                Some(Err(cause)) => Some(*cause),
                None => None,
            }
        } else {
            lost(&self.fiber)
        };
        if let Some(Cause::Panic { .. }) = cause {
            self.fiber.set_unclaimed_panic(false);
        }
        Err(cause.expect("a fiber ends with a result, or for a reason"))
    }
}

impl<T> fmt::Debug for ResultReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.fiber, f)
    }
}

/// Why the fiber will never end, if that is so.
fn lost(fiber: &Header) -> Option<Cause> {
    match (fiber.phase(), fiber.mailbox.failure()) {
        (Phase::Abandoned, _) => Some(Cause::Abandoned),
        (_, Some(HubFailure::NeverRan)) => Some(Cause::HubNeverRan),
        (_, Some(HubFailure::Lost)) => Some(Cause::HubLost),
        _ => None,
    }
}

/// Reports a panic that no joiner will see.
fn report_unclaimed<T>(fiber: &Header, result: &Result<T, Box<Cause>>) {
    if let Some(cause @ Cause::Panic { .. }) = result.as_ref().err().map(Box::as_ref) {
        report::error(format_args!(
            "fiber '{}' {cause}, and nobody joins it",
            fiber.name(),
        ));
    }
}
