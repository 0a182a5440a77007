//! Hubs on threads of their own: a single one, or a pool.
//!
//! | part | noun |
//! |---|---|
//! | [`thread`] | [`HubThread`]: one hub on one thread |
//! | [`pool`] | [`HubPool`]: several hubs |
//! | [`members`] | its hubs, and how fibers get to them |
//! | [`call`] | a fiber of a pool that ends with the future that waits for it |
//! | [`reader`], [`writer`], [`iter`] | synchronous readers, writers and iterators in fibers, as streams |
//! | [`output`] | what synchronous code writes in a fiber |
//! | [`pipe`] | what these have between the fiber and the task |
//! | [`outlet`], [`outcome`] | what comes out of the fiber, and how it ended |
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
mod iter;
mod members;
mod outcome;
mod outlet;
mod output;
mod pipe;
mod pool;
mod reader;
mod thread;
mod worker;
mod writer;

pub use self::call::Call;
pub use self::close::{CloseThreads, CloseThreadsWithin};
pub use self::iter::PoolIter;
pub use self::pool::HubPool;
pub use self::reader::PoolReader;
pub use self::thread::HubThread;
pub use self::writer::PoolWriter;
