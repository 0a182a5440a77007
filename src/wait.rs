//! The [`Wait`] trait: poll, suspend, repeat.
//!
//! # One wait
//!
//! 1. [`WaitSite::here`] checks whether, and how, the running code may wait.
//! 2. On a stack of ours, [`drive`] takes the pending interrupt, if there is one. This comes before
//!    the poll, so no output that is ready is taken and lost.
//! 3. The future is polled with the stack's own waker, in the place [`Place::Poll`], where no code
//!    may wait.
//! 4. If it is pending, the stack refuses to suspend if another runtime was entered on it. Otherwise it
//!    records where it waits, and suspends. Its waker or an interrupt resumes it at step 2.
//!
//! The future stays where the caller has put it, and only the code on this stack uses it.

use std::any::type_name;
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread::panicking;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::base::{Elapsed, Timeout, Unwinding, deadline_after};
use crate::cancel::{Interrupt, OnInterrupt, interrupt};
use crate::current::place::{self, Frame, Place};
use crate::current::{
    Resumer, SiteKind, StackState, WaitSite, refuse_other_runtime, stretched, suspend,
};
use crate::shared::Cancelled;

/// Waits for a future in blocking-style code, as `.await` does in async code.
///
/// It is implemented for every type that can be awaited.
///
/// In a fiber, a wait suspends the fiber, and its hub continues with others. On a plain thread
/// (including `spawn_blocking`) it blocks the thread. In async code, where it would stop every
/// other task of the thread, it is refused with a panic. This is detected in tokio's tasks and
/// `block_on`, and in executors of the `futures` crate. Any other executor is blocked.
///
/// # Cancel safety
///
/// A fiber is cancelled in its waits. If a cancel is pending when a wait begins, or arrives during
/// it, the future is dropped and the wait unwinds with [`Cancelled`]. This is checked before each
/// poll, so an output that is ready is not taken and lost: a wait is as cancel safe as dropping its
/// future.
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
    /// Panics in async code, inside a future's `poll`, in the hub's callbacks, and in an executor
    /// that was entered on the fiber's own stack. Panics inside
    /// [`assert_no_switchpoints`](crate::assert_no_switchpoints), unless the thread is panicking.
    #[doc(alias = "await")]
    #[doc(alias = "block_on")]
    #[doc(alias = "get")]
    #[track_caller]
    #[inline(always)]
    fn wait(self) -> Self::Output {
        wait_as("`.wait()`", self)
    }

    /// Waits until the future is done and returns its output. A cancel is returned, not thrown.
    ///
    /// This is for code that must not be unwound, such as `extern "C"` callbacks, and for
    /// destructors. While the fiber unwinds, the future is polled only once, and if it is not
    /// ready, an error is returned. Once the hub has ended, an error is returned without a poll.
    ///
    /// A cancel that was returned is consumed. A deadline of [`with_timeout`](crate::with_timeout)
    /// and the close of the hub are returned by every wait.
    ///
    /// # Errors
    ///
    /// Returns the [`Cancelled`] that ended the wait.
    ///
    /// # Panics
    ///
    /// As for [`wait`](Wait::wait), except that this returns an error while the thread is
    /// panicking.
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
    /// The future is polled at least once, even if `duration` is zero. On a timeout it is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`Elapsed`] if the time has passed. Also returns it in a fiber that is unwinding if
    /// the future is not ready at once, and in a fiber whose hub has ended.
    ///
    /// # Panics
    ///
    /// As for [`wait_or_cancelled`](Wait::wait_or_cancelled). Also panics if the runtime's timers
    /// are not enabled.
    #[doc(alias = "withTimeoutOrNull")]
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
    /// As for [`wait_timeout`](Wait::wait_timeout).
    ///
    /// # Panics
    ///
    /// As for [`wait_or_cancelled`](Wait::wait_or_cancelled). Also panics if the runtime's timers
    /// are not enabled.
    #[track_caller]
    fn wait_until(self, deadline: impl Into<Instant>) -> Result<Self::Output, Elapsed> {
        match WaitSite::here_or_error("`.wait_until()`") {
            Some(site) => block_until(site, self.into_future(), deadline.into()),
            None => Err(Elapsed::unwinding()),
        }
    }
}

