//! Where a hub can live, and how it ends there: the runtime, the thread or the process goes.

mod abrupt;
mod orders;
mod places;
#[path = "../support/mod.rs"]
mod support;
