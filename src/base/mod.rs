//! The leaves: code that knows nothing of stacks, fibers or hubs.

mod cache_line;
pub(crate) mod contain;
mod elapsed;
pub(crate) mod executors;
pub(crate) mod half_way;
pub(crate) mod helper;
mod io_waiter;
pub(crate) mod lock;
pub(crate) mod random;
pub(crate) mod report;
mod surroundings;
pub(crate) mod thread_end;
mod timer;
mod unwinding;
mod waker_list;

pub(crate) use cache_line::CACHE_LINE;
pub use elapsed::Elapsed;
pub(crate) use io_waiter::IoWaiter;
pub(crate) use surroundings::{ResumedIn, Surroundings};
pub(crate) use timer::{Timeout, Timer, TimerCount, deadline_after};
pub(crate) use unwinding::Unwinding;
pub(crate) use waker_list::{OwnKey, WakerKey, WakerList};
