//! Fiber-locals: what belongs to a request is found at any call depth without being
//! passed along, and is flushed when the request's fiber ends.
//!
//! Run with: `cargo run --example locals`
//!
//! Three requests are handled at the same time, each in a fiber of its own. Their
//! steps interleave, their logs do not mix. It prints the three logs and ends.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use switchback::{assert_no_switchpoints, fiber_local, prelude::*, sleep, spawn};
use tokio::sync::mpsc::{self, Sender};

/// What is written down about one request; sent off when it is dropped.
struct Log {
    lines: Vec<String>,
    to: Option<Sender<Vec<String>>>,
}

impl Drop for Log {
    fn drop(&mut self) {
        note("sent off"); // gone: this goes nowhere, and harms nobody
        if let Some(to) = &self.to {
            // A destructor of a fiber-local may wait, here for room in the channel.
            let _ = to.send(std::mem::take(&mut self.lines)).wait_or_cancelled();
        }
    }
}

fiber_local! {
    /// The number of the request that this fiber handles.
    static REQUEST: Cell<u32> = const { Cell::new(0) };
    static LOG: RefCell<Log> = RefCell::new(Log { lines: Vec::new(), to: None });
}

/// Writes a line to the log of whatever request is being handled.
fn note(what: &str) {
    let _ = LOG.try_with(|log| {
        // Both locals are this fiber's, and nothing comes in between.
        assert_no_switchpoints(|| {
            let line = format!("request {}: {what}", REQUEST.get());
            log.borrow_mut().lines.push(line);
        });
    });
}

/// Somewhere deep down. It knows nothing of requests.
fn query(table: &str, ms: u64) {
    note(&format!("asks for {table}"));
    sleep(Duration::from_millis(ms)).wait(); // other fibers run
    note(&format!("has {table}"));
}

fn handle(request: u32, to: Sender<Vec<String>>) {
    REQUEST.set(request);
    LOG.with_borrow_mut(|log| log.to = Some(to));
    query("users", 10 * u64::from(request));
    query("orders", 20);
}

fn main() {
    let root = || {
        let (to, mut logs) = mpsc::channel(1);
        for request in 1..=3 {
            let to = to.clone();
            spawn(move || handle(request, to));
        }
        drop(to);
        // The last sender goes with the last log.
        while let Some(log) = logs.recv().wait() {
            assert_eq!(log.len(), 4);
            let prefix = &log[0][.."request N".len()];
            assert!(log.iter().all(|line| line.starts_with(prefix)));
            println!("{}", log.join("\n"));
        }
        // The root fiber handles no request.
        assert_eq!(REQUEST.get(), 0);
    };
    switchback::run(root).expect("nobody cancels the root fiber");
}
