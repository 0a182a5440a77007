//! [`Deadlines`]: the deadlines that a stack is under.
//!
//! Each call of [`with_timeout`](crate::with_timeout) has an entry here and a timer. The timer's
//! waker marks the entry as expired and wakes the stack. A [`try_scope`](crate::try_scope()) has an
//! entry without a timer, which expires when a child fails. From then on, each wait inside the call
//! throws an [`Expired`] for this entry, and only that call catches it. So nested deadlines, and
//! those of different stacks, are not confused, and code that catches panics cannot consume a
//! deadline.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures::task::AtomicWaker;

use crate::base::contain;

/// The payload with which a stack unwinds when a deadline has passed. It says which deadline.
#[derive(Debug)]
pub(crate) struct Expired(Arc<Deadline>);

impl Expired {
    /// Returns whether this is about the given deadline.
    pub(crate) fn is_of(&self, deadline: &Arc<Deadline>) -> bool {
        Arc::ptr_eq(&self.0, deadline)
    }

    /// Returns what has happened, for waits that return it.
    pub(crate) fn why(&self) -> &'static str {
        self.0.why
    }
}

/// A deadline, marked as expired when its timer fires. It is the timer's waker.
#[derive(Debug)]
pub(crate) struct Deadline {
    expired: AtomicBool,
    why: &'static str,
    /// The flag of the stack's [`Deadlines`].
    any_expired: Arc<AtomicBool>,
    stack: AtomicWaker,
}

impl Deadline {
    /// Marks the deadline as expired.
    ///
    /// Ordering: each `Release` pairs with the `Acquire` in [`Deadlines::expired`] or
    /// [`has_expired`](Deadline::has_expired).
    pub(crate) fn expire(&self) {
        self.expired.store(true, Ordering::Release);
        self.any_expired.store(true, Ordering::Release);
    }

    fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        contain::drop_waker(self.stack.take());
    }
}

impl Wake for Deadline {
    fn wake(self: Arc<Self>) {
        self.expire();
        if let Some(stack) = self.stack.take() {
            contain::wake(stack);
        }
    }
}

/// The deadlines of a stack, outermost first.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Deadlines {
    /// The number of deadlines, for the fast path of waits.
    len: Cell<usize>,
    /// Allocated for the first deadline, because most stacks have none.
    list: OnceCell<Box<List>>,
}

#[derive(Debug, Default)]
struct List {
    frames: RefCell<Vec<Frame>>,
    /// Whether any deadline may have passed, so that a wait under many of them need not look at
    /// each.
    any_expired: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Frame {
    deadline: Arc<Deadline>,
    /// The number of shields around the call. The deadline is held off inside more shields than
    /// these.
    shields: u32,
}

impl Deadlines {
    /// Drops them, without a call if there are none.
    #[inline(always)]
    pub(super) fn end(self) {
        if let Some(list) = self.list.into_inner() {
            drop(list);
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Returns how many deadlines there are.
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Returns the outermost deadline that has passed and that `shields` do not hold off.
    pub(crate) fn expired(&self, shields: u32) -> Option<Expired> {
        let List {
            frames,
            any_expired,
        } = &**self.list.get()?;
        if self.is_empty() || !any_expired.load(Ordering::Acquire) {
            return None;
        }
        // The flag is cleared before the search, so that the next search finds a deadline that
        // passes meanwhile.
        any_expired.store(false, Ordering::Release);
        let frames = frames.borrow();
        let expired = || frames.iter().filter(|frame| frame.deadline.has_expired());
        if expired().next().is_some() {
            any_expired.store(true, Ordering::Release);
        }
        let frame = expired().find(|frame| frame.shields >= shields)?;
        Some(Expired(frame.deadline.clone()))
    }

    /// Makes every deadline wake this waker, because something else resumes the stack from now on.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let Some(list) = self.list.get() else {
            return;
        };
        let deadlines: Vec<_> = {
            let frames = list.frames.borrow();
            frames.iter().map(|frame| frame.deadline.clone()).collect()
        };
        for deadline in deadlines {
            contain::register_waker(&deadline.stack, waker);
        }
    }

    /// Adds a deadline inside `shields` shields, until the guard is dropped. It will wake `stack`.
    /// If `is_due`, it has passed already. `why` says what has happened then.
    pub(crate) fn enter(
        &self,
        why: &'static str,
        is_due: bool,
        shields: u32,
        stack: &Waker,
    ) -> (Arc<Deadline>, DeadlineGuard<'_>) {
        let list = self.list.get_or_init(Box::default);
        let deadline = Arc::new(Deadline {
            expired: AtomicBool::new(false),
            why,
            any_expired: list.any_expired.clone(),
            stack: AtomicWaker::new(),
        });
        contain::register_waker(&deadline.stack, stack);
        if is_due {
            deadline.expire();
        }
        list.frames.borrow_mut().push(Frame {
            deadline: deadline.clone(),
            shields,
        });
        self.len.set(self.len.get() + 1);
        let guard = DeadlineGuard {
            len: &self.len,
            frames: &list.frames,
        };
        (deadline, guard)
    }
}

/// Removes the innermost deadline when it is dropped, also on unwind.
pub(crate) struct DeadlineGuard<'a> {
    len: &'a Cell<usize>,
    frames: &'a RefCell<Vec<Frame>>,
}

impl Drop for DeadlineGuard<'_> {
    fn drop(&mut self) {
        // Calls nest on a stack, so the innermost entry is this one's.
        let left = self.frames.borrow_mut().pop();
        self.len.set(self.len.get() - 1);
        debug_assert!(left.is_some());
    }
}
