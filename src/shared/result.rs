//! A fiber's result on its way from its stack to its joiner.
//!
//! # Safety
//!
//! *Result Invariant*: at any time one side may access the space for the result. The fiber's side
//! may until it has ended for its joiner, and the `Fiber`'s side from then on. If the `Fiber`
//! detaches first, the fiber's side keeps the right for ever. It holds because the two steps,
//! [`Header::end_for_joiner`](super::Header::end_for_joiner) and
//! [`Header::detach`](super::Header::detach), change one atomic: the first one wins, and each side
//! learns whether it won before it accesses anything. The fiber's side is its [`ResultSender`],
//! which is owned by the code at the root of the fiber's stack or, if the fiber never begins, by
//! the code that refuses it. The `Fiber`'s side is its [`ResultReceiver`], and accesses need
//! `&mut`. Each fiber has one of each.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use super::block::Block;
use super::header::{Header, Phase, Start};
use super::mailbox::Mailbox;
use super::reference::{Count, FiberRef, Uncounted};
use super::{Cancelled, Cause, FiberId, HubFailure, Origin};
use crate::base::lock::Witness;
use crate::base::report;

/// The one allocation of a fiber. Freeing it does not drop the result: the side that comes last
/// takes the result and drops it. (If the `Fiber` was forgotten, its result leaks.) It begins at a
/// cache line: see [`super::header`].
#[repr(C, align(64))]
pub(super) struct Allocation<T> {
    header: Header,
    /// The result is stored here as soon as it exists, because a large one should not be moved
    /// through many frames.
    result: UnsafeCell<ManuallyDrop<Outcome<T>>>,
    /// For the models.
    witness: Witness,
}

// A program may have a million of these, so they must not grow unnoticed. (The engine adds some under
// a sanitizer.)
#[cfg(not(any(switchback_loom, switchback_no_spares)))]
const _: () = assert!(Memory::<u64>::IS_BLOCK);

/// The outcome of a fiber. The rare case is boxed, to keep the allocation small.
type Outcome<T> = Option<Result<T, Box<Cause>>>;

/// Uninitialized memory for the allocation of a fiber: a [`Block`], if the allocation fits, or a box of
/// its own.
pub(super) struct Memory<T>(NonNull<MaybeUninit<Allocation<T>>>);

impl<T> Memory<T> {
    /// Whether the allocation fits a [`Block`], so that its memory is recycled.
    const IS_BLOCK: bool = size_of::<Allocation<T>>() <= size_of::<Block>()
        && align_of::<Allocation<T>>() <= align_of::<Block>();

    #[inline]
    fn new() -> Memory<T> {
        match Self::IS_BLOCK {
            true => Memory::from_block(Block::new()),
            false => Memory(NonNull::from(Box::leak(Box::new_uninit()))),
        }
    }

    #[inline]
    pub(super) fn from_block(block: Box<Block>) -> Memory<T> {
        assert!(Self::IS_BLOCK);
        Memory(NonNull::from(Box::leak(block)).cast())
    }

    /// Returns the block, or frees the box.
    ///
    /// # Safety
    ///
    /// The memory must not be used afterwards by any code.
    #[inline]
    unsafe fn release(self) -> Option<Box<Block>> {
        match Self::IS_BLOCK {
            // SAFETY: this was a boxed block. The caller promises that no other code uses it.
            true => Some(unsafe { Box::from_raw(self.0.cast().as_ptr()) }),
            false => {
                // SAFETY: this was a box of this type; the rest is as above.
                drop(unsafe { Box::from_raw(self.0.as_ptr()) });
                None
            }
        }
    }
}

/// Drops the header and offers the memory to the fiber's hub.
///
/// # Safety
///
/// `header` must be the beginning of an initialized `Allocation<T>` in a [`Memory<T>`](Memory), and must
/// not be used afterwards by any code.
unsafe fn free<T>(header: NonNull<Header>) {
    let mut memory = Memory::<T>(header.cast());
    // SAFETY: as promised by the caller, the memory is allocated, and no other code uses it.
    let contents = unsafe { memory.0.as_mut() };
    // SAFETY: as promised by the caller, it is initialized.
    let allocation = unsafe { contents.assume_init_mut() };
    // SAFETY: `free` is called once for each header, which from here on is only dropped.
    let mailbox = unsafe { allocation.header.take_mailbox() };
    // SAFETY: the caller promises that it is initialized. The home has no destructor, and the result
    // is in a `ManuallyDrop`, so they are not dropped here.
    unsafe { contents.assume_init_drop() };
    // SAFETY: as promised by the caller.
    if let Some(block) = unsafe { memory.release() } {
        mailbox.scheduler().recycle(mailbox, block);
    }
}

