//! [`Extent`]: the address range of a stack.

/// The address range of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The lowest address, where the guard begins.
    pub(crate) limit: usize,
    /// The address just above the highest one.
    pub(crate) base: usize,
}

#[cfg(all(feature = "backtrace", unix))]
impl Extent {
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.limit..self.base).contains(&address)
    }
}
