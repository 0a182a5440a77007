//! [`BridgeTask`]: what a bridge's stack and the task that polls it share.

use std::cell::{Cell, Ref, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::base::{ResumedIn, Surroundings, Unwinding, contain};

#[derive(Default)]
pub(crate) struct BridgeTask {
    waker: RefCell<Option<Waker>>,
    ended: Cell<bool>,
    abandoned: Cell<Option<Unwinding>>,
    /// The surroundings in which the stack was resumed.
    pub(crate) resumed_in: ResumedIn,
}

impl BridgeTask {
    /// Returns the waker of the poll that is in progress.
    pub(crate) fn waker(&self) -> Ref<'_, Waker> {
        Ref::map(self.waker.borrow(), |waker| {
            waker.as_ref().expect("a bridge runs only when polled")
        })
    }

    /// Polls `future` with that waker. This is not inlined, so that waits in fibers stay small.
    #[inline(never)]
    pub(super) fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        // It stays borrowed meanwhile; the stack cannot be resumed.
        future.poll(&mut Context::from_waker(&self.waker()))
    }

    /// Returns whether the bridge is being dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Records that the bridge is being dropped.
    pub(crate) fn end(&self) {
        self.ended.set(true);
    }

    /// Returns what was known about the stack's unwinding when it was abandoned; `None` if it was
    /// not abandoned.
    pub(crate) fn abandoned(&self) -> Option<Unwinding> {
        self.abandoned.get()
    }

    pub(crate) fn set_abandoned(&self, unwinding: Unwinding) {
        self.abandoned.set(Some(unwinding));
    }

    /// Prepares for the stack to be resumed by a poll with `cx`.
    pub(crate) fn resume(&self, cx: &mut Context<'_>) {
        let known = matches!(&*self.waker.borrow(), Some(waker) if waker.will_wake(cx.waker()));
        if !known {
            let waker = contain::clone_waker(cx.waker());
            contain::drop_waker(self.waker.replace(Some(waker)));
        }
        let last = known.then(|| self.resumed_in.get());
        self.resumed_in.set(Surroundings::anywhere(last));
    }
}

impl Drop for BridgeTask {
    fn drop(&mut self) {
        contain::drop_waker(self.waker.take());
    }
}
