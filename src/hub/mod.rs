//! What a hub has: the state that its thread works with.
//!
//! | file | noun |
//! |---|---|
//! | [`core`] | all of it, and how a fiber is queued and the hub woken |
//! | [`config`] | what can be set about a hub |
//! | [`ready`] | what it handles next |
//! | [`queue`] | the queues that the ready queue consists of |
//! | [`table`] | the fibers that have not ended |
//! | [`children`] | the fibers of a scope that have not ended |
//! | [`depths`] | how deep measured fibers have come into their stacks |
//! | [`data`] | what a program keeps with the hub |
//! | [`poll`] | callbacks on descriptors that are ready |
//! | [`interrupt`] | Ctrl-C |
//!
//! How a hub *runs* is in [`crate::scheduler`]. A hub is keyed by its thread and its runtime. Its
//! drivers have only its [`Mailbox`](crate::shared::Mailbox), so they are `Send` and can be spawned
//! on any current-thread runtime; they find the hub's own state in the thread that they are polled
//! on, or not at all.
//!
//! # Rules
//!
//! 1. Only the scheduler resumes fibers.
//! 2. No user code runs while a borrow of a cell or a lock is held. User code is fibers, callbacks,
//!    wakers, and the drop of anything that is the user's.
//! 3. Waking a fiber never runs it: it queues it.

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
mod table;

pub(crate) use children::Children;
pub(crate) use config::Config;
pub(crate) use core::{Above, Core};
pub use data::HubData;
pub(crate) use ready::{Ready, Ticket};
pub(crate) use table::Entry;
