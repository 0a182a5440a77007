//! [`HubThread`]: a hub on a thread of its own.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::close::{CloseThreads, CloseThreadsWithin, Target};
use super::worker::Worker;
use crate::handles::{Fiber, HubHandle, SpawnOn};
use crate::hub::Config;
use crate::scheduler::launch::Settings;
use crate::shared::{HubClosed, SpawnError};

/// A hub on a thread of its own, with a runtime of its own.
///
/// Use it in programs whose own threads have no hub: on a multi-thread tokio runtime, or
/// without a runtime. Fibers can be sent to it, awaited and waited for from anywhere. For
/// several threads see [`HubPool`](crate::HubPool).
///
/// The runtime is a [`LocalRuntime`](tokio::runtime::LocalRuntime) with I/O and time
/// enabled, so fibers can wait for every tokio future and can call `spawn_local`. The hub
/// has no root fiber: it runs until it is closed.
///
/// # The end
///
/// [`close`](HubThread::close) closes the hub. The hub refuses new fibers and cancels the
/// existing ones at each of their waits. When all have ended, the runtime and its tasks are
/// dropped, running jobs of its blocking pool are waited for, and the thread ends. Dropping
/// the `HubThread` begins the same sequence without waiting; so does closing the hub
/// through any [`HubHandle`].
///
/// If a stack could not be unwound, which a warning reports, values on it may still be in
/// use. The thread then does not end: it parks for ever, and a second warning says so.
///
/// # Panics of the thread
///
/// A panic of a fiber goes to its joiner, as everywhere. If other code panics on the
/// thread, such as a destructor of a value in [`Hub::data`](crate::Hub::data), the thread
/// ends, the panic is reported, and the future of [`close`](HubThread::close) resumes it.
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
pub struct HubThread {
    worker: Arc<Worker>,
}

impl HubThread {
    /// Starts a thread that runs a hub. For settings, see
    /// [`HubBuilder::start_thread`](crate::HubBuilder::start_thread).
    ///
    /// This blocks until the hub runs, a fraction of a millisecond.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread or its runtime cannot be created.
    pub fn new() -> io::Result<HubThread> {
        HubThread::start(Config::default())
    }

    pub(crate) fn start(config: Config) -> io::Result<HubThread> {
        let worker = Worker::start(config)?;
        Ok(HubThread { worker })
    }

    /// Returns a handle to the hub. It may outlive the thread.
    pub fn handle(&self) -> HubHandle {
        self.worker.hub.clone()
    }

    /// Returns the name of the hub and of its thread.
    pub fn name(&self) -> &str {
        self.worker.name()
    }

    /// Spawns a fiber that runs `f` on the hub. See [`HubHandle::spawn`].
    ///
    /// # Errors
    ///
    /// Returns an error if the hub is closed.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.worker.hub.spawn(f)
    }

    /// Closes the hub and ends the thread. The future is ready when the thread is gone, or
    /// has parked for ever.
    ///
    /// The close begins when the future is first polled. It waits for fibers, and for jobs
    /// of [`blocking`](crate::blocking) and `spawn_blocking` that they have started,
    /// however long these take.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the close continues, and another call waits for
    /// the same close.
    ///
    /// # Panics
    ///
    /// Panics in a fiber of this hub and in a blocking job of its runtime, because they
    /// would wait for themselves. To close the hub from there, drop the `HubThread`. The
    /// future resumes a panic of the thread.
    #[track_caller]
    pub fn close(&self) -> CloseThreads {
        CloseThreads::new(Target::Thread(self.worker.clone()))
    }

    /// Like [`close`](HubThread::close), but waits no longer than `duration`.
    ///
    /// After a timeout the close continues.
    ///
    /// # Cancel safety
    ///
    /// The rules are those of [`close`](HubThread::close).
    ///
    /// # Errors
    ///
    /// The future returns a [`CloseTimeout`](crate::CloseTimeout) with the names of the
    /// fibers that had not ended.
    ///
    /// # Panics
    ///
    /// Panics where [`close`](HubThread::close) does, and if the current runtime's timers
    /// are not enabled.
    #[track_caller]
    pub fn close_within(&self, duration: Duration) -> CloseThreadsWithin {
        CloseThreadsWithin::new(Target::Thread(self.worker.clone()), duration)
    }
}

impl Drop for HubThread {
    fn drop(&mut self) {
        self.worker.hub.start_close();
    }
}

impl SpawnOn for HubThread {
    #[allow(private_interfaces)]
    #[track_caller]
    fn send<F, T>(&self, settings: Settings, f: F) -> Result<Fiber<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.worker.hub.send(settings, f)
    }
}

impl fmt::Debug for HubThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.worker.fmt(f)
    }
}
