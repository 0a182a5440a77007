//! Fiber-locals: the data of a request is accessible at any call depth without being passed
//! along, and is flushed when the request's fiber ends.
//!
//! Run with: `cargo run --example locals`
//!
//! Three requests are handled at the same time, each in its own fiber. Their steps
//! interleave, but their logs do not mix. The program prints the three logs and ends.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use switchback::{assert_no_switchpoints, fiber_local, prelude::*, sleep, spawn};
use tokio::sync::mpsc::{self, Sender};

/// The log of one request, which is sent off when it is dropped.
struct Log {
    lines: Vec<String>,
    to: Option<Sender<Vec<String>>>,
}

impl Drop for Log {
    fn drop(&mut self) {
        note("sent off"); // the log is gone, so this line is lost, which is harmless
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

/// Writes a line to the log of the current request.
fn note(what: &str) {
    let _ = LOG.try_with(|log| {
        // Both locals belong to this fiber, and no other fiber runs in between.
        assert_no_switchpoints(|| {
            let line = format!("request {}: {what}", REQUEST.get());
            log.borrow_mut().lines.push(line);
        });
    });
}

/// A function deep in the call chain. It knows nothing of requests.
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
        // The last sender is dropped with the last log.
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
