//! How a hub runs.
//!
//! | file | noun |
//! |---|---|
//! | [`callbacks`] | callbacks on their way through the ready queue |
//! | [`closing`] | the steps by which a hub closes |
//! | [`intake`] | what other threads have sent, taken in by turns |
//! | [`turn`] | what one poll of a driver does |
//! | [`launch`] | how a fiber gets into the table |
//! | [`end`] | how a hub ends otherwise than by a close |
//! | [`registry`] | which hubs this thread has |
//! | [`retired`] | the runtimes on which a thread has closed its hub for good |
//! | [`closed`] | waiting until a hub has closed |
//! | [`driver`] | what polls a hub: a task, or `run_until` |
//! | [`attach`] | finding or making the hub of the code that runs |
//! | [`serve`] | a runtime of our own with a hub on it |
//!
//! In this order each uses only those above it.

pub(crate) mod attach;
pub(crate) mod callbacks;
pub(crate) mod closed;
pub(crate) mod closing;
pub(crate) mod driver;
mod end;
pub(crate) mod intake;
pub(crate) mod launch;
mod no_hub;
pub(crate) mod registry;
mod retired;
pub(crate) mod serve;
mod turn;

pub(crate) use end::end_child;
pub(crate) use no_hub::NoHub;
