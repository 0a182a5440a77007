//! The data that threads share: a fiber's header and the references to it, its result on the way to
//! the joiner, and the mailbox of its hub.
//!
//! | file | noun |
//! |---|---|
//! | [`header`] | the part of a fiber that every thread may use |
//! | [`mod@reference`] | a counted pointer to a header, which is also the fiber's waker |
//! | [`hub_part`] | the part of a header that only the hub uses |
//! | [`result`] | a fiber's result on its way from its stack to its joiner |
//! | [`block`] | memory for the allocation of a fiber |
//! | [`recycler`] | allocations of ended fibers, kept for new ones |
//! | [`mailbox`] | what other threads ask of a hub and may know about it |
//! | [`drivers`] | who polls a hub |
//! | [`close_waiter`] | a task that waits for a hub to close |
//! | [`running_fiber`] | which fiber has the thread of a hub |
//! | [`pool_queue`] | fibers that were sent to a pool and have not begun |
//! | [`contended`] | a lock of `sync` that a fiber has waited for |
//! | [`held_locks`] | how many locks of `sync` each fiber holds |
//! | [`mod@slice`] | for how long a fiber may have its hub's thread |
//! | [`time_record`] | how long fibers run, and wait until they do |
//! | [`metrics`] | the figures that a hub counts |
//! | [`hub_state`] | the life cycle of a hub |
//! | [`fiber_id`], [`fiber_names`], [`mod@origin`] | how messages and dumps name a fiber |
//! | [`cause`], [`cancelled`] | why a fiber ended without a result |
//! | [`hub_closed`], [`spawn_error`] | why a fiber or a callback is refused |
//! | [`mod@track`] | what a hub records about waits |
//!
//! Three of these files use each other: a reference, the header that it refers to, and the mailbox
//! through which references are sent. The other files are not part of such a circle.

mod block;
mod cancelled;
mod cause;
mod close_waiter;
mod contended;
mod drivers;
mod fiber_id;
mod fiber_names;
pub(crate) mod header;
pub(crate) mod held_locks;
mod hub_closed;
mod hub_part;
mod hub_state;
pub(crate) mod mailbox;
#[cfg(all(test, switchback_loom))]
mod mailbox_models;
mod metrics;
mod origin;
mod pool_queue;
mod recycler;
mod reference;
mod result;
#[cfg(all(test, switchback_loom))]
mod result_models;
mod running_fiber;
mod slice;
mod spawn_error;
mod time_record;
mod track;

pub(crate) use block::Block;
pub use cancelled::Cancelled;
pub(crate) use cause::Cause;
pub(crate) use close_waiter::CloseWaiter;
pub(crate) use contended::Contended;
pub(crate) use drivers::SoleDriver;
pub use fiber_id::FiberId;
pub(crate) use fiber_id::FiberIds;
pub(crate) use fiber_names::FiberNames;
pub(crate) use header::{Header, Phase, Start, interrupt};
pub use hub_closed::HubClosed;
pub(crate) use hub_part::{ColdPart, HubPart, HubToken, LocalJoiner, LocalPhase};
pub(crate) use hub_state::{HubFailure, HubState};
pub(crate) use mailbox::{Mailbox, RemoteSpawn, Request, Scheduler};
pub(crate) use metrics::Counters;
pub use metrics::HubMetrics;
pub(crate) use origin::Origin;
pub(crate) use pool_queue::{Lane, Next, PoolQueue, Takes};
pub(crate) use recycler::Recycler;
pub(crate) use reference::{FiberRef, Uncounted};
pub(crate) use result::{ResultReceiver, ResultSender, result_channel};
pub(crate) use running_fiber::{Observer, RunningFiber};
pub use slice::Slice;
pub use spawn_error::SpawnError;
pub(crate) use time_record::{BUCKETS, LongRun, TimeRecord};
pub use track::Track;
