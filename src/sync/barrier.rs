//! [`Barrier`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::waiters::{Seat, Waiters, drop_waiter, lock_to_poll, wake};
use crate::base::lock::{ConstMutex, lock};
use crate::current::WaitSite;
use crate::wait::wait_at;

/// Lets a number of fibers, threads and tasks go on when all have arrived: [`std::sync::Barrier`].
///
/// One who is cancelled while it waits takes its arrival back, so the others wait for somebody else.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use switchback::sync::Barrier;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let barrier = Arc::new(Barrier::new(3));
/// let fibers = [(); 3].map(|()| {
///     let barrier = barrier.clone();
///     thread::spawn(move || barrier.wait().is_leader())
/// });
/// let leaders = fibers.map(|fiber| fiber.join().unwrap());
/// assert_eq!(leaders.iter().filter(|is_leader| **is_leader).count(), 1);
/// # }).unwrap();
/// ```
pub struct Barrier {
    needed: usize,
    waiters: ConstMutex<Waiting>,
}

struct Waiting {
    count: usize,
    waiters: Waiters<()>,
}

impl Barrier {
    /// Creates a barrier for `n`. It does not block anybody if `n` is zero or one.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Barrier;
    ///
    /// let barrier = Barrier::new(10);
    /// ```
    pub const fn new(n: usize) -> Barrier {
        Barrier {
            needed: n,
            waiters: ConstMutex::new(Waiting {
                count: 0,
                waiters: Waiters::new(),
            }),
        }
    }

    /// Waits until all have arrived. The barrier can then be used again.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call takes its arrival back, unless all have arrived before.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if it is the last to arrive.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::sync::Arc;
    /// use switchback::{sync::Barrier, thread};
    ///
    /// let barrier = Arc::new(Barrier::new(3));
    /// let fibers = [(); 3].map(|()| {
    ///     let barrier = barrier.clone();
    ///     thread::spawn(move || {
    ///         println!("before all three have come");
    ///         barrier.wait();
    ///         println!("after");
    ///     })
    /// });
    /// fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        let site = WaitSite::here_unless_async("`Barrier::wait`", "await `wait_async`");
        wait_at(site, self.arrive(Seat::of_call()))
    }

    /// As [`wait`](Barrier::wait), for async code.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes its arrival back, unless all have arrived before.
    pub async fn wait_async(&self) -> BarrierWaitResult {
        self.arrive(Seat::of_future()).await
    }

    fn arrive(&self, seat: Seat) -> Arrival<'_> {
        Arrival {
            barrier: self,
            seat,
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

struct Arrival<'a> {
    barrier: &'a Barrier,
    seat: Seat,
}

impl Future for Arrival<'_> {
    type Output = BarrierWaitResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let this = &mut *self;
        let (mut waiting, waker) = lock_to_poll(
            &this.barrier.waiters,
            |waiting| &waiting.waiters,
            &this.seat,
            cx.waker(),
        );
        let (result, unused, woken) = match this.seat.key {
            None if waiting.count + 1 >= this.barrier.needed => {
                waiting.count = 0;
                let woken = waiting.waiters.tell_all(|()| ());
                (Some(true), waker, woken)
            }
            None => {
                waiting.count += 1;
                this.seat.key = Some(waiting.waiters.add((), waker));
                (None, None, Vec::new())
            }
            Some(key) if waiting.waiters.is_told(key) => {
                this.seat.key = None;
                drop(waiting.waiters.remove(key));
                (Some(false), waker, Vec::new())
            }
            Some(key) => (None, waiting.waiters.set_waiter(key, waker), Vec::new()),
        };
        drop(waiting);
        drop_waiter(unused);
        wake(woken);
        match result {
            Some(is_leader) => Poll::Ready(BarrierWaitResult(is_leader)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let Some(key) = self.seat.key else {
            return;
        };
        let unused = {
            let mut waiting = lock(&self.barrier.waiters);
            if !waiting.waiters.is_told(key) {
                waiting.count -= 1;
            }
            waiting.waiters.remove(key).1
        };
        drop_waiter(unused);
    }
}

/// What [`Barrier::wait`] returns.
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns whether the caller was the last to arrive; this is so for one of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::sync::Barrier;
    ///
    /// let barrier = Barrier::new(1);
    /// assert!(barrier.wait().is_leader());
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult")
            .field("is_leader", &self.is_leader())
            .finish()
    }
}
