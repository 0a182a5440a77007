//! How deep fibers have come into their stacks, for those that are measured.
//!
//! Nothing is written anywhere while a fiber runs. A fiber that is measured begins
//! on a stack without memory: what was left by others goes back to the system
//! before. The system then knows which pages were touched since, and is asked when
//! somebody wants to know, and when the fiber ends. So the figure is in whole
//! pages, and it counts what was reserved in a frame only where it was touched. A
//! page that the system has swapped out counts only if there is a deeper one that it
//! has not.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use crate::shared::{FiberId, Header};
use crate::stack::{self, Extent, Stack};

/// Depths by name are kept for so many names. More are not useful, and names may
/// be made up without end.
const MAX_NAMES: usize = 1024;

/// The fibers of one hub that are measured, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Depths {
    /// Those that have not ended.
    measured: RefCell<HashMap<FiberId, Extent>>,
    deepest: Cell<usize>,
    by_name: RefCell<BTreeMap<Box<str>, usize>>,
}

impl Depths {
    /// A fiber that is measured begins on this stack.
    #[cold]
    pub(crate) fn begin(&self, fiber: &Header, stack: &Stack) {
        stack.discard(0);
        self.measured
            .borrow_mut()
            .insert(fiber.id(), stack.extent());
    }

    /// Whether any fiber is measured: if not, `look` and `end` do nothing.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        !self.measured.borrow().is_empty()
    }

    /// Measures a fiber that has not ended, on its hub's thread.
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

    /// Measures a fiber whose body has ended, or was left for ever, for the last
    /// time; its stack is still its own.
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

    /// The deepest that any fiber has come, in bytes; 0 if none was measured.
    pub(crate) fn deepest(&self) -> usize {
        self.deepest.get()
    }

    /// The deepest that a fiber of each name has come, in bytes.
    pub(crate) fn by_name(&self) -> Vec<(String, usize)> {
        let by_name = self.by_name.borrow();
        by_name
            .iter()
            .map(|(name, used)| (name.to_string(), *used))
            .collect()
    }
}
