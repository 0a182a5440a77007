//! [`Hand`]: a place in the frame of a call, for what another fiber of the same hub gives it.
//!
//! # Safety
//!
//! *Hand Invariant*: an [`OpenHand`] is used on the thread of the fiber whose call owns the [`Hand`], and
//! before that call ends. It holds because
//!
//! 1. it is only in the entry that the call has in a line: [`Seat::of_call`](super::waiters::Seat::of_call).
//!    The call takes that entry out before it ends, unless somebody else has. If the stack is left for
//!    ever, so is the hand (Live Stack Invariant of [`crate::switch`]);
//! 2. who takes the entry out to give something does so under the line's lock, and is done before the lock
//!    is released;
//! 3. [`give`](OpenHand::give) is for the thread of the fiber's hub, which its caller checks.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;

/// Where a call is given something.
pub(super) struct Hand<T>(Cell<Option<T>>);

/// The way to a [`Hand`].
pub(super) struct OpenHand<T>(NonNull<Hand<T>>);

// SAFETY: by the Hand Invariant, the hand is used on one thread. What goes to other threads is the pointer.
unsafe impl<T: Send> Send for OpenHand<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for OpenHand<T> {}

impl<T> Hand<T> {
    #[inline]
    pub(super) fn new() -> Hand<T> {
        Hand(Cell::new(None))
    }

    #[inline]
    pub(super) fn open(&self) -> OpenHand<T> {
        OpenHand(NonNull::from(self))
    }

    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        self.0.take()
    }
}

impl<T> OpenHand<T> {
    /// Gives it something. The caller has found that this is the thread of the fiber's hub.
    #[inline]
    pub(super) fn give(self, what: T) {
        // SAFETY: by the Hand Invariant the call that owns the hand goes on, so that the hand is there, and
        // this is its thread. There is never a `&mut` to it.
        let hand = unsafe { self.0.as_ref() };
        let before = hand.0.replace(Some(what));
        debug_assert!(before.is_none(), "it is taken out of the line first");
    }
}

impl<T> fmt::Debug for Hand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hand")
    }
}

impl<T> fmt::Debug for OpenHand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenHand")
    }
}
