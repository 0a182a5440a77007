//! The engine's own stacks: each is a mapping with a guard page of the operating system.
//! They are not measured.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;

use corosensei::stack::{DefaultStack, Stack as Engine, StackPointer};

use super::extent::Extent;
use super::size::refused;

/// A stack of the engine.
pub(crate) struct Stack {
    mapped: DefaultStack,
    size: usize,
}

impl Stack {
    /// Returns the size of the memory, in bytes.
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

    /// Returns the address where a coroutine begins, from which the stack grows down.
    #[inline]
    pub(crate) fn root(&self) -> usize {
        self.mapped.base().get()
    }

    /// Does nothing: memory goes back to the system only with the whole stack.
    pub(crate) fn discard(&self, _keep: usize) {}
}

// SAFETY: every method forwards to `mapped`, which upholds the contract.
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

/// Creates stacks of one size.
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
        // The engine panics if rounding up overflows. Half the address space cannot be
        // allocated in any case.
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

/// Returns the addresses of a stack's memory, without its guard, which is one page.
#[cfg(unix)]
pub(crate) fn memory(extent: Extent) -> Range<usize> {
    extent.limit + page_size()..extent.base
}

/// Returns the addresses of a stack's memory, without its guards. How large these are differs, but
/// all are smaller than the smallest stack, whose size, like that of all others, is a power of two.
#[cfg(windows)]
pub(crate) fn memory(extent: Extent) -> Range<usize> {
    let size = 1 << (extent.base - extent.limit).ilog2();
    extent.base - size..extent.base
}

#[cfg(unix)]
pub(crate) fn page_size() -> usize {
    // SAFETY: this call has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Returns `None`: how much of a stack was used is not known on these systems.
pub(crate) fn used(_: Extent) -> Option<usize> {
    None
}

/// Does nothing: memory goes back to the system only with the whole stack.
///
/// # Safety
///
/// There are no requirements here.
pub(crate) unsafe fn discard_below(_: usize, _: usize) {}
