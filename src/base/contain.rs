//! Runs foreign code in places that must not unwind.
//!
//! Wakers, destructors, callbacks and panic payloads belong to the user, and each of them may
//! panic. Every such call goes through this module, which reports the panic and stops it. No panic
//! can therefore leave an invariant of ours half done.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::abort;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::panicking;

use futures::task::AtomicWaker;

use super::{half_way, report};

/// Calls `f`. A panic in it is reported with the name `what` and goes no further.
pub(crate) fn run(what: &str, f: impl FnOnce()) {
    let _ = result(what, f);
}

/// Calls `f` and returns its result. A panic in it is reported as by [`run`], and gives `None`.
#[inline]
pub(crate) fn result<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            ignore(what, payload);
            None
        }
    }
}

/// Reports a panic that was caught and that no joiner will receive.
#[cold]
pub(crate) fn ignore(what: &str, payload: Box<dyn Any + Send>) {
    report::error(format_args!("{what} panicked, which is ignored"));
    // The payload is leaked, because its destructor could panic again.
    std::mem::forget(payload);
}

/// Calls a method of a waker. A panic in it is reported with the name `what` and goes no further.
#[inline]
fn call<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    match half_way::call(|| catch_unwind(AssertUnwindSafe(f))) {
        Ok(result) => Some(result),
        Err(payload) => {
            ignore(what, payload);
            None
        }
    }
}

/// Wakes a task.
#[inline]
pub(crate) fn wake(waker: Waker) {
    call("a waker", || waker.wake());
}

/// Wakes a task and keeps the waker.
#[inline]
pub(crate) fn wake_by_ref(waker: &Waker) {
    call("a waker", || waker.wake_by_ref());
}

/// Clones a waker. If the clone panics, wakes the original and returns a waker that does nothing.
#[inline]
pub(crate) fn clone_waker(waker: &Waker) -> Waker {
    call("the clone of a waker", || waker.clone()).unwrap_or_else(|| {
        // The task is polled again and then registers its waker again.
        wake_by_ref(waker);
        Waker::noop().clone()
    })
}

/// Leaves a clone of `waker` in `place`.
pub(crate) fn register_waker(place: &AtomicWaker, waker: &Waker) {
    call("a waker", || place.register(waker));
}

/// Drops a waker that is no longer needed.
#[inline]
pub(crate) fn drop_waker(waker: Option<Waker>) {
    if waker.is_some() {
        call("the drop of a waker", || drop(waker));
    }
}

/// Returns a waker for the same task that does not panic when it is woken or dropped.
pub(crate) fn contained(waker: Waker) -> Waker {
    Waker::from(Arc::new(Contained(Some(waker))))
}

/// The waker is `Some` until this is dropped.
struct Contained(Option<Waker>);

impl Wake for Contained {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(waker) = &self.0 {
            wake_by_ref(waker);
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        drop_waker(self.0.take());
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
