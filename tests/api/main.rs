//! The API as a whole: what its types can do, the names that it shares with its ancestor, and
//! what it says to those who misuse it.

mod ancestor;
mod auto_traits;
mod debug;
mod errors;
mod links;
mod misuse;
mod panic_abort;
mod sources;
mod std_tables;
#[path = "../support/mod.rs"]
mod support;
mod surface;
