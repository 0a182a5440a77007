//! [`Members`]: the hubs of a pool, and the choice of the hub for a fiber.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::call::Call;
use super::worker::Worker;
use crate::base::contain;
use crate::handles::Fiber;

/// The hubs of a pool, which its calls and its streams share with it. These do not keep the
/// pool open.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) workers: Vec<Arc<Worker>>,
    /// The index at which the search for the least loaded hub begins. It advances so that
    /// hubs with equal loads take turns.
    next: AtomicUsize,
}

impl Members {
    pub(super) fn new(workers: Vec<Arc<Worker>>) -> Members {
        Members {
            workers,
            next: AtomicUsize::new(0),
        }
    }

    /// Spawns a fiber on the hub with the fewest of this pool's fibers. Returns `f` if the
    /// pool is closed.
    pub(super) fn spawn<F, T>(&self, mut f: F) -> Result<Fiber<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        while let Some(worker) = self.least_loaded() {
            match worker.spawn(f) {
                Ok(fiber) => return Ok(fiber),
                Err(back) => f = back,
            }
        }
        Err(f)
    }

    /// Spawns a fiber that ends with the future that waits for it. If the pool is closed, the
    /// future says so.
    pub(super) fn call<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Call::new(self.spawn(f).unwrap_or_else(|f| {
            contain::run("the drop of a fiber's closure", || drop(f));
            Fiber::stillborn(CLOSED.to_owned())
        }))
    }

    /// Returns the hub with the fewest fibers of this pool, among those not known to be
    /// closed.
    fn least_loaded(&self) -> Option<&Arc<Worker>> {
        let count = self.workers.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let (before, from) = self.workers.split_at(first);
        let open = from.iter().chain(before).filter(|w| !w.is_closed());
        open.min_by_key(|worker| worker.load())
    }
}

const CLOSED: &str = "its pool of hubs is closed";
