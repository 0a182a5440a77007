//! [`SchedulerMark`]: tells quickly whether the thread is still in the same scheduler of tokio.
//!
//! Which runtime is current tells it too, but to ask for that clones and drops an `Arc`, which takes a third
//! of the time of a wait. A mark is a waker in the list of those that tokio wakes after its next poll for
//! I/O. Tokio does not clone a waker that is the last in this list already. So if it clones the mark, the
//! mark has come to another list, or others have come after it. Should tokio clone it each time, the mark
//! is never found, and nothing else changes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use super::executors::wake_after_io;

/// A mark in the scheduler of this thread. While it is there, the scheduler polls for I/O once more before
/// it sleeps, so it is for a scheduler that is busy.
pub(crate) struct SchedulerMark {
    /// Shared with the clones of `waker`, which are counted.
    shared: Arc<Mark>,
    waker: Waker,
}

/// The waker of a mark, which wakes nothing.
#[derive(Default)]
struct Mark {
    /// Whether tokio woke it at once, because no scheduler is on the thread.
    was_outside: AtomicBool,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {}

    fn wake_by_ref(self: &Arc<Self>) {
        self.was_outside.store(true, Ordering::Relaxed);
    }
}

impl SchedulerMark {
    pub(crate) fn new() -> SchedulerMark {
        let shared = Arc::new(Mark::default());
        SchedulerMark {
            waker: Waker::from(shared.clone()),
            shared,
        }
    }

    /// Returns whether the mark is the last in the list of the scheduler on this thread, as it is if it
    /// was put there and nothing else since. If not, it is put there.
    #[inline]
    pub(crate) fn is_here_or_put(&self) -> bool {
        let before = Arc::strong_count(&self.shared);
        wake_after_io(&mut Context::from_waker(&self.waker));
        let was_cloned = Arc::strong_count(&self.shared) != before;
        !was_cloned && !self.shared.was_outside.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for SchedulerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerMark").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::Pin;
    use std::sync::Mutex;

    use tokio::runtime::{Builder, Runtime};
    use tokio::task::{spawn, yield_now};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn it_is_found_until_tokio_has_polled_for_io() {
        let mark = SchedulerMark::new();
        runtime().block_on(async {
            assert!(!mark.is_here_or_put());
            assert!(mark.is_here_or_put());
            yield_now().await;
            assert!(!mark.is_here_or_put());
            assert!(mark.is_here_or_put());
        });
        // The list of another `block_on` is another one.
        runtime().block_on(async { assert!(!mark.is_here_or_put()) });
    }

    #[test]
    fn it_is_not_found_below_others() {
        let mark = SchedulerMark::new();
        runtime().block_on(async {
            assert!(!mark.is_here_or_put());
            let mut cx = Context::from_waker(Waker::noop());
            wake_after_io(&mut cx);
            assert!(!mark.is_here_or_put());
            assert!(mark.is_here_or_put());
        });
    }

    #[test]
    fn it_is_not_found_while_another_runtime_is_shut_down() {
        struct Looks(Arc<SchedulerMark>, Mutex<Vec<bool>>);
        impl Wake for Looks {
            fn wake(self: Arc<Self>) {
                self.1.lock().unwrap().push(self.0.is_here_or_put());
            }
        }
        runtime().block_on(async {
            let looks = Arc::new(Looks(Arc::new(SchedulerMark::new()), Mutex::default()));
            let other = runtime();
            let mut task = other.spawn(pending::<()>());
            let waker = Waker::from(looks.clone());
            let joined = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
            assert!(joined.is_pending());
            assert!(!looks.0.is_here_or_put());
            assert!(looks.0.is_here_or_put());
            other.shutdown_background();
            assert_eq!(*looks.1.lock().unwrap(), [false]);
            spawn(yield_now()).await.unwrap();
        });
    }

    #[test]
    fn it_is_not_found_outside() {
        let mark = SchedulerMark::new();
        assert!(!mark.is_here_or_put());
        assert!(!mark.is_here_or_put());
    }
}
