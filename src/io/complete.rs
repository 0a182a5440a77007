//! [`complete`]: waits for one call of an I/O trait.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread::panicking;
use std::time::Duration;

use tokio::task::coop;

use crate::base::{Timeout, Unwinding, deadline_after};
use crate::cancel::{Interrupt, OnInterrupt, interrupt};
use crate::current::place::Frame;
use crate::current::{Place, SiteKind, WaitSite, stretched, with_place};
use crate::offload::blocking;
use crate::wait::{Call, block_on_io, refused, try_block_on};

/// Waits for one call of an I/O trait.
#[track_caller]
#[inline]
pub(crate) fn complete<F, R>(
    call: impl Into<Call>,
    limit: Option<Duration>,
    operation: F,
) -> io::Result<R>
where
    F: Future<Output = io::Result<R>>,
{
    let call = call.into();
    match limit {
        // An unwinding fiber polls once, which needs no timer.
        Some(limit) if !unwinding() => complete_within(call, limit, operation),
        _ => block_on_io(call, operation),
    }
}

/// Tries a call that need not be polled, in fewer instructions than [`complete`] takes. `None` if it
/// has to wait.
#[track_caller]
#[inline]
pub(crate) fn try_now<R>(
    call: Call,
    attempt: impl FnOnce() -> io::Result<R>,
) -> Option<io::Result<R>> {
    let Some(site) = WaitSite::here_or_error_unless_async(call.name, call.instead) else {
        return Some(Err(refused(Interrupt::Unwinding)));
    };
    let frame = Frame::new();
    if let (SiteKind::Stack, Place::Stack(state)) = (site.kind, frame.place()) {
        match interrupt::take(state, panicking(), OnInterrupt::UnwindOrError) {
            None => {}
            Some(Interrupt::Thrown(thrown)) => thrown.throw(),
            Some(interrupt) => return Some(Err(refused(interrupt))),
        }
    }
    // A call that never waits must still spend the task's budget.
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(budget) = coop::poll_proceed(&mut cx) else {
        return None;
    };
    match attempt() {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
        result => {
            budget.made_progress();
            Some(result)
        }
    }
}

fn unwinding() -> bool {
    with_place(|place| match place {
        Place::Stack(state) => state.unwinding() == Unwinding::Yes,
        _ => false,
    })
}

/// Waits with a timeout. The timer is set only if the operation is not ready at once.
#[track_caller]
fn complete_within<F, R>(call: Call, limit: Duration, operation: F) -> io::Result<R>
where
    F: Future<Output = io::Result<R>>,
{
    let mut operation = pin!(operation);
    let first = poll_fn(|cx| Poll::Ready(operation.as_mut().poll(cx)));
    if let Poll::Ready(result) = try_block_on(call, first)? {
        return result;
    }
    let timeout = Timeout::new(operation, stretched(deadline_after(limit)));
    try_block_on(call, timeout)??
}

/// Calls `f`, which blocks, on a thread of [`blocking`]; on a plain thread, which may block, in place.
/// If it does not block after all, it is called in place anywhere.
///
/// # Panics
///
/// Panics where waiting is not allowed, whether it blocks or not.
#[track_caller]
pub(crate) fn blocking_call<T, F>(call: Call, blocks: bool, f: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    if !blocks {
        return block_on_io(call, async { f() });
    }
    let site = WaitSite::here_or_error_unless_async(call.name, call.instead);
    match site.map(|site| site.kind) {
        Some(SiteKind::Thread) => f(),
        // The job begins at the first poll, which a pending cancel prevents.
        _ => block_on_io(call, async { blocking(f).await }),
    }
}
