//! The entries of the ready queue, in a ring that grows.
//!
//! It is what `VecDeque` would be, in half the instructions: its length is a power of two,
//! so a place is found without a comparison; the places are numbered from the hub's start,
//! so that the numbers serve as tickets; and what was taken out last is still there, to be
//! put back.
//!
//! # Safety
//!
//! *Ring Invariant*: nobody refers to the slots when they are replaced. It holds because
//! the ring is used by one thread only, each method refers to them without calling anybody
//! meanwhile, and what is in them is copied.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::mem;

/// A queue of values that are copied.
pub(super) struct Ring<T> {
    slots: UnsafeCell<Box<[Cell<T>]>>,
    /// The number of the next place to be read.
    head: Cell<u64>,
    /// The number of the next place to be written.
    tail: Cell<u64>,
}

impl<T> Default for Ring<T> {
    fn default() -> Ring<T> {
        Ring {
            slots: UnsafeCell::default(),
            head: Cell::new(0),
            tail: Cell::new(0),
        }
    }
}

impl<T: Copy> Ring<T> {
    /// How long it is at first, and a power of two.
    const FIRST: usize = 16;

    #[inline(always)]
    fn slots(&self) -> &[Cell<T>] {
        // SAFETY: Ring Invariant.
        unsafe { &*self.slots.get() }
    }

    /// The slot of a place, in slots of which there are some.
    #[inline(always)]
    fn slot(slots: &[Cell<T>], place: u64) -> &Cell<T> {
        // The length fits into the mask, and so does the place after it.
        &slots[place as usize & (slots.len() - 1)]
    }

    #[inline]
    pub(super) fn push(&self, value: T) {
        while self.len() == self.slots().len() {
            self.grow(value);
        }
        let tail = self.tail.get();
        Self::slot(self.slots(), tail).set(value);
        self.tail.set(tail + 1);
    }

    /// Makes room, with something to fill it. The allocator may be the user's, and may
    /// come here again.
    #[cold]
    fn grow(&self, filling: T) {
        loop {
            let room = (self.slots().len() * 2).max(Self::FIRST);
            let larger: Box<[_]> = (0..room).map(|_| Cell::new(filling)).collect();
            if self.slots().len() < room {
                for place in self.head.get()..self.tail.get() {
                    let value = Self::slot(self.slots(), place).get();
                    Self::slot(&larger, place).set(value);
                }
                // SAFETY: Ring Invariant: to replace them calls nobody.
                let old = mem::replace(unsafe { &mut *self.slots.get() }, larger);
                drop(old);
                return;
            }
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        let head = self.head.get();
        if head == self.tail.get() {
            return None;
        }
        let value = Self::slot(self.slots(), head).get();
        self.head.set(head + 1);
        Some(value)
    }

    /// Puts back what was popped just now.
    pub(super) fn put_back(&self) {
        self.head.set(self.head.get() - 1);
    }

    /// The value that will be popped after so many others, if it is there already.
    #[inline(always)]
    pub(super) fn get(&self, ahead: u64) -> Option<T> {
        let place = self.head.get() + ahead;
        (place < self.tail.get()).then(|| Self::slot(self.slots(), place).get())
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.tail.get() - self.head.get()) as usize
    }

    /// The number of the next place to be read: of each that was read before, it is less.
    #[inline]
    pub(super) fn head(&self) -> u64 {
        self.head.get()
    }

    /// The number of the next place to be written.
    #[inline]
    pub(super) fn tail(&self) -> u64 {
        self.tail.get()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Ring;

    #[test]
    fn it_is_a_queue() {
        let ring = Ring::default();
        let mut queue = VecDeque::new();
        // Lengths go up and down, through several sizes of the ring.
        for round in 0..200_u32 {
            for n in 0..round % 37 * 3 {
                ring.push((round, n));
                queue.push_back((round, n));
            }
            assert_eq!(ring.get(2), queue.get(2).copied());
            for _ in 0..round % 41 * 3 {
                assert_eq!(ring.pop(), queue.pop_front());
            }
            assert_eq!(ring.len(), queue.len());
        }
        while let Some(value) = queue.pop_front() {
            assert_eq!(ring.pop(), Some(value));
        }
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn what_was_popped_can_be_put_back() {
        let ring = Ring::default();
        for n in 0..20 {
            ring.push(n);
            assert_eq!(ring.pop(), Some(n));
            ring.put_back();
            assert_eq!(ring.len(), 1);
            assert_eq!(ring.pop(), Some(n));
        }
    }
}
