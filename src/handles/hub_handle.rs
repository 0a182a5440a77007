//! [`HubHandle`]: a hub, for any thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::pending_fiber::PendingFiber;
use super::{Close, Fiber};
use crate::base::executors;
use crate::current::{Place, origin, with_place};
use crate::insight::{Dump, HubTimes, Running};
use crate::scheduler::launch::Settings;
use crate::scheduler::{callbacks, closing, registry};
use crate::shared::{FiberNames, HubClosed, HubMetrics, Mailbox, RemoteSpawn as _};

/// A handle to a hub, for any thread and any runtime.
///
/// It can be cloned and sent, and does not keep the hub's runtime alive. The requests of one thread
/// take effect in the order in which they were made, and all go through the hub's single queue. The
/// methods do the same on the hub's own thread.
///
/// # Examples
///
/// A fiber made by another thread, and joined there:
///
/// ```
/// # switchback::run(|| {
/// use switchback::{Hub, prelude::*};
///
/// let hub = Hub::current().handle();
/// let thread = std::thread::spawn(move || {
///     let mut fiber = hub.spawn(|| 6 * 7).expect("the hub is open");
///     fiber.join().wait().unwrap()
/// });
/// # let thread = tokio::task::spawn_blocking(|| thread.join());
/// # assert_eq!(thread.wait().unwrap().unwrap(), 42);
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct HubHandle(Arc<Mailbox>);

impl HubHandle {
    pub(crate) fn new(hub: &Arc<Mailbox>) -> HubHandle {
        HubHandle(hub.clone())
    }

