//! A hub: its callbacks, the descriptors that it polls, its data, its order of work, its handle,
//! who drives it, and its close.

mod callbacks;
mod close;
mod data;
mod fairness;
mod handle;
mod poll;
mod run_until;
#[path = "../support/mod.rs"]
mod support;
