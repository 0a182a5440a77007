//! Stacks: how many there can be, and what happens when one overflows.

mod limits;
mod overflow;
#[path = "../support/mod.rs"]
mod support;
