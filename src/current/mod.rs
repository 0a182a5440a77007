//! The code that runs on a stack: where the thread is, what is kept at a stack's root, and whether
//! the code may wait.
//!
//! | file | noun |
//! |---|---|
//! | [`stack_state`] | the state of a stack, for the code that runs on it |
//! | [`resumer`] | what resumes a stack: a hub, or the task that polls a bridge |
//! | [`bridge_task`] | what a bridge's stack and that task share |
//! | [`deadlines`] | the deadlines that a stack is under |
//! | [`locals`] | the fiber-locals of a stack |
//! | [`place`] | which code the thread is running |
//! | [`hook`] | calls the user's code in the midst of a switch |
//! | `spans` | the spans of `tracing` that are entered |
//! | [`ambient`] | state of the thread that belongs to the code that runs |
//! | [`running_locals`] | the fiber-locals of the code that runs |
//! | [`heritage`] | what a fiber gets from the code that makes it |
//! | [`mod@stretch`] | how long a fiber's timers take in a test |
//! | [`unwinding`] | what is known about unwinding when one thread has many stacks |
//! | [`spawner`] | where the running code spawns a fiber |
//! | [`wait_record`] | where a stack waits, and for what |
//! | [`mod@note`] | what a future that is polled waits for |
//! | [`suspend`] | how a stack suspends, and what is saved and restored around it |
//! | [`backtrace`] | where the backtrace of a fiber's panic ends |
//! | [`body`] | the code at the root of a fiber's stack |
//! | [`wait_site`] | the check that comes before each wait |

pub(crate) mod ambient;
pub(crate) mod backtrace;
pub(crate) mod body;
mod bridge_task;
mod deadlines;
pub(crate) mod heritage;
mod hook;
mod locals;
mod note;
pub(crate) mod place;
mod resumer;
mod running_locals;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
mod spawner;
mod stack_state;
mod stretch;
pub(crate) mod suspend;
pub(crate) mod unwinding;
mod wait_record;
mod wait_site;

pub(crate) use bridge_task::BridgeTask;
pub(crate) use deadlines::{Deadline, Expired};
pub use locals::AccessError;
pub(crate) use locals::{Local, LocalId, MakeLocal, Passing};
pub(crate) use note::{forget_lock, note, tracked_fiber};
pub(crate) use place::{Place, with_place};
pub(crate) use resumer::Resumer;
pub(crate) use running_locals::with_locals;
pub(crate) use spawner::origin;
pub(crate) use stack_state::StackState;
pub(crate) use stretch::stretched;
pub(crate) use wait_record::Blocker;
pub(crate) use wait_site::{Forbidden, SiteKind, WaitSite, refuse_other_runtime};
