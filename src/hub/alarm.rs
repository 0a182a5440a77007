//! [`Alarm`]: tells the task that stands by for a hub that the hub was woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures::task::AtomicWaker;

use crate::base::contain;

/// The alarm of a hub. It is raised when the hub is woken, and stays raised until it is lowered, so
/// that a busy hub does not wake the task again and again.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Both sides swap it with `AcqRel`, so one of them sees the other: either the task finds what
    /// the hub was woken for, or the task is woken.
    raised: AtomicBool,
    task: AtomicWaker,
}

impl Alarm {
    #[inline]
    pub(crate) fn raise(&self) {
        if !self.raised.load(Ordering::Relaxed) && !self.raised.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }

    pub(crate) fn lower(&self) {
        self.raised.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
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
