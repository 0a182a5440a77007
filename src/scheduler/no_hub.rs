//! [`NoHub`]: why there is no hub here.

use std::fmt;

#[derive(Debug)]
pub(crate) enum NoHub {
    NoRuntime,
    MultiThread,
    NotDriving,
    OtherThread(String),
    Ended,
}

impl fmt::Display for NoHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoHub::NoRuntime => f.write_str(
                "there is no tokio runtime here for a hub to run on; call this inside a \
                 current-thread runtime (`#[tokio::main(flavor = \"current_thread\")]`), or \
                 start one with `switchback::run`",
            ),
            NoHub::MultiThread => f.write_str(
                "a hub cannot run on the worker threads of a multi-thread runtime; give it a \
                 thread of its own with `HubThread` or `HubPool`, or wrap the main task in \
                 `Hub::run_until`",
            ),
            NoHub::NotDriving => f.write_str(
                "this thread does not drive the runtime that is current on it (is this \
                 `spawn_blocking`?), so a hub made here would never run; make the fiber on the \
                 runtime's own thread",
            ),
            NoHub::OtherThread(thread) => write!(
                f,
                "the hub of this runtime belongs to the thread {thread}; make the fiber there",
            ),
            NoHub::Ended => f.write_str(
                "the hub is closed: it takes no new fibers; make the fiber before the hub \
                 closes, or on a hub of another runtime",
            ),
        }
    }
}
