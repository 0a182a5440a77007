//! What can be seen of hubs and fibers from outside.

#[cfg(all(feature = "backtrace", feature = "test-util", unix))]
mod backtrace;
#[cfg(feature = "test-util")]
mod cycles;
#[cfg(feature = "test-util")]
mod dump;
mod elsewhere;
#[cfg(all(feature = "test-util", unix, feature = "fs"))]
mod files;
#[cfg(feature = "test-util")]
mod kinds;
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
mod native;
mod slices;
#[cfg(feature = "test-util")]
#[path = "../api/sources.rs"]
mod sources;
#[cfg(feature = "test-util")]
mod stuck;
#[path = "../support/mod.rs"]
mod support;
mod times;
mod watch;
