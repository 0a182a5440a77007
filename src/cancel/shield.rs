//! [`shield`]: a section of a fiber that is not cancelled.

use std::cell::Cell;

use crate::current::{Place, with_place};

/// Runs `f` without being cancelled. A cancel that arrives meanwhile stays pending and is delivered
/// at the first wait after `f`.
///
/// It holds off cancels, the close of the hub, and the deadlines of
/// [`with_timeout`](crate::with_timeout) calls around it; a `with_timeout` inside it works. If the
/// hub ends abruptly, with its runtime, the fiber is unwound nevertheless. Outside of a fiber or
/// bridge, this only runs `f`.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{catch_cancel, current_fiber, prelude::*, shield, yield_now};
///
/// let mut steps = 0;
/// let result = catch_cancel(|| {
///     shield(|| {
///         current_fiber().unwrap().cancel();
///         yield_now().wait(); // goes on
///         steps += 1;
///     });
///     steps += 1;
///     yield_now().wait(); // delivered here
///     steps += 1;
/// });
/// assert!(result.is_err());
/// assert_eq!(steps, 2);
/// # }).unwrap();
/// ```
#[doc(alias = "NonCancellable")]
pub fn shield<T>(f: impl FnOnce() -> T) -> T {
    with_place(|place| match place {
        Place::Stack(state) => {
            let _raised = Raised::by_one(&state.shields);
            f()
        }
        _ => f(),
    })
}

/// Raises a count by one, and lowers it again when it is dropped, also on unwind.
pub(crate) struct Raised<'a>(&'a Cell<u32>);

impl<'a> Raised<'a> {
    pub(crate) fn by_one(level: &'a Cell<u32>) -> Raised<'a> {
        level.set(level.get() + 1);
        Raised(level)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
