//! Fibers: how they start, what they return, how they are joined, and that nothing is left of
//! them.

mod ambient;
mod forget;
mod freed;
mod inherited;
mod join;
mod joiners;
mod local;
mod set;
mod spawn;
#[path = "../support/mod.rs"]
mod support;
