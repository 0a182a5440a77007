//! What can be seen of hubs and fibers from outside: dumps and who waits for whom.
//!
//! | file | noun |
//! |---|---|
//! | [`source_place`] | a place in a source file |
//! | [`fiber_dump`] | what is known about a fiber at one moment |
//! | [`cycles`] | fibers that wait for each other |
//! | [`hub_dump`] | what is known about a hub and its fibers at one moment |
//! | [`text`] | a dump as text |
//! | [`dump`] | asks a hub for its dump, from any thread |
//!
//! Nothing here changes a hub, and nothing runs code of the user's.

mod cycles;
mod dump;
mod fiber_dump;
mod hub_dump;
mod source_place;
mod text;

pub use cycles::Cycle;
pub use dump::{Dump, DumpError};
pub use fiber_dump::{FiberDump, FiberState, WaitDump, WaitsFor};
pub use hub_dump::HubDump;
pub use source_place::SourcePlace;
