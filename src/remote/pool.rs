//! [`HubPool`]: several hubs on threads of their own.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::close::{CloseThreads, CloseThreadsWithin};
use super::members::Members;
use super::worker::Worker;
use crate::handles::{Fiber, HubHandle};
use crate::hub::Config;
use crate::shared::HubClosed;

/// Several hubs, each on its own thread. This is how a program on tokio's multi-thread
/// runtime runs fibers.
///
/// Each thread behaves and ends as described for [`HubThread`](crate::HubThread). A fiber
/// stays on the hub that it is spawned on. The method decides which hub that is:
///
/// | method | hub |
/// |---|---|
/// | [`spawn`](HubPool::spawn), [`call`](HubPool::call) | the hub with the fewest fibers |
/// | [`spawn_by_key`](HubPool::spawn_by_key) | the same hub for the same key |
/// | [`run_on_all`](HubPool::run_on_all) | each hub |
/// | [`handles`](HubPool::handles) | any hub you choose |
///
/// A hub that was closed through its handle receives no more fibers.
///
/// Choose one hub for each core that the fibers keep busy; waiting uses no core. Threads
/// are not bound to cores. To bind them, do so from [`run_on_all`](HubPool::run_on_all)
/// when the pool is new.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::{HubPool, prelude::*, sleep};
///
/// fn legacy(n: u32) -> u32 {
///     sleep(Duration::from_millis(1)).wait(); // somewhere deep in the call
///     2 * n
/// }
///
/// #[tokio::main] // many threads
/// async fn main() -> std::io::Result<()> {
///     let pool = HubPool::new(2)?;
///     let fiber = pool.spawn(|| legacy(21))?;
///     assert_eq!(fiber.await?, 42);
///     pool.close().await;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct HubPool {
    members: Arc<Members>,
    keys: RandomState,
}

impl HubPool {
    /// Starts a pool of `count` hubs. For settings, see
    /// [`HubBuilder::start_pool`](crate::HubBuilder::start_pool).
    ///
    /// This blocks until the hubs run, a fraction of a millisecond for each.
    ///
    /// # Errors
    ///
    /// Returns an error if `count` is zero, or if a thread or its runtime cannot be
    /// created. Hubs that were already started are then closed.
    pub fn new(count: usize) -> io::Result<HubPool> {
        HubPool::start(Config::default(), count)
    }

    pub(crate) fn start(config: Config, count: usize) -> io::Result<HubPool> {
        if count == 0 {
            let why = "a pool of hubs needs at least one hub";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut workers: Vec<Arc<Worker>> = Vec::new();
        for number in 0..count {
            let name = format!("{}-{number}", config.name).into_boxed_str();
            let started = Worker::start(Config {
                name,
                ..config.clone()
            });
            match started {
                Ok(worker) => workers.push(worker),
                Err(e) => {
                    start_close(&workers);
                    return Err(e);
                }
            }
        }
        Ok(HubPool {
            members: Arc::new(Members::new(workers)),
            keys: RandomState::new(),
        })
    }

    /// Spawns a fiber that runs `f` on the hub with the fewest of this pool's fibers. Hubs
    /// with equally few take turns.
    ///
    /// The fiber can be awaited on any runtime, and waited for in any fiber and on any
    /// thread. Dropping the [`Fiber`] detaches it.
    ///
    /// # Errors
    ///
    /// Returns an error if every hub is closed. `f` is then dropped.
    pub fn spawn<F, T>(&self, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.members.spawn(f)
    }

    /// Calls `f` in a fiber, and returns a future of its result that cancels the fiber if it
    /// is dropped.
    ///
    /// This is [`spawn`](HubPool::spawn) for work that is of no use without its caller, such
    /// as that of a request whose client may hang up. The fiber is spawned by this call, not
    /// by the first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the fiber, which ends at its current or next wait. If it
    /// has not begun, `f` is dropped.
    ///
    /// # Errors
    ///
    /// The future gives a [`JoinError`](crate::JoinError) if the fiber panicked or was
    /// cancelled, and if every hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{HubPool, prelude::*, sleep};
    /// use tokio::time::timeout;
    ///
    /// fn legacy(n: u32) -> u32 {
    ///     sleep(Duration::from_millis(1)).wait();
    ///     2 * n
    /// }
    ///
    /// #[tokio::main] // many threads
    /// async fn main() -> std::io::Result<()> {
    ///     let pool = HubPool::new(2)?;
    ///     assert_eq!(pool.call(|| legacy(21)).await?, 42);
    ///
    ///     // A timeout drops the future, so the fiber ends too.
    ///     let forever = pool.call(|| std::future::pending::<()>().wait());
    ///     timeout(Duration::from_millis(1), forever).await.unwrap_err();
    /// #   pool.close().await;
    ///     Ok(())
    /// }
    /// ```
    pub fn call<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.members.call(f)
    }

