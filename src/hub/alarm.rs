//! [`Alarm`]: tells the task that stands by for a hub that the hub was woken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Wake, Waker};

use futures::task::AtomicWaker;

use crate::base::contain;
use crate::base::lock::AtomicBool;

/// The alarm of a hub. It is raised when the hub is woken, and stays raised until it is lowered, so
/// that a busy hub does not wake the task again and again.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// Both sides always swap it, with `AcqRel`, so the later one sees what the other did before:
    /// either the task finds what the hub was woken for, or the task is woken.
    raised: AtomicBool,
    task: AtomicWaker,
    /// Whether the runtime has taken the task. Ordering: only the drop of the task reads this. A task
    /// that the runtime refuses is dropped before this is set, and any other one after it, so `Relaxed`
    /// will do.
    is_armed: AtomicBool,
}

impl Alarm {
    pub(crate) fn new() -> Alarm {
        Alarm {
            raised: AtomicBool::new(false),
            task: AtomicWaker::new(),
            is_armed: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }

    pub(crate) fn lower(&self) {
        self.raised.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Records that the task was spawned.
    pub(crate) fn arm(&self) {
        self.is_armed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.is_armed.load(Ordering::Relaxed)
    }

    /// Has `cx`, which is a task of tokio's, woken when the alarm is raised.
    pub(crate) fn register(&self, cx: &mut Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Returns a waker that raises the alarm and then calls `driver`.
    pub(crate) fn before(self: &Arc<Self>, driver: Waker) -> Waker {
        Waker::from(Arc::new(Raising {
            alarm: self.clone(),
            driver: Some(driver),
        }))
    }
}

/// A driver's waker, behind the alarm.
struct Raising {
    alarm: Arc<Alarm>,
    /// `Some` until this is dropped.
    driver: Option<Waker>,
}

impl Wake for Raising {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.alarm.raise();
        if let Some(driver) = &self.driver {
            contain::wake_by_ref(driver);
        }
    }
}

impl Drop for Raising {
    fn drop(&mut self) {
        contain::drop_waker(self.driver.take());
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::thread;

    use super::Alarm;

    /// A sender leaves mail and raises the alarm, while the task finds nothing and lowers it.
    #[test]
    fn a_wake_is_seen_or_wakes_the_task() {
        loom::model(|| {
            let shared = Arc::new((Alarm::new(), AtomicBool::new(false)));
            shared.0.raise();
            let sender = thread::spawn({
                let shared = shared.clone();
                move || {
                    shared.1.store(true, Ordering::Release);
                    shared.0.raise();
                }
            });
            shared.0.lower();
            let seen = shared.1.load(Ordering::Acquire);
            sender.join().unwrap();
            assert!(seen || shared.0.is_raised(), "the wake is lost");
        });
    }
}