impl<F: IntoFuture> Wait for F {}

/// Waits for `future` on the stack or thread of the running code. Only an unwind ends the wait
/// early. A refusal names `call`.
///
/// # Panics
///
/// Panics where waiting is not allowed.
#[track_caller]
#[inline(always)]
pub(crate) fn wait_as<F: IntoFuture>(call: &'static str, future: F) -> F::Output {
    wait_at(WaitSite::here(call), future.into_future())
}

/// Waits for `future` at this site, which must be that of the running code. Only an unwind ends the
/// wait early.
#[track_caller]
#[inline(always)]
pub(crate) fn wait_at<F: Future>(site: WaitSite, future: F) -> F::Output {
    match block_on(site, future, OnInterrupt::Unwind) {
        Ok(output) => output,
        Err(interrupt) => interrupt.throw(),
    }
}

/// Returns whether the running code is that of a fiber which may suspend at once: see
/// [`suspend_calmly`].
#[inline(always)]
pub(crate) fn is_calm() -> bool {
    let frame = Frame::new();
    match frame.place() {
        Place::Stack(state) => state.fiber().is_some() && has_calm(state),
        _ => false,
    }
}

/// Returns whether no interrupt has to be looked at, and nothing unwinds.
#[inline(always)]
fn has_calm(state: &StackState) -> bool {
    !interrupt::may_be_any(state) && !panicking()
}

/// Suspends the running fiber, which [is calm](is_calm), until it is woken. This is a wait without a
/// future, for a caller that has arranged for the wake. What it waits for is named by `what`, and the call
/// that waits is the one of this site.
///
/// Returns whether the fiber is still calm, and suspended. If not, the caller has to wait for a future,
/// which looks at the interrupt first.
#[track_caller]
#[inline(always)]
pub(crate) fn suspend_calmly(site: WaitSite, what: fn() -> &'static str) -> bool {
    let frame = Frame::new();
    let Place::Stack(state) = frame.place() else {
        return false;
    };
    let Resumer::Hub { fiber, hub } = &state.resumer else {
        return false;
    };
    let at = Location::caller();
    if state.resumer.is_in_other_runtime() {
        return false;
    }
    state.begin_wait();
    state.note_suspension(at, site.call, what);
    suspend::wait_calmly(state, hub.part(fiber));
    has_calm(state)
}

/// Waits for `future` at this site, which must be that of the running code.
#[track_caller]
#[inline(always)]
pub(crate) fn block_on<F: Future>(
    site: WaitSite,
    future: F,
    on: OnInterrupt,
) -> Result<F::Output, Interrupt> {
    let mut future = pin!(future);
    if let SiteKind::Stack = site.kind {
        let frame = Frame::new();
        return match frame.place() {
            Place::Stack(state) => drive(state, site.call, future.as_mut(), on),
            _ => unreachable!("a site is used where it was found"),
        };
    }
    Ok(block_thread(site.kind, future))
}

/// A call that waits: its name, and what to use instead in async code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) instead: &'static str,
}

impl Call {
    const fn new(name: &'static str, instead: &'static str) -> Call {
        Call { name, instead }
    }

    /// A call of a socket.
    pub(crate) const fn net(name: &'static str) -> Call {
        Call::new(name, "use tokio's sockets")
    }

    /// A call of a file.
    #[cfg(feature = "fs")]
    pub(crate) const fn fs(name: &'static str) -> Call {
        Call::new(name, "use `tokio::fs`")
    }

    /// A call that waits for a child process.
    #[cfg(feature = "process")]
    pub(crate) const fn process(name: &'static str) -> Call {
        Call::new(name, "use `tokio::process`")
    }

