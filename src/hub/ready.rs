//! The ready queue: what a hub handles next.
//!
//! # Safety
//!
//! *Queue Invariant*: nobody refers to the entries while they change. It holds because
//! the queue is used by the hub's thread only, and its methods call nobody while they
//! refer to the entries: they allocate nothing then, and drop nothing.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::task::Waker;

use super::core::Core;
use crate::fiber::FiberRef;

/// How far ahead of the fiber that is resumed now things are fetched. (Measured with
/// 10,000 fibers that give way: 52 ns each, and 107 ns without.)
const RECORD_AHEAD: usize = 6;
const STACK_AHEAD: usize = 3;

/// Fewer fibers find in the caches what they left there.
const PREFETCH_FROM: usize = 1024;

/// An entry of the ready queue.
pub(crate) enum Ready {
    /// Resume this fiber. Not counted: Table Invariant of [`FiberRef`].
    Fiber(ManuallyDrop<FiberRef>),
    /// Wake this waker: its task has asked to come after everything before it.
    Waker(Waker),
    /// Call this.
    Callback(Box<dyn FnOnce()>),
    /// Look for a descriptor that is ready.
    #[cfg(unix)]
    Poll,
}

/// Starts, wakes, cancels and callbacks, in the order in which they happened.
#[derive(Default)]
pub(super) struct ReadyQueue {
    entries: UnsafeCell<VecDeque<Ready>>,
    /// How many entries have left so far: see [`Ticket`].
    popped: Cell<u64>,
}

/// The number of an entry of the ready queue, counted from the hub's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl ReadyQueue {
    /// The entries, to look at.
    #[inline]
    fn look(&self) -> &VecDeque<Ready> {
        // SAFETY: Queue Invariant.
        unsafe { &*self.entries.get() }
    }

    /// The entries, to change.
    ///
    /// # Safety
    ///
    /// Queue Invariant: nobody refers to them, and nobody is called meanwhile.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    unsafe fn change(&self) -> &mut VecDeque<Ready> {
        // SAFETY: as promised by the caller.
        unsafe { &mut *self.entries.get() }
    }

    #[inline]
    pub(super) fn push(&self, entry: Ready) {
        while self.look().len() == self.look().capacity() {
            self.grow();
        }
        // SAFETY: nothing refers to them, and there is room, so nothing is allocated.
        unsafe { self.change() }.push_back(entry);
    }

    /// Makes room. The allocator may be the user's, and may come here again.
    #[cold]
    fn grow(&self) {
        loop {
            let room = self.look().len().max(8) * 2;
            let mut larger = VecDeque::with_capacity(room);
            // SAFETY: nothing refers to them. What is moved fits, and is not dropped.
            let entries = unsafe { self.change() };
            if entries.len() < room {
                larger.append(entries);
                let old = mem::replace(entries, larger);
                drop(old);
                return;
            }
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Ready> {
        // SAFETY: nothing refers to them; to pop calls nobody.
        let entry = unsafe { self.change() }.pop_front()?;
        self.popped.set(self.popped.get() + 1);
        Some(entry)
    }

    /// The next entry, left in the queue, if it is a fiber's.
    #[inline]
    pub(super) fn next_fiber(&self) -> Option<ManuallyDrop<FiberRef>> {
        match self.look().front() {
            // SAFETY: Table Invariant: it is in the queue.
            Some(Ready::Fiber(fiber)) => Some(unsafe { FiberRef::lend(fiber.as_ptr()) }),
            _ => None,
        }
    }

    /// Has the processor fetch what resuming the fibers that come soon will touch: of
    /// one its record and, later, when that is there, what it says of the stack.
    #[inline(always)]
    pub(super) fn prefetch(&self, core: &Core) {
        if core.table.len() < PREFETCH_FROM {
            return;
        }
        if let Some(Ready::Fiber(fiber)) = self.look().get(RECORD_AHEAD) {
            fiber.prefetch();
        }
        if let Some(Ready::Fiber(fiber)) = self.look().get(STACK_AHEAD) {
            fiber.side(core).prefetch_stack();
        }
    }

    /// Takes out the next entry, which is a fiber's.
    #[inline]
    pub(super) fn pop_fiber(&self) {
        let entry = self.pop();
        debug_assert!(matches!(entry, Some(Ready::Fiber(_))));
        mem::forget(entry);
    }

    /// Whether the next entry is to look for descriptors that are ready.
    #[cfg(unix)]
    pub(super) fn polls_next(&self) -> bool {
        matches!(self.look().front(), Some(Ready::Poll))
    }

    /// Whether something is ready that may come to an end: polling never does.
    pub(super) fn has_work(&self) -> bool {
        #[cfg(unix)]
        return self
            .look()
            .iter()
            .any(|entry| !matches!(entry, Ready::Poll));
        #[cfg(not(unix))]
        return !self.is_empty();
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.look().is_empty()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.look().len()
    }

    /// All that is ready, out of the queue.
    pub(super) fn take(&self) -> VecDeque<Ready> {
        // SAFETY: nothing refers to them; an empty queue allocates nothing.
        mem::take(unsafe { self.change() })
    }

    /// The ticket of the entry that is queued next.
    #[inline]
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.popped.get() + self.len() as u64 + 1)
    }

    /// Whether the entry with this ticket has left the queue, and so everything
    /// before it.
    #[inline]
    pub(super) fn has_passed(&self, ticket: Ticket) -> bool {
        self.popped.get() >= ticket.0
    }
}

impl fmt::Debug for ReadyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyQueue")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
