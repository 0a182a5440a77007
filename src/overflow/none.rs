//! There is no report on this system.

pub(super) fn set_overflow_report(_enabled: bool) {}

#[inline]
pub(crate) fn arm() {}
