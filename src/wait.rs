//! The [`Wait`] trait: poll, suspend, repeat.
//!
//! # One wait
//!
//! 1. [`WaitSite::here`] finds out whether, and how, the code that runs may wait.
//! 2. On a stack of ours, [`drive`] takes the interrupt that is pending, if there is one. That is
//!    before the poll, so nothing that has become ready is taken and lost.
//! 3. The future is polled, with the stack's own waker, in the place [`Place::Poll`], where nothing
//!    may wait.
//! 4. If it is pending, the stack suspends. The waker, or an interrupt, has it resumed at step 2.
//!
//! The future stays where the caller has put it; it is touched by the code on this stack only.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread::panicking;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::base::{Elapsed, Timeout, Unwinding, deadline_after};
use crate::cancel::{Interrupt, OnInterrupt, interrupt};
use crate::current::place::{self, Frame, Place};
use crate::current::{StackState, WaitSite, suspend};
use crate::shared::Cancelled;

/// Waits for a future in blocking-style code, as `.await` does in async code.
///
/// It is implemented for everything that can be awaited.
///
/// In a fiber, waiting suspends the fiber: its hub goes on with others. On a
/// plain thread (also in `spawn_blocking`) it blocks that thread. In async code
/// it is refused with a panic, since it would stop every other task of the
/// thread; that is noticed in tokio's tasks and `block_on` and in executors of
/// the `futures` crate. An executor that we know nothing of is blocked.
///
/// # Cancel safety
///
/// A wait is where a fiber is cancelled: if a cancel is pending when it begins
/// or arrives while it waits, the future is dropped and the wait unwinds with
/// [`Cancelled`]. This is looked at before the future is
/// polled, so what has become ready is not taken and lost: waiting is as cancel
/// safe as dropping the future.
///
/// # Examples
///
/// ```
/// use switchback::prelude::*;
///
/// let sum = switchback::run(|| {
///     let (tx, rx) = tokio::sync::oneshot::channel();
///     switchback::spawn(move || tx.send(40).unwrap());
///     rx.wait().unwrap() + async { 2 }.wait()
/// });
/// assert_eq!(sum.unwrap(), 42);
/// ```
pub trait Wait: IntoFuture + Sized {
    /// Waits until the future is done and returns its output.
    ///
    /// # Panics
    ///
    /// In async code, inside a future's `poll`, and in the hub's callbacks. Inside
    /// [`assert_no_switchpoints`](crate::assert_no_switchpoints), unless the thread
    /// is panicking.
    #[track_caller]
    #[inline(always)]
    fn wait(self) -> Self::Output {
        wait_as("`.wait()`", self.into_future())
    }

    /// Waits until the future is done; a cancel is returned instead of thrown.
    ///
    /// For code that unwinding must not pass through, such as `extern "C"`
    /// callbacks, and for destructors: while the fiber unwinds, and once its hub
    /// has ended, the future is polled once (not at all in the latter case) and
    /// if it is not ready, that is returned as a cancel too.
    ///
    /// A returned cancel is used up. A deadline of
    /// [`with_timeout`](crate::with_timeout) and the close of the hub are
    /// returned by each wait.
    ///
    /// # Errors
    ///
    /// What the fiber was cancelled with.
    ///
    /// # Panics
    ///
    /// As [`wait`](Wait::wait), except that while the thread is panicking, it
    /// returns an error instead.
    #[track_caller]
    fn wait_or_cancelled(self) -> Result<Self::Output, Cancelled> {
        let result = match WaitSite::here_or_error("`.wait_or_cancelled()`") {
            Some(site) => block_on(site, self.into_future(), OnInterrupt::Error),
            None => Err(Interrupt::Unwinding),
        };
        result.map_err(Interrupt::into_cancelled)
    }

