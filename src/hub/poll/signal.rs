//! [`Signal`]: the waker that makes a hub look for ready descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use crate::shared::Mailbox;

/// Puts an entry into a hub's ready queue, from any thread. At most one entry exists at a
/// time.
///
/// For a hub on the main task of a multi-thread runtime, tokio notices readiness on another
/// thread.
#[derive(Debug)]
pub(super) struct Signal {
    hub: Arc<Mailbox>,
    /// Whether the entry is queued or on its way.
    ///
    /// Ordering: the hub clears it before it polls, so a later signal queues a new entry.
    queued: AtomicBool,
}

impl Signal {
    pub(super) fn new(hub: &Arc<Mailbox>) -> Arc<Signal> {
        Arc::new(Signal {
            hub: hub.clone(),
            queued: AtomicBool::new(false),
        })
    }

    /// Records that the entry has left the queue.
    pub(super) fn clear(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        self.hub.scheduler().poll(&self.hub);
    }
}
