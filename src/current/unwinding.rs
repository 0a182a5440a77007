//! What is known about unwinding when one thread has many stacks.
//!
//! A throw on a stack that is already unwinding aborts the process if it leaves a destructor, so it
//! must never happen. The crate cannot ask whether *this stack* is unwinding:
//! [`std::thread::panicking`] counts for the whole thread, and a stack that suspends inside a
//! destructor leaves the count raised for all others. What can be known is this:
//!
//! 1. If `panicking()` is false, no stack of the thread is unwinding.
//! 2. A stack for which it was false when it suspended is not unwinding when it is resumed,
//!    whatever the count says by then.
//! 3. If it was false when a stack was resumed and is true later in the same run, that stack itself
//!    is unwinding, unless another stack that it ran meanwhile (a bridge, a hub) has suspended
//!    while unwinding.
//! 4. Otherwise the stack *may* be unwinding, and gets its cancel later.
//!
//! Only rules 1 and 2 permit a throw. Rule 3 tells where a wait returns an error instead of
//! suspending.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::thread::panicking;

use super::ambient;
use super::place::{Place, with_place};
use crate::base::{Unwinding, contain, half_way};

thread_local! {
    /// The number of stacks of this thread that are suspended while the thread counts a panic.
    /// Stacks that were abandoned in this state are counted for ever.
    pub(super) static SUSPENDED_PANICKING: Cell<usize> = const { Cell::new(0) };
    /// The number of bridges of this thread that are suspended while they are surely unwinding. It
    /// may be that nothing ever polls such a bridge again.
    pub(super) static UNWINDING_BRIDGES: Cell<usize> = const { Cell::new(0) };
    /// Whether a stack was abandoned on this thread that was, or may have been, unwinding. If it was,
    /// the thread's panic count never falls to zero again.
    static ABANDONED_UNWINDING: Cell<bool> = const { Cell::new(false) };
    /// The wakers of stacks, in any hub or bridge, whose interrupt is put off until no stack of the
    /// thread is unwinding.
    static DEFERRED: Deferred = const { Deferred(RefCell::new(Vec::new())) };
    /// Counts how often the deferred stacks were woken. A stack uses it to tell whether it is in
    /// the list.
    static DEFERRED_ROUND: Cell<u64> = const { Cell::new(1) };
    /// Whether the list has entries, so that a turn need not look at the list.
    static ANY_DEFERRED: Cell<bool> = const { Cell::new(false) };
}

struct Deferred(RefCell<Vec<Waker>>);

impl Drop for Deferred {
    fn drop(&mut self) {
        for waker in self.0.take() {
            contain::drop_waker(Some(waker));
        }
    }
}

/// Returns whether the running code is surely unwinding. What may be the unwinding of another stack
/// does not count.
#[inline]
pub(crate) fn is_unwinding() -> bool {
    panicking() && is_own_unwinding()
}

#[cold]
fn is_own_unwinding() -> bool {
    with_place(|place| match place {
        Place::Poll(state) | Place::Stack(state) => state.unwinding() == Unwinding::Yes,
        _ => SUSPENDED_PANICKING.get() == 0,
    })
}

/// Records that a stack is abandoned while the thread counts a panic.
pub(super) fn note_abandoned() {
    ABANDONED_UNWINDING.set(true);
}

/// Returns whether the thread counts a panic that may never end while the hubs of this thread run. It
/// may be that of a stack that was abandoned, or of a bridge, which its owner may have forgotten. For a
/// hub that was `made_while_panicking`, it may be that of the code that made the hub.
pub(crate) fn counts_a_panic_for_ever(made_while_panicking: bool) -> bool {
    panicking()
        && (made_while_panicking || ABANDONED_UNWINDING.get() || UNWINDING_BRIDGES.get() > 0)
}

/// Returns the number of the next round of deferred wakes.
pub(crate) fn deferred_round() -> u64 {
    DEFERRED_ROUND.get()
}

/// Arranges for `waker` to be woken when the thread's panic count has fallen to zero.
pub(crate) fn defer(waker: &Waker) {
    let waker = contain::clone_waker(waker);
    ANY_DEFERRED.set(true);
    let _ = DEFERRED.try_with(|deferred| deferred.0.borrow_mut().push(waker));
}

/// Runs other stacks from the running code, which may be on a stack itself. If one of them suspends
/// while unwinding, the panics that the thread counts from then on may not be this stack's, so rule
/// 3 no longer holds for it.
#[inline]
pub(crate) fn while_resuming<R>(resume: impl FnOnce() -> R) -> R {
    let before = panicking();
    if !before {
        // No stack that was abandoned on this thread was unwinding.
        ABANDONED_UNWINDING.set(false);
    }
    let result = half_way::outside(|| ambient::without(resume));
    if !before && panicking() {
        with_place(|place| {
            if let Place::Poll(state) | Place::Stack(state) = place {
                state.panic_is_foreign.set(true);
            }
        });
    }
    wake_deferred();
    result
}

/// Wakes the stacks whose interrupt was put off, if no stack is unwinding any more. Called after
/// stacks have run.
#[inline]
fn wake_deferred() {
    if ANY_DEFERRED.get() && !panicking() {
        wake_deferred_cold();
    }
}

#[cold]
fn wake_deferred_cold() {
    ANY_DEFERRED.set(false);
    DEFERRED_ROUND.set(DEFERRED_ROUND.get() + 1);
    let deferred = DEFERRED.try_with(|deferred| deferred.0.take());
    deferred.into_iter().flatten().for_each(contain::wake);
}
