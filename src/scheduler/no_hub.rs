//! [`NoHub`]: why there is no hub here.

use std::fmt;

#[derive(Debug)]
pub(crate) enum NoHub {
    NoRuntime,
    MultiThread,
    NotDriving,
    OtherThread(String),
    Ended,
    ThreadEnds,
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
                "there is no hub on a multi-thread runtime; send the fiber to a `HubPool` or a \
                 `HubThread`, or, in the main task, wrap that in `Hub::run_until`",
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
            NoHub::ThreadEnds => f.write_str(
                "the thread is ending: no fibers run in the destructors of its thread-locals; make \
                 the fiber before the thread ends",
            ),
            NoHub::Ended => f.write_str(
                "the hub is closed: it takes no new fibers; make the fiber before the hub \
                 closes, or on a hub of another runtime",
            ),
        }
    }
}
