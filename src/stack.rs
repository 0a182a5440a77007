//! Stacks for fibers, and the pool that reuses them.
//!
//! A stack is a mapping of its own with a guard page at its low end (the
//! engine's default kind). The pool hands out the stack that came back last,
//! since its pages are the warmest.

use std::cell::{Cell, RefCell};
use std::io;

use corosensei::stack::{DefaultStack, Stack as _};

/// A stack with a guard page below it.
pub(crate) type Stack = DefaultStack;

/// Address space of a fiber's stack if nothing else is asked for: 1 MiB. A
/// suspended fiber that did little uses one or two pages of it.
pub(crate) const DEFAULT_SIZE: usize = 1024 * 1024;

/// Smaller sizes are raised to this: 64 KiB. Printing a backtrace alone takes
/// about 21 KiB.
pub(crate) const MIN_SIZE: usize = 64 * 1024;

/// How many stacks a hub keeps for reuse if nothing else is asked for.
pub(crate) const DEFAULT_MAX_CACHED: usize = 1024;

/// The stacks that a hub keeps for reuse, all of its default size.
#[derive(Debug)]
pub(crate) struct StackPool {
    default_size: usize,
    max_cached: usize,
    /// Length of the mapping behind a stack of the default size, once known.
    default_len: Cell<usize>,
    cached: RefCell<Vec<Cached>>,
}

struct Cached(Stack);

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stack({} bytes)", mapped_len(&self.0))
    }
}

impl StackPool {
    pub(crate) fn new(default_size: usize, max_cached: usize) -> StackPool {
        StackPool {
            default_size: default_size.max(MIN_SIZE),
            max_cached,
            default_len: Cell::new(0),
            cached: RefCell::new(Vec::new()),
        }
    }

    /// A stack of at least `size` bytes, or of the default size.
    pub(crate) fn take(&self, size: Option<usize>) -> io::Result<Stack> {
        let size = size.map_or(self.default_size, |size| size.max(MIN_SIZE));
        if size != self.default_size {
            return allocate(size);
        }
        if let Some(Cached(stack)) = self.cached.borrow_mut().pop() {
            return Ok(stack);
        }
        let stack = allocate(size)?;
        self.default_len.set(mapped_len(&stack));
        Ok(stack)
    }

    /// Takes back a stack that has no live frames.
    pub(crate) fn put(&self, stack: Stack) {
        let mut cached = self.cached.borrow_mut();
        if mapped_len(&stack) == self.default_len.get() && cached.len() < self.max_cached {
            cached.push(Cached(stack));
        }
    }

    /// How many stacks wait for new fibers.
    pub(crate) fn cached(&self) -> usize {
        self.cached.borrow().len()
    }

    /// Frees every cached stack.
    pub(crate) fn clear(&self) {
        self.cached.take();
    }
}

fn mapped_len(stack: &Stack) -> usize {
    stack.base().get() - stack.limit().get()
}

fn allocate(size: usize) -> io::Result<Stack> {
    // The engine panics where rounding up overflows; half the address space is
    // out of reach in any case.
    let stack = if size > isize::MAX as usize {
        Err(io::Error::from(io::ErrorKind::OutOfMemory))
    } else {
        Stack::new(size)
    };
    stack.map_err(|e| {
        io::Error::new(
            e.kind(),
            format!("cannot allocate a stack of {size} bytes for a fiber: {e}"),
        )
    })
}
