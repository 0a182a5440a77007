//! The engine's own stacks: a mapping for each, with a guard page of the operating
//! system. They are measured and their overflow reported by nobody.
#![allow(unsafe_code)]

use std::io;

use corosensei::stack::{DefaultStack, Stack as Engine, StackPointer};

use super::extent::Extent;
use super::size::refused;

/// A stack of the engine's.
pub(crate) struct Stack {
    mapped: DefaultStack,
    size: usize,
}

impl Stack {
    /// Its memory, in bytes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    #[inline]
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            limit: self.mapped.limit().get(),
            base: self.mapped.base().get(),
        }
    }

    /// Memory goes back only with the stack.
    pub(crate) fn discard(&self, _keep: usize) {}
}

// SAFETY: the stack is `mapped`, which keeps the contract.
unsafe impl Engine for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.mapped.base()
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.mapped.limit()
    }

    #[cfg(windows)]
    #[inline]
    fn teb_fields(&self) -> corosensei::stack::StackTebFields {
        self.mapped.teb_fields()
    }

    #[cfg(windows)]
    #[inline]
    fn update_teb_fields(&mut self, stack_limit: usize, guaranteed_stack_bytes: usize) {
        self.mapped
            .update_teb_fields(stack_limit, guaranteed_stack_bytes);
    }
}

/// Makes stacks of one size.
#[derive(Debug)]
pub(super) struct Source {
    size: usize,
}

impl Source {
    pub(super) fn new(size: usize) -> Source {
        Source { size }
    }

    #[cold]
    pub(super) fn make(&mut self, wanted: usize) -> io::Result<Stack> {
        // The engine panics where rounding up overflows; half the address space is
        // out of reach in any case.
        if self.size > isize::MAX as usize {
            return Err(refused(wanted, "there is not so much address space"));
        }
        match DefaultStack::new(self.size) {
            Ok(mapped) => Ok(Stack {
                mapped,
                size: self.size,
            }),
            Err(e) => Err(refused(wanted, &e.to_string())),
        }
    }

    pub(super) fn take_back(&mut self, stack: Stack) {
        drop(stack);
    }
}

/// How much of a stack has ever been used is not known here.
pub(crate) fn used(_: Extent) -> Option<usize> {
    None
}
