//! Async code calls a synchronous library, which calls back into one of your traits, whose
//! method has to await: "Cannot start a runtime from within a runtime".
//!
//! Run with: `cargo run --release --example sandwich`
//!
//! The example shows why the usual solution fails, and three that work: `bridge` in place,
//! `spawn` on a hub, and a hub for the tasks of a multi-thread runtime. The page
//! `guide::legacy` of the documentation says when to use which.

use std::panic::catch_unwind;
use std::time::Duration;

use switchback::{Hub, bridge, prelude::*, spawn};
use tokio::runtime::{Handle, Runtime};

/// The library, which cannot be changed. It knows nothing of async code.
mod library {
    pub(crate) trait Source {
        fn value(&mut self, name: &str) -> String;
    }

    /// Replaces each `{name}` by its value.
    pub(crate) fn render(template: &str, source: &mut dyn Source) -> String {
        let mut parts = template.split(['{', '}']);
        let mut text = parts.next().unwrap_or_default().to_owned();
        while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
            text += &source.value(name);
            text += rest;
        }
        text
    }
}

const TEMPLATE: &str = "Dear {name}, you owe {amount}.";

/// Looks a name up in async code, for example in a database.
async fn look_up(name: &str) -> String {
    tokio::time::sleep(Duration::from_millis(1)).await;
    match name {
        "name" => "Ann".into(),
        _ => "nothing".into(),
    }
}

/// The usual solution: block on the current runtime. It panics.
struct Blocks;

impl library::Source for Blocks {
    fn value(&mut self, name: &str) -> String {
        Handle::current().block_on(look_up(name))
    }
}

/// The solution that works: wait, on a stack of its own.
struct Waits;

impl library::Source for Waits {
    fn value(&mut self, name: &str) -> String {
        look_up(name).wait()
    }
}

async fn on_one_thread() {
    // The panic prints "Cannot start a runtime from within a runtime" to stderr.
    assert!(catch_unwind(|| library::render(TEMPLATE, &mut Blocks)).is_err());
    println!("block_on: panics");

    // In place: the bridge runs where it is awaited, on any executor, and is dropped with
    // the future that awaits it.
    let text = bridge(|| library::render(TEMPLATE, &mut Waits)).await;
    println!("bridge: {text}");

    // A fiber runs independently, and can be cancelled and joined.
    let fiber = spawn(|| library::render(TEMPLATE, &mut Waits));
    let text = fiber.await.expect("it was not cancelled");
    println!("spawn: {text}");
}

/// Fibers stay on their thread, so the tasks of a multi-thread runtime send them to a hub.
async fn on_many_threads() {
    let hub = Hub::current().handle();
    let task = tokio::spawn(async move {
        let fiber = hub.spawn(|| library::render(TEMPLATE, &mut Waits));
        let text = fiber.expect("the hub is open").await;
        text.expect("it was not cancelled")
    });
    let text = task.await.expect("the task does not panic");
    println!("a hub, from a worker thread: {text}");
}

fn main() -> std::io::Result<()> {
    let current_thread = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    current_thread.block_on(on_one_thread());
    Runtime::new()?.block_on(Hub::run_until(on_many_threads()));
    Ok(())
}
