//! Spans of `tracing` and fibers.
#![cfg(feature = "tracing")]

mod edges;
mod own;
mod threads;

#[path = "../../../../tests/support/mod.rs"]
mod support;
