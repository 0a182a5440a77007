//! [`HubThread`]: a hub on a thread of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::close::{CloseThreads, CloseThreadsWithin};
use super::worker::Worker;
use crate::handles::{Fiber, HubHandle};
use crate::hub::Config;
use crate::shared::HubClosed;

/// A hub on a thread of its own, with a runtime of its own.
///
/// It is for programs whose own threads have no hub: a multi-thread tokio runtime,
/// or one without a runtime. Fibers are sent to it from anywhere, and awaited, or
/// waited for, anywhere. For several threads see [`HubPool`](crate::HubPool).
///
/// The runtime is a [`LocalRuntime`](tokio::runtime::LocalRuntime) with I/O and
/// time enabled, so its fibers can wait for every tokio future, and call
/// `spawn_local`. The hub has no root fiber: it runs until it is closed.
///
/// # The end
///
/// [`close`](HubThread::close) closes the hub: it takes no new fibers, cancels
/// those that it has at each wait, and when all have ended, the runtime and its
/// tasks are dropped, jobs of its blocking pool that run are waited for, and the
/// thread ends. Dropping the `HubThread` begins all that, and does not wait; so
/// does the close of the hub by whatever [`HubHandle`].
///
/// Where a stack could not be unwound, which a warning says, what is on it may still
/// be in use. Then the thread does not end: it parks for ever, and says so in a
/// warning.
///
/// # Panics of the thread
///
/// A panic of a fiber goes to its joiner, as ever. Where something else panics on
/// the thread, such as a destructor of what the program keeps in
/// [`Hub::data`](crate::Hub::data), the thread ends, that is reported,
/// and the future of [`close`](HubThread::close) resumes the panic.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::{HubThread, prelude::*, sleep};
///
/// #[tokio::main] // many threads
/// async fn main() -> std::io::Result<()> {
///     let hub = HubThread::new()?;
///     let mut fiber = hub.spawn(|| {
///         sleep(Duration::from_millis(1)).wait(); // blocks this fiber only
///         6 * 7
///     })?;
///     assert_eq!(fiber.join().await?, 42);
///     hub.close().await;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct HubThread {
    worker: Arc<Worker>,
}

impl HubThread {
    /// Starts a thread that runs a hub. For settings, see
    /// [`HubBuilder::start_thread`](crate::HubBuilder::start_thread).
    ///
    /// It blocks until the hub is there, a fraction of a millisecond.
    ///
    /// # Errors
    ///
    /// If the thread or its runtime cannot be made.
    pub fn new() -> io::Result<HubThread> {
        HubThread::start(Config::default())
    }

    pub(crate) fn start(config: Config) -> io::Result<HubThread> {
        let worker = Worker::start(config)?;
        Ok(HubThread { worker })
    }

    /// A handle to the hub, which may outlive the thread.
    pub fn handle(&self) -> HubHandle {
        self.worker.hub.clone()
    }

    /// The name of the hub and of the thread.
    pub fn name(&self) -> &str {
        self.worker.name()
    }

    /// Makes a fiber that runs `f` on the hub, and starts it: see
    /// [`HubHandle::spawn`].
    ///
    /// # Errors
    ///
    /// If the hub is closed.
    pub fn spawn<F, T>(&self, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.worker.hub.spawn(f)
    }

    /// Closes the hub and ends the thread: the future is ready when the thread is
    /// gone, or has parked for ever.
    ///
    /// The close begins when the future is first polled. It waits for fibers, and
    /// for jobs of [`blocking`](crate::blocking) and `spawn_blocking` that they
    /// have started, for however long these take.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the close goes on, and calling it again
    /// waits for the same one.
    ///
    /// # Panics
    ///
    /// In a fiber of this hub, and in a blocking job of its runtime: they would
    /// wait for themselves. (To close the hub from there, drop the `HubThread`.)
    /// The future resumes a panic of the thread.
    #[track_caller]
    pub fn close(&self) -> CloseThreads {
        CloseThreads::new(vec![self.worker.clone()])
    }

    /// As [`close`](HubThread::close), but waits no longer than `duration`.
    ///
    /// After a timeout the close goes on.
    ///
    /// # Cancel safety
    ///
    /// As [`close`](HubThread::close).
    ///
    /// # Errors
    ///
    /// The future gives a [`CloseTimeout`](crate::CloseTimeout) with the names of
    /// the fibers that had not ended.
    ///
    /// # Panics
    ///
    /// As [`close`](HubThread::close), and if the current runtime's timers are not
    /// enabled.
    #[track_caller]
    pub fn close_within(&self, duration: Duration) -> CloseThreadsWithin {
        CloseThreadsWithin::new(vec![self.worker.clone()], duration)
    }
}

impl Drop for HubThread {
    fn drop(&mut self) {
        self.worker.hub.start_close();
    }
}
