//! [`Extent`]: where a stack is.

/// Where a stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The lowest address, where the guard begins.
    pub(crate) limit: usize,
    /// The address above the highest.
    pub(crate) base: usize,
}
