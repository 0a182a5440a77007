//! [`ReentrantQueue`]: a queue that is changed through a shared reference.
//!
//! It is a ring whose length is a power of two. Its two ends are the numbers of entries that were ever
//! pushed and popped.
//!
//! # Safety
//!
//! *Queue Invariant*: no reference to the entries exists while they change. It holds because a
//! queue is used on one thread only (it is not `Sync`); because a method that changes the entries
//! calls no code that could use the queue meanwhile: it allocates and drops nothing; and because a
//! caller of [`look`](ReentrantQueue::look) drops the reference before it calls anything that might
//! change the queue.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::mem;

/// A first-in first-out queue. The allocator, which may be the user's, may use the queue while it
/// grows.
pub(super) struct ReentrantQueue<T> {
    /// Slots without an entry hold the default value, whose drop runs no code.
    slots: UnsafeCell<Box<[T]>>,
    /// The number of entries that were ever popped.
    popped: Cell<u64>,
    /// The number of entries that were ever pushed.
    pushed: Cell<u64>,
}

impl<T> Default for ReentrantQueue<T> {
    fn default() -> ReentrantQueue<T> {
        ReentrantQueue {
            slots: UnsafeCell::default(),
            popped: Cell::new(0),
            pushed: Cell::new(0),
        }
    }
}

/// Returns where in `slots` the entry is that came after `n` others.
#[inline(always)]
fn index<T>(slots: &[T], n: u64) -> usize {
    n as usize & slots.len().wrapping_sub(1)
}

impl<T: Default> ReentrantQueue<T> {
    /// Returns the number of entries that were ever popped.
    #[inline(always)]
    pub(super) fn popped(&self) -> u64 {
        self.popped.get()
    }

    /// Returns the number of entries that were ever pushed.
    #[inline(always)]
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.get()
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        (self.pushed.get() - self.popped.get()) as usize
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.pushed.get() == self.popped.get()
    }

    /// Returns the entry that has `n` others before it, for a short look: see the Queue Invariant.
    #[inline(always)]
    pub(super) fn look(&self, n: usize) -> Option<&T> {
        if n >= self.len() {
            return None;
        }
        // SAFETY: by the Queue Invariant, the entries do not change while the reference is used.
        let slots = unsafe { &*self.slots.get() };
        Some(&slots[index(slots, self.popped.get() + n as u64)])
    }

    /// Returns the slots, to be changed.
    ///
    /// # Safety
    ///
    /// The Queue Invariant must hold: no other reference to the entries exists, and the caller
    /// allocates and drops nothing while it uses this one.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    unsafe fn change(&self) -> &mut Box<[T]> {
        // SAFETY: as promised by the caller.
        unsafe { &mut *self.slots.get() }
    }

    /// Returns the number of slots.
    #[inline(always)]
    fn room(&self) -> usize {
        // SAFETY: no other reference exists, and this one is not kept.
        unsafe { self.change() }.len()
    }

    #[inline(always)]
    pub(super) fn push(&self, entry: T) {
        while self.len() == self.room() {
            self.grow();
        }
        // SAFETY: no other reference exists. The slot is free, so no entry is dropped.
        let slots = unsafe { self.change() };
        let at = index(slots, self.pushed.get());
        slots[at] = entry;
        self.pushed.set(self.pushed.get() + 1);
    }

    /// Makes room. The allocator may be the user's, and may use this queue meanwhile.
    #[cold]
    fn grow(&self) {
        loop {
            let room = (self.len() + 1).next_power_of_two().max(16);
            let mut larger: Box<[T]> = (0..room).map(|_| T::default()).collect();
            // SAFETY: no other reference exists. The entries fit into `larger`. They are moved, not
            // dropped, and the old slots are freed after the last use.
            let slots = unsafe { self.change() };
            if self.len() < room {
                for n in self.popped.get()..self.pushed.get() {
                    larger[index(&larger, n)] = mem::take(&mut slots[index(slots, n)]);
                }
                let old = mem::replace(slots, larger);
                drop(old);
                return;
            }
        }
    }

    #[inline(always)]
    pub(super) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: no other reference exists. The entry is moved, not dropped.
        let slots = unsafe { self.change() };
        let at = index(slots, self.popped.get());
        self.popped.set(self.popped.get() + 1);
        Some(mem::take(&mut slots[at]))
    }

    /// Puts back the entry that was popped last, before anything else has used the queue.
    #[cfg(unix)]
    pub(super) fn put_back(&self, entry: T) {
        debug_assert!(self.len() < self.room());
        self.popped.set(self.popped.get() - 1);
        // SAFETY: no other reference exists. The entry was there just now, so its slot is free.
        let slots = unsafe { self.change() };
        let at = index(slots, self.popped.get());
        slots[at] = entry;
    }

    /// Lets the entry that has `n` others before it change places with the first.
    pub(super) fn bring_to_front(&self, n: usize) {
        if n >= self.len() {
            return;
        }
        // SAFETY: no other reference exists. Nothing is dropped.
        let slots = unsafe { self.change() };
        let first = index(slots, self.popped.get());
        let other = index(slots, self.popped.get() + n as u64);
        slots.swap(first, other);
    }

    /// Removes all entries.
    pub(super) fn take(&self) -> Vec<T> {
        // SAFETY: no other reference exists. An empty slice allocates nothing.
        let slots = mem::take(unsafe { self.change() });
        let first = index(&slots, self.popped.get());
        let mut entries = slots.into_vec();
        if !entries.is_empty() {
            entries.rotate_left(first);
        }
        entries.truncate(self.len());
        self.popped.set(self.pushed.get());
        entries
    }

    /// Frees the memory of a queue that was long and is now empty.
    #[inline]
    pub(super) fn trim(&self) {
        const KEPT: usize = 1024;
        if self.is_empty() && self.room() > KEPT {
            drop(self.take());
        }
    }
}