    /// Makes a fiber that runs `f` on the hub, and starts it. This is [`spawn`](crate::spawn) for
    /// any thread.
    ///
    /// A hub that receives many fibers at once starts them by the dozen, between other entries that
    /// are ready. Fibers that have begun continue, and end, meanwhile.
    ///
    /// If the hub ends before the fiber has arrived, or has no stack for it, `f` is dropped and the
    /// join returns an error. The drop is on the hub's thread or, if that is gone, where its end is
    /// noticed.
    ///
    /// # Errors
    ///
    /// Returns an error if the hub is closed or has ended.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_spawn(Settings::default(), f, |f| f())
            .map_err(|_| HubClosed::new())
    }

    /// Like [`spawn`](HubHandle::spawn), for a fiber that runs `run(what)`. Returns `what` if the
    /// hub is closed.
    #[track_caller]
    pub(crate) fn try_spawn<W, T>(
        &self,
        settings: Settings,
        what: W,
        run: fn(W) -> T,
    ) -> Result<Fiber<T>, W>
    where
        W: Send + 'static,
        T: Send + 'static,
    {
        let (pending, receiver) = PendingFiber::new(&self.0, settings, origin(), what, run);
        let fiber = Fiber::from_receiver(receiver);
        let refused = match registry::local(&self.0) {
            Some(core) if core.takes_fibers() => {
                if let Some(fiber) = pending.arrive() {
                    core.wake(&fiber);
                }
                None
            }
            Some(_) => Some(pending),
            None => self.0.send_spawn(pending).err(),
        };
        match refused.and_then(|pending| pending.take_back()) {
            Some(what) => Err(what),
            None => Ok(fiber),
        }
    }

    /// Calls `f` on the hub's thread, behind everything that is ready there: see
    /// [`Hub::run_callback`](crate::Hub::run_callback).
    ///
    /// # Errors
    ///
    /// Returns an error if the hub has ended, or is closing and its last fiber has ended; `f` is
    /// then dropped. If this returns `Ok`, `f` is called unless the hub ends abruptly first.
    pub fn run_callback<F>(&self, f: F) -> Result<(), HubClosed>
    where
        F: FnOnce() + Send + 'static,
    {
        let taken = match registry::local(&self.0) {
            Some(core) => callbacks::queue(&core, Box::new(f)),
            None => match self.0.send_callback(Box::new(f)) {
                Ok(()) => true,
                Err(refused) => {
                    callbacks::discard(refused);
                    false
                }
            },
        };
        match taken {
            true => Ok(()),
            false => Err(HubClosed::new()),
        }
    }

    /// Closes the hub: see [`Hub::close`](crate::Hub::close). On another thread the future is ready
    /// when the hub has ended, including its root fiber, which is cancelled like the others. (A
    /// root that itself waits, or has waited, for the close is exempt, and has to end of its own
    /// accord.)
    ///
    /// # Cancel safety
    ///
    /// As for [`Hub::close`](crate::Hub::close).
    ///
    /// # Panics
    ///
    /// Panics in a fiber of this hub other than its root, which would wait for itself.
    #[track_caller]
    pub fn close(&self) -> Close {
        Close::new(&self.0)
    }

    /// Returns a future of what is known about the hub and its fibers: see
    /// [`Hub::dump`](crate::Hub::dump).
    ///
    /// The hub reads it on its own thread, before anything else that other threads have sent, and
    /// goes on as before. While other code keeps that thread, there is no answer: see
    /// [`dump_within`](HubHandle::dump_within). On the hub's own thread the future is ready at once.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    ///
    /// # Errors
    ///
    /// The future gives an error if the hub has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use switchback::{HubThread, prelude::*};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let thread = HubThread::new()?;
    /// let (begun, begins) = mpsc::channel();
    /// thread.spawn(move || {
    ///     begun.send(()).unwrap();
    ///     std::future::pending::<()>().wait();
    /// })?;
    /// begins.recv().unwrap(); // a dump overtakes fibers that have not begun
    /// let dump = thread.handle().dump().wait()?;
    /// assert_eq!(dump.fibers().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dump(&self) -> Dump {
        Dump::new(&self.0, None)
    }

    /// Like [`dump`](HubHandle::dump), but waits no longer than `limit`. The time is real time, also
    /// on a virtual clock.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    ///
    /// # Errors
    ///
    /// As for [`dump`](HubHandle::dump). Also gives an error if the hub has not answered in time.
    ///
    /// # Panics
    ///
    /// The first poll panics if the thread that keeps the time cannot be started.
    pub fn dump_within(&self, limit: Duration) -> Dump {
        Dump::new(&self.0, Some(limit))
    }

    /// Returns the fiber that has the hub's thread now, at once and from any thread, also while the
    /// fiber blocks the thread. Returns `None` while no fiber runs.
    ///
    /// It takes no lock of the hub's. A fiber that waits in another hub that it drives itself, or in a
    /// [bridge](crate::bridge()) that it polls, is running.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use switchback::{HubThread, prelude::*};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let thread = HubThread::new()?;
    /// let (begun, begins) = mpsc::channel();
    /// let (end, ends) = mpsc::channel::<()>();
    /// let blocks = thread.spawn(move || {
    ///     begun.send(()).unwrap();
    ///     ends.recv().unwrap();
    /// })?;
    /// begins.recv().unwrap();
    /// assert_eq!(thread.handle().running().unwrap().id(), blocks.id());
    /// end.send(()).unwrap();
    /// blocks.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        Running::of(&self.0)
    }

    /// Begins to close the hub, and does not wait for it.
    pub(crate) fn start_close(&self) {
        match registry::local(&self.0) {
            Some(core) => closing::begin(&core, None),
            None => self.0.send_close(),
        }
    }

    /// Returns the names of the fibers that the close has still to end; `None` if it has not begun,
    /// or is over.
    pub(crate) fn closing_names(&self) -> Option<FiberNames> {
        let fibers = self.0.closing()?;
        let left = fibers.iter().filter(|fiber| fiber.is_alive());
        Some(left.collect())
    }

    /// Returns whether the caller is a fiber of this hub, or a future that one polls.
    pub(crate) fn runs_this_fiber(&self) -> bool {
        with_place(|place| match place {
            Place::Stack(state) | Place::Poll(state) => state
                .hub()
                .is_some_and(|hub| Arc::ptr_eq(&hub.mailbox, &self.0)),
            _ => false,
        })
    }

    /// Returns whether the caller is a blocking job of the hub's runtime.
    pub(crate) fn runs_this_job(&self) -> bool {
        // In such a job too the runtime is current, and there is a task's ID.
        let runtime = executors::current_runtime();
        runtime.is_some()
            && runtime == self.0.runtime()
            && tokio::task::try_id().is_some()
            && !self.0.is_own_thread()
    }

    /// Returns the hub's name: the one it was given, or `Hub`.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns whether the caller is on the hub's thread.
    pub(crate) fn is_here(&self) -> bool {
        self.0.is_own_thread()
    }

    /// Returns whether the hub takes no new fibers, because it is closing or has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns figures about the hub. On another thread than the hub's, they are those at the end
    /// of the hub's last turn, and may be mixed with those of the next turn if it ends meanwhile; so they
    /// are there also while a fiber blocks the thread. Only [`switches`](HubMetrics::switches) and
    /// [`timers`](HubMetrics::timers) are those of now.
    #[must_use]
    pub fn metrics(&self) -> HubMetrics {
        match registry::local(&self.0) {
            Some(core) => core.metrics(),
            None => HubMetrics {
                switches: self.0.running.resumes(),
                timers: self.0.timers.get(),
                ..self.0.counters.read()
            },
        }
    }

    /// Returns how long the fibers of the hub run, and wait until they do, at once and from any thread, also
    /// while a fiber blocks the hub's. The times are real times. Returns `None` unless the hub
    /// [tracks](crate::Track::Times) times.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{Hub, Track, prelude::*, yield_now};
    ///
    /// let hub = Hub::builder().track(Track::Times);
    /// hub.run(|| {
    ///     std::thread::sleep(Duration::from_millis(5)); // blocks the thread
    ///     yield_now().wait();
    ///
    ///     let times = Hub::current().handle().times().unwrap();
    ///     let run = times.longest_run().unwrap();
    ///     assert!(run.lasts() >= Duration::from_millis(5));
    ///     assert_eq!(run.name(), "Root");
    /// }).unwrap();
    /// ```
    #[must_use]
    pub fn times(&self) -> Option<HubTimes> {
        HubTimes::of(&self.0)
    }
}

impl fmt::Debug for HubHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HubHandle").field(&self.0).finish()
    }
}
