//! The size of the buffer between async code and a filter.

/// The default size, in bytes: 8 KiB.
pub(super) const DEFAULT_CAPACITY: usize = 8 * 1024;
