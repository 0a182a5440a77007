//! [`Semaphore`]: a number of permits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::coop;

use super::waiters::{Seat, Waiters, Wake, drop_waiter, lock_to_poll, wake};
use crate::base::lock::{ConstMutex, lock};
use crate::current::WaitSite;
use crate::wait::wait_at;

/// A number of permits, to limit how many do something at once.
///
/// Permits go first in, first out: one who waits for several is not passed by those who want fewer.
///
/// # Examples
///
/// ```
/// use switchback::sync::Semaphore;
/// use switchback::thread;
///
/// static CONNECTIONS: Semaphore = Semaphore::new(2);
///
/// # switchback::run(|| {
/// let clients: Vec<_> = (0..5)
///     .map(|_| {
///         thread::spawn(|| {
///             let _permit = CONNECTIONS.acquire();
///             assert!(CONNECTIONS.available_permits() < 2);
///             thread::yield_now();
///         })
///     })
///     .collect();
/// clients.into_iter().for_each(|client| client.join().unwrap());
/// assert_eq!(CONNECTIONS.available_permits(), 2);
/// # }).unwrap();
/// ```
pub struct Semaphore(ConstMutex<State>);

struct State {
    permits: usize,
    /// Each wants so many permits, which it has once it was told.
    waiters: Waiters<usize>,
}

impl State {
    /// Gives permits to those in the line who can have them. Returns whom to wake.
    fn serve(&mut self) -> Vec<Wake> {
        let mut woken = Vec::new();
        while let Some(first) = self.waiters.first_alive() {
            let wanted = *self.waiters.get(first);
            let Some(left) = self.permits.checked_sub(wanted) else {
                break;
            };
            self.permits = left;
            woken.extend(self.waiters.tell(first));
        }
        woken
    }

    /// Serves the line for those in front who were left for ever.
    fn serve_for_dead(&mut self) -> Vec<Wake> {
        match self.waiters.drop_dead() {
            true => self.serve(),
            false => Vec::new(),
        }
    }
}

impl Semaphore {
    /// Creates a semaphore with so many permits.
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore(ConstMutex::new(State {
            permits,
            waiters: Waiters::new(),
        }))
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call has no permit, and has lost its place in the line.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if there is a permit.
    #[track_caller]
    pub fn acquire(&self) -> SemaphoreGuard<'_> {
        self.acquire_by("`Semaphore::acquire`", "await `acquire_async`", 1)
    }

    /// Waits for so many permits, which are given together.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call has no permit, and has lost its place in the line.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if there are enough permits.
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> SemaphoreGuard<'_> {
        let instead = "await `acquire_many_async`";
        self.acquire_by("`Semaphore::acquire_many`", instead, permits)
    }

    #[track_caller]
    fn acquire_by(
        &self,
        call: &'static str,
        instead: &'static str,
        permits: usize,
    ) -> SemaphoreGuard<'_> {
        let site = WaitSite::here_unless_async(call, instead);
        match self.try_acquire_many(permits) {
            Some(guard) => guard,
            None => wait_at(site, self.wait(permits, Seat::of_call())),
        }
    }

    /// As [`acquire`](Semaphore::acquire), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it has no permit, and has lost its place in the line.
    pub async fn acquire_async(&self) -> SemaphoreGuard<'_> {
        self.acquire_many_async(1).await
    }

    /// As [`acquire_many`](Semaphore::acquire_many), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it has no permit, and has lost its place in the line.
    pub async fn acquire_many_async(&self, permits: usize) -> SemaphoreGuard<'_> {
        coop::cooperative(self.wait(permits, Seat::of_future())).await
    }

    /// Returns a permit if there is one and nobody waits. Never waits, and works everywhere.
    #[must_use]
    pub fn try_acquire(&self) -> Option<SemaphoreGuard<'_>> {
        self.try_acquire_many(1)
    }

    /// Returns so many permits if there are so many and nobody waits. Never waits, and works everywhere.
    #[must_use]
    pub fn try_acquire_many(&self, permits: usize) -> Option<SemaphoreGuard<'_>> {
        let (woken, left) = {
            let mut state = lock(&self.0);
            let woken = state.serve_for_dead();
            let left = match state.waiters.is_empty() {
                true => state.permits.checked_sub(permits),
                false => None,
            };
            state.permits = left.unwrap_or(state.permits);
            (woken, left)
        };
        wake(woken);
        left.map(|_| SemaphoreGuard {
            semaphore: self,
            permits,
        })
    }

    /// Adds permits, such as those that were [forgotten](SemaphoreGuard::forget). Never waits.
    ///
    /// # Panics
    ///
    /// Panics if there would be more than `usize::MAX`.
    #[track_caller]
    pub fn add_permits(&self, permits: usize) {
        let woken = {
            let mut state = lock(&self.0);
            state.permits.checked_add(permits).map(|sum| {
                state.permits = sum;
                state.serve()
            })
        };
        match woken {
            Some(woken) => wake(woken),
            None => panic!("a `Semaphore` has no more than `usize::MAX` permits"),
        }
    }

    /// Returns how many permits there are now.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        lock(&self.0).permits
    }

    fn wait(&self, permits: usize, seat: Seat) -> Acquire<'_> {
        Acquire {
            semaphore: self,
            permits,
            seat,
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`], which are given back when this is dropped.
#[derive(Debug)]
#[must_use = "if unused the permits are given back at once"]
pub struct SemaphoreGuard<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl SemaphoreGuard<'_> {
    /// Takes the permits away from the semaphore for good.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SemaphoreGuard<'_> {
    fn drop(&mut self) {
        let woken = {
            let mut state = lock(&self.semaphore.0);
            // There cannot be too many, or `add_permits` would have refused.
            state.permits = state.permits.saturating_add(self.permits);
            state.serve()
        };
        wake(woken);
    }
}

struct Acquire<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
    seat: Seat,
}

impl<'a> Future for Acquire<'a> {
    type Output = SemaphoreGuard<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SemaphoreGuard<'a>> {
        let this = &mut *self;
        let (mut state, waker) = lock_to_poll(
            &this.semaphore.0,
            |state| &state.waiters,
            &this.seat,
            cx.waker(),
        );
        let mut woken = Vec::new();
        let (has, unused) = match this.seat.key {
            None => {
                woken = state.serve_for_dead();
                let left = match state.waiters.is_empty() {
                    true => state.permits.checked_sub(this.permits),
                    false => None,
                };
                match left {
                    Some(left) => {
                        state.permits = left;
                        (true, waker)
                    }
                    None => {
                        this.seat.key = Some(state.waiters.add(this.permits, waker));
                        (false, None)
                    }
                }
            }
            Some(key) if state.waiters.is_told(key) => {
                drop(state.waiters.remove(key));
                this.seat.key = None;
                (true, waker)
            }
            Some(key) => (false, state.waiters.set_waiter(key, waker)),
        };
        drop(state);
        drop_waiter(unused);
        wake(woken);
        match has {
            true => Poll::Ready(SemaphoreGuard {
                semaphore: this.semaphore,
                permits: this.permits,
            }),
            false => Poll::Pending,
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(key) = self.seat.key else {
            return;
        };
        let (unused, woken) = {
            let mut state = lock(&self.semaphore.0);
            if state.waiters.is_told(key) {
                state.permits = state.permits.saturating_add(self.permits);
            }
            let (_, unused) = state.waiters.remove(key);
            // Its permits, or its place, are for the next.
            (unused, state.serve())
        };
        drop_waiter(unused);
        wake(woken);
    }
}
