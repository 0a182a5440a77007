//! The report of a stack overflow.

mod report;
#[cfg(all(target_os = "linux", not(switchback_system_stacks)))]
#[path = "linux.rs"]
mod sys;
// The cfg `switchback_system_stacks` is for checking this part on Linux.
#[cfg(not(all(target_os = "linux", not(switchback_system_stacks))))]
#[path = "none.rs"]
mod sys;

pub use report::set_overflow_report;
pub(crate) use sys::arm;
