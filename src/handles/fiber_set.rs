//! [`FiberSet`]: fibers that are joined in the order in which they end.
//!
//! Each fiber is polled with a waker of its own, which notes the fiber's key and wakes the task that
//! waits for the set. So a poll of the set looks only at fibers that may have ended.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

use super::{CancelOnDrop, Fiber, FiberHandle, JoinError, SpawnOn, spawn};
use crate::base::contain;
use crate::base::lock::lock;
use crate::cancel::Redeliver;
use crate::shared::SpawnError;

/// A group of fibers, which may be on different hubs. This is tokio's
/// [`JoinSet`](tokio::task::JoinSet) for fibers.
///
/// Dropping it cancels all fibers that have not been joined.
///
/// # Examples
///
/// ```
/// use switchback::{FiberSet, HubPool};
///
/// #[tokio::main] // many threads
/// async fn main() -> std::io::Result<()> {
///     let pool = HubPool::new(2)?;
///     let mut set = FiberSet::new();
///     for n in 1..=3 {
///         set.spawn_on(&pool, move || n * n)?;
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square?;
///     }
///     assert_eq!(sum, 14);
/// #   pool.close().await;
///     Ok(())
/// }
/// ```
#[must_use = "dropping a set cancels its fibers"]
pub struct FiberSet<T> {
    fibers: Slab<Entry<T>>,
    ended: Arc<Ended>,
}

struct Entry<T> {
    fiber: CancelOnDrop<T>,
    /// Notes that the fiber may have ended.
    waker: Waker,
}

/// The fibers that may have ended.
#[derive(Default)]
struct Ended(Mutex<State>);

#[derive(Default)]
struct State {
    /// The keys of the fibers to poll. One that is there twice, or is another fiber's by now, does
    /// no harm.
    keys: VecDeque<usize>,
    /// The task that waits for the set.
    task: Option<Waker>,
}

/// The waker of the fiber with this key.
struct Notice {
    key: usize,
    ended: Arc<Ended>,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        let task = {
            let mut state = lock(&self.ended.0);
            state.keys.push_back(self.key);
            state.task.take()
        };
        task.into_iter().for_each(contain::wake);
    }
}

/// Notes a key again when it is dropped, which means that something is unwinding past it.
struct Again<'a>(Option<(&'a Ended, usize)>);

impl Again<'_> {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if let Some((ended, key)) = self.0 {
            lock(&ended.0).keys.push_front(key);
        }
    }
}

impl<T> FiberSet<T> {
    /// Creates an empty set.
    pub fn new() -> FiberSet<T> {
        FiberSet {
            fibers: Slab::new(),
            ended: Arc::default(),
        }
    }

    /// Returns the number of fibers that have not been joined.
    pub fn len(&self) -> usize {
        self.fibers.len()
    }

    /// Returns whether all fibers have been joined.
    pub fn is_empty(&self) -> bool {
        self.fibers.is_empty()
    }

    /// Spawns a fiber on the current hub: see [`spawn`](crate::spawn()).
    ///
    /// # Panics
    ///
    /// As for [`spawn`](crate::spawn()).
    #[track_caller]
    pub fn spawn<F>(&mut self, f: F) -> FiberHandle
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.insert(spawn(f))
    }

    /// Sends a fiber to a hub or a pool.
    ///
    /// # Errors
    ///
    /// Returns an error if it takes no more fibers. `f` is then dropped.
    #[track_caller]
    pub fn spawn_on<S, F>(&mut self, on: &S, f: F) -> Result<FiberHandle, SpawnError>
    where
        S: SpawnOn,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(self.insert(super::Builder::new().spawn_on(on, f)?))
    }

    /// Adds a fiber, for example one of a [`Builder`](crate::Builder). One that was not started is
    /// started when the set is next polled.
    pub fn insert(&mut self, fiber: Fiber<T>) -> FiberHandle {
        let handle = fiber.handle();
        let place = self.fibers.vacant_entry();
        let key = place.key();
        let notice = Arc::new(Notice {
            key,
            ended: self.ended.clone(),
        });
        place.insert(Entry {
            fiber: fiber.cancel_on_drop(),
            waker: Waker::from(notice.clone()),
        });
        // The next poll leaves the waker with the fiber.
        notice.wake();
        handle
    }

    /// Waits for the next fiber to end, and returns its result; `None` if the set is empty. Use
    /// `join_next().wait()` in a fiber and `join_next().await` in async code.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The [`JoinError`] of a fiber that panicked, was cancelled or could not run to its end.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Polls for the next fiber to end: [`join_next`](FiberSet::join_next) for code that
    /// implements `Future` or `Stream`.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        if let Some(result) = self.try_join_next() {
            return Poll::Ready(Some(result));
        }
        if self.fibers.is_empty() {
            return Poll::Ready(None);
        }
        let task = contain::clone_waker(cx.waker());
        let old = lock(&self.ended.0).task.replace(task);
        contain::drop_waker(old);
        // A fiber may have ended before it could see the waker.
        match self.try_join_next() {
            Some(result) => Poll::Ready(Some(result)),
            None => Poll::Pending,
        }
    }

    /// Returns the result of a fiber that has ended; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`join_next`](FiberSet::join_next).
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        loop {
            let key = lock(&self.ended.0).keys.pop_front()?;
            let Some(entry) = self.fibers.get_mut(key) else {
                continue;
            };
            // A join that is refused panics. The fiber is then polled again by the next call.
            let again = Again(Some((&self.ended, key)));
            let mut cx = Context::from_waker(&entry.waker);
            let polled = Pin::new(&mut entry.fiber).poll(&mut cx);
            again.not();
            if let Poll::Ready(result) = polled {
                self.fibers.remove(key);
                return Some(result);
            }
        }
    }

    /// Waits for all fibers to end, and returns their results in the order in which they ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the set, which cancels the fibers.
    ///
    /// # Panics
    ///
    /// The future resumes the panic of a fiber, and panics if a fiber was cancelled or could not run
    /// to its end. The other fibers are then cancelled.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut results = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result.map_err(JoinError::try_into_panic) {
                Ok(value) => results.push(value),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!("{error}"),
            }
        }
        results
    }

    /// Cancels all fibers, and does not wait. They stay in the set until they are joined.
    pub fn cancel_all(&self) {
        for (_, entry) in &self.fibers {
            entry.fiber.handle().cancel();
        }
    }

    /// Cancels all fibers and waits until they have ended. Their results are dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; fibers that have not ended stay in the set.
    pub async fn shutdown(&mut self) {
        self.cancel_all();
        while let Some(result) = self.join_next().await {
            contain::run("the drop of a fiber's result", || drop(result));
        }
    }

    /// Takes all fibers out of the set and lets them go on, as dropping a [`Fiber`] does.
    pub fn detach_all(&mut self) {
        let mut redeliver = Redeliver::default();
        for entry in self.fibers.drain() {
            let fiber = entry.fiber.into_inner();
            redeliver.run("the drop of a fiber's result", || drop(fiber));
        }
        lock(&self.ended.0).keys.clear();
    }
}

impl<T> Drop for FiberSet<T> {
    fn drop(&mut self) {
        // All are told before the first result, which is the user's, is dropped.
        self.cancel_all();
        let mut redeliver = Redeliver::default();
        for entry in self.fibers.drain() {
            redeliver.run("the drop of a fiber's result", || drop(entry));
        }
        let task = lock(&self.ended.0).task.take();
        contain::drop_waker(task);
    }
}

impl<T> Default for FiberSet<T> {
    fn default() -> FiberSet<T> {
        FiberSet::new()
    }
}

impl<T> fmt::Debug for FiberSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiberSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
