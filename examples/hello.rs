//! A fiber says hello while the root fiber waits.
//!
//! Run with: `cargo run --example hello`
//!
//! The program prints three lines: Starting fiber, Hello, there!, Back in root fiber.

use std::time::Duration;

use switchback::{prelude::*, sleep, spawn};

fn say_hello() {
    println!("Hello, there!");
}

fn main() {
    let root = || {
        let fiber = spawn(say_hello); // queued: it runs when this one waits
        println!("Starting fiber");
        sleep(Duration::ZERO).wait(); // until all that was ready has run
        println!("Back in root fiber");
        fiber.wait().expect("it does not panic"); // until this one has ended
    };
    switchback::run(root).expect("nobody cancels the root fiber");
}