/// Creates a fiber. Returns the hub's reference to it, the fiber's side of the result and the
/// `Fiber`'s side, which share one allocation.
#[inline]
pub(crate) fn result_channel<T>(
    mailbox: Arc<Mailbox>,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
    origin: Origin,
) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
    result_channel_in(Memory::new(), mailbox, id, name, start, origin)
}

/// Like [`result_channel`], in the given memory.
#[inline(always)]
pub(super) fn result_channel_in<T>(
    Memory(mut memory): Memory<T>,
    mailbox: Arc<Mailbox>,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
    origin: Origin,
) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
    // SAFETY: the memory is allocated, and no other code uses it.
    let contents = unsafe { memory.as_mut() };
    // This is built in place, not copied there.
    contents.write(Allocation::<T> {
        header: Header::new(Count::two(free::<T>), mailbox, id, name, start, origin),
        result: UnsafeCell::new(ManuallyDrop::new(None)),
        witness: Witness::new(),
    });
    let header = memory.cast();
    // SAFETY: the header is at the beginning of an `Allocation<T>`, which stays allocated until
    // `free`. It counts two references, and this is the first.
    let fiber = unsafe { FiberRef::from_new(header) };
    // SAFETY: as above; this is the second reference.
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

/// Returns the space for the result of a fiber.
///
/// # Safety
///
/// The fiber must have been made by `result_channel::<T>`, and must not have been freed.
unsafe fn place<T>(fiber: &FiberRef) -> *mut Outcome<T> {
    let allocation = fiber.as_ptr().cast::<Allocation<T>>();
    // SAFETY: as promised by the caller, the header begins an `Allocation<T>`. It is only shared:
    // the result is in an `UnsafeCell`.
    let allocation = unsafe { allocation.as_ref() };
    allocation.witness.touch();
    allocation.result.get().cast()
}

/// The fiber's side of its result.
///
/// It is not a counted reference. Table Invariant of [`FiberRef`]: it is used while the table of
/// the hub has the fiber, or together with the reference that [`result_channel`] returned with it.
pub(crate) struct ResultSender<T> {
    fiber: Uncounted,
    /// This is `Send` if `T` is, as if the two sides shared a `T` like this.
    result: PhantomData<Arc<Mutex<T>>>,
}

impl<T> ResultSender<T> {
    #[inline]
    pub(crate) fn fiber(&self) -> &FiberRef {
        &self.fiber
    }

    #[inline]
    fn place(&self) -> *mut Outcome<T> {
        // SAFETY: `result_channel::<T>` made it, and by the Table Invariant the fiber is not freed.
        unsafe { place(&self.fiber) }
    }

    /// Stores the value that the fiber's closure has returned.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        self.set(Ok(value));
    }

    fn set(&self, result: Result<T, Box<Cause>>) {
        // SAFETY: Result Invariant: the fiber has not ended, so this side may access the result.
        // The space is initialized, and no reference to it exists. The old value is dropped after
        // the access.
        let old = unsafe { self.place().replace(Some(result)) };
        drop(old);
    }

    /// Ends the fiber, with the value that was stored or with another `cause`. Called on the
    /// fiber's stack.
    ///
    /// A result that no joiner will take is dropped here, and then `end_locals` drops the
    /// fiber-locals. Only after both does the fiber count as ended. `has_locals` says whether there
    /// are any fiber-locals yet.
    #[inline(always)]
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
        // The result is dropped first, because its destructor may use the fiber-locals.
        if self.fiber.is_detached() {
            self.discard();
        }
        end_locals();
        if !self.fiber.end_for_joiner() {
            // The `Fiber` may have been dropped since the first look.
            self.discard();
            self.fiber.end_detached();
        }
    }

    /// Ends a fiber that will never begin. It counts as cancelled.
    pub(crate) fn refuse(&self, cancelled: Cancelled) {
        self.complete(Some(Cause::Cancelled(cancelled)), false, &mut || ());
    }

    /// Drops a result that no joiner will take, on the stack of the fiber that made it. The
    /// destructor may wait. If it panics, the panic is reported and goes no further.
    fn discard(&self) {
        // SAFETY: as in `set`.
        let result = unsafe { (*self.place()).take() };
        let Some(result) = result else {
            return;
        };
        report_unclaimed(&self.fiber, &result);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            let result = Err(Box::new(Cause::from_panic(payload)));
            report_unclaimed::<T>(&self.fiber, &result);
            // The payload is leaked, because its destructor could panic again.
            std::mem::forget(result);
        }
    }
}

