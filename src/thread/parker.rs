//! [`Parker`]: what the body of a bridge, or a plain thread, has in place of a fiber's handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;

use futures::task::AtomicWaker;

use crate::base::contain;
use crate::current::{Place, with_place};
use crate::fiber_local;
use crate::shared::FiberId;

fiber_local! {
    /// That of a bridge, or of a thread. (A fiber has none, see `current` in `handle.rs`.)
    static OWN: Arc<Parker> = Parker::new();
}

/// The token of `park`, with an ID. It is not the token of `std::thread::park`, which the executor
/// takes that blocks a thread in a wait.
#[derive(Debug)]
pub(super) struct Parker {
    id: FiberId,
    /// A bridge has none, and so no name.
    thread: Option<thread::Thread>,
    token: AtomicBool,
    /// The waker of the only one that may wait, which is its owner.
    waker: AtomicWaker,
}

/// Returns that of the running code. Where it is gone already, in destructors at the end of a thread or
/// a bridge, returns a new one at each call.
pub(super) fn current() -> Arc<Parker> {
    OWN.try_with(Arc::clone).unwrap_or_else(|_| Parker::new())
}

impl Parker {
    fn new() -> Arc<Parker> {
        let is_thread = with_place(|place| !matches!(place, Place::Stack(_) | Place::Poll(_)));
        Arc::new(Parker {
            id: FiberId::next(),
            thread: is_thread.then(thread::current),
            token: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        })
    }

    pub(super) fn id(&self) -> FiberId {
        self.id
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.thread.as_ref()?.name()
    }

    pub(super) fn unpark(&self) {
        // Ordering: pairs with the swap in `poll_token`, so that code after `park` sees what happened
        // before `unpark`.
        self.token.store(true, Ordering::Release);
        self.waker.take().into_iter().for_each(contain::wake);
    }

    pub(super) fn poll_token(&self, cx: &mut Context<'_>) -> Poll<()> {
        // First, so that an `unpark` after the look finds the waker.
        contain::register_waker(&self.waker, cx.waker());
        match self.token.swap(false, Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
