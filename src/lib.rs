//! Blocking-style code inside tokio: stackful fibers that wait for any future.

mod bridge;
mod cancel;
mod fiber;
mod hub;
mod join;
mod outside;
mod report;
mod scope;
mod stack;
mod switch;
mod switch_back;
mod sync_util;
mod time;
mod wait;
mod yield_now;

pub use bridge::{Bridge, BridgeBorrowed, bridge, bridge_borrowed};
pub use cancel::{Cancelled, catch_cancel, check_cancelled, shield, with_timeout};
pub use fiber::{Builder, Fiber, FiberHandle, FiberId, current_fiber, in_fiber, park, spawn};
pub use hub::{Close, CloseTimeout, CloseWithin, Hub, HubBuilder, run};
pub use join::{Join, JoinError};
pub use scope::{Scope, ScopedFiber, scope};
pub use time::{Elapsed, Sleep, sleep, sleep_until};
pub use wait::Wait;
pub use yield_now::{YieldNow, yield_now};

/// The extension traits: `use switchback::prelude::*;`
pub mod prelude {
    pub use crate::wait::Wait as _;
}
