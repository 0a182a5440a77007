//! [`Call`]: a fiber of a pool that ends with the future that waits for it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::handles::{CancelOnDrop, Fiber, FiberHandle, JoinError};

/// The future that [`HubPool::call`](crate::HubPool::call) returns.
#[must_use = "dropping this cancels the call"]
pub struct Call<T>(CancelOnDrop<T>);

impl<T> Call<T> {
    pub(super) fn new(fiber: Fiber<T>) -> Call<T> {
        Call(fiber.cancel_on_drop())
    }

    /// Returns a handle to the fiber that runs the call.
    pub fn handle(&self) -> FiberHandle {
        self.0.handle()
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.0.handle()).finish()
    }
}
