//! [`Children`]: the fibers of a scope that have not ended.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::Waker;

use crate::base::contain;
use crate::shared::{FiberId, FiberRef};

/// What a scope counts. The scope, which waits for it, shares it with the hub, which tells it of
/// each child's end.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// The children whose stacks have not returned, in the order in which they were spawned.
    running: RefCell<BTreeMap<FiberId, FiberRef>>,
    /// The children that panicked, joined or not.
    panicked: RefCell<Vec<FiberRef>>,
    /// Whether the stack of a child was abandoned, so that it will never return.
    is_lost: Cell<bool>,
    /// Why the children were cancelled. A child that comes later is cancelled too.
    cancelled: Cell<Option<&'static str>>,
    /// The stack that waits for the last child.
    parent: RefCell<Option<Waker>>,
}

impl Children {
    /// Counts a new child, before anything else learns of it.
    pub(crate) fn begin(&self, child: &FiberRef) {
        self.running.borrow_mut().insert(child.id(), child.clone());
    }

    /// Cancels a new child if the others were.
    pub(crate) fn pass_on_cancel(&self, child: &FiberRef) {
        if let Some(message) = self.cancelled.get() {
            child.cancel(Some(message.into()));
        }
    }

    /// Notes that the stack of a child has returned.
    pub(crate) fn end(&self, child: FiberRef) {
        let is_last = {
            let mut running = self.running.borrow_mut();
            running.remove(&child.id());
            running.is_empty()
        };
        if child.has_unclaimed_panic() {
            let mut panicked = self.panicked.borrow_mut();
            // Those that were claimed go when the list would have to grow.
            if panicked.len() == panicked.capacity() {
                panicked.retain(|child| child.has_unclaimed_panic());
            }
            panicked.push(child);
        }
        if is_last {
            self.wake_parent();
        }
    }

    /// Notes that the stack of a child was leaked.
    pub(crate) fn abandon(&self) {
        self.is_lost.set(true);
        self.wake_parent();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.borrow().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.running.borrow().len()
    }

    /// Whether the stack of a child was leaked.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.get()
    }

    pub(crate) fn running(&self) -> Vec<FiberRef> {
        self.running.borrow().values().cloned().collect()
    }

    /// Whether a child panicked and nobody took the panic.
    pub(crate) fn has_unclaimed_panic(&self) -> bool {
        let panicked = self.panicked.borrow();
        panicked.iter().any(|child| child.has_unclaimed_panic())
    }

    /// Cancels all children, and those that come later.
    pub(crate) fn cancel(&self, message: &'static str) {
        self.cancelled.set(Some(message));
        for child in self.running() {
            child.cancel(Some(message.into()));
        }
    }

    /// Has `waker` woken when the last child has ended, or one is lost.
    pub(crate) fn set_parent(&self, waker: &Waker) {
        let waker = contain::clone_waker(waker);
        let old = self.parent.replace(Some(waker));
        contain::drop_waker(old);
    }

    fn wake_parent(&self) {
        let parent = self.parent.take();
        parent.into_iter().for_each(contain::wake);
    }
}
