//! Hubs on threads of their own: one, or a pool of them.
//!
//! | part | noun |
//! |---|---|
//! | [`thread`] | [`HubThread`]: one hub on one thread |
//! | [`pool`] | [`HubPool`]: several, and which of them gets a fiber |
//! | [`worker`] | such a thread, from its start to its end |
//! | [`exit`] | how its end is told |
//! | [`close`] | the futures that wait for it |
//!
//! Fibers do not move: what crosses threads are closures on their way to a hub,
//! and results on their way back.
#![forbid(unsafe_code)]

mod close;
mod exit;
mod pool;
mod thread;
mod worker;

pub use self::close::{CloseThreads, CloseThreadsWithin};
pub use self::pool::HubPool;
pub use self::thread::HubThread;
