//! [`ReentrantQueue`]: a queue that is changed through a shared reference.
//!
//! # Safety
//!
//! *Queue Invariant*: nothing refers to the entries while they change. It holds because a queue is
//! used on one thread only, and its methods call nothing while they refer to the entries: they
//! allocate nothing then, and drop nothing.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::mem;

/// First in, first out. The allocator, which may be the user's, may use it while it grows.
pub(super) struct ReentrantQueue<T>(UnsafeCell<VecDeque<T>>);

impl<T> Default for ReentrantQueue<T> {
    fn default() -> ReentrantQueue<T> {
        ReentrantQueue(UnsafeCell::default())
    }
}

impl<T> ReentrantQueue<T> {
    /// The entries, to look at.
    #[inline]
    pub(super) fn look(&self) -> &VecDeque<T> {
        // SAFETY: Queue Invariant.
        unsafe { &*self.0.get() }
    }

    /// The entries, to change.
    ///
    /// # Safety
    ///
    /// Queue Invariant: nothing refers to them, and nothing is called meanwhile.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    unsafe fn change(&self) -> &mut VecDeque<T> {
        // SAFETY: as promised by the caller.
        unsafe { &mut *self.0.get() }
    }

    #[inline]
    pub(super) fn push(&self, entry: T) {
        while self.look().len() == self.look().capacity() {
            self.grow();
        }
        // SAFETY: nothing refers to them, and there is room, so nothing is allocated.
        unsafe { self.change() }.push_back(entry);
    }

    /// Makes room. The allocator may be the user's, and may come back to this queue.
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
    pub(super) fn pop(&self) -> Option<T> {
        // SAFETY: nothing refers to them; popping calls nothing.
        unsafe { self.change() }.pop_front()
    }

    /// Puts back what was popped just now.
    pub(super) fn put_back(&self, entry: T) {
        debug_assert!(self.look().len() < self.look().capacity());
        // SAFETY: nothing refers to them, and there is room, since it was there.
        unsafe { self.change() }.push_front(entry);
    }

    pub(super) fn take(&self) -> VecDeque<T> {
        // SAFETY: nothing refers to them; an empty queue allocates nothing.
        mem::take(unsafe { self.change() })
    }

    /// Gives back the memory of a queue that was long and is empty.
    #[inline]
    pub(super) fn trim(&self) {
        const KEPT: usize = 1024;
        if self.look().is_empty() && self.look().capacity() > KEPT {
            drop(self.take());
        }
    }
}
