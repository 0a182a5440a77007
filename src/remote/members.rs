//! [`Members`]: the hubs of a pool, and how fibers get to them.

use std::fmt;
use std::sync::Arc;

use super::call::Call;
use super::worker::Worker;
use crate::cancel::Redeliver;
use crate::current::origin;
use crate::handles::{Fiber, PendingFiber};
use crate::hub::Config;
use crate::scheduler::launch::Settings;
use crate::shared::{Lane, Mailbox, Origin, SpawnError};

/// The hubs of a pool, which its calls and its streams share with it. These do not keep the
/// pool open.
pub(super) struct Members {
    pub(super) workers: Vec<Arc<Worker>>,
    /// Has the queue of fibers that have not begun.
    pool: Arc<Mailbox>,
    /// Whether the queue or the hubs have limits.
    is_limited: bool,
}

impl Members {
    /// Creates a pool without hubs, of which `config` says what they will be like.
    pub(super) fn new(config: &Config) -> Members {
        Members {
            workers: Vec::new(),
            pool: Mailbox::of_pool(config.max_queued),
            is_limited: config.max_queued.min(config.max_fibers) < usize::MAX,
        }
    }

    /// Returns the mailbox of the pool, for its hubs.
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.pool
    }

    /// Spawns a fiber on the first hub that has room. Returns `f` if that is not possible.
    #[track_caller]
    pub(super) fn spawn<F, T>(&self, settings: Settings, f: F) -> Result<Fiber<T>, (SpawnError, F)>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.send(settings, origin(), Lane::Limited, f)
    }

    /// Spawns a fiber that ends with the future that waits for it. If the pool is closed, the
    /// future says so.
    pub(super) fn call<F, T>(&self, origin: Origin, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let sent = self.send(Settings::default(), origin, Lane::Unlimited, f);
        Call::new(sent.unwrap_or_else(|(_, f)| {
            Redeliver::default().run("the drop of a fiber's closure", || drop(f));
            Fiber::stillborn(CLOSED.to_owned())
        }))
    }

    fn send<F, T>(
        &self,
        settings: Settings,
        origin: Origin,
        lane: Lane,
        f: F,
    ) -> Result<Fiber<T>, (SpawnError, F)>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let lane = match self.is_inside() {
            true => Lane::Inner,
            false => lane,
        };
        let (pending, receiver) = PendingFiber::new(&self.pool, settings, origin, f, |f| f());
        let fiber = Fiber::from_receiver(receiver);
        match self.pool.queue_start(fiber.id(), pending, lane) {
            Ok(()) => Ok(fiber),
            Err((error, pending)) => match pending.take_back() {
                Some(f) => Err((error, f)),
                None => unreachable!("it has not arrived"),
            },
        }
    }

    /// Returns whether the caller is code of the pool: a fiber, or a task or a blocking job of
    /// the runtime of a hub. The fiber that has the last room may wait for it, so what it sends
    /// needs no room.
    fn is_inside(&self) -> bool {
        let mut hubs = self.workers.iter().map(|worker| &worker.hub);
        hubs.clone().any(|hub| hub.is_here())
            || self.is_limited && hubs.any(|hub| hub.runs_this_job())
    }

    /// Begins to close the pool.
    pub(super) fn start_close(&self) {
        self.pool.close_queue();
        for worker in &self.workers {
            worker.hub.start_close();
        }
    }
}

const CLOSED: &str = "its pool of hubs is closed";

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.workers.iter().map(|worker| worker.name());
        let mut pool = f.debug_struct("HubPool");
        pool.field("hubs", &names.collect::<Vec<_>>());
        if let Some(queue) = self.pool.pool_queue() {
            pool.field("queue", queue);
        }
        pool.finish_non_exhaustive()
    }
}