/// The `Fiber`'s side of the result.
pub(crate) struct ResultReceiver<T> {
    fiber: FiberRef,
    /// Whether the result, or an error in its place, was taken.
    taken: bool,
    /// As in [`ResultSender`].
    result: PhantomData<Arc<Mutex<T>>>,
}

impl<T> ResultReceiver<T> {
    /// Returns whether allocations for this type of result are recycled.
    pub(super) const fn is_recycled() -> bool {
        Memory::<T>::IS_BLOCK
    }

    #[inline]
    pub(crate) fn fiber(&self) -> &FiberRef {
        &self.fiber
    }

    /// Returns whether the result, or an error in its place, was taken.
    pub(crate) fn was_taken(&self) -> bool {
        self.taken
    }

    fn place(&mut self) -> *mut Outcome<T> {
        // SAFETY: `result_channel::<T>` made it, and it holds a counted reference.
        unsafe { place(&self.fiber) }
    }

    /// Detaches the `Fiber`, which is being dropped. A result that is there is dropped.
    pub(crate) fn detach(&mut self) {
        if !self.fiber.detach() {
            // The fiber has not ended, so its result is its own.
            return;
        }
        // SAFETY: Result Invariant: the fiber ended for its joiner before the detach, so this side
        // may access the result. No reference to it exists.
        let unclaimed = unsafe { (*self.place()).take() };
        if let Some(result) = unclaimed {
            report_unclaimed(&self.fiber, &result);
            drop(result);
        }
    }

    /// Takes the result of the fiber, or arranges for `cx` to be woken when the fiber has ended.
    /// `registers` may do the latter in a cheaper way, and returns whether it has.
    ///
    /// # Panics
    ///
    /// Panics if the result was taken before.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        registers: impl FnOnce(&FiberRef, &mut Context<'_>) -> bool,
    ) -> Poll<Result<T, Box<Cause>>> {
        if self.fiber.is_alive() {
            if registers(&self.fiber, cx) {
                return Poll::Pending;
            }
            self.fiber.leave_waker(cx.waker());
            if self.fiber.is_alive() {
                return Poll::Pending;
            }
        }
        // This poll, or an earlier one, may have left a waker that was not used because the fiber
        // was ending.
        self.fiber.forget_waker();
        Poll::Ready(self.take())
    }

    /// Takes the result of a fiber that is over. A large result is moved as few times as possible.
    #[inline]
    fn take(&mut self) -> Result<T, Box<Cause>> {
        assert!(
            !self.taken,
            "the result of fiber '{}' was taken by an earlier join; keep what that returned",
            self.fiber.name(),
        );
        self.taken = true;
        let cause = if self.fiber.phase() == Phase::Ended || self.fiber.detach() {
            // SAFETY: Result Invariant: the fiber ended for its joiner: either `phase` says so and
            // this side has not detached, or it had ended before `detach`. No reference to the
            // result exists.
            match unsafe { (*self.place()).take() } {
                Some(Ok(value)) => return Ok(value),
                Some(Err(cause)) => Some(cause),
                None => None,
            }
        } else {
            lost(&self.fiber).map(Box::new)
        };
        if let Some(Cause::Panic { .. }) = cause.as_deref() {
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

/// Returns why the fiber will never end, if that is so.
fn lost(fiber: &Header) -> Option<Cause> {
    match (fiber.phase(), fiber.mailbox().failure()) {
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
