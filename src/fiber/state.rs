//! A fiber, or the body of a bridge, seen from its own stack.

use std::cell::Cell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::task::Waker;
use std::thread::panicking;

use super::fiber_ref::FiberRef;
use super::record::interrupt;
use crate::bridge::BridgeTask;
use crate::cancel::{Cancelled, Deadlines, Unwinding};
use crate::hub::Core;
use crate::local::Locals;
use crate::stack::Extent;
use crate::switch::{Suspender, Suspension};

/// What the code on a stack of ours knows of itself. It lives at the root of
/// that stack and is touched only by the code that runs there.
///
/// What each wait uses comes first and is one cache line.
#[repr(C, align(64))]
pub(crate) struct FiberState {
    pub(crate) owner: Owner,
    pub(crate) suspender: Suspender,
    /// How many `assert_no_switchpoints`s the running code is in.
    pub(crate) no_switch: Cell<u32>,
    /// How many `shield`s the running code is in.
    pub(crate) shields: Cell<u32>,
    /// Whether somebody else's unwinding may be what `panicking` reports in this
    /// run: see [`crate::cancel`].
    pub(crate) ambient: Cell<bool>,
    /// Whether the future that is polled gives way: the fiber goes to the end of
    /// the ready queue when it suspends, without a wake.
    yields: Cell<bool>,
    /// Whether the stack was told to unwind because the hub or the task is gone.
    pub(crate) told_of_end: Cell<bool>,
    pub(crate) deadlines: Deadlines,
    /// The round of those that are woken when nobody unwinds in which it is one.
    pub(crate) deferred_in: Cell<u64>,
    /// How many waits were refused because the hub or the task is gone.
    pub(crate) refused_at_end: Cell<u32>,
    /// Dropped before the stack ends.
    pub(crate) locals: Locals,
}

const _: () = assert!(mem::offset_of!(FiberState, deadlines) + size_of::<usize>() <= 64);

/// Who resumes a stack.
pub(crate) enum Owner {
    /// A hub.
    Fiber {
        /// Not counted: Table Invariant of [`FiberRef`].
        record: ManuallyDrop<FiberRef>,
        hub: Rc<Core>,
    },
    /// A task that polls a bridge.
    Bridge(Rc<BridgeTask>),
}

thread_local! {
    /// How many stacks of this thread are suspended while the thread counts a
    /// panic. It never falls for those that were abandoned like that.
    static SUSPENDED_PANICKING: Cell<usize> = const { Cell::new(0) };
    /// Whether a stack was abandoned here while it was, or may have been,
    /// unwinding. If it was, the thread's panic count does not fall to zero again.
    static MARKED: Cell<bool> = const { Cell::new(false) };
}

/// The thread counts no panic: no stack that was abandoned here was unwinding.
#[inline]
pub(crate) fn clear_mark() {
    MARKED.set(false);
}

/// Whether the thread counts a panic that will not end while the hubs of this
/// thread run: of a stack that was abandoned or, for a hub that was made while
/// the thread was panicking, of whoever made it.
pub(crate) fn counts_a_panic_for_ever(made_while_panicking: bool) -> bool {
    panicking() && (made_while_panicking || MARKED.get())
}

impl FiberState {
    #[inline(always)]
    pub(crate) fn new(suspender: Suspender, owner: Owner) -> FiberState {
        FiberState {
            suspender,
            owner,
            ambient: Cell::new(panicking()),
            told_of_end: Cell::new(false),
            deferred_in: Cell::new(0),
            refused_at_end: Cell::new(0),
            shields: Cell::new(0),
            no_switch: Cell::new(0),
            deadlines: Deadlines::default(),
            locals: Locals::new(),
            yields: Cell::new(false),
        }
    }

    /// The fiber's record; `None` in a bridge.
    pub(crate) fn record(&self) -> Option<&FiberRef> {
        match &self.owner {
            Owner::Fiber { record, .. } => Some(record),
            Owner::Bridge(_) => None,
        }
    }

    /// The fiber's hub; `None` in a bridge.
    #[inline]
    pub(crate) fn hub(&self) -> Option<&Rc<Core>> {
        match &self.owner {
            Owner::Fiber { hub, .. } => Some(hub),
            Owner::Bridge(_) => None,
        }
    }

    /// Where the stack is.
    #[allow(dead_code)] // where there is no overflow report
    pub(crate) fn extent(&self) -> Extent {
        self.suspender.extent()
    }

    /// Whether this is the fiber with that record.
    pub(crate) fn is(&self, record: &FiberRef) -> bool {
        self.record()
            .is_some_and(|own| FiberRef::ptr_eq(own, record))
    }

