//! The helper runtime: timers and blocking jobs for threads that drive no runtime.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Handle};

/// Returns the runtime that provides timers and a blocking pool to plain threads. It is started on
/// first use, on a thread of its own, and lives as long as the process.
pub(crate) fn runtime() -> &'static Handle {
    static HELPER: OnceLock<Handle> = OnceLock::new();
    HELPER.get_or_init(|| {
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("cannot start the runtime that keeps the time for plain threads");
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("switchback-timer".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("cannot start the thread that keeps the time for plain threads");
        handle
    })
}

/// Returns a timer that fires whatever the threads of other runtimes do.
pub(crate) fn sleep(duration: Duration) -> tokio::time::Sleep {
    let _helper = runtime().enter();
    tokio::time::sleep(duration)
}
