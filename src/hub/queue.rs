//! [`ReentrantQueue`]: a queue that is changed through a shared reference.
//!
//! # Safety
//!
//! *Queue Invariant*: no reference to the entries exists while they change. It holds because a
//! queue is used on one thread only (it is not `Sync`); because a method that changes the entries
//! calls no code that could use the queue meanwhile: it allocates and drops nothing; and because a
//! caller of [`look`](ReentrantQueue::look) drops the reference before it calls anything that might
//! change the queue.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::mem;

/// A first-in first-out queue. The allocator, which may be the user's, may use the queue while it
/// grows.
pub(super) struct ReentrantQueue<T>(UnsafeCell<VecDeque<T>>);

impl<T> Default for ReentrantQueue<T> {
    fn default() -> ReentrantQueue<T> {
        ReentrantQueue(UnsafeCell::default())
    }
}

impl<T> ReentrantQueue<T> {
    /// Returns the entries, for a short look: see the Queue Invariant.
    #[inline]
    pub(super) fn look(&self) -> &VecDeque<T> {
        // SAFETY: by the Queue Invariant, the entries do not change while the reference is used.
        unsafe { &*self.0.get() }
    }

    /// Returns the entries, to be changed.
    ///
    /// # Safety
    ///
    /// The Queue Invariant must hold: no other reference to the entries exists, and the caller
    /// allocates and drops nothing while it uses this one.
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
        // SAFETY: no other reference exists. There is room, so this allocates nothing.
        unsafe { self.change() }.push_back(entry);
    }

    /// Makes room. The allocator may be the user's, and may use this queue meanwhile.
    #[cold]
    fn grow(&self) {
        loop {
            let room = self.look().len().max(8) * 2;
            let mut larger = VecDeque::with_capacity(room);
            // SAFETY: no other reference exists. The entries fit into `larger`, so this allocates
            // nothing. They are moved, not dropped, and the old buffer is freed after the last use.
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
        // SAFETY: no other reference exists. Popping allocates and drops nothing.
        unsafe { self.change() }.pop_front()
    }

    /// Puts back the entry that was popped last, before anything else has used the queue.
    pub(super) fn put_back(&self, entry: T) {
        debug_assert!(self.look().len() < self.look().capacity());
        // SAFETY: no other reference exists. The entry was there just now, so there is room.
        unsafe { self.change() }.push_front(entry);
    }

    pub(super) fn take(&self) -> VecDeque<T> {
        // SAFETY: no other reference exists. An empty queue allocates nothing.
        mem::take(unsafe { self.change() })
    }

    /// Frees the memory of a queue that was long and is now empty.
    #[inline]
    pub(super) fn trim(&self) {
        const KEPT: usize = 1024;
        if self.look().is_empty() && self.look().capacity() > KEPT {
            drop(self.take());
        }
    }
}