    /// Spawns a fiber that runs `f` on the hub that `key` belongs to.
    ///
    /// Equal keys belong to the same hub of this pool, so data that their fibers share
    /// needs no lock across threads. Each pool distributes keys over its hubs differently.
    ///
    /// # Errors
    ///
    /// Returns an error if that hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use switchback::{HubPool, prelude::*};
    /// # fn main() -> std::io::Result<()> {
    /// let pool = HubPool::new(4)?;
    /// let thread = || std::thread::current().id();
    /// let mut one = pool.spawn_by_key("alice", thread)?;
    /// let mut other = pool.spawn_by_key("alice", thread)?;
    /// assert_eq!(one.join().wait()?, other.join().wait()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_by_key<F, T>(&self, key: impl Hash, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let hash = self.keys.hash_one(key);
        let workers = self.workers();
        let worker = &workers[(hash % workers.len() as u64) as usize];
        worker.spawn(f).map_err(|_| HubClosed::new())
    }

    /// Spawns a fiber that runs `f` on each hub that is not closed. Returns the fibers in
    /// the order of the hubs.
    ///
    /// # Errors
    ///
    /// Returns an error if every hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use switchback::{Hub, HubPool, prelude::*};
    /// # fn main() -> std::io::Result<()> {
    /// let pool = Hub::builder().name("legacy").start_pool(2)?;
    /// let mut names = Vec::new();
    /// for mut fiber in pool.run_on_all(|| Hub::current().name().to_owned())? {
    ///     names.push(fiber.join().wait()?);
    /// }
    /// assert_eq!(names, ["legacy-0", "legacy-1"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_on_all<F, T>(&self, f: F) -> Result<Vec<Fiber<T>>, HubClosed>
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let f = Arc::new(f);
        let spawned = self.workers().iter().filter_map(|worker| {
            let f = f.clone();
            worker.spawn(move || f()).ok()
        });
        let fibers: Vec<_> = spawned.collect();
        match fibers.is_empty() {
            true => Err(HubClosed::new()),
            false => Ok(fibers),
        }
    }

    /// Returns handles to the hubs, in their order.
    pub fn handles(&self) -> impl ExactSizeIterator<Item = &HubHandle> {
        self.workers().iter().map(|worker| &worker.hub)
    }

    /// Returns the number of hubs in the pool, closed or not. It is at least one.
    // An empty pool cannot be created.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.workers().len()
    }

    /// Closes all hubs at once and ends their threads. See
    /// [`HubThread::close`](crate::HubThread::close).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the close continues, and another call waits for
    /// the same close.
    ///
    /// # Panics
    ///
    /// Panics in a fiber of one of the hubs and in a blocking job of one of their runtimes,
    /// because they would wait for themselves. To close the pool from there, drop it. The
    /// future resumes a panic of one of the threads once all threads are gone.
    #[track_caller]
    pub fn close(&self) -> CloseThreads {
        CloseThreads::new(self.workers().to_vec())
    }

    /// Like [`close`](HubPool::close), but waits no longer than `duration`.
    ///
    /// After a timeout the close continues.
    ///
    /// # Cancel safety
    ///
    /// The rules are those of [`close`](HubPool::close).
    ///
    /// # Errors
    ///
    /// The future returns a [`CloseTimeout`](crate::CloseTimeout) with the names of the
    /// fibers, of all the hubs, that had not ended.
    ///
    /// # Panics
    ///
    /// Panics where [`close`](HubPool::close) does, and if the current runtime's timers are
    /// not enabled.
    #[track_caller]
    pub fn close_within(&self, duration: Duration) -> CloseThreadsWithin {
        CloseThreadsWithin::new(self.workers().to_vec(), duration)
    }

    fn workers(&self) -> &[Arc<Worker>] {
        &self.members.workers
    }
}

fn start_close(workers: &[Arc<Worker>]) {
    for worker in workers {
        worker.hub.start_close();
    }
}

impl Drop for HubPool {
    fn drop(&mut self) {
        start_close(self.workers());
    }
}
