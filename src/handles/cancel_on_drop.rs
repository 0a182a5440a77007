//! [`CancelOnDrop`]: a fiber that ends with the future that waits for it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Fiber, FiberHandle, JoinError};

/// The future that [`Fiber::cancel_on_drop`] returns.
///
/// Its output is that of [`Fiber::join`]. If it is dropped before the fiber has ended, the fiber is
/// cancelled, and drops its result on its own stack. Forgetting it leaves the fiber running.
#[must_use = "dropping this cancels the fiber"]
pub struct CancelOnDrop<T>(Option<Fiber<T>>);

impl<T> CancelOnDrop<T> {
    pub(crate) fn new(fiber: Fiber<T>) -> CancelOnDrop<T> {
        CancelOnDrop(Some(fiber))
    }

    /// Returns the fiber, which is no longer cancelled when it is dropped.
    pub fn into_inner(mut self) -> Fiber<T> {
        match self.0.take() {
            Some(fiber) => fiber,
            None => unreachable!("{PRESENT}"),
        }
    }

    /// Returns a handle to the fiber, without its result.
    pub fn handle(&self) -> FiberHandle {
        self.fiber().handle()
    }

    fn fiber(&self) -> &Fiber<T> {
        self.0.as_ref().expect(PRESENT)
    }
}

/// Only `into_inner` and the drop take the fiber out.
const PRESENT: &str = "the fiber is there until the end";

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(self.0.as_mut().expect(PRESENT)).poll(cx)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(fiber) = self.0.take() {
            fiber.cancel_with("the future that waited for it was dropped");
        }
    }
}

impl<T> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.handle()).finish()
    }
}
