//! Parking a fiber.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::current_fiber;
use crate::shared::FiberRef;
use crate::wait::wait_as;

/// Suspends the fiber until somebody calls [`FiberHandle::unpark`].
///
/// The rule is that of [`std::thread::park`]: each fiber has one token, `unpark`
/// makes it available and `park` takes it, waiting if need be. Unlike std's, it
/// never returns without a token.
///
/// # Cancel safety
///
/// A cancelled `park` does not take a token.
///
/// # Panics
///
/// Outside of a fiber, where there is no handle to unpark it with. Where a
/// [`wait`](crate::Wait::wait) panics.
///
/// [`FiberHandle::unpark`]: crate::FiberHandle::unpark
#[track_caller]
pub fn park() {
    let Some(fiber) = current_fiber() else {
        panic!(
            "`park()` was called outside of a fiber, where nobody could unpark it; on a plain \
             thread use `std::thread::park`, in async code await a `tokio::sync::Notify`"
        );
    };
    wait_as("`park()`", Parked(fiber.0));
}

/// Ready once the token is there; takes it.
struct Parked(FiberRef);

impl Future for Parked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // Nothing to register: `unpark` wakes the fiber itself.
        match self.0.unparked.swap(false, Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
