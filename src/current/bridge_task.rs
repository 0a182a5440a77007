//! [`BridgeTask`]: what a bridge's stack and the task that polls it share.

use std::cell::{Cell, Ref, RefCell};
use std::task::{Context, Waker};

use crate::base::{ResumedIn, Surroundings, Unwinding, contain};

#[derive(Default)]
pub(crate) struct BridgeTask {
    waker: RefCell<Option<Waker>>,
    ended: Cell<bool>,
    abandoned: Cell<Option<Unwinding>>,
    /// Where the stack was resumed.
    pub(crate) resumed_in: ResumedIn,
}

impl BridgeTask {
    /// The waker of the poll that is in progress.
    pub(crate) fn waker(&self) -> Ref<'_, Waker> {
        Ref::map(self.waker.borrow(), |waker| {
            waker.as_ref().expect("a bridge runs only when polled")
        })
    }

    /// Whether the bridge is being dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// The bridge is being dropped.
    pub(crate) fn end(&self) {
        self.ended.set(true);
    }

    /// The stack was abandoned while it was unwinding like this; `None` if it was not abandoned.
    pub(crate) fn abandoned(&self) -> Option<Unwinding> {
        self.abandoned.get()
    }

    pub(crate) fn set_abandoned(&self, unwinding: Unwinding) {
        self.abandoned.set(Some(unwinding));
    }

    /// The stack is about to be resumed by a poll with `cx`.
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
