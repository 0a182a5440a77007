//! [`HubHandle`]: a hub as other threads see it.

use std::fmt;
use std::sync::Arc;

use super::pending_fiber::PendingFiber;
use super::{Close, Fiber};
use crate::base::executors;
use crate::current::{Place, with_place};
use crate::scheduler::{callbacks, closing, registry};
use crate::shared::{HubClosed, HubMetrics, Mailbox, RemoteSpawn as _};

/// Refers to a hub, from any thread and any runtime.
///
/// It can be cloned and sent, and does not keep the hub's runtime alive. What one
/// thread asks for happens in its order; all of it goes through the hub's one
/// queue. On the hub's own thread each method does what it does anywhere.
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

    /// Makes a fiber that runs `f` on the hub, and starts it: [`spawn`](crate::spawn)
    /// from anywhere.
    ///
    /// A hub that is sent many fibers at once starts them by the dozen, between
    /// what else is ready: those that have begun go on, and end, meanwhile.
    ///
    /// If the hub ends before the fiber has got there, or has no stack for it, `f`
    /// is dropped on the hub's thread (or, if that is gone, where its end is
    /// noticed), and the join says so.
    ///
    /// # Errors
    ///
    /// If the hub is closed or has ended.
    pub fn spawn<F, T>(&self, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_spawn(f, |f| f()).map_err(|_| HubClosed::new())
    }

    /// As [`spawn`](HubHandle::spawn), for a fiber that does `run(what)`. A hub that
    /// is closed gives `what` back.
    pub(crate) fn try_spawn<W, T>(&self, what: W, run: fn(W) -> T) -> Result<Fiber<T>, W>
    where
        W: Send + 'static,
        T: Send + 'static,
    {
        let (pending, receiver) = PendingFiber::new(&self.0, what, run);
        let fiber = Fiber::from_receiver(receiver);
        let refused = match registry::local(&self.0) {
            Some(core) if core.is_open() => {
                pending.arrive();
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
    /// If the hub has ended, or is closing and its last fiber has ended; then `f`
    /// is dropped. Without an error it is called, unless the hub ends abruptly
    /// before.
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

    /// Closes the hub: see [`Hub::close`](crate::Hub::close). On another thread
    /// the future is ready when the hub has ended, its root fiber included, which
    /// is cancelled as the others are. (A root that itself waits, or has waited, for
    /// the close is left out of it, and has to end by itself.)
    ///
    /// # Cancel safety
    ///
    /// As [`Hub::close`](crate::Hub::close).
    ///
    /// # Panics
    ///
    /// In a fiber of this hub that is not its root: it would wait for itself.
    #[track_caller]
    pub fn close(&self) -> Close {
        Close::new(&self.0)
    }

    /// Begins to close the hub, and does not wait.
    pub(crate) fn start_close(&self) {
        match registry::local(&self.0) {
            Some(core) => closing::begin(&core, None),
            None => self.0.send_close(),
        }
    }

    /// The names of the fibers that its close has still to end; `None` if it has
    /// not begun, or is over.
    pub(crate) fn closing_names(&self) -> Option<Vec<String>> {
        let fibers = self.0.closing()?;
        let left = fibers.iter().filter(|fiber| fiber.is_alive());
        Some(left.map(|fiber| fiber.name().to_owned()).collect())
    }

    /// Whether the caller is a fiber of this hub, or is polled by one.
    pub(crate) fn runs_this_fiber(&self) -> bool {
        with_place(|place| match place {
            Place::Stack(state) | Place::Poll(state) => state
                .hub()
                .is_some_and(|hub| Arc::ptr_eq(&hub.mailbox, &self.0)),
            _ => false,
        })
    }

    /// Whether the caller is a blocking job of the hub's runtime.
    pub(crate) fn runs_this_job(&self) -> bool {
        // The runtime is current there too, and a job has the number of a task.
        let runtime = executors::current_runtime();
        runtime.is_some()
            && runtime == self.0.runtime()
            && tokio::task::try_id().is_some()
            && !self.0.is_own_thread()
    }

    /// Whether the hub takes no new fibers: it is closing, or has ended.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Numbers about the hub. On other threads than its own they are those of the
    /// end of its last turn.
    pub fn metrics(&self) -> HubMetrics {
        match registry::local(&self.0) {
            Some(core) => core.metrics(),
            None => self.0.counters.read(),
        }
    }
}

impl fmt::Debug for HubHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HubHandle").field(&self.0).finish()
    }
}
