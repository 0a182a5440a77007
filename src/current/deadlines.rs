//! [`Deadlines`]: the deadlines that a stack is under.
//!
//! Each call of [`with_timeout`](crate::with_timeout) has a frame here, and a timer whose waker marks
//! that frame as expired and wakes the stack. From then on each wait inside the frame throws
//! [`Expired`] with the frame's mark, and only the frame with that mark catches it. So nested
//! deadlines are told apart, also from those of other stacks, and code that catches panics cannot
//! use one up.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures::task::AtomicWaker;

use crate::base::contain;

/// What a stack unwinds with when a deadline has passed: which one.
#[derive(Debug)]
pub(crate) struct Expired(Arc<Deadline>);

impl Expired {
    /// Whether it is this deadline that has passed.
    pub(crate) fn is_of(&self, deadline: &Arc<Deadline>) -> bool {
        Arc::ptr_eq(&self.0, deadline)
    }
}

/// A deadline, set when its timer fires. The timer has it as its waker.
#[derive(Debug)]
pub(crate) struct Deadline {
    expired: AtomicBool,
    /// That of its stack's [`Deadlines`].
    any_expired: Arc<AtomicBool>,
    stack: AtomicWaker,
}

impl Deadline {
    /// Ordering: the `Release`s pair with the `Acquire`s of [`Deadlines::expired`] and
    /// [`has_expired`](Deadline::has_expired).
    pub(crate) fn expire(&self) {
        self.expired.store(true, Ordering::Release);
        self.any_expired.store(true, Ordering::Release);
    }

    fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

impl Wake for Deadline {
    fn wake(self: Arc<Self>) {
        self.expire();
        self.stack.wake();
    }
}

/// The deadlines of a stack, outermost first.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Deadlines {
    /// `frames.len()`, for the wait path.
    len: Cell<usize>,
    frames: RefCell<Vec<Frame>>,
    /// Whether one may have passed, so that a wait under many of them need not look at each.
    any_expired: OnceCell<Arc<AtomicBool>>,
}

#[derive(Debug)]
struct Frame {
    deadline: Arc<Deadline>,
    /// How many shields there were around it. More than these hold it off.
    shields: u32,
}

impl Deadlines {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// The outermost deadline that has passed, if `shields` do not hold it off.
    pub(crate) fn expired(&self, shields: u32) -> Option<Expired> {
        let any_expired = self.any_expired.get()?;
        if self.is_empty() || !any_expired.load(Ordering::Acquire) {
            return None;
        }
        // Cleared before the look, so that one that passes meanwhile is found by the next.
        any_expired.store(false, Ordering::Release);
        let frames = self.frames.borrow();
        let expired = || frames.iter().filter(|frame| frame.deadline.has_expired());
        if expired().next().is_some() {
            any_expired.store(true, Ordering::Release);
        }
        let frame = expired().find(|frame| frame.shields >= shields)?;
        Some(Expired(frame.deadline.clone()))
    }

    /// Has every deadline wake this waker: the stack is resumed by something else now.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let deadlines: Vec<_> = {
            let frames = self.frames.borrow();
            frames.iter().map(|frame| frame.deadline.clone()).collect()
        };
        for deadline in deadlines {
            contain::run("a waker", || deadline.stack.register(waker));
        }
    }

    /// Adds a deadline, under so many shields, until the guard is dropped. It will wake the stack with
    /// this waker. One that is due has passed already.
    pub(crate) fn enter(
        &self,
        is_due: bool,
        shields: u32,
        stack: &Waker,
    ) -> (Arc<Deadline>, DeadlineGuard<'_>) {
        let deadline = Arc::new(Deadline {
            expired: AtomicBool::new(false),
            any_expired: self.any_expired.get_or_init(Arc::default).clone(),
            stack: AtomicWaker::new(),
        });
        contain::run("a waker", || deadline.stack.register(stack));
        if is_due {
            deadline.expire();
        }
        self.frames.borrow_mut().push(Frame {
            deadline: deadline.clone(),
            shields,
        });
        self.len.set(self.len.get() + 1);
        (deadline, DeadlineGuard(self))
    }
}

/// Leaves the frame when it is dropped, also on unwind.
pub(crate) struct DeadlineGuard<'a>(&'a Deadlines);

impl Drop for DeadlineGuard<'_> {
    fn drop(&mut self) {
        // Calls nest on a stack, so the innermost frame is this one's.
        let left = self.0.frames.borrow_mut().pop();
        self.0.len.set(self.0.len.get() - 1);
        debug_assert!(left.is_some());
    }
}
