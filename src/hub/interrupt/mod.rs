//! Handles Ctrl-C under [`run`](crate::run) on the main thread.

mod interrupts;
#[cfg(unix)]
#[path = "unix.rs"]
mod sys;
#[cfg(windows)]
#[path = "windows.rs"]
mod sys;
#[cfg(not(any(unix, windows)))]
compile_error!("Ctrl-C is known on unix systems and Windows only");

pub(crate) use interrupts::{Interrupts, Listener};
