//! How a fiber is told to end: cancels, deadlines and panics, and the unwinding that follows.

mod combinations;
mod deadline;
mod delivery;
mod end_combinations;
#[path = "../support/mod.rs"]
mod support;
mod unwinding;
