//! Cancellation: how a stack is told to end, and how it unwinds.
//!
//! | file | noun |
//! |---|---|
//! | [`interrupt`] | why a wait ends before its future is ready |
//! | [`catch`] | catching a cancel, and delivering one outside of a wait |
//! | [`mod@shield`] | a section of a fiber that is not cancelled |
//! | [`timeout`] | a deadline over blocking-style code |
//! | [`redeliver`] | user code that runs where no unwind may leave it |

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
