//! Stacks inside of others: the children of scopes, and bridges.

mod bridge;
mod scope;
#[path = "../support/mod.rs"]
mod support;
mod try_scope;
