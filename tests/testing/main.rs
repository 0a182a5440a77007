//! `switchback::testing`: what it finds, and what it says.

#[path = "../support/mod.rs"]
mod support;

mod bugs;
mod cancel;
mod clock;
mod own;
mod pools;
mod replay;
mod runs;
mod sync;
