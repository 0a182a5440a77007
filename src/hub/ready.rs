//! The ready queue: what a hub handles next.
//!
//! # Layout
//!
//! Nearly all of it are fibers to resume. So the queue proper has one word for each
//! entry: the fiber, or that the entry is the next of the others, which are in a queue of
//! their own.
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

use crate::fiber::FiberRef;

/// How far ahead of the fiber that is resumed now things are fetched. (Measured with
/// 10,000 fibers that give way: 52 ns each, and 107 ns without.)
const RECORD_AHEAD: usize = 6;
const STACK_AHEAD: usize = 3;

/// A fiber to resume. Not counted: Table Invariant of [`FiberRef`].
pub(super) type Lent = ManuallyDrop<FiberRef>;

/// What else can be in the ready queue.
pub(crate) enum Ready {
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
    /// `None` stands for the next of the others.
    entries: Line<Option<Lent>>,
    others: Line<Ready>,
    /// How many entries have left so far: see [`Ticket`].
    popped: Cell<u64>,
}

/// The number of an entry of the ready queue, counted from the hub's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl ReadyQueue {
    #[inline]
    pub(super) fn push_fiber(&self, fiber: Lent) {
        self.entries.push(Some(fiber));
    }

    pub(super) fn push(&self, other: Ready) {
        self.others.push(other);
        self.entries.push(None);
    }

    /// Takes out the next entry: a fiber, or `Some(None)` if it is the next of the
    /// others, which stays where it is.
    #[inline]
    pub(super) fn pop(&self) -> Option<Option<Lent>> {
        let entry = self.entries.pop()?;
        self.popped.set(self.popped.get() + 1);
        Some(entry)
    }

    /// Puts back the entry that was taken out just now.
    pub(super) fn put_back(&self, entry: Option<Lent>) {
        self.entries.put_back(entry);
        self.popped.set(self.popped.get() - 1);
    }

    /// Takes out the next of the others.
    pub(super) fn pop_other(&self) -> Option<Ready> {
        self.others.pop()
    }

    /// Whether the next of the others is to look for descriptors that are ready.
    #[cfg(unix)]
    pub(super) fn polls_next(&self) -> bool {
        matches!(self.others.look().front(), Some(Ready::Poll))
    }

    /// Has the processor fetch what resuming the fibers that come soon will touch: of
    /// one its record and, later, when that is there, what it says of the stack.
    #[inline(always)]
    pub(super) fn prefetch(&self, prefetch_stack: impl FnOnce(&FiberRef)) {
        if let Some(Some(fiber)) = self.entries.look().get(RECORD_AHEAD) {
            fiber.prefetch();
        }
        if let Some(Some(fiber)) = self.entries.look().get(STACK_AHEAD) {
            prefetch_stack(fiber);
        }
    }

    /// Whether something is ready that may come to an end: polling never does.
    pub(super) fn has_work(&self) -> bool {
        #[cfg(unix)]
        {
            let others = self.others.look();
            let has_fibers = self.len() > others.len();
            has_fibers || others.iter().any(|other| !matches!(other, Ready::Poll))
        }
        #[cfg(not(unix))]
        !self.is_empty()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.look().is_empty()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.look().len()
    }

    /// All that is ready, out of the queue: the fibers and the others.
    pub(super) fn take(&self) -> (VecDeque<Option<Lent>>, VecDeque<Ready>) {
        (self.entries.take(), self.others.take())
    }

    /// How many entries have left the queue since the hub's start.
    #[inline]
    pub(super) fn handled(&self) -> u64 {
        self.popped.get()
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

/// A queue that is changed through a shared reference.
struct Line<T>(UnsafeCell<VecDeque<T>>);

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        Line(UnsafeCell::default())
    }
}

impl<T> Line<T> {
    /// The entries, to look at.
    #[inline]
    fn look(&self) -> &VecDeque<T> {
        // SAFETY: Queue Invariant.
        unsafe { &*self.0.get() }
    }

    /// The entries, to change.
    ///
    /// # Safety
    ///
    /// Queue Invariant: nobody refers to them, and nobody is called meanwhile.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    unsafe fn change(&self) -> &mut VecDeque<T> {
        // SAFETY: as promised by the caller.
        unsafe { &mut *self.0.get() }
    }

    #[inline]
    fn push(&self, entry: T) {
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
    fn pop(&self) -> Option<T> {
        // SAFETY: nothing refers to them; to pop calls nobody.
        unsafe { self.change() }.pop_front()
    }

    /// Puts back what was popped just now.
    fn put_back(&self, entry: T) {
        debug_assert!(self.look().len() < self.look().capacity());
        // SAFETY: nothing refers to them, and there is room, since it was there.
        unsafe { self.change() }.push_front(entry);
    }

    fn take(&self) -> VecDeque<T> {
        // SAFETY: nothing refers to them; an empty queue allocates nothing.
        mem::take(unsafe { self.change() })
    }
}
