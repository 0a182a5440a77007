//! Other threads: those with a hub of their own, pools of them, and those that work is given to.

mod call;
mod offload;
mod pool;
mod queue;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod thread;

use switchback::{CloseThreadsWithin, CloseTimeout, prelude::*};

/// The error of a close that is late, once it names these fibers and these threads.
///
/// How soon a thread begins its close, and ends what it can, depends on the machine, so
/// the close is asked for again until it is so: if it never is, the test hangs.
fn late(
    close: impl Fn() -> CloseThreadsWithin,
    fibers: &[&str],
    busy_threads: &[&str],
) -> CloseTimeout {
    loop {
        let late = close().wait().unwrap_err();
        if late.fibers() == fibers && late.busy_threads() == busy_threads {
            break late;
        }
    }
}
