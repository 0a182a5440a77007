//! Pools inside an axum server on the multi-thread runtime: calls whose clients hang up, and bodies
//! that are made and taken by synchronous libraries.

mod bodies;
mod client;
mod hang_up;
mod makers;
#[path = "../../../../tests/support/mod.rs"]
mod support;
