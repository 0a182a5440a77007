//! Pools inside an axum server on the multi-thread runtime: calls whose clients hang up, and bodies
//! that are made and taken by synchronous libraries.

mod bodies;
mod client;
#[path = "../../archive/gate.rs"]
mod gate;
mod half;
mod hang_up;
#[allow(dead_code)] // the tests make no uploads with it
#[path = "../../archive/legacy.rs"]
mod legacy;
mod makers;
#[path = "../../../../tests/support/mod.rs"]
mod support;
