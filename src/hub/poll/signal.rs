//! [`Signal`]: the waker that makes a hub look for ready descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use crate::shared::Mailbox;

/// Puts an entry into a hub's ready queue, from whatever thread; one at a time.
///
/// On the main task of a multi-thread runtime, tokio notices what is ready on
/// another thread.
#[derive(Debug)]
pub(super) struct Signal {
    hub: Arc<Mailbox>,
    /// Whether the entry is queued or on its way.
    ///
    /// Ordering: cleared by the hub before it looks, so a signal after that is a
    /// new one.
    queued: AtomicBool,
}

impl Signal {
    pub(super) fn new(hub: &Arc<Mailbox>) -> Arc<Signal> {
        Arc::new(Signal {
            hub: hub.clone(),
            queued: AtomicBool::new(false),
        })
    }

    /// The entry has left the queue.
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
        self.hub.schedule().poll(&self.hub);
    }
}
