//! The unit in which a processor fetches memory.

/// The size of a cache line, in bytes.
pub(crate) const CACHE_LINE: usize = 64;
