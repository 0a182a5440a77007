//! Synchronous libraries on fibers, unmodified: a test for each row of the guide's table of crates
//! that were tried. Those whose libraries take long to compile are in `examples/slow`.

mod archives;
#[cfg(feature = "serde")]
mod dumps;
mod formats;
mod glue;
mod protocols;
#[path = "../../../../tests/support/mod.rs"]
mod support;
mod templates;
mod through;
