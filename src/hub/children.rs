//! [`Children`]: the fibers of a scope that have not ended.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::Waker;

use crate::base::contain;
use crate::shared::{FiberId, FiberRef};

/// The children of a scope. The scope, which waits for them, shares this with the hub, which
/// records the end of each child here.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// The children whose stacks have not returned, in the order in which they were spawned.
    running: RefCell<BTreeMap<FiberId, FiberRef>>,
    /// The children that panicked, whether or not they were joined.
    panicked: RefCell<Vec<FiberRef>>,
    /// Whether the stack of a child was abandoned. It will then never return.
    is_lost: Cell<bool>,
    /// The reason with which the children were cancelled. Later children are cancelled too.
    cancelled: Cell<Option<&'static str>>,
    /// The waker of the stack that waits for the last child.
    parent: RefCell<Option<Waker>>,
}

impl Drop for Children {
    fn drop(&mut self) {
        contain::drop_waker(self.parent.take());
    }
}

impl Children {
    /// Adds a new child, before any other code knows of it.
    pub(crate) fn begin(&self, child: &FiberRef) {
        self.running.borrow_mut().insert(child.id(), child.clone());
    }

    /// Cancels a new child if the other children were cancelled.
    pub(crate) fn pass_on_cancel(&self, child: &FiberRef) {
        if let Some(message) = self.cancelled.get() {
            child.cancel(Some(message.into()));
        }
    }

    /// Records that the stack of a child has returned.
    pub(crate) fn end(&self, child: FiberRef) {
        let is_last = {
            let mut running = self.running.borrow_mut();
            running.remove(&child.id());
            running.is_empty()
        };
        if child.has_unclaimed_panic() {
            let mut panicked = self.panicked.borrow_mut();
            // Children whose panic was claimed are removed when the list would have to grow.
            if panicked.len() == panicked.capacity() {
                panicked.retain(|child| child.has_unclaimed_panic());
            }
            panicked.push(child);
        }
        if is_last {
            self.wake_parent();
        }
    }

    /// Records that the stack of a child was leaked.
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

    /// Returns whether the stack of a child was leaked.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.get()
    }

    pub(crate) fn running(&self) -> Vec<FiberRef> {
        self.running.borrow().values().cloned().collect()
    }

    /// Returns whether a child panicked and no code has taken the panic.
    pub(crate) fn has_unclaimed_panic(&self) -> bool {
        let panicked = self.panicked.borrow();
        panicked.iter().any(|child| child.has_unclaimed_panic())
    }

    /// Cancels all children, including those that are spawned later.
    pub(crate) fn cancel(&self, message: &'static str) {
        self.cancel_others(message, None);
    }

    /// Cancels all children but one, including those that are spawned later.
    pub(crate) fn cancel_others(&self, message: &'static str, except: Option<&FiberRef>) {
        self.cancelled.set(Some(message));
        for child in self.running() {
            if !except.is_some_and(|except| FiberRef::ptr_eq(except, &child)) {
                child.cancel(Some(message.into()));
            }
        }
    }

    /// Arranges for `waker` to be woken when the last child has ended or a child is lost.
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
