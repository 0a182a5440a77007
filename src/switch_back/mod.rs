//! `SwitchBack`: waits for a callback in blocking-style code.
//!
//! | file | noun |
//! |---|---|
//! | [`future`] | the side that waits |
//! | [`switcher`] | the side that fires |
//! | [`slot`] | the state that they share |
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
