//! Bytes and items: `switchback::io` and `switchback::stream`.

mod blocking;
mod contract;
mod filters;
#[cfg(unix)]
mod ready;
mod stream;
#[path = "../support/mod.rs"]
mod support;
