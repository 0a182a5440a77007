//! From a callback back to the fiber that waits for it.
//!
//! | file | noun |
//! |---|---|
//! | [`future`] | the side that waits |
//! | [`switcher`] | the side that fires |
//! | [`slot`] | what they share |
//! | [`error`] | why there is no value |

mod error;
mod future;
#[cfg(all(test, switchback_loom))]
mod loom_tests;
mod slot;
mod switcher;

pub use error::SwitchError;
pub use future::SwitchBack;
pub use switcher::Switcher;
