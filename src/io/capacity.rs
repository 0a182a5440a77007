//! The size of the buffer between async code and a filter.

/// The size in bytes if nothing else is asked for: 8 KiB.
pub(super) const DEFAULT_CAPACITY: usize = 8 * 1024;
