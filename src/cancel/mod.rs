//! Cancellation: how a stack is told to end, and how it is unwound.
//!
//! | file | noun |
//! |---|---|
//! | [`interrupt`] | what a wait does instead of going on |
//! | [`catch`] | catching a cancel, and delivering one without a wait |
//! | [`mod@shield`] | a part of a fiber that is not to be cancelled |
//! | [`timeout`] | a deadline over blocking-style code |
//! | [`redeliver`] | user code that runs where nothing may unwind |

mod catch;
pub(crate) mod interrupt;
mod redeliver;
mod shield;
mod timeout;

pub use catch::{catch_cancel, check_cancelled};
pub(crate) use interrupt::{CAN_UNWIND, Interrupt, OnInterrupt};
pub(crate) use redeliver::Redeliver;
pub(crate) use shield::Raised;
pub use shield::shield;
pub use timeout::with_timeout;
