//! Parks a fiber.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{FiberHandle, current_fiber};
use crate::current::{Blocker, note};
use crate::wait::wait_as;

/// Suspends the calling fiber until [`FiberHandle::unpark`] is called for it.
///
/// As with [`std::thread::park`], each fiber has one token: `unpark` makes it available, and `park`
/// takes it, after waiting for it if necessary. Unlike std's, this never returns without a token.
///
/// # Cancel safety
///
/// A cancelled `park` does not take a token.
///
/// # Panics
///
/// Panics outside of a fiber, where there is no handle to unpark, and where
/// [`wait`](crate::Wait::wait) panics.
///
/// [`FiberHandle::unpark`]: crate::FiberHandle::unpark
#[doc(alias = "LockSupport.park")]
#[track_caller]
pub fn park() {
    let Some(fiber) = current_fiber() else {
        panic!(
            "`park()` was called outside of a fiber, where nobody could unpark it; on a plain \
             thread use `std::thread::park`, in async code await a `tokio::sync::Notify`"
        );
    };
    wait_as("`park()`", Parked(fiber));
}

/// A future that is ready once the token is available, and takes it.
struct Parked(FiberHandle);

impl Future for Parked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // There is no waker to register, because `unpark` wakes the fiber itself.
        match self.0.take_token() {
            true => Poll::Ready(()),
            false => {
                note(Blocker::Unpark);
                Poll::Pending
            }
        }
    }
}
