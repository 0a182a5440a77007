//! Hubs on threads of their own: a single one, or a pool.
//!
//! | part | noun |
//! |---|---|
//! | [`thread`] | [`HubThread`]: one hub on one thread |
//! | [`pool`] | [`HubPool`]: several hubs |
//! | [`members`] | its hubs, and the choice of the hub for a fiber |
//! | [`call`] | a fiber of a pool that ends with the future that waits for it |
//! | [`worker`] | the thread of a hub, from start to end |
//! | [`exit`] | how the end of the thread is reported |
//! | [`close`] | the futures that wait for the end |
//!
//! Fibers never move. Only closures cross threads on their way to a hub, and results on
//! their way back.
#![forbid(unsafe_code)]

mod call;
mod close;
mod exit;
mod members;
mod pool;
mod thread;
mod worker;

pub use self::call::Call;
pub use self::close::{CloseThreads, CloseThreadsWithin};
pub use self::pool::HubPool;
pub use self::thread::HubThread;
