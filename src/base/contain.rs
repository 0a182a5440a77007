//! Runs foreign code in places that must not unwind.
//!
//! Wakers, destructors, callbacks and panic payloads belong to the user, and each of them may
//! panic. Every such call goes through this module, which reports the panic and stops it. No panic
//! can therefore leave an invariant of ours half done.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::abort;
use std::task::Waker;
use std::thread::panicking;

use super::report;

/// Calls `f`. A panic in it is reported with the name `what` and goes no further.
pub(crate) fn run(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        ignore(what, payload);
    }
}

/// Reports a panic that was caught and that no joiner will receive.
#[cold]
pub(crate) fn ignore(what: &str, payload: Box<dyn Any + Send>) {
    report::error(format_args!("{what} panicked, which is ignored"));
    // The payload is leaked, because its destructor could panic again.
    std::mem::forget(payload);
}

/// Wakes a task.
#[inline]
pub(crate) fn wake(waker: Waker) {
    run("a waker", || waker.wake());
}

/// Wakes a task and keeps the waker.
#[inline]
pub(crate) fn wake_by_ref(waker: &Waker) {
    run("a waker", || waker.wake_by_ref());
}

/// Clones a waker. If the clone panics, wakes the original and returns a waker that does nothing.
#[inline]
pub(crate) fn clone_waker(waker: &Waker) -> Waker {
    match catch_unwind(AssertUnwindSafe(|| waker.clone())) {
        Ok(clone) => clone,
        Err(payload) => {
            ignore("the clone of a waker", payload);
            // The task is polled again and then registers its waker again.
            wake_by_ref(waker);
            Waker::noop().clone()
        }
    }
}

/// Drops a waker that is no longer needed.
#[inline]
pub(crate) fn drop_waker(waker: Option<Waker>) {
    if waker.is_some() {
        run("the drop of a waker", || drop(waker));
    }
}

/// Panics with `why`. Does nothing if the thread is already panicking, because a second panic would
/// abort the process; the caller then returns an error of its own.
#[track_caller]
pub(crate) fn panic_once(why: &dyn std::fmt::Display) {
    if !panicking() {
        panic!("{why}");
    }
}

/// Aborts the process when it is dropped, which means that something is unwinding past it. It is
/// created where an invariant of ours is half done, and forgotten once the invariant holds again.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        abort();
    }
}
