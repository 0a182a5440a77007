//! [`Hub`]: a handle to a hub, for its own thread.

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
use crate::insight::HubDump;
use crate::scheduler::{attach, callbacks};
use crate::shared::HubMetrics;

/// The scheduler of this thread's fibers on one runtime.
///
/// A hub is made when [`spawn`](crate::spawn) or [`Hub::current`] first needs one on a
/// current-thread runtime: `#[tokio::main(flavor = "current_thread")]`, `flavor = "local"`,
/// `#[tokio::test]`, a `LocalRuntime`, or a `LocalSet` on one of these. It is then a task of that
/// runtime and ends with it. It runs in the context of the runtime, not of a `LocalSet`; if fibers
/// have to call `spawn_local` there, use [`Hub::run_until`].
///
/// On the main task of a multi-thread runtime, [`Hub::run_until`] drives a hub. A program with a
/// synchronous `main` gets one from [`run`](crate::run).
///
/// A `Hub` value is a handle to the hub, for its own thread.
#[doc(alias = "scheduler")]
#[doc(alias = "event loop")]
#[doc(alias = "executor")]
#[derive(Clone)]
pub struct Hub(Rc<Core>);

impl Hub {
    /// Returns a builder for a hub with a runtime of its own.
    pub fn builder() -> HubBuilder {
        HubBuilder::new()
    }

    /// Returns the current hub, which is made if there is none yet. In a fiber this is the fiber's
    /// hub; elsewhere it is this thread's hub on the current runtime.
    ///
    /// # Panics
    ///
    /// Panics if there is no hub and none can be made; the message says what to do instead. This is
    /// so without a runtime, on a multi-thread runtime, on a thread that does not drive the
    /// runtime, and if another thread has the runtime's hub.
    #[doc(alias = "get_hub")]
    #[track_caller]
    pub fn current() -> Hub {
        match attach::current() {
            Ok(core) => Hub(core),
            Err(none) => panic!("{none}"),
        }
    }

    /// Returns the current hub, if it was made before. In a fiber this is the fiber's hub;
    /// elsewhere it is this thread's hub on the current runtime.
    pub fn try_current() -> Option<Hub> {
        attach::try_current().map(Hub)
    }

    /// Drives a hub inside the calling task while `future` runs.
    ///
    /// This works on the main task of a multi-thread runtime, and in a `LocalSet`, where fibers may
    /// then call `spawn_local`. When `future` is done, the hub closes: the remaining fibers are
    /// cancelled at each of their waits, and `run_until` returns when all of them have ended.
    ///
    /// If the thread already has an open hub for the runtime, that hub is shared: each caller
    /// drives it while it is polled, and the last one to finish closes it. In a fiber of that hub,
    /// this only awaits `future`. If the hub is closing, this waits for its end; a hub that has
    /// closed is replaced.
    ///
    /// If this future is forgotten, or kept and not polled, its hub stays open. On a current-thread
    /// runtime a task of the runtime then drives the hub, a tenth of a second after it was woken and
    /// outside of any `LocalSet`. On a multi-thread runtime its fibers stand still.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped before it has returned, and the hub is not shared, the hub ends at once:
    /// each fiber is unwound, and a fiber that waits while it unwinds is leaked with a warning.
    ///
    /// # Panics
    ///
    /// Panics if there is no runtime, or if another thread has the hub of this current-thread
    /// runtime.
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

    /// Returns what is known about the hub and its fibers now: who runs, who waits, where, for what,
    /// and who waits for whom.
    ///
    /// It reads and does not wait, so it can be called anywhere on the hub's thread: in a fiber, a
    /// destructor, a callback, a panic hook. It changes nothing that a fiber could notice. From
    /// other threads, use [`HubHandle::dump`].
    ///
    /// A dump of a million fibers takes a second or two, and 160 MB. It has no backtraces, because
    /// looking up the functions would block this thread: for these, ask a [handle](HubHandle::dump).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{Builder, FiberState, Hub, prelude::*, sleep, yield_now};
    ///
    /// # switchback::run(|| {
    /// let nap = || sleep(Duration::from_secs(60)).wait();
    /// let napping = Builder::new().name("napping").spawn(nap).unwrap();
    /// yield_now().wait();
    ///
    /// let dump = Hub::current().dump();
    /// let fiber = dump.fiber(napping.id()).unwrap();
    /// assert_eq!(fiber.state(), FiberState::Waiting);
    /// assert!(fiber.wait().unwrap().at().file().ends_with(".rs"));
    /// println!("{dump}");
    /// # }).unwrap();
    /// ```
    #[doc(alias = "backtrace")]
    #[doc(alias = "jstack")]
    #[must_use]
    pub fn dump(&self) -> HubDump {
        HubDump::take(&self.0)
    }

