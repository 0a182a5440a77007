//! The helper runtime: timers, I/O and blocking jobs for threads that drive no runtime.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Handle};

use super::contain;
use super::lock::lock;

/// Returns the runtime that provides timers, I/O and a blocking pool to plain threads. It is started on
/// first use, on a thread of its own, and lives as long as the process.
///
/// # Panics
///
/// Panics if it cannot be started. The next use tries again.
#[track_caller]
pub(crate) fn runtime() -> &'static Handle {
    match try_runtime() {
        Ok(runtime) => runtime,
        Err(e) => panic!("cannot start the thread that keeps the time for plain threads: {e}"),
    }
}

/// Like [`runtime()`], but returns an error if it cannot be started.
pub(crate) fn try_runtime() -> io::Result<&'static Handle> {
    static HELPER: OnceLock<Handle> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(helper) = HELPER.get() {
        return Ok(helper);
    }
    let _starting = lock(&STARTING);
    if let Some(helper) = HELPER.get() {
        return Ok(helper);
    }
    let (send, started) = sync_channel(1);
    thread::Builder::new()
        .name("switchback-timer".into())
        .spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => {
                    let _ = send.send(Ok(runtime.handle().clone()));
                    runtime.block_on(pending::<()>());
                }
                Err(e) => drop(send.send(Err(e))),
            }
        })?;
    let helper = started.recv().map_err(io::Error::other)??;
    Ok(HELPER.get_or_init(|| helper))
}

/// A timer that fires whatever the threads of other runtimes do.
#[derive(Debug)]
pub(crate) struct HelperSleep(Pin<Box<tokio::time::Sleep>>);

/// Returns a timer of the helper runtime.
#[track_caller]
pub(crate) fn sleep(duration: Duration) -> HelperSleep {
    sleep_on(runtime(), duration)
}

/// Like [`sleep`], but returns an error if the helper runtime cannot be started.
pub(crate) fn try_sleep(duration: Duration) -> io::Result<HelperSleep> {
    Ok(sleep_on(try_runtime()?, duration))
}

fn sleep_on(helper: &Handle, duration: Duration) -> HelperSleep {
    let _helper = helper.enter();
    HelperSleep(Box::pin(tokio::time::sleep(duration)))
}

impl HelperSleep {
    /// Returns whether it has fired.
    #[cfg(feature = "test-util")]
    pub(crate) fn is_elapsed(&self) -> bool {
        self.0.is_elapsed()
    }
}

impl Future for HelperSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A panic of the waker would end the helper's thread, and the timers of everybody else.
        let contained = contain::contained(contain::clone_waker(cx.waker()));
        self.0.as_mut().poll(&mut Context::from_waker(&contained))
    }
}
