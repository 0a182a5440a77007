//! A fiber seen from its own stack.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::thread::panicking;

use super::record::Record;
use crate::cancel::Unwinding;
use crate::hub::Core;
use crate::switch::{Suspender, Suspension};

/// What a fiber knows of itself. It lives at the root of the fiber's stack and
/// is touched only by the code that runs there.
pub(crate) struct FiberState {
    pub(crate) suspender: Suspender,
    pub(crate) record: Arc<Record>,
    pub(crate) hub: Rc<Core>,
    /// The record as a waker, made once.
    waker: Waker,
    /// Whether somebody else's unwinding may be what `panicking` reports in this
    /// run: see [`crate::cancel`].
    pub(crate) ambient: Cell<bool>,
    /// Whether the fiber was told to unwind because its hub has ended.
    pub(crate) told_of_end: Cell<bool>,
}

thread_local! {
    /// How many stacks of this thread are suspended while the thread counts a
    /// panic. It never falls for those that were abandoned like that.
    static SUSPENDED_PANICKING: Cell<usize> = const { Cell::new(0) };
}

impl FiberState {
    pub(crate) fn new(suspender: Suspender, record: Arc<Record>, hub: Rc<Core>) -> FiberState {
        FiberState {
            suspender,
            waker: Waker::from(record.clone()),
            record,
            hub,
            ambient: Cell::new(panicking()),
            told_of_end: Cell::new(false),
        }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Suspends the fiber until it is woken. Returns whether its stack may be
    /// unwinding, as in [`crate::cancel`].
    #[inline]
    pub(crate) fn pause(&self) -> bool {
        if panicking() {
            return self.pause_panicking();
        }
        self.suspender.suspend(self, Suspension::Waiting);
        // Rule 2: whatever the count says now, it is not for this stack.
        self.ambient.set(panicking());
        false
    }

    #[cold]
    fn pause_panicking(&self) -> bool {
        let surely = self.unwinding() == Unwinding::Yes;
        SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() + 1);
        self.suspender.suspend(self, Suspension::Waiting);
        SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() - 1);
        let still = panicking();
        let alone = surely && SUSPENDED_PANICKING.get() == 0;
        self.ambient.set(still && !alone);
        still
    }
}

impl fmt::Debug for FiberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiberState")
            .field("fiber", &self.record)
            .finish_non_exhaustive()
    }
}
