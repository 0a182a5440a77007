//! Examples and tests of switchback that need other libraries. They are a package of their own so
//! that the tests and the other examples compile without these.
//!
//! Run an example with `cargo run --release -p libraries --example NAME`.

/// Compiles and runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
