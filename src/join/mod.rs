//! Joining a fiber: [`Join`], [`JoinError`], and how the result gets there.

mod error;
#[cfg(all(test, switchback_loom))]
mod loom_tests;
mod packet;
mod spares;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) use error::Cause;
pub use error::JoinError;
pub(crate) use packet::{Delivery, Receipt, packet};
pub(crate) use spares::Spares;

use crate::fiber::Fiber;

/// The future of [`Fiber::join`].
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Join<'a, T> {
    fiber: &'a mut Fiber<T>,
}

impl<'a, T> Join<'a, T> {
    pub(crate) fn new(fiber: &'a mut Fiber<T>) -> Join<'a, T> {
        Join { fiber }
    }
}

impl<T> Future for Join<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().fiber.poll_join(cx)
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Join").field(&self.fiber).finish()
    }
}
