//! [`Hub`]: a hub, for its own thread.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::HubBuilder;
use crate::base::{contain, report};
use crate::handles::{Close, CloseWithin, HubHandle};
#[cfg(unix)]
use crate::hub::poll::Poller;
use crate::hub::{Core, HubData};
use crate::scheduler::{attach, callbacks};
use crate::shared::HubMetrics;

/// The scheduler of this thread's fibers on one runtime.
///
/// A hub is made on first need, by [`spawn`](crate::spawn) or
/// [`Hub::current`], on a current-thread runtime: `#[tokio::main(flavor =
/// "current_thread")]`, `flavor = "local"`, `#[tokio::test]`, a `LocalRuntime`, or
/// a `LocalSet` on one of these. It is then one task of that runtime, and ends
/// with it. It runs in the runtime's context, not in that of a `LocalSet`: for
/// fibers that call `spawn_local` there, use [`Hub::run_until`].
///
/// On the main task of a multi-thread runtime, [`Hub::run_until`] drives one. A
/// program with a synchronous `main` has one by [`run`](crate::run).
///
/// A `Hub` value is a handle to it, for its own thread.
#[derive(Clone)]
pub struct Hub(Rc<Core>);

impl Hub {
    /// Settings for a hub that [`HubBuilder::run`] makes.
    pub fn builder() -> HubBuilder {
        HubBuilder::new()
    }

    /// The hub of the fiber that is running or, outside of fibers, that of the
    /// current runtime on this thread, made if there is none yet.
    ///
    /// # Panics
    ///
    /// Where there is none and none can be made, saying what to do instead: with
    /// no runtime, on a multi-thread runtime, on a thread that does not drive the
    /// runtime, and where another thread has the runtime's hub.
    #[track_caller]
    pub fn current() -> Hub {
        match attach::current() {
            Ok(core) => Hub(core),
            Err(none) => panic!("{none}"),
        }
    }

    /// The hub of the fiber that is running or, outside of fibers, that of the
    /// current runtime on this thread, if it was made before.
    pub fn try_current() -> Option<Hub> {
        attach::try_current().map(Hub)
    }

    /// Drives a hub inside the calling task while `future` runs.
    ///
    /// It works on the main task of a multi-thread runtime, and in a `LocalSet`,
    /// where fibers then may call `spawn_local`. When `future` is done, the hub
    /// closes: fibers that are left are cancelled, at each wait, and `run_until`
    /// returns when all of them have ended.
    ///
    /// Where the thread already has an open hub for the runtime, that one is
    /// shared: whoever is polled drives it, and the last to end closes it. In a
    /// fiber of that hub, it just awaits `future`. A hub
    /// that is closing is waited for, and one that has closed is replaced.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it has returned, and the hub is not shared, the hub
    /// ends at once: each fiber is unwound, and a fiber that waits while it unwinds
    /// is leaked with a warning.
    ///
    /// # Panics
    ///
    /// If there is no runtime, or another thread has the hub of this
    /// current-thread runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::Hub;
    ///
    /// #[tokio::main] // many threads
    /// async fn main() {
    ///     let n = Hub::run_until(async {
    ///         let mut fiber = switchback::spawn(|| 6 * 7);
    ///         fiber.join().await.unwrap()
    ///     });
    ///     assert_eq!(n.await, 42);
    /// }
    /// ```
    pub async fn run_until<F: Future>(future: F) -> F::Output {
        attach::run_until(future).await
    }

    /// Closes the hub: it takes no new fibers, cancels those that it has, at each
    /// wait, and the future is ready when all of them have ended.
    ///
    /// In the root fiber of [`run`](crate::run), and only there among fibers, it
    /// can be waited for: the root is not cancelled, and not waited for. In async
    /// code it can always be awaited. The close begins when the future is first
    /// polled, and goes on if it is dropped.
    ///
    /// A hub that is closed stays the hub of its runtime on this thread, and
    /// refuses new fibers.
    ///
    /// With `panic = "abort"`, fibers are cancelled only at
    /// [`wait_or_cancelled`](crate::Wait::wait_or_cancelled), and must end by themselves.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; calling it again waits for the same
    /// close.
    ///
    /// # Panics
    ///
    /// In a fiber of this hub that is not its root: it would wait for itself.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{Hub, prelude::*, spawn};
    ///
    /// let mut fiber = spawn(|| std::future::pending::<()>().wait());
    /// Hub::current().close().wait();
    /// assert!(fiber.join().wait().unwrap_err().is_cancelled());
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn close(&self) -> Close {
        Close::new(&self.0.mailbox)
    }

