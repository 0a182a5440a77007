//! [`catch_cancel`] and [`check_cancelled`].

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::interrupt;
use crate::current::{Place, with_place};
use crate::shared::Cancelled;

/// Delivers a pending cancel here, without giving way to others.
///
/// For long computations that do not wait. Outside of a fiber, and where a
/// cancel would stay pending ([`shield`](crate::shield()),
/// [`assert_no_switchpoints`](crate::assert_no_switchpoints), a stack that
/// unwinds), it does nothing.
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
pub fn check_cancelled() {
    let thrown = with_place(|place| match place {
        Place::Stack(state) => interrupt::take_here(state),
        _ => None,
    });
    if let Some(thrown) = thrown {
        thrown.throw();
    }
}

/// Runs `f` and catches a cancel that unwinds it. Other panics go on.
///
/// The cancel is used up: the fiber goes on and can be cancelled again.
///
/// # Errors
///
/// What `f` was cancelled with.
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
    // What `f` broke is for the caller to see, as if it had not been caught.
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Cancelled>() {
        Ok(cancelled) => *cancelled,
        Err(payload) => resume_unwind(payload),
    })
}
