//! [`Outlet`]: what comes out of a fiber of a pool, and then how the fiber has ended.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::call::LazyCall;
use super::members::Members;
use super::pipe::{Buffer, End, pipe};
use crate::current::origin;
use crate::handles::JoinError;

/// The task's side of a fiber that fills a pipe. The fiber begins at the first poll.
pub(super) struct Outlet<B: Buffer, T> {
    // Dropped first, so that the fiber is cancelled before it sees that the pipe is broken.
    call: LazyCall<T>,
    end: End<B>,
    /// How the fiber has ended. The pipe may still hold something then.
    returned: Option<Result<T, JoinError>>,
}

/// What a poll of an outlet gives.
pub(super) enum Out<T> {
    /// The contents of the pipe were taken.
    Taken,
    /// The pipe is empty for ever, and the fiber has ended. This is given once.
    Returned(Result<T, JoinError>),
}

impl<B, T> Outlet<B, T>
where
    B: Buffer + Send + 'static,
    T: Send + 'static,
{
    /// Creates a fiber that runs `body` with its end of the pipe.
    #[track_caller]
    pub(super) fn new<F>(members: Arc<Members>, body: F) -> Outlet<B, T>
    where
        F: FnOnce(&End<B>) -> T + Send + 'static,
    {
        let origin = origin();
        let (end, fibers_end) = pipe();
        Outlet {
            call: LazyCall::new(move || members.call(origin, move || body(&fibers_end))),
            end,
            returned: None,
        }
    }
}

impl<B: Buffer, T> Outlet<B, T> {
    /// Takes everything out of the pipe, in exchange for `empty`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, empty: &mut B) -> Poll<Out<T>> {
        self.call.begin();
        if self.end.poll_take(cx, empty).is_ready() {
            return Poll::Ready(Out::Taken);
        }
        let returned = match self.returned.take() {
            Some(returned) => returned,
            None => ready!(self.call.poll(cx)),
        };
        // What the fiber has put in before its end comes first.
        if self.end.poll_take(cx, empty).is_ready() {
            self.returned = Some(returned);
            return Poll::Ready(Out::Taken);
        }
        Poll::Ready(Out::Returned(returned))
    }
}

impl<B: Buffer, T> fmt::Debug for Outlet<B, T> {
    /// Shows the fiber.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}
