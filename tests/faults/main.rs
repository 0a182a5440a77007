//! What went wrong once, by kind: a test for each fault that was found, and for each
//! kind a table of all products of what makes it up, so that its relatives are found
//! too. Every case runs in a child process: see `support::table`.
//!
//! Each file has one list of the cases that are known to fail. These must fail: whoever
//! repairs one takes it off the list.

#![cfg(unix)]
// Wakers that misbehave when they are cloned are made by hand.
#![allow(unsafe_code)]

mod closing;
mod foreign_runtimes;
mod forgotten;
mod hostile_wakers;
#[cfg(target_os = "linux")]
mod interrupt;
mod load;
mod order;
#[path = "../support/mod.rs"]
mod support;
mod thread_end;
mod unwinding;
