//! Telling async code from a plain thread, where nothing of ours runs.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::task::coop;

/// What the thread is doing, as far as its executors tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// An executor polls: blocking would stop its other tasks.
    Async,
    /// Tokio's scheduler is on the thread but does not limit the code that runs:
    /// `block_in_place`, where blocking is allowed, or `unconstrained`, where it
    /// is not. Tokio's own `block_on` knows which.
    Scheduler,
    /// A plain thread, or one of `spawn_blocking`.
    Thread,
}

/// The executors that the thread is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    runtime: Option<runtime::Id>,
    in_executor: bool,
}

impl Surroundings {
    pub(crate) fn now() -> Surroundings {
        Surroundings {
            runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
            in_executor: in_executor(),
        }
    }
}

/// Whether an executor of the `futures` crate runs on the thread.
#[inline]
pub(crate) fn in_executor() -> bool {
    futures::executor::enter().is_err()
}

/// Asks the executors that can be asked: tokio's and that of `futures`.
pub(crate) fn look() -> Outside {
    if in_executor() || has_coop_budget() {
        return Outside::Async;
    }
    if !inside_scheduler() {
        return Outside::Thread;
    }
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => Outside::Async,
        _ => Outside::Scheduler,
    }
}

/// Whether the thread is inside a tokio scheduler, that is, drives a runtime.
///
/// Tokio's `yield_now` hands its waker to the scheduler it is polled in, to be
/// woken later, and wakes it at once where there is none.
pub(crate) fn inside_scheduler() -> bool {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&waker));
    !flag.0.load(Ordering::Relaxed)
}

/// Whether tokio limits what the running poll may do, as it does in each task
/// and in `block_on`, but not on plain threads.
///
/// A limit is noticed by reaching it; the first guard puts everything back.
fn has_coop_budget() -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(_restore) = coop::poll_proceed(&mut cx) else {
        return true;
    };
    // Budgets are small numbers: 128 for a task.
    for _ in 0..=u8::MAX {
        match coop::poll_proceed(&mut cx) {
            Poll::Ready(spent) => spent.made_progress(),
            Poll::Pending => return true,
        }
    }
    false
}
