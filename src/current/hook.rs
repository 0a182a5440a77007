//! Calls code that is not ours in the midst of a switch between stacks.

use std::cell::Cell;

use super::place;
use crate::base::contain;

thread_local! {
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the running code was called by [`call`].
pub(super) fn is_running() -> bool {
    IS_RUNNING.get()
}

/// Calls `hook`, which cannot wait. If it panics, the panic is reported with the name `what`, and there
/// is no result.
pub(super) fn call<R>(what: &str, hook: impl FnOnce() -> R) -> Option<R> {
    let mut returned = None;
    let outer = IS_RUNNING.replace(true);
    {
        let _place = place::enter_hook();
        contain::run(what, || returned = Some(hook()));
    }
    IS_RUNNING.set(outer);
    returned
}
