//! Calls the user's code in the midst of a switch between stacks.

use std::cell::Cell;

#[cfg(feature = "tracing")]
use super::StackState;
use super::place::{self, PlaceGuard};
use crate::base::contain;

thread_local! {
    /// The number of calls of [`call`] that the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// How many calls are nested at most. A hook may run other stacks, whose switches call hooks.
const MOST: u32 = 2;

/// Returns whether the running code was called by [`call`].
pub(super) fn is_running() -> bool {
    DEPTH.get() > 0
}

/// Calls `hook`, which cannot wait. If it panics, the panic is reported with the name `what`, and there
/// is no result.
pub(super) fn call<R>(what: &str, hook: impl FnOnce() -> R) -> Option<R> {
    call_in(place::enter_hook, what, hook)
}

/// Like [`call`], in code of the stack with this state.
#[cfg(feature = "tracing")]
#[inline(always)]
pub(super) fn call_on<R>(state: &StackState, what: &str, hook: impl FnOnce() -> R) -> Option<R> {
    call_in(|| place::enter_poll(state), what, hook)
}

#[inline(always)]
fn call_in<'a, R>(
    enter: impl FnOnce() -> PlaceGuard<'a>,
    what: &str,
    hook: impl FnOnce() -> R,
) -> Option<R> {
    let outer = DEPTH.get();
    if outer >= MOST {
        contain::run(what, || drop(hook));
        return None;
    }
    DEPTH.set(outer + 1);
    let returned = {
        let _place = enter();
        contain::result(what, hook)
    };
    DEPTH.set(outer);
    returned
}
