//! The state of a hub, which its thread works with.
//!
//! | file | noun |
//! |---|---|
//! | [`core`] | all of the state; how a fiber is queued, and how the hub is woken |
//! | [`config`] | the settings of a hub |
//! | [`ready`] | the ready queue: what the hub handles next |
//! | [`ready_times`] | since when fibers are ready |
//! | [`queue`] | the queues that the ready queue consists of |
//! | [`table`] | the fibers that have not ended |
//! | [`children`] | the fibers of a scope that have not ended |
//! | [`depths`] | how much of their stacks measured fibers have used |
//! | [`data`] | values that a program keeps with the hub |
//! | [`alarm`] | tells the task that stands by for the drivers that the hub was woken |
//! | [`poll`] | callbacks on descriptors that are ready |
//! | [`interrupt`] | Ctrl-C |
//! | [`trial`] | a test's choice of the order in which fibers run |
//! | `rest` | lets tokio's virtual clock advance while fibers only give way |
//!
//! How a hub *runs* is in [`crate::scheduler`]. A thread has at most one hub for each runtime. The
//! drivers of a hub hold only its [`Mailbox`](crate::shared::Mailbox), so they are `Send` and can
//! be spawned on any current-thread runtime. A driver looks for the hub's state on the thread where
//! it is polled, and does nothing if the state is not there.
//!
//! # Rules
//!
//! 1. Only the scheduler resumes fibers.
//! 2. No user code runs while a borrow of a cell or a lock is held. User code is the code of
//!    fibers, callbacks and wakers, and the destructor of every value of the user's.
//! 3. A wake never runs a fiber; it queues the fiber.

mod alarm;
mod children;
mod config;
mod core;
mod data;
mod depths;
pub(crate) mod interrupt;
#[cfg(unix)]
pub(crate) mod poll;
mod queue;
mod ready;
mod ready_times;
#[cfg(feature = "test-util")]
mod rest;
mod table;
mod trial;

pub(crate) use alarm::Alarm;
pub(crate) use children::Children;
pub(crate) use config::Config;
pub(crate) use core::{Above, Core};
pub use data::HubData;
pub(crate) use ready::{Ready, Ticket};
pub(crate) use ready_times::ReadyTimes;
pub(crate) use table::Entry;
#[cfg(feature = "test-util")]
pub(crate) use trial::Hit;
#[cfg(feature = "test-util")]
pub use trial::Schedule;
pub(crate) use trial::{CANCELLED_BY_TEST, Trial};
