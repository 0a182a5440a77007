//! Stacks: how many there can be, and what happens when one overflows.

mod limits;
mod overflow;
mod signals;
#[path = "../support/mod.rs"]
mod support;
