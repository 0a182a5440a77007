//! Calls code that is not ours in the midst of a switch between stacks.

use std::cell::Cell;

use super::place;
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
    let mut returned = None;
    let outer = DEPTH.get();
    if outer >= MOST {
        contain::run(what, || drop(hook));
        return None;
    }
    DEPTH.set(outer + 1);
    {
        let _place = place::enter_hook();
        contain::run(what, || returned = Some(hook()));
    }
    DEPTH.set(outer);
    returned
}
