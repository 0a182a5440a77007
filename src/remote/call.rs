//! [`Call`]: a fiber of a pool that ends with the future that waits for it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
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

/// A call that is made when it is first needed.
pub(super) struct LazyCall<T> {
    /// The lock makes it `Sync`. It is never locked.
    make: Mutex<Option<Make<T>>>,
    call: Option<Call<T>>,
}

type Make<T> = Box<dyn FnOnce() -> Call<T> + Send>;

impl<T> LazyCall<T> {
    pub(super) fn new(make: impl FnOnce() -> Call<T> + Send + 'static) -> LazyCall<T> {
        LazyCall {
            make: Mutex::new(Some(Box::new(make))),
            call: None,
        }
    }

    /// Makes the call, if it was not made before.
    pub(super) fn begin(&mut self) {
        let make = self.make.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(make) = make.take() {
            self.call = Some(make());
        }
    }

    /// Polls the call, which has begun. If its making has panicked, it says so.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let unmade = || Call::new(Fiber::stillborn("it could not be sent".to_owned()));
        Pin::new(self.call.get_or_insert_with(unmade)).poll(cx)
    }
}

impl<T> fmt::Debug for LazyCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.call {
            Some(call) => call.handle().fmt(f),
            None => f.write_str("<not begun>"),
        }
    }
}
