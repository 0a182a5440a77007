//! The sizes of stacks.

use std::io;

/// The default size of a fiber's stack: 2 MiB of address space, as std and tokio give threads, since
/// libraries that recurse assume that much; 256 KiB where addresses have 32 bits. A suspended fiber
/// that did little uses one or two pages of it.
pub(crate) const DEFAULT_SIZE: usize = if cfg!(target_pointer_width = "32") {
    256 * 1024
} else {
    2 * 1024 * 1024
};

/// The minimum size of a stack, 64 KiB; smaller sizes are raised to it. Printing a
/// backtrace alone takes about 21 KiB. The size is a multiple of the page size on every
/// platform.
pub(crate) const MIN_SIZE: usize = 64 * 1024;

/// The default number of stacks of each size that are kept for reuse.
pub(crate) const DEFAULT_MAX_CACHED: usize = 1024;

/// Rounds a requested size up to the size of the stack that is created. Returns `None` on
/// overflow.
pub(super) fn round_up(size: usize) -> Option<usize> {
    size.max(MIN_SIZE).checked_next_power_of_two()
}

/// Returns the error for a stack of `size` bytes that could not be created.
#[cold]
pub(super) fn refused(size: usize, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!("cannot allocate a stack of {size} bytes for a fiber: {why}"),
    )
}
