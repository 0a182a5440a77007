//! Measures how deep fibers reach into their stacks.
//!
//! Measuring writes nothing while a fiber runs. A measured fiber begins on a stack without
//! memory: pages left by earlier fibers are given back to the system first. The system then
//! knows which pages have been touched since. It is asked when the figure is requested and
//! when the fiber ends. The figure is in whole pages, and counts the reserved part of a
//! frame only where it was touched. A page that was swapped out counts only if a deeper
//! page is still in memory.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use crate::shared::{FiberId, Header};
use crate::stack::{self, Extent, Stack};

/// The maximum number of names for which depths are kept. More are not useful, and a
/// program may create names without end.
const MAX_NAMES: usize = 1024;

/// The measured fibers of one hub, and the results.
#[derive(Debug, Default)]
pub(crate) struct Depths {
    /// The stacks of measured fibers that have not ended.
    measured: RefCell<HashMap<FiberId, Extent>>,
    deepest: Cell<usize>,
    by_name: RefCell<BTreeMap<Box<str>, usize>>,
}

impl Depths {
    /// Starts to measure a fiber, which begins on this stack.
    #[cold]
    pub(crate) fn begin(&self, fiber: &Header, stack: &Stack) {
        stack.discard(0);
        self.measured
            .borrow_mut()
            .insert(fiber.id(), stack.extent());
    }

    /// Returns whether any fiber is measured. If not, `look` and `end` do nothing.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        !self.measured.borrow().is_empty()
    }

    /// Measures a fiber that has not ended. Called on its hub's thread.
    pub(crate) fn look(&self, fiber: &Header) {
        let extent = self.measured.borrow().get(&fiber.id()).copied();
        if let Some(used) = extent.and_then(stack::used) {
            fiber.set_stack_used(used);
            self.deepest.set(self.deepest.get().max(used));
            if let Some(name) = fiber.given_name() {
                self.note(name, used);
            }
        }
    }

    /// Measures a fiber for the last time, when its body has ended or was abandoned. It
    /// still owns its stack.
    #[cold]
    pub(crate) fn end(&self, fiber: &Header) {
        self.look(fiber);
        self.measured.borrow_mut().remove(&fiber.id());
    }

    fn note(&self, name: &str, used: usize) {
        let mut by_name = self.by_name.borrow_mut();
        if let Some(deepest) = by_name.get_mut(name) {
            *deepest = used.max(*deepest);
        } else if by_name.len() < MAX_NAMES {
            by_name.insert(name.into(), used);
        }
    }

    /// Returns the greatest depth of any fiber, in bytes, or 0 if none was measured.
    pub(crate) fn deepest(&self) -> usize {
        self.deepest.get()
    }

    /// Returns the greatest depth of any fiber of each name, in bytes.
    pub(crate) fn by_name(&self) -> Vec<(String, usize)> {
        let by_name = self.by_name.borrow();
        by_name
            .iter()
            .map(|(name, used)| (name.to_string(), *used))
            .collect()
    }
}
