//! [`FiberRef`]: a counted reference to a fiber, and the fiber as a waker.
//!
//! It is what `Arc<Header>` would be, with these differences: it does not know the type of the
//! result behind the header; the count begins at two, for the hub and the
//! [`Fiber`](crate::Fiber); there are references that are not counted; and it is one word, as
//! wakers are.
//!
//! # A wake
//!
//! A fiber's waker is a [`FiberRef`]. Waking never runs the fiber, it queues it, by way of the
//! [`Schedule`](super::Schedule) of its mailbox:
//!
//! | woken on | what happens |
//! |---|---|
//! | the hub's thread | the fiber goes to the end of the ready queue; no lock, no atomic read-modify-write |
//! | another thread | the fiber goes into the mailbox; the first of a burst wakes the hub's drivers |
//! | any thread, hub or fiber ended | nothing |
//!
//! Wakes are hints. A fiber that is resumed polls its future again, so a stale or doubled wake can
//! never end a wait that it was not meant for.
//!
//! # Safety
//!
//! *Count Invariant*: a header stays while `Count::references` is not zero, and each [`FiberRef`]
//! that is dropped is one of these. It holds because (1) a header begins with two references, which
//! [`FiberRef::from_new`] hands out; (2) a clone adds one; (3) an [`Uncounted`] is not dropped.
//!
//! *Table Invariant*: the table of a fiber's hub has a reference to it from when the fiber is
//! launched until its stack has returned or was left for ever, and as long as it has an entry in the
//! ready queue. So the code on its stack, its entry in the ready queue, and the hub that resumes it
//! can do with an [`Uncounted`], and nobody else makes one.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::Header;
use crate::base::lock::{AtomicUsize, fence};

/// How many references there are, and what frees the allocation when there are none.
#[derive(Debug)]
pub(crate) struct Count {
    references: AtomicUsize,
    free: unsafe fn(NonNull<Header>),
}

impl Count {
    /// Two references: the hub's and the `Fiber`'s. `free` frees the allocation that begins with the
    /// header. It is called once, on any thread.
    pub(crate) fn two(free: unsafe fn(NonNull<Header>)) -> Count {
        Count {
            references: AtomicUsize::new(2),
            free,
        }
    }
}

/// A reference to a fiber: to its [`Header`].
pub(crate) struct FiberRef(NonNull<Header>);

// SAFETY: a header can be used and freed on any thread.
unsafe impl Send for FiberRef {}
// SAFETY: as above.
unsafe impl Sync for FiberRef {}
// A header is consistent at any time: it consists of atomics, and of what the hub keeps whole.
impl UnwindSafe for FiberRef {}
impl RefUnwindSafe for FiberRef {}

impl FiberRef {
    /// One of the references that a new header counts.
    ///
    /// # Safety
    ///
    /// `header` is valid for reads until its `Count::free` is called. This is called as
    /// often as the header counts in the beginning.
    pub(crate) unsafe fn from_new(header: NonNull<Header>) -> FiberRef {
        FiberRef(header)
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }

    pub(crate) fn ptr_eq(a: &FiberRef, b: &FiberRef) -> bool {
        a.0 == b.0
    }

    /// A reference that is not counted. Table Invariant: it is used only while the table of the
    /// fiber's hub has the fiber.
    #[inline]
    pub(crate) fn lend(&self) -> Uncounted {
        Uncounted(ManuallyDrop::new(FiberRef(self.0)))
    }

    /// Makes the fiber ready, on any thread.
    #[inline]
    pub(crate) fn wake(&self) {
        self.mailbox.schedule().wake(self);
    }

    /// Asks the fiber to end; false if it has ended.
    pub(crate) fn cancel(&self, message: Option<Cow<'static, str>>) -> bool {
        let asked = self.request_cancel(message);
        if asked {
            self.wake();
        }
        asked
    }

    /// Calls `f` with the waker that has the fiber resumed. It is lent, without being counted.
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
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: Count Invariant.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for FiberRef {
    #[inline]
    fn clone(&self) -> FiberRef {
        // Ordering: who clones has a reference, and hands over the new one in a way that orders
        // what it has done.
        let before = self.count.references.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            // As in `Arc`: that many can only have been forgotten, and a count that overflows would
            // free what is in use.
            abort();
        }
        FiberRef(self.0)
    }
}

impl Drop for FiberRef {
    #[inline]
    fn drop(&mut self) {
        // Ordering: what each reference was used for comes before the end. Nobody else can add to a
        // count of one, so it need not be changed to be known.
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

/// A reference that is not counted: see [`FiberRef::lend`].
#[derive(Debug)]
pub(crate) struct Uncounted(ManuallyDrop<FiberRef>);

impl Deref for Uncounted {
    type Target = FiberRef;

    #[inline]
    fn deref(&self) -> &FiberRef {
        &self.0
    }
}

/// A waker's data is the reference: its pointer.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

fn raw_waker(header: NonNull<Header>) -> RawWaker {
    RawWaker::new(header.as_ptr().cast_const().cast(), &VTABLE)
}

/// The reference that a waker is.
///
/// # Safety
///
/// `data` is that of a waker with [`VTABLE`], which is borrowed or used up.
unsafe fn fiber_of(data: *const ()) -> ManuallyDrop<FiberRef> {
    // SAFETY: such a waker has a pointer to a header.
    let header = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // Count Invariant: the waker counts, or was lent by one that does.
    ManuallyDrop::new(FiberRef(header))
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
    ManuallyDrop::into_inner(reference).wake();
}

/// # Safety
///
/// As [`fiber_of`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    reference.wake();
}

/// # Safety
///
/// As [`fiber_of`]; the waker is used up.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    drop(ManuallyDrop::into_inner(reference));
}
