//! Running code that is not ours where it must not unwind.
//!
//! Wakers, destructors, callbacks and panic payloads belong to the user, and each of them may
//! panic. Every such call goes through this module, so that a panic is reported and ends here,
//! whatever invariant of ours is half done around it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::abort;
use std::task::Waker;
use std::thread::panicking;

use super::report;

/// Calls `f`. A panic in it is reported as one of `what`, and ends here.
pub(crate) fn run(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        ignore(what, payload);
    }
}

/// Reports a panic that was caught and that nobody will be given.
#[cold]
pub(crate) fn ignore(what: &str, payload: Box<dyn Any + Send>) {
    report::error(format_args!("{what} panicked, which is ignored"));
    // Its destructor could panic again, and so on.
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

/// Clones a waker. If that panics, the clone wakes nobody, so the caller has to wake the
/// original where a lost wake would matter.
#[inline]
pub(crate) fn clone_waker(waker: &Waker) -> Waker {
    match catch_unwind(AssertUnwindSafe(|| waker.clone())) {
        Ok(clone) => clone,
        Err(payload) => {
            ignore("the clone of a waker", payload);
            // The task is polled again, and so leaves its waker again.
            wake_by_ref(waker);
            Waker::noop().clone()
        }
    }
}

/// Drops a waker that is not needed any more.
#[inline]
pub(crate) fn drop_waker(waker: Option<Waker>) {
    if waker.is_some() {
        run("the drop of a waker", || drop(waker));
    }
}

/// Panics with `why`, unless the thread is panicking already: a second panic would abort the
/// process. Then the caller goes on, with an error of its own.
#[track_caller]
pub(crate) fn panic_once(why: &dyn std::fmt::Display) {
    if !panicking() {
        panic!("{why}");
    }
}

/// Aborts the process when it is dropped, that is, if something unwinds past it. It stands where
/// an invariant of ours is half done, and is forgotten when the invariant is whole again.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        abort();
    }
}
