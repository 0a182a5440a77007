//! [`HubHandle`]: a hub as other threads see it.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::close::Close;
use super::core::{Core, drop_callback};
use super::metrics::HubMetrics;
use super::registry;
use super::shared::{Arrival, Errand, Shared, Takes};
use crate::cancel::PutBack;
use crate::fiber::{Fiber, FiberId, Start};
use crate::join::{Delivery, packet};
use crate::switch::{self, Place};

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
pub struct HubHandle(Arc<Shared>);

impl HubHandle {
    pub(super) fn new(hub: &Arc<Shared>) -> HubHandle {
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
        self.try_spawn(f, |f| f()).map_err(|_| HubClosed(()))
    }

    /// As [`spawn`](HubHandle::spawn), for a fiber that does `run(what)`. A hub that
    /// is closed gives `what` back.
    pub(crate) fn try_spawn<W, T>(&self, what: W, run: fn(W) -> T) -> Result<Fiber<T>, W>
    where
        W: Send + 'static,
        T: Send + 'static,
    {
        let (delivery, receipt) = packet(self.0.clone(), FiberId::next(), None, Start::AtOnce);
        let fiber = Fiber::from_receipt(receipt);
        let newcomer = Box::new(Newcomer {
            delivery: Some(delivery),
            run,
            what: Some(what),
        });
        let refused = match registry::local(&self.0) {
            Some(core) if core.is_open() => {
                newcomer.arrive(&core);
                None
            }
            Some(_) => Some(newcomer),
            None => {
                let sent = self
                    .0
                    .send(Takes::Everything, newcomer, |new| Errand::Spawn(new));
                sent.err()
            }
        };
        match refused.and_then(|mut newcomer| newcomer.what.take()) {
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
        match registry::local(&self.0) {
            Some(core) => match core.run_callback(Box::new(f)) {
                true => Ok(()),
                false => Err(HubClosed(())),
            },
            None => {
                let callback = Box::new(f);
                let sent = self
                    .0
                    .send(Takes::Callbacks, callback, |f| Errand::Callback(f));
                sent.map_err(|refused| {
                    drop_callback(refused);
                    HubClosed(())
                })
            }
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
            Some(core) => core.begin_close(None),
            None => self.0.ask_to_close(),
        }
    }

    /// The names of the fibers that its close has still to end; `None` if it has
    /// not begun, or is over.
    pub(crate) fn closing_names(&self) -> Option<Vec<String>> {
        self.0.closing_names()
    }

    /// Whether the caller is a fiber of this hub, or is polled by one.
    pub(crate) fn runs_this_fiber(&self) -> bool {
        switch::with_place(|place| match place {
            Place::Fiber(state) | Place::Poll(state) => state
                .hub()
                .is_some_and(|hub| Arc::ptr_eq(&hub.shared, &self.0)),
            _ => false,
        })
    }

    /// Whether the caller is a blocking job of the hub's runtime.
    pub(crate) fn runs_this_job(&self) -> bool {
        // The runtime is current there too, and a job has the number of a task.
        let runtime = Handle::try_current().map(|runtime| runtime.id()).ok();
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

/// A fiber on its way to its hub. If it is dropped before it has arrived, its
/// joiner is told.
struct Newcomer<W, T> {
    /// Absent once it has arrived.
    delivery: Option<Delivery<T>>,
    run: fn(W) -> T,
    /// What it runs with: the user's closure. Absent once it has arrived.
    what: Option<W>,
}

impl<W, T> Arrival for Newcomer<W, T>
where
    W: Send + 'static,
    T: Send + 'static,
{
    fn arrive(mut self: Box<Self>, core: &Rc<Core>) {
        match core.take_stack(None) {
            Ok(stack) => {
                let arrives = self.delivery.take().zip(self.what.take());
                let (delivery, what) = arrives.expect("it arrives once");
                let run = self.run;
                core.add(delivery, stack, false, move || run(what));
            }
            Err(e) => self.refuse(e.to_string()),
        }
    }
}

impl<W, T> Newcomer<W, T> {
    fn refuse(&mut self, why: String) {
        if let (Some(what), Some(delivery)) = (self.what.take(), self.delivery.take()) {
            // Where it is refused at once, its destructor may wait.
            PutBack::default().run("the drop of a fiber's closure", || drop(what));
            delivery.refuse(why);
            let fiber = delivery.fiber();
            registry::with_local(&fiber.hub, |core| core.tell_neighbour(fiber));
            fiber.tell_joiner();
        }
    }
}

impl<W, T> Drop for Newcomer<W, T> {
    fn drop(&mut self) {
        self.refuse("its hub ended before it had begun".to_owned());
    }
}

/// The hub takes no new fibers or callbacks: it is closed, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubClosed(());

impl HubClosed {
    pub(crate) fn new() -> HubClosed {
        HubClosed(())
    }
}

impl fmt::Display for HubClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the hub is closed: it takes no new fibers or callbacks")
    }
}

impl Error for HubClosed {}

impl From<HubClosed> for io::Error {
    /// The kind is [`io::ErrorKind::Other`].
    fn from(closed: HubClosed) -> io::Error {
        io::Error::other(closed)
    }
}
