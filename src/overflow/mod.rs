//! The report of a stack overflow.

#[allow(dead_code)] // where there is no overflow report
mod message;
mod setting;
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
#[path = "unix.rs"]
mod sys;
#[cfg(windows)]
#[path = "windows.rs"]
mod sys;
#[cfg(not(any(
    target_os = "linux",
    target_os = "macos",
    target_os = "freebsd",
    windows
)))]
#[path = "none.rs"]
mod sys;

pub use setting::set_overflow_report;
pub(crate) use sys::arm;
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
pub(crate) use sys::sample;
