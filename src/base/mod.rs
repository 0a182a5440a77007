//! The leaves: code that knows nothing of stacks, fibers or hubs.
//!
//! | file | noun |
//! |---|---|
//! | [`executors`] | tells async code from a plain thread, and one executor from another |
//! | [`surroundings`] | which executors have frames on a stack |
//! | [`half_way`] | whether the running code is a waker, which must not suspend |
//! | [`contain`] | runs the user's code where no panic may get out |
//! | [`report`] | reports and warnings |
//! | [`unwinding`] | what is known about whether a stack unwinds |
//! | [`thread_end`] | whether the thread is ending |
//! | [`timer`], [`helper`] | timers, and the runtime that has them for threads without one |
//! | [`elapsed`] | the error of a wait with a deadline |
//! | [`io_waiter`] | waits until tokio has polled for I/O |
//! | [`waker_list`] | the wakers of all that wait for one event |
//! | [`lock`] | locks that ignore poisoning, and what loom replaces in the models |
//! | [`random`] | numbers that follow from a seed |
//! | [`cache_line`] | the size of a cache line |

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
