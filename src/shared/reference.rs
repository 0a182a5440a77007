//! [`FiberRef`]: a counted reference to a fiber, and the fiber as a waker.
//!
//! It works like `Arc<Header>`, with these differences: it does not know the type of the result
//! behind the header; the count starts at two, for the hub and the [`Fiber`](crate::Fiber); some
//! references are not counted; and it is one word, so that it can be a waker.
//!
//! # A wake
//!
//! A fiber's waker is a [`FiberRef`]. A wake never runs the fiber. It queues the fiber, through the
//! [`Scheduler`](super::Scheduler) of its mailbox:
//!
//! | woken on | what happens |
//! |---|---|
//! | the hub's thread | the fiber goes to the end of the ready queue; no lock, no atomic read-modify-write |
//! | another thread | the fiber goes into the mailbox; the first of a burst wakes the hub's drivers |
//! | any thread, after the hub or the fiber has ended | nothing |
//!
//! Wakes are hints. A fiber that is resumed polls its future again, so a stale or repeated wake can
//! never end a wait that it was not meant for.
//!
//! # Safety
//!
//! *Count Invariant*: a header stays allocated while `Count::references` is not zero, and each
//! [`FiberRef`] whose destructor runs accounts for one of these. It holds because (1) a header
//! starts with two references, which [`FiberRef::from_new`] hands out; (2) a clone adds one; (3)
//! the destructor of the [`FiberRef`] in an [`Uncounted`] does not run. Until the header is freed,
//! no `&mut` to it exists.
//!
//! *Table Invariant*: an [`Uncounted`] is used only while a counted reference exists. It holds
//! because the table of a fiber's hub has such a reference from the launch of the fiber until its
//! stack has returned, and while the fiber has an entry in the ready queue. If the stack is left for
//! ever instead, the reference is leaked with it. So these may have an [`Uncounted`]:
//!
//! * the code on the fiber's stack;
//! * the fiber's entry in the ready queue;
//! * the hub, while it resumes, launches or wakes the fiber;
//! * the line of a lock of `sync` in which a call on the stack waits. It is used only under the
//!   line's lock, also on other threads, and the call takes it out before it ends;
//! * before the launch, a [`ResultSender`](super::ResultSender). The counted reference that was made
//!   with it stays with it until then.
//!
//! No other code makes one. (For [`FiberRef::running`], see the Reader Invariant of
//! [`super::RunningFiber`].)
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::{RawWaker, RawWakerVTable, Waker};

#[cfg(feature = "tracing")]
use tracing::{Level, level_filters::LevelFilter};

use super::header::Header;
use super::mailbox::Mailbox;
use crate::base::lock::{AtomicUsize, fence};

/// The number of references, and the function that frees the allocation when there are none.
#[derive(Debug)]
pub(crate) struct Count {
    references: AtomicUsize,
    free: unsafe fn(NonNull<Header>),
}

impl Count {
    /// Creates a count of two references: the hub's and the `Fiber`'s. `free` frees the allocation
    /// that begins with the header. It is called once, on any thread.
    pub(crate) fn two(free: unsafe fn(NonNull<Header>)) -> Count {
        Count {
            references: AtomicUsize::new(2),
            free,
        }
    }
}

/// A counted reference to a fiber's [`Header`].
pub(crate) struct FiberRef(NonNull<Header>);

// SAFETY: `Header` is `Send` and `Sync`. The last reference may be dropped on any thread:
// `Count::free` drops the header, and not the result behind it, so the result's type does not
// matter.
unsafe impl Send for FiberRef {}
// SAFETY: as above.
unsafe impl Sync for FiberRef {}
// A header is consistent at any time: it consists of atomics, and of cells that the hub changes
// without running foreign code in between.
impl UnwindSafe for FiberRef {}
impl RefUnwindSafe for FiberRef {}

impl FiberRef {
    /// Returns one of the references that a new header counts.
    ///
    /// # Safety
    ///
    /// `header` must be valid for reads until its `Count::free` is called. The caller must call
    /// this no more often than the header counts references at its creation.
    pub(crate) unsafe fn from_new(header: NonNull<Header>) -> FiberRef {
        FiberRef(header)
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }

    pub(crate) fn ptr_eq(a: &FiberRef, b: &FiberRef) -> bool {
        a.0 == b.0
    }

    /// Returns how many counted references there are. It is a figure, which orders nothing.
    pub(crate) fn references(&self) -> usize {
        self.count.references.load(Ordering::Relaxed)
    }

    /// Returns a reference that is not counted. The caller keeps the Table Invariant: the reference
    /// is used only while a counted one exists.
    #[inline]
    pub(crate) fn lend(&self) -> Uncounted {
        Uncounted(ManuallyDrop::new(FiberRef(self.0)))
    }

    /// Returns the fiber that has the thread of the hub of this mailbox, on any thread.
    pub(crate) fn running(hub: &Mailbox) -> Option<FiberRef> {
        hub.running.read(|header| {
            // Count Invariant: by the Reader Invariant of `RunningFiber` a counted reference exists
            // while this runs, so the header is allocated, and may be counted once more.
            let fiber = ManuallyDrop::new(FiberRef(header.cast()));
            FiberRef::clone(&fiber)
        })
    }

