//! What can be seen of hubs and fibers from outside.

#[cfg(feature = "test-util")]
mod cycles;
#[cfg(feature = "test-util")]
mod dump;
mod elsewhere;
mod watch;
