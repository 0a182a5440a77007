//! The sizes of stacks.

use std::io;

/// Memory of a fiber's stack if nothing else is asked for: 1 MiB of address space.
/// A suspended fiber that did little uses one or two pages of it.
pub(crate) const DEFAULT_SIZE: usize = 1024 * 1024;

/// Smaller sizes are raised to this: 64 KiB. Printing a backtrace alone takes
/// about 21 KiB. It is a multiple of the page size everywhere.
pub(crate) const MIN_SIZE: usize = 64 * 1024;

/// How many stacks of each size are kept for reuse if nothing else is asked for.
pub(crate) const DEFAULT_MAX_CACHED: usize = 1024;

/// The size of the stack that is made for one that is asked for; `None` if it is
/// more than can be counted.
pub(super) fn round_up(size: usize) -> Option<usize> {
    size.max(MIN_SIZE).checked_next_power_of_two()
}

/// A stack of `size` bytes could not be made.
#[cold]
pub(super) fn refused(size: usize, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!("cannot allocate a stack of {size} bytes for a fiber: {why}"),
    )
}