    /// Makes the fiber ready, on any thread.
    #[inline]
    pub(crate) fn wake(&self) {
        self.mailbox().scheduler().wake(self);
    }

    /// Tells a subscriber what is done with a waker of the fiber, if any subscriber may want to know.
    #[cfg(feature = "tracing")]
    #[inline(always)]
    pub(crate) fn note_waker(&self, operation: &'static str) {
        if Level::TRACE <= LevelFilter::current() {
            self.note_waker_cold(operation);
        }
    }

    #[cfg(feature = "tracing")]
    #[cold]
    fn note_waker_cold(&self, operation: &'static str) {
        if let Some(span) = self.span() {
            self.mailbox().scheduler().note_waker(span, operation);
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[inline(always)]
    #[allow(clippy::unused_self)]
    pub(crate) fn note_waker(&self, _operation: &'static str) {}

    /// Asks the fiber to end and wakes it. Returns false if it has ended.
    pub(crate) fn cancel(&self, message: Option<Cow<'static, str>>) -> bool {
        let asked = self.request_cancel(message);
        if asked {
            self.wake();
        }
        asked
    }

    /// Returns the fiber's waker. It is borrowed and not counted.
    #[inline(always)]
    pub(crate) fn lend_waker(&self) -> LentWaker<'_> {
        // SAFETY: the functions of `VTABLE` keep the contract of `RawWaker`: they work on any
        // thread, and each waker stands for one reference. This one is neither dropped nor given away,
        // so it needs no reference of its own; `self` is one while it is borrowed.
        let waker = unsafe { Waker::from_raw(raw_waker(self.0)) };
        LentWaker {
            waker: ManuallyDrop::new(waker),
            _lends: PhantomData,
        }
    }

    /// Returns whether `waker` wakes this fiber and nothing else.
    #[inline]
    pub(crate) fn is_waker(&self, waker: &Waker) -> bool {
        std::ptr::eq(waker.data(), self.0.as_ptr().cast()) && std::ptr::eq(waker.vtable(), &VTABLE)
    }
}

impl Deref for FiberRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: by the Count Invariant, or the Table Invariant for an `Uncounted`, the header is
        // allocated while `self` is borrowed, and there is no `&mut` to it.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for FiberRef {
    #[inline]
    fn clone(&self) -> FiberRef {
        // Ordering: a thread that clones has a reference already. Whatever it uses to hand the new
        // one to another thread orders its earlier accesses.
        let before = self.count.references.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            // As in `Arc`: this many references exist only if they are forgotten, and a count that
            // overflows would free a header that is in use.
            abort();
        }
        FiberRef(self.0)
    }
}

impl Drop for FiberRef {
    #[inline]
    fn drop(&mut self) {
        // Ordering: the uses of each reference come before the header is freed. If the count is
        // one, no other thread can add to it, so it need not be written.
        let references = &self.count.references;
        if references.load(Ordering::Acquire) == 1 {
            // SAFETY: this was the only reference. `free` belongs to this allocation, and the
            // reference is not used after it.
            unsafe { (self.count.free)(self.0) };
        } else if references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: as above; the fence orders the uses of all other references before this.
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

/// A waker that is not counted: see [`FiberRef::lend_waker`].
#[derive(Debug)]
pub(crate) struct LentWaker<'a> {
    waker: ManuallyDrop<Waker>,
    _lends: PhantomData<&'a FiberRef>,
}

impl Deref for LentWaker<'_> {
    type Target = Waker;

    #[inline(always)]
    fn deref(&self) -> &Waker {
        &self.waker
    }
}

/// A waker's data is the pointer of the reference.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

fn raw_waker(header: NonNull<Header>) -> RawWaker {
    RawWaker::new(header.as_ptr().cast_const().cast(), &VTABLE)
}

/// Returns the reference that a waker stands for.
///
/// # Safety
///
/// `data` must be the data of a waker with [`VTABLE`] that is borrowed or consumed.
unsafe fn fiber_of(data: *const ()) -> ManuallyDrop<FiberRef> {
    // SAFETY: the data of such a waker points to a header, so it is not null.
    let header = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // Count Invariant: the waker counts as a reference, or is borrowed from one in `lend_waker`.
    ManuallyDrop::new(FiberRef(header))
}

/// # Safety
///
/// The requirements are those of [`fiber_of`].
unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    reference.note_waker("waker.clone");
    raw_waker(ManuallyDrop::new(FiberRef::clone(&reference)).0)
}

/// # Safety
///
/// The requirements are those of [`fiber_of`], and the waker is consumed.
unsafe fn wake(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    reference.note_waker("waker.wake");
    ManuallyDrop::into_inner(reference).wake();
}

/// # Safety
///
/// The requirements are those of [`fiber_of`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    reference.note_waker("waker.wake_by_ref");
    reference.wake();
}

/// # Safety
///
/// The requirements are those of [`fiber_of`], and the waker is consumed.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as promised by the caller.
    let reference = unsafe { fiber_of(data) };
    reference.note_waker("waker.drop");
    drop(ManuallyDrop::into_inner(reference));
}
