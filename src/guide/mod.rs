//! Longer texts. There is no code here.

pub mod cancellation;
pub mod legacy;
