//! The guide: pages that are longer than an item's docs.

pub mod cancellation;
pub mod legacy;
