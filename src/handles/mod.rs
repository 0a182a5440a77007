//! The handles to fibers and hubs that users hold.

mod builder;
mod cancel_on_drop;
mod close;
mod close_timeout;
mod fiber;
mod fiber_handle;
mod fiber_set;
mod hub_handle;
mod join;
mod join_error;
mod park;
mod pending_fiber;
mod spawn_on;

pub use builder::Builder;
pub use cancel_on_drop::CancelOnDrop;
pub use close::{Close, CloseWithin};
pub use close_timeout::CloseTimeout;
pub use fiber::{Fiber, spawn};
pub use fiber_handle::{FiberHandle, current_fiber, in_fiber};
pub use fiber_set::FiberSet;
pub use hub_handle::HubHandle;
pub use join::Join;
pub use join_error::JoinError;
pub use park::park;
pub(crate) use pending_fiber::PendingFiber;
pub use spawn_on::SpawnOn;
