//! [`BridgeTask`]: what a bridge's stack and the task that polls it share.

use std::cell::{Cell, Ref, RefCell};
use std::task::{Context, Waker};

use crate::base::executors::Surroundings;
use crate::base::{Unwinding, contain};

#[derive(Default)]
pub(crate) struct BridgeTask {
    waker: RefCell<Option<Waker>>,
    ended: Cell<bool>,
    abandoned: Cell<Option<Unwinding>>,
    /// Where the stack was resumed.
    resumed_in: Cell<Surroundings>,
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

    /// Whether the code that runs is in an executor that was entered above the resume: a nested
    /// `block_on`, which must not be suspended half way.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.resumed_in.get() != Surroundings::now()
    }

    /// The stack is about to be resumed by a poll with `cx`.
    pub(crate) fn resume(&self, cx: &mut Context<'_>) {
        let known = matches!(&*self.waker.borrow(), Some(waker) if waker.will_wake(cx.waker()));
        if !known {
            let waker = contain::clone_waker(cx.waker());
            contain::drop_waker(self.waker.replace(Some(waker)));
        }
        self.resumed_in.set(Surroundings::now());
    }
}
