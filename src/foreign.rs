//! Running code that is not ours (wakers, destructors) where it must not unwind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::abort;
use std::task::Waker;

use crate::report;

/// Wakes somebody. A waker that panics is reported and harms nobody.
pub(crate) fn wake(waker: Waker) {
    run("a waker", || waker.wake());
}

/// Runs `f`; a panic in it is reported, in the name of `what`, and ends here.
pub(crate) fn run(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        report::error(format_args!("{what} panicked, which is ignored"));
        // Its drop could panic again.
        std::mem::forget(payload);
    }
}

/// Aborts the process if dropped, so if something unwinds past it. For places
/// where an invariant of ours would be half done. Forget it when it is whole.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        abort();
    }
}
