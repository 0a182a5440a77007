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
        let _fiber = spawn(say_hello);
        println!("Starting fiber");
        sleep(Duration::ZERO).wait();
        println!("Back in root fiber");
    };
    switchback::run(root).expect("nobody cancels the root fiber");
}