    /// A call that reads the standard input.
    pub(crate) const fn stdin(name: &'static str) -> Call {
        Call::new(name, "use `tokio::io::stdin`")
    }
}

impl From<&'static str> for Call {
    fn from(name: &'static str) -> Call {
        Call::new(name, "use `.await`")
    }
}

/// Waits for a call that can return I/O errors. A cancel unwinds; where waiting
/// is impossible, an error says so.
#[track_caller]
#[inline]
pub(crate) fn block_on_io<F, R>(call: impl Into<Call>, operation: F) -> io::Result<R>
where
    F: Future<Output = io::Result<R>>,
{
    try_block_on(call, operation)?
}

/// Like [`block_on_io`], for any output.
#[track_caller]
#[inline]
pub(crate) fn try_block_on<F: Future>(
    call: impl Into<Call>,
    operation: F,
) -> io::Result<F::Output> {
    let Call { name, instead } = call.into();
    let Some(site) = WaitSite::here_or_error_unless_async(name, instead) else {
        return Err(refused(Interrupt::Unwinding));
    };
    match block_on(site, operation, OnInterrupt::UnwindOrError) {
        Ok(output) => Ok(output),
        Err(Interrupt::Thrown(thrown)) => thrown.throw(),
        Err(interrupt) => Err(refused(interrupt)),
    }
}

/// Returns the error of a wait that was refused.
#[cold]
pub(crate) fn refused(interrupt: Interrupt) -> io::Error {
    let cancelled: Cancelled = interrupt.into_cancelled();
    io::Error::from(cancelled)
}

/// Blocks this thread until `future` is ready. This is not inlined, because it would make the frames of
/// fibers large.
#[cold]
#[inline(never)]
#[track_caller]
fn block_thread<F: Future>(kind: SiteKind, future: Pin<&mut F>) -> F::Output {
    let _polling = place::enter_thread_poll();
    match kind {
        SiteKind::Tokio => Handle::current().block_on(future),
        _ => futures::executor::block_on(future),
    }
}

/// Waits for `future` at this site, which must be that of the running code, but not beyond `deadline`.
#[track_caller]
pub(crate) fn block_until<F: Future>(
    site: WaitSite,
    future: F,
    deadline: Instant,
) -> Result<F::Output, Elapsed> {
    match block_on(
        site,
        Timeout::new(future, stretched(deadline)),
        OnInterrupt::UnwindOrError,
    ) {
        Ok(output) => output,
        Err(Interrupt::Thrown(thrown)) => thrown.throw(),
        Err(Interrupt::HubGone) => Err(Elapsed::hub_gone()),
        Err(Interrupt::Unwinding) => Err(Elapsed::unwinding()),
    }
}

/// Polls `future` on the stack with this state until it is ready, and suspends the stack between
/// the polls, on behalf of `call`.
#[track_caller]
#[inline(always)]
fn drive<F: Future>(
    state: &StackState,
    call: &'static str,
    mut future: Pin<&mut F>,
    on: OnInterrupt,
) -> Result<F::Output, Interrupt> {
    let mut may_unwind = panicking();
    loop {
        if let Some(interrupt) = interrupt::take(state, may_unwind, on) {
            return Err(interrupt);
        }
        {
            // At each poll, because what the last one waited for may be over.
            state.begin_wait();
            let _polling = place::enter_poll(state);
            if let Poll::Ready(output) = state.resumer.poll(future.as_mut()) {
                return Ok(output);
            }
        }
        if on != OnInterrupt::Unwind && state.unwinding() == Unwinding::Yes {
            return Err(Interrupt::Unwinding);
        }
        if state.resumer.is_in_other_runtime() {
            refuse_other_runtime("a wait");
        }
        state.note_suspension(Location::caller(), call, type_name::<F>);
        may_unwind = suspend::pause(state);
        state.note_resumption(Location::caller());
    }
}
