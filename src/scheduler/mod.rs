//! How a hub runs.
//!
//! | file | noun |
//! |---|---|
//! | [`no_hub`] | why there is no hub here |
//! | [`callbacks`] | callbacks in the ready queue |
//! | [`closing`] | the steps by which a hub closes |
//! | [`intake`] | takes in what other threads have sent |
//! | [`turn`] | what one poll of a driver does |
//! | [`launch`] | puts fibers into the table |
//! | [`end`] | how a hub ends without a close |
//! | [`registry`] | the hubs of this thread |
//! | [`hubs`] | the hubs of all threads |
//! | [`retired`] | the runtimes on which a thread has closed its hub for good |
//! | [`closed`] | waits until a hub has closed |
//! | [`standby`] | looks after the hub of a `run_until` |
//! | [`driver`] | what polls a hub: a task, or `run_until` |
//! | [`attach`] | finds or makes the hub of the running code |
//! | [`serve`] | a runtime of our own with a hub on it |
//!
//! In this order, each file uses only those above it.

pub(crate) mod attach;
pub(crate) mod callbacks;
pub(crate) mod closed;
pub(crate) mod closing;
pub(crate) mod driver;
mod end;
pub(crate) mod hubs;
pub(crate) mod intake;
pub(crate) mod launch;
mod no_hub;
pub(crate) mod registry;
mod retired;
pub(crate) mod serve;
mod standby;
mod turn;

pub(crate) use end::end_child;
pub(crate) use no_hub::NoHub;
