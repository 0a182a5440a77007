//! What can be seen of hubs and fibers from outside: dumps and who waits for whom.
//!
//! | file | noun |
//! |---|---|
//! | [`source_place`] | a place in a source file |
//! | [`fiber_dump`] | what is known about a fiber at one moment |
//! | [`cycles`] | fibers that wait for each other |
//! | [`hub_dump`] | what is known about a hub and its fibers at one moment |
//! | [`hub_times`] | how long fibers run, and wait until they do |
//! | [`text`] | a dump as text |
//! | `serialize` | the above as data |
//! | [`running`] | the fiber that has the thread of a hub |
//! | `backtrace` | the calls that a fiber is in |
//! | [`captures`] | the addresses of the calls that the fibers of a hub are in |
//! | [`dump`] | asks a hub for its dump, from any thread |
//! | [`mod@dump_all`] | asks all hubs |
//! | `signal` | prints the dumps of all hubs when a signal comes |
//! | `native_stack` | the calls that a thread is in that runs |
//! | `modules` | how the functions of the program and its libraries are unwound |
//! | [`thread_activity`] | what the system says about a thread |
//! | [`blocked_hub`] | a hub whose thread one fiber has had for too long |
//! | [`looks`] | since when each hub has been seen with the same fiber |
//! | [`mod@watch`] | tells of such hubs |
//! | [`deadlocks`] | tells of fibers that wait for each other |
//! | [`slices`] | warns of them, and cancels the fibers |
//!
//! Nothing here changes a hub, apart from the cancels of [`slices`], and nothing runs code of the user's.

#[cfg(feature = "backtrace")]
mod backtrace;
mod blocked_hub;
#[cfg(all(feature = "backtrace", unix))]
mod captures;
#[cfg(not(all(feature = "backtrace", unix)))]
#[path = "no_captures.rs"]
mod captures;
mod cycles;
mod deadlocks;
mod dump;
mod dump_all;
mod fiber_dump;
mod hub_dump;
mod hub_times;
mod looks;
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
mod modules;
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
mod native_stack;
#[cfg(all(
    feature = "backtrace",
    unix,
    not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))
))]
#[path = "no_native_stack.rs"]
mod native_stack;
mod running;
#[cfg(feature = "serde")]
mod serialize;
#[cfg(unix)]
mod signal;
pub(crate) mod slices;
mod source_place;
mod text;
mod thread_activity;
mod watch;

#[cfg(feature = "backtrace")]
pub use backtrace::{Backtrace, BacktraceEnd, BacktraceFrame};
pub use blocked_hub::BlockedHub;
pub use cycles::Cycle;
pub use deadlocks::watch_deadlocks;
pub use dump::{Dump, DumpError};
pub use dump_all::{DumpAll, ProcessDump, dump_all};
pub use fiber_dump::{FiberDump, FiberState, WaitDump, WaitsFor};
pub use hub_dump::HubDump;
pub use hub_times::{HubTimes, LongestRun};
pub use running::Running;
#[cfg(unix)]
pub use signal::{SignalGuard, dump_on_signal};
pub use source_place::SourcePlace;
pub use thread_activity::ThreadActivity;
pub use watch::{WatchGuard, watch};
