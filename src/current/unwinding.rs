//! What is known of unwinding, where one thread has many stacks.
//!
//! Throwing into a stack that is already unwinding aborts the process if a destructor lets it out,
//! so it must never happen. Whether *this stack* is unwinding cannot be asked:
//! [`std::thread::panicking`] counts for the thread, and a stack that suspends inside a destructor
//! leaves the count raised for all others. What can be known:
//!
//! 1. If `panicking()` is false, nothing on the thread is unwinding.
//! 2. A stack for which it was false when it suspended is not unwinding when it is resumed,
//!    whatever the count says by then.
//! 3. If it was false when a stack was resumed and is true later in that same run, the stack itself
//!    is unwinding, unless another stack that it ran meanwhile (a bridge, a hub) has suspended in
//!    its own unwinding.
//! 4. Otherwise it *may* be unwinding. It gets its cancel later.
//!
//! To throw, only rules 1 and 2 count. Rule 3 tells where a wait returns an error rather than
//! suspend.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::thread::panicking;

use super::place::{Place, with_place};
use crate::base::contain;

thread_local! {
    /// How many fibers of this thread are suspended while they are surely unwinding. Each of them
    /// goes on some time, and ends its panic.
    pub(super) static UNWINDING_FIBERS: Cell<usize> = const { Cell::new(0) };
    /// Whether a stack was abandoned here while it was, or may have been, unwinding. If it was, the
    /// thread's panic count does not fall to zero again.
    static MARKED: Cell<bool> = const { Cell::new(false) };
    /// The stacks whose interrupt waits until nothing on the thread is unwinding, in any hub or
    /// bridge.
    static DEFERRED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    /// Counts how often they were woken; tells a stack whether it is in the list.
    static DEFERRED_ROUND: Cell<u64> = const { Cell::new(1) };
    /// Whether there are any: spares each turn a look at the list.
    static ANY_DEFERRED: Cell<bool> = const { Cell::new(false) };
}

/// A stack is abandoned here while the thread counts a panic.
pub(super) fn mark() {
    MARKED.set(true);
}

/// Whether the thread counts a panic that no fiber of this thread will end: that of a stack that was
/// abandoned, of a bridge (which nothing may ever poll again), or of code outside of stacks of ours,
/// such as that which made the hub.
pub(crate) fn counts_a_panic_for_ever(made_while_panicking: bool) -> bool {
    panicking() && (made_while_panicking || MARKED.get() || UNWINDING_FIBERS.get() == 0)
}

/// The round of deferred wakes that comes next.
pub(crate) fn deferred_round() -> u64 {
    DEFERRED_ROUND.get()
}

/// Has `waker` woken when the thread's panic count has fallen.
pub(crate) fn defer(waker: &Waker) {
    let waker = contain::clone_waker(waker);
    ANY_DEFERRED.set(true);
    let _ = DEFERRED.try_with(|deferred| deferred.borrow_mut().push(waker));
}

/// Runs other stacks from the code that runs, which may be on a stack itself. If one of them
/// suspends in its unwinding, the panics that the thread counts from then on need not be this
/// stack's: rule 3 does not hold for it any more.
#[inline]
pub(crate) fn while_resuming<R>(resume: impl FnOnce() -> R) -> R {
    let before = panicking();
    if !before {
        // No stack that was abandoned here was unwinding.
        MARKED.set(false);
    }
    let result = resume();
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

/// Wakes the stacks whose interrupt was put off, if nothing unwinds any more. Called after stacks
/// have run.
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
    let deferred = DEFERRED.try_with(|deferred| deferred.take());
    deferred.into_iter().flatten().for_each(contain::wake);
}
