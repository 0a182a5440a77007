//! Waiting: for how long, and where it is forbidden.

#[path = "../support/mod.rs"]
mod support;
mod switchpoint;
mod time;