    /// Closes the hub: it takes no new fibers and cancels the existing ones at each of their waits.
    /// The returned future is ready when all of them have ended.
    ///
    /// Among the hub's own fibers, only the root fiber of [`run`](crate::run) can wait for the
    /// close; it is then neither cancelled nor waited for. Async code can always await it. The
    /// close begins when the future is first polled, and continues if the future is dropped.
    ///
    /// A closed hub remains the hub of its runtime on this thread, and refuses new fibers.
    ///
    /// With `panic = "abort"`, fibers are cancelled only at
    /// [`wait_or_cancelled`](crate::Wait::wait_or_cancelled), and must end of their own accord.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; another call waits for the same close.
    ///
    /// # Panics
    ///
    /// Panics in a fiber of this hub other than its root, which would wait for itself.
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

    /// Like [`close`](Hub::close), but waits no longer than `duration`.
    ///
    /// After a timeout the close continues.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](Hub::close).
    ///
    /// # Errors
    ///
    /// The future returns a [`CloseTimeout`](crate::CloseTimeout) with the names of the fibers that
    /// had not ended.
    ///
    /// # Panics
    ///
    /// As for [`close`](Hub::close). Also panics if the runtime's timers are not enabled.
    #[track_caller]
    pub fn close_within(&self, duration: Duration) -> CloseWithin {
        CloseWithin::new(&self.0, duration)
    }

    /// Calls `f` on this thread, outside of any fiber, after everything that is ready now.
    ///
    /// A callback must not wait. It may spawn a fiber that does, fire a
    /// [`Switcher`](crate::Switcher), or queue another callback. If it panics, the panic is
    /// reported and the hub continues. Like [`yield_now`](crate::yield_now()), a callback that
    /// queues itself again starves nothing.
    ///
    /// For other threads, see [`HubHandle::run_callback`].
    ///
    /// # Panics
    ///
    /// Panics if the hub has ended, or is closing and its last fiber has ended. (If the thread is
    /// already panicking, `f` is dropped with a warning instead.) Callbacks that were queued
    /// earlier run before the hub has closed; a hub that ends abruptly drops them.
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

    /// Sets whether Ctrl-C is ignored from now on, however often it comes, instead of handled as
    /// [`run`](crate::run#ctrl-c) describes. A Ctrl-C that came earlier still counts.
    ///
    /// The setting stays until it is changed, even after [`run`](crate::run) has returned. It has
    /// an effect only under [`run`](crate::run) on the main thread, because hubs do not handle
    /// Ctrl-C elsewhere.
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

    /// Returns a handle to the hub for other threads.
    #[must_use]
    pub fn handle(&self) -> HubHandle {
        HubHandle::new(&self.0.mailbox)
    }

    /// Returns the values that the program keeps with the hub.
    #[must_use]
    pub fn data(&self) -> &HubData {
        &self.0.data
    }

    /// Returns the hub's poller, which calls back when file descriptors are ready; see [`Poller`],
    /// also for an example.
    #[must_use]
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn poll(&self) -> &Poller {
        &self.0.poll
    }

    /// Returns figures about the hub, as they are now.
    #[must_use]
    pub fn metrics(&self) -> HubMetrics {
        self.0.metrics()
    }

    /// Returns, for each name, the most that a fiber of that name has used of its stack, in bytes.
    /// Only fibers count that are measured and were given a name, for the first 1,024 names.
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
    #[must_use]
    pub fn deepest_stacks(&self) -> Vec<(String, usize)> {
        self.0.depths.by_name()
    }

    /// Gives memory back to the system that the hub does not need now: the part of each suspended
    /// fiber's stack that lies below what the fiber uses, and what the stacks hold that are kept for new
    /// fibers.
    ///
    /// A fiber keeps the memory that it has once used, because it may need it again. Fibers that were deep
    /// in a library once, and then wait for long, can be trimmed. Fibers and stacks that grow again take
    /// new memory, page by page. It takes a system call for each fiber, a microsecond or so. An idle hub
    /// gives back, bit by bit, only the memory of stacks that no fiber has.
    ///
    /// On systems other than Linux, and on processors other than x86_64 for the stacks of fibers, memory
    /// goes back only with whole stacks.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::Hub;
    ///
    /// // After a burst of work.
    /// Hub::current().trim();
    /// # }).unwrap();
    /// ```
    pub fn trim(&self) {
        self.0.trim_all();
    }

    /// Returns the hub's name: the one it was given, or `Hub`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// Returns the tokio runtime that the hub runs on.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