    /// Calls `f` with the waker that has the stack resumed.
    #[inline]
    pub(crate) fn with_waker<R>(&self, f: impl FnOnce(&Waker) -> R) -> R {
        match &self.owner {
            Owner::Fiber { record, .. } => record.with_waker(f),
            // Borrowed while `f` runs: nobody resumes the stack meanwhile.
            Owner::Bridge(task) => f(&task.waker()),
        }
    }

    /// The future that is polled gives way: when the fiber suspends next, it is resumed
    /// after everything that is ready.
    #[inline]
    pub(crate) fn give_way(&self) {
        self.yields.set(true);
    }

    /// Suspends the stack until it is woken. Returns whether it may be unwinding,
    /// as in [`crate::cancel`].
    #[inline(always)]
    pub(crate) fn pause(&self, how: Suspension) -> bool {
        let may_unwind = if panicking() {
            self.pause_panicking(how)
        } else {
            self.pause_calmly(how);
            false
        };
        self.resumed();
        may_unwind
    }

    /// The part of [`pause`](Self::pause) that suspends, where the thread counts no panic:
    /// the stack does not unwind then.
    #[inline(always)]
    pub(crate) fn pause_calmly(&self, how: Suspension) {
        self.note_top();
        self.suspender.suspend(self, how);
        // Rule 2: whatever the count says now, it is not for this stack.
        self.ambient.set(panicking());
    }

    /// The part of [`pause`](Self::pause) that comes after it.
    #[inline]
    pub(crate) fn resumed(&self) {
        if !self.deadlines.is_empty() {
            self.with_waker(|waker| self.deadlines.set_waker(waker));
        }
    }

    /// Tells the hub where the stack ends now, for its prefetches.
    #[inline(always)]
    fn note_top(&self) {
        if let Owner::Fiber { record, hub } = &self.owner {
            let here = 0_u8;
            record.side(hub).note_top(std::ptr::from_ref(&here).addr());
        }
    }

    /// How it suspends when what it has polled is not ready.
    #[inline]
    pub(crate) fn how(&self) -> Suspension {
        match self.yields.take() {
            true => Suspension::Yielding,
            false => Suspension::Waiting,
        }
    }

    #[cold]
    fn pause_panicking(&self, how: Suspension) -> bool {
        let surely = self.unwinding() == Unwinding::Yes;
        SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() + 1);
        self.suspender.suspend(self, how);
        SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() - 1);
        self.owner.put_off(false);
        let still = panicking();
        let alone = surely && SUSPENDED_PANICKING.get() == 0;
        self.ambient.set(still && !alone);
        still
    }

    /// Leaves this stack for ever, with everything on it.
    pub(crate) fn abandon<T>(&self) -> T {
        if let Some(record) = self.record() {
            record.set_abandoned();
        }
        if panicking() {
            SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() + 1);
            MARKED.set(true);
        }
        let unwinding = self.unwinding();
        loop {
            self.suspender
                .suspend(self, Suspension::Abandoned(unwinding));
            debug_assert!(false, "an abandoned stack was resumed");
        }
    }
}

impl fmt::Debug for FiberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record() {
            Some(record) => f.debug_tuple("FiberState").field(record).finish(),
            None => f.write_str("FiberState(Bridge)"),
        }
    }
}

impl Owner {
    /// The [`interrupt`] bits.
    #[inline]
    pub(crate) fn interrupts(&self) -> u8 {
        match self {
            Owner::Fiber { record, .. } => record.interrupts(),
            Owner::Bridge(task) if task.has_ended() => interrupt::END,
            Owner::Bridge(_) => 0,
        }
    }

    /// Notes whether an interrupt of the fiber is put off because it may unwind.
    pub(crate) fn put_off(&self, put_off: bool) {
        if let Owner::Fiber { record, hub } = self {
            record.set_put_off(put_off);
            if put_off {
                hub.interrupt_put_off();
            }
        }
    }

    /// Makes a cancel pending again that was taken and not delivered.
    pub(crate) fn put_back_cancel(&self, cancelled: Cancelled) {
        if let Owner::Fiber { record, .. } = self {
            record.cancel(cancelled.into_message());
        }
    }

    /// The cancel that was taken is thrown or returned now.
    pub(crate) fn cancel_delivered(&self) {
        if let Owner::Fiber { record, hub } = self {
            hub.cancel_delivered(record);
        }
    }

    pub(crate) fn take_cancel(&self) -> Option<Cancelled> {
        match self {
            Owner::Fiber { record, .. } => record.take_cancel(),
            Owner::Bridge(_) => None,
        }
    }

    /// Whether the code that runs is inside an executor that was entered on this
    /// stack, where tokio does not rule it out: to suspend there would leave it
    /// half way, and tokio's scheduler with a pointer into the suspended stack.
    #[inline]
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self {
            Owner::Fiber { hub, .. } => hub.is_elsewhere(),
            Owner::Bridge(task) => task.is_elsewhere(),
        }
    }
}