    /// As [`close`](Hub::close), but waits no longer than `duration`.
    ///
    /// After a timeout the close goes on.
    ///
    /// # Cancel safety
    ///
    /// As [`close`](Hub::close).
    ///
    /// # Errors
    ///
    /// The future gives a [`CloseTimeout`](crate::CloseTimeout) with the names of the fibers that had
    /// not ended.
    ///
    /// # Panics
    ///
    /// As [`close`](Hub::close), and if the runtime's timers are not enabled.
    #[track_caller]
    pub fn close_within(&self, duration: Duration) -> CloseWithin {
        CloseWithin::new(&self.0, duration)
    }

    /// Calls `f` on this thread, outside of any fiber, behind everything that is
    /// ready now.
    ///
    /// A callback must not wait; it may spawn a fiber that does, fire a
    /// [`Switcher`](crate::Switcher), or queue another callback. If it panics,
    /// that is reported, and the hub goes on. A callback that queues itself again
    /// starves nothing, as [`yield_now`](crate::yield_now()) does not.
    ///
    /// From other threads: [`HubHandle::run_callback`].
    ///
    /// # Panics
    ///
    /// If the hub has ended, or is closing and its last fiber has ended. (While
    /// the thread is panicking, `f` is dropped with a report instead.) Callbacks
    /// that were queued before run before the hub has closed; a hub that ends
    /// abruptly drops them.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{Hub, prelude::*, yield_now};
    ///
    /// Hub::current().run_callback(|| println!("in the hub"));
    /// println!("in the fiber");
    /// yield_now().wait(); // the callback runs
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn run_callback<F>(&self, f: F)
    where
        F: FnOnce() + 'static,
    {
        if !callbacks::queue(&self.0, Box::new(f)) {
            let why = "the hub is closed: it takes no new callbacks; queue them before its last \
                       fiber has ended";
            contain::panic_once(&why);
            report::warn(format_args!("{why}"));
        }
    }

    /// Sets whether Ctrl-C does nothing from now on, however often it comes,
    /// instead of what [`run`](crate::run#ctrl-c) says. What came before still counts.
    ///
    /// It holds until it is set again, also when [`run`](crate::run) has returned. Where the
    /// hub does not answer Ctrl-C anyway, which is everywhere but under [`run`](crate::run) on
    /// the main thread, it has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::Hub;
    ///
    /// switchback::run(|| {
    ///     let hub = Hub::current();
    ///     hub.set_ignore_interrupt(true);
    ///     // What must not be interrupted, not even by pressing Ctrl-C twice.
    ///     hub.set_ignore_interrupt(false);
    /// })
    /// .unwrap();
    /// ```
    pub fn set_ignore_interrupt(&self, ignore: bool) {
        if let Some(interrupts) = self.0.interrupts.get() {
            interrupts.set_ignored(ignore);
        }
    }

    /// A handle to the hub for other threads.
    pub fn handle(&self) -> HubHandle {
        HubHandle::new(&self.0.mailbox)
    }

    /// What the program keeps with the hub.
    pub fn data(&self) -> &HubData {
        &self.0.data
    }

    /// Calls back when file descriptors are ready; see [`Poller`], also for an
    /// example.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn poll(&self) -> &Poller {
        &self.0.poll
    }

    /// Numbers about the hub, as they are now.
    pub fn metrics(&self) -> HubMetrics {
        self.0.metrics()
    }

    /// How much of its stack a fiber of each name has used at most, in bytes, for
    /// fibers that are measured and were given a name. For the first 1,024 names.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{Builder, Hub, prelude::*};
    ///
    /// let builder = Builder::new().name("parser").measure_stack(true);
    /// builder.spawn(|| ()).unwrap().join().wait().unwrap();
    /// for (name, bytes) in Hub::current().deepest_stacks() {
    ///     println!("{name}: {bytes} bytes"); // parser: 4096 bytes
    /// }
    /// # }).unwrap();
    /// ```
    pub fn deepest_stacks(&self) -> Vec<(String, usize)> {
        self.0.depths.by_name()
    }

    /// The hub's name: the one it was given, or `Hub`.
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// The tokio runtime that the hub runs on.
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