    /// Waits until the future is done, but no longer than `duration`.
    ///
    /// The future is polled at least once, so with a duration of zero it is
    /// tried. On a timeout it is dropped.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the time is over; also, in a fiber that is unwinding, if
    /// the future is not ready at once, and in one whose hub has ended.
    ///
    /// # Panics
    ///
    /// As [`wait_or_cancelled`](Wait::wait_or_cancelled), and if the runtime's timers are not enabled.
    #[track_caller]
    fn wait_timeout(self, duration: Duration) -> Result<Self::Output, Elapsed> {
        match WaitSite::here_or_error("`.wait_timeout()`") {
            Some(site) => block_until(site, self.into_future(), deadline_after(duration)),
            None => Err(Elapsed::unwinding()),
        }
    }

    /// Waits until the future is done, but not beyond `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Wait::wait_timeout).
    ///
    /// # Panics
    ///
    /// As [`wait_or_cancelled`](Wait::wait_or_cancelled), and if the runtime's timers are not enabled.
    #[track_caller]
    fn wait_until(self, deadline: impl Into<Instant>) -> Result<Self::Output, Elapsed> {
        match WaitSite::here_or_error("`.wait_until()`") {
            Some(site) => block_until(site, self.into_future(), deadline.into()),
            None => Err(Elapsed::unwinding()),
        }
    }
}

impl<F: IntoFuture> Wait for F {}

/// Waits for `future` where the code runs, in the name of `call`; only an unwind ends that early.
///
/// # Panics
///
/// Where waiting is not allowed.
#[track_caller]
#[inline(always)]
pub(crate) fn wait_as<F: Future>(call: &str, future: F) -> F::Output {
    match block_on(WaitSite::here(call), future, OnInterrupt::Unwind) {
        Ok(output) => output,
        Err(interrupt) => interrupt.throw(),
    }
}

/// Waits for `future` at this site.
#[inline(always)]
pub(crate) fn block_on<F: Future>(
    site: WaitSite,
    future: F,
    on: OnInterrupt,
) -> Result<F::Output, Interrupt> {
    let mut future = pin!(future);
    if let WaitSite::Stack = site {
        let frame = Frame::new();
        return match frame.place() {
            Place::Stack(state) => drive(state, future.as_mut(), on),
            _ => unreachable!("a site is used where it was found"),
        };
    }
    let _polling = place::enter_thread_poll();
    Ok(match site {
        WaitSite::Tokio => Handle::current().block_on(future),
        _ => futures::executor::block_on(future),
    })
}

#[track_caller]
fn block_until<F: Future>(
    site: WaitSite,
    future: F,
    deadline: Instant,
) -> Result<F::Output, Elapsed> {
    match block_on(
        site,
        Timeout::new(future, deadline),
        OnInterrupt::UnwindOrError,
    ) {
        Ok(output) => output,
        Err(Interrupt::Thrown(thrown)) => thrown.throw(),
        Err(Interrupt::HubGone) => Err(Elapsed::hub_gone()),
        Err(Interrupt::Unwinding) => Err(Elapsed::unwinding()),
    }
}

/// Polls `future` on the stack with this state until it is ready, and suspends the stack in between.
#[inline(always)]
fn drive<F: Future>(
    state: &StackState,
    mut future: Pin<&mut F>,
    on: OnInterrupt,
) -> Result<F::Output, Interrupt> {
    let mut may_unwind = panicking();
    loop {
        if let Some(interrupt) = interrupt::take(state, may_unwind, on) {
            return Err(interrupt);
        }
        {
            let _polling = place::enter_poll(state);
            let poll = |waker: &_| future.as_mut().poll(&mut Context::from_waker(waker));
            if let Poll::Ready(output) = state.with_waker(poll) {
                return Ok(output);
            }
        }
        if on != OnInterrupt::Unwind && state.unwinding() == Unwinding::Yes {
            return Err(Interrupt::Unwinding);
        }
        may_unwind = suspend::pause(state);
    }
}
