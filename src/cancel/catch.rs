//! [`catch_cancel`] and [`check_cancelled`].

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::interrupt;
use crate::base::half_way;
use crate::current::place::{Frame, Place};
use crate::shared::Cancelled;

/// Delivers a pending cancel here, without suspending. A deadline that has passed and a close of
/// the hub are delivered too.
///
/// Call this in long computations that do not wait. It does nothing outside of a fiber or bridge,
/// and where an interrupt would stay pending: in a [`shield`](crate::shield()), in
/// [`assert_no_switchpoints`](crate::assert_no_switchpoints), and on a stack that is or may be
/// unwinding.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{check_cancelled, current_fiber, prelude::*, spawn};
///
/// let mut fiber = spawn(|| {
///     current_fiber().unwrap().cancel();
///     loop {
///         check_cancelled();
///     }
/// });
/// assert!(fiber.join().wait().unwrap_err().is_cancelled());
/// # }).unwrap();
/// ```
#[doc(alias = "ensureActive")]
#[doc(alias = "isActive")]
#[track_caller]
pub fn check_cancelled() {
    let frame = Frame::new();
    let thrown = match frame.place() {
        // In a waker, the cancel would end there.
        Place::Stack(state) if !half_way::is_running() => interrupt::take_here(state),
        _ => None,
    };
    if let Some(thrown) = thrown {
        thrown.throw();
    }
}

/// Runs `f` and catches a cancel that unwinds it. Other panics continue to unwind.
///
/// The cancel is consumed: the fiber continues and can be cancelled again.
///
/// # Errors
///
/// Returns the [`Cancelled`] that has unwound `f`.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{catch_cancel, current_fiber, prelude::*, yield_now};
///
/// current_fiber().unwrap().cancel_with("enough");
/// let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
/// assert_eq!(cancelled.message(), Some("enough"));
/// yield_now().wait(); // delivered once
/// # }).unwrap();
/// ```
pub fn catch_cancel<T>(f: impl FnOnce() -> T) -> Result<T, Cancelled> {
    // The caller may see state that `f` left broken, just as if nothing had been caught.
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Cancelled>() {
        Ok(cancelled) => *cancelled,
        Err(payload) => resume_unwind(payload),
    })
}
