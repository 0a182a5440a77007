//! Tells async code from a plain thread, and one executor from another.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::task::coop;

use super::contain;

/// What the executors on this thread report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    /// An executor is polling. To block here would stop its other tasks.
    Polls,
    /// Tokio's scheduler is on the thread, but puts no limit on the code that runs. The code is
    /// either in `block_in_place`, where blocking is allowed, or in `unconstrained`, where it is
    /// not. Tokio's own `block_on` can tell which.
    Unlimited,
    /// No executor is on the thread: it is a plain thread, or one of `spawn_blocking`.
    Absent,
}

/// Returns the runtime that is current on this thread. This clones and drops its `Arc`.
pub(crate) fn current_runtime() -> Option<runtime::Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// Returns whether this runtime is current, or tokio's thread-locals are gone.
pub(crate) fn is_current(runtime: &Handle) -> bool {
    match Handle::try_current() {
        Ok(current) => current.id() == runtime.id(),
        Err(e) => e.is_thread_local_destroyed(),
    }
}

/// Returns whether tokio's thread-locals are gone, so that it tells nothing any more: the process is
/// ending, by an `exit` that was called on the stack that runs.
#[cold]
pub(crate) fn is_tokio_gone() -> bool {
    Handle::try_current().is_err_and(|e| e.is_thread_local_destroyed())
}

/// Returns whether a multi-thread runtime is current on this thread.
pub(crate) fn in_multi_thread_runtime() -> bool {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    matches!(flavor, Ok(RuntimeFlavor::MultiThread))
}

/// Returns whether an executor of the `futures` crate is running on this thread.
#[inline]
pub(crate) fn in_futures_executor() -> bool {
    futures::executor::enter().is_err()
}

/// Finds out what the executors report, for those that can be asked: tokio's and that of `futures`.
pub(crate) fn look() -> Executor {
    if in_futures_executor() {
        return Executor::Polls;
    }
    // Tokio polls tasks without a runtime too, those of a `LocalSet`, and then tells their ID.
    if tokio::task::try_id().is_none() && Handle::try_current().is_err() {
        return Executor::Absent;
    }
    if has_coop_budget() {
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

/// Returns whether the thread is inside a tokio scheduler, that is, drives a runtime.
///
/// When tokio's `yield_now` is polled inside a scheduler, it hands over its waker to be woken
/// later; elsewhere it wakes at once. This is not asked at each resume, because it makes the
/// scheduler look for I/O once more before it sleeps.
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

/// Returns whether a runtime is driven on the thread. Most have their scheduler there, which is quickly
/// asked. Some calls of `block_on` use none, but limit what their future does.
pub(crate) fn is_driven() -> bool {
    inside_scheduler() || has_coop_budget()
}

/// Wakes the task of `cx` after tokio has polled its drivers. Outside of a tokio scheduler, wakes
/// it at once.
pub(crate) fn wake_after_io(cx: &mut Context<'_>) {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending());
}

/// Like [`wake_after_io`], for a waker of the user's: if it panics, it must not do so in the midst
/// of tokio's scheduler.
pub(crate) fn wake_contained_after_io(cx: &mut Context<'_>) {
    let waker = contain::contained(contain::clone_waker(cx.waker()));
    wake_after_io(&mut Context::from_waker(&waker));
}

/// Wakes a task from a task of its own, because the running code is in the midst of tokio's scheduler.
/// Outside of a runtime, wakes it at once.
pub(crate) fn wake_in_task(waker: Waker) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(async move { contain::wake(waker) })),
        Err(_) => contain::wake(waker),
    }
}

/// Returns whether tokio limits what the running poll may do. It does so in each task and in
/// `block_on`, but not on plain threads.
///
/// A limit shows only when it is reached, so this spends the budget. The first guard restores it.
fn has_coop_budget() -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(_restore) = coop::poll_proceed(&mut cx) else {
        return true;
    };
    // A budget is a small number: tokio gives 128 to a task.
    for _ in 0..=u8::MAX {
        match coop::poll_proceed(&mut cx) {
            Poll::Ready(spent) => spent.made_progress(),
            Poll::Pending => return true,
        }
    }
    false
}

thread_local! {
    /// The number of our waits that block this thread, nested in each other.
    static BLOCKS: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether a wait of ours blocks this thread, so that it drives no runtime meanwhile.
pub(crate) fn blocks_thread() -> bool {
    BLOCKS.get() > 0
}

/// Records that a wait of ours blocks this thread, until the guard is dropped.
pub(crate) fn block_thread() -> BlockGuard {
    BLOCKS.set(BLOCKS.get() + 1);
    BlockGuard(())
}

/// The guard of [`block_thread`].
#[derive(Debug)]
pub(crate) struct BlockGuard(());

impl Drop for BlockGuard {
    fn drop(&mut self) {
        BLOCKS.set(BLOCKS.get() - 1);
    }
}
