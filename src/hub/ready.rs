//! The ready queue: what a hub handles next.
//!
//! Nearly all entries are fibers to resume. The main queue therefore has one word for each entry:
//! the fiber, or a mark for the next of the other entries, which have a queue of their own.

use std::fmt;
use std::task::Waker;

use super::queue::ReentrantQueue;
use crate::shared::{FiberRef, Uncounted};

/// A fiber's header is prefetched when this many entries are still ahead of it in the queue, and its
/// stack a little later. (Measured with 1,000 fibers that give way: this halves the time.)
const HEADER_AHEAD: usize = 6;
const STACK_AHEAD: usize = 3;

/// An entry of the ready queue that is not a fiber.
pub(crate) enum Ready {
    /// Wake this waker. Its task has asked to run after everything before it.
    Waker(Waker),
    /// Call this callback.
    Callback(Box<dyn FnOnce()>),
    /// Check for a descriptor that is ready.
    #[cfg(unix)]
    Poll,
}

/// Starts, wakes, cancels and callbacks, in the order in which they happened.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    /// `None` stands for the next entry of `others`.
    entries: ReentrantQueue<Option<Uncounted>>,
    /// In the order of their marks. None is `None`.
    others: ReentrantQueue<Option<Ready>>,
}

/// The number of an entry of the ready queue, counted from the hub's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl ReadyQueue {
    #[inline]
    pub(crate) fn push_fiber(&self, fiber: Uncounted) {
        self.entries.push(Some(fiber));
    }

    pub(crate) fn push(&self, other: Ready) {
        self.others.push(Some(other));
        self.entries.push(None);
    }

    /// Removes the next entry. Returns its fiber, or `Some(None)` if it is not a fiber:
    /// [`pop_other`](ReadyQueue::pop_other) then removes what it stands for.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Option<Uncounted>> {
        self.entries.pop()
    }

    /// Puts back the entry that was removed last, which is not a fiber.
    #[cfg(unix)]
    pub(crate) fn put_back_other(&self) {
        self.entries.put_back(None);
    }

    /// Removes the next of the other entries.
    pub(crate) fn pop_other(&self) -> Option<Ready> {
        self.others.pop().flatten()
    }

    /// Returns whether the next of the other entries is a check for ready descriptors.
    #[cfg(unix)]
    pub(crate) fn polls_next(&self) -> bool {
        matches!(self.others.look(0), Some(Some(Ready::Poll)))
    }

    /// Asks the processor to fetch the memory that resuming the next fibers will use. For each
    /// fiber this is first its header and later, when the header is in the cache, the part of the
    /// stack that the header names.
    #[inline(always)]
    pub(crate) fn prefetch(&self, prefetch_stack: impl FnOnce(&FiberRef)) {
        if let Some(Some(fiber)) = self.entries.look(HEADER_AHEAD) {
            fiber.prefetch();
        }
        if let Some(Some(fiber)) = self.entries.look(STACK_AHEAD) {
            prefetch_stack(fiber);
        }
    }

    /// Returns whether any entry is ready apart from a check of descriptors, which would recur for
    /// ever.
    pub(crate) fn has_work(&self) -> bool {
        #[cfg(unix)]
        {
            let has_fibers = self.len() > self.others.len();
            has_fibers || self.any_other(|other| !matches!(other, Ready::Poll))
        }
        #[cfg(not(unix))]
        !self.is_empty()
    }

    /// Frees memory. Called when the hub is idle.
    #[inline]
    pub(crate) fn trim(&self) {
        self.entries.trim();
        self.others.trim();
    }

    pub(crate) fn has_callbacks(&self) -> bool {
        self.any_other(|other| matches!(other, Ready::Callback(_)))
    }

    /// Returns how many callbacks are in the queue.
    pub(crate) fn callbacks(&self) -> usize {
        (0..self.others.len())
            .filter(|n| matches!(self.others.look(*n), Some(Some(Ready::Callback(_)))))
            .count()
    }

    fn any_other(&self, is_so: impl Fn(&Ready) -> bool) -> bool {
        (0..self.others.len())
            .filter_map(|n| self.others.look(n)?.as_ref())
            .any(is_so)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes everything out of the queue: the fibers and the other entries.
    pub(crate) fn take(&self) -> (Vec<Option<Uncounted>>, Vec<Option<Ready>>) {
        (self.entries.take(), self.others.take())
    }

    /// Returns how many entries were ever queued.
    #[inline]
    pub(crate) fn queued(&self) -> u64 {
        self.entries.pushed()
    }

    /// Returns how many entries have left the queue since the hub was made.
    #[inline]
    pub(crate) fn handled(&self) -> u64 {
        self.entries.popped()
    }

    /// Returns the fiber with `n` entries before it; `None` if this entry is not a fiber.
    pub(super) fn look(&self, n: usize) -> Option<&FiberRef> {
        self.entries.look(n)?.as_deref()
    }

    /// Lets the entry with `n` others before it change places with the first.
    pub(super) fn bring_to_front(&self, n: usize) {
        self.entries.bring_to_front(n);
    }

    /// Returns the ticket of the entry that is handled next.
    pub(super) fn next_ticket(&self) -> Ticket {
        Ticket(self.handled() + 1)
    }

    /// Returns the ticket of the entry that is queued next.
    #[inline]
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.queued() + 1)
    }

    /// Returns whether the entry with this ticket, and so every entry before it, has left the
    /// queue.
    #[inline]
    pub(crate) fn has_passed(&self, ticket: Ticket) -> bool {
        self.handled() >= ticket.0
    }
}

impl fmt::Debug for ReadyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyQueue")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
