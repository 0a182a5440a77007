//! [`FiberRef`]: a counted reference to a fiber, and the fiber as a waker.
//!
//! It is what `Arc<Record>` would be, but that it does not know the type of the
//! result behind the record, counts the references of the hub and of the
//! [`Fiber`](super::Fiber) from the start, can be lent without being counted, and is
//! one word, as wakers are.
//!
//! # Safety
//!
//! *Count Invariant*: a record stays while `Count::references` is not zero, and each
//! [`FiberRef`] that is dropped is one of these. It holds because (1) a record begins
//! with two references, which [`FiberRef::from_new`] hands out; (2) a clone adds one;
//! (3) one that is lent is in a `ManuallyDrop` and is used only while another is known
//! to be there.
//!
//! *Table Invariant*: from when a fiber comes into its hub's table until its stack has
//! returned or was left for ever, and as long as it has an entry in the ready queue, the
//! table has a reference to it. So the code on its stack, and the hub that
//! resumes it, need none of their own.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::record::Record;
use crate::switch_back;
use crate::sync_util::{AtomicUsize, fence};

/// How many references there are, and what to do when there are none.
#[derive(Debug)]
pub(crate) struct Count {
    references: AtomicUsize,
    free: unsafe fn(NonNull<Record>),
}

impl Count {
    /// Two references: the hub's and the `Fiber`'s. `free` frees the allocation that
    /// begins with the record; it is called once, on whatever thread.
    pub(crate) fn two(free: unsafe fn(NonNull<Record>)) -> Count {
        Count {
            references: AtomicUsize::new(2),
            free,
        }
    }
}

/// A reference to a fiber's [`Record`].
pub(crate) struct FiberRef(NonNull<Record>);

// SAFETY: a record can be used and freed on any thread.
unsafe impl Send for FiberRef {}
// SAFETY: as above.
unsafe impl Sync for FiberRef {}
// What a record says is whole at any time: it consists of atomics, and of what the
// hub keeps whole.
impl UnwindSafe for FiberRef {}
impl RefUnwindSafe for FiberRef {}

impl FiberRef {
    /// One of the references that a new record counts.
    ///
    /// # Safety
    ///
    /// `record` is valid for reads until its `Count::free` is called. This is called as
    /// often as the record counts in the beginning.
    pub(crate) unsafe fn from_new(record: NonNull<Record>) -> FiberRef {
        FiberRef(record)
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Record> {
        self.0
    }

    pub(crate) fn ptr_eq(a: &FiberRef, b: &FiberRef) -> bool {
        a.0 == b.0
    }

    /// A reference that is not counted.
    ///
    /// # Safety
    ///
    /// It is used only while a counted one is there.
    pub(crate) unsafe fn lend(record: NonNull<Record>) -> ManuallyDrop<FiberRef> {
        ManuallyDrop::new(FiberRef(record))
    }

    /// Calls `f` with the waker that has the fiber resumed. Nothing is counted to
    /// lend it.
    #[inline]
    pub(crate) fn with_waker<R>(&self, f: impl FnOnce(&Waker) -> R) -> R {
        // SAFETY: the functions of `VTABLE` do what a waker's have to. The waker is not
        // dropped, and `self` counts while it is borrowed.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(self.0)) });
        f(&waker)
    }

    /// Whether `waker` wakes this fiber and nothing else.
    #[inline]
    pub(crate) fn is_waker(&self, waker: &Waker) -> bool {
        std::ptr::eq(waker.data(), self.0.as_ptr().cast()) && std::ptr::eq(waker.vtable(), &VTABLE)
    }
}

impl Deref for FiberRef {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        // SAFETY: Count Invariant.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for FiberRef {
    #[inline]
    fn clone(&self) -> FiberRef {
        // Ordering: whoever clones has a reference, and hands over the new one in a
        // way that orders what it has done.
        let before = self.count.references.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            // As `Arc`: so many can only have been forgotten, and a count that
            // overflows would free what is in use.
            abort();
        }
        FiberRef(self.0)
    }
}

impl Drop for FiberRef {
    #[inline]
    fn drop(&mut self) {
        // Ordering: what each reference was used for comes before the end. Nobody else
        // can add to a count of one, so that need not be changed to be known.
        let references = &self.count.references;
        if references.load(Ordering::Acquire) == 1 {
            // SAFETY: this is the only reference, and it is gone now.
            unsafe { (self.count.free)(self.0) };
        } else if references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: there was one reference, which is gone now.
            unsafe { (self.count.free)(self.0) };
        }
    }
}

impl fmt::Debug for FiberRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A waker's data is the reference: its pointer.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

fn raw_waker(record: NonNull<Record>) -> RawWaker {
    RawWaker::new(record.as_ptr().cast_const().cast(), &VTABLE)
}

/// The reference that a waker is.
///
/// # Safety
///
/// `data` is that of a waker with [`VTABLE`], which is borrowed or used up.
unsafe fn fiber_of(data: *const ()) -> ManuallyDrop<FiberRef> {
    // SAFETY: such a waker has a pointer to a record.
    let record = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // SAFETY: the waker counts, or was lent by one that does.
    unsafe { FiberRef::lend(record) }
}

/// # Safety
///
/// As [`fiber_of`].
unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    raw_waker(ManuallyDrop::new(FiberRef::clone(&reference)).0)
}

/// # Safety
///
/// As [`fiber_of`]; the waker is used up.
unsafe fn wake(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    switch_back::wake(&ManuallyDrop::into_inner(reference));
}

/// # Safety
///
/// As [`fiber_of`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    switch_back::wake(&reference);
}

/// # Safety
///
/// As [`fiber_of`]; the waker is used up.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    drop(ManuallyDrop::into_inner(reference));
}
