//! Telling async code from a plain thread, and one executor from another.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::task::coop;

/// What the thread is doing, as far as its executors tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    /// An executor polls. Blocking would stop its other tasks.
    Polls,
    /// Tokio's scheduler is on the thread but does not limit the code that runs. Either it is in
    /// `block_in_place`, where blocking is allowed, or in `unconstrained`, where it is not.
    /// Tokio's own `block_on` knows which.
    Unlimited,
    /// There is none: this is a plain thread, or one of `spawn_blocking`.
    Absent,
}

/// The runtime that is current on this thread. Asking costs a clone of its `Arc`.
pub(crate) fn current_runtime() -> Option<runtime::Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// Whether a multi-thread runtime is current on this thread.
pub(crate) fn in_multi_thread_runtime() -> bool {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    matches!(flavor, Ok(RuntimeFlavor::MultiThread))
}

/// Whether an executor of the `futures` crate runs on the thread.
#[inline]
pub(crate) fn in_futures_executor() -> bool {
    futures::executor::enter().is_err()
}

/// Asks the executors that can be asked: tokio's and that of `futures`.
pub(crate) fn look() -> Executor {
    if in_futures_executor() || has_coop_budget() {
        return Executor::Polls;
    }
    if !inside_scheduler() {
        return Executor::Absent;
    }
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => Executor::Polls,
        _ => Executor::Unlimited,
    }
}

/// Whether the thread is inside a tokio scheduler, that is, drives a runtime.
///
/// Tokio's `yield_now` hands its waker to the scheduler that it is polled in, to be woken later.
/// Where there is none, it wakes at once. (The scheduler then looks for I/O once more before it
/// sleeps, so this is not asked at each resume.)
pub(crate) fn inside_scheduler() -> bool {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    wake_after_io(&mut Context::from_waker(&waker));
    !flag.0.load(Ordering::Relaxed)
}

/// Wakes the task behind `cx` after tokio has polled its drivers, or at once outside of a tokio
/// scheduler.
pub(crate) fn wake_after_io(cx: &mut Context<'_>) {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending());
}

/// Whether tokio limits what the running poll may do, as it does in each task and in `block_on`,
/// but not on plain threads.
///
/// A limit can only be noticed by reaching it. The first guard puts everything back.
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

thread_local! {
    /// How many waits of ours block this thread, one inside the other.
    static BLOCKS: Cell<u32> = const { Cell::new(0) };
}

/// Whether a wait of ours blocks this thread, so that it drives no runtime meanwhile.
pub(crate) fn blocks_thread() -> bool {
    BLOCKS.get() > 0
}

/// Notes that a wait of ours blocks this thread, until the guard is dropped.
pub(crate) fn block_thread() -> BlockGuard {
    BLOCKS.set(BLOCKS.get() + 1);
    BlockGuard(())
}

/// See [`block_thread`].
#[derive(Debug)]
pub(crate) struct BlockGuard(());

impl Drop for BlockGuard {
    fn drop(&mut self) {
        BLOCKS.set(BLOCKS.get() - 1);
    }
}
