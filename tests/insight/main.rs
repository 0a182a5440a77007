//! What can be seen of hubs and fibers from outside.

mod cycles;
mod dump;
mod elsewhere;
mod watch;
