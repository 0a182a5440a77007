//! [`Queue`], [`LifoQueue`] and [`PriorityQueue`]: queues that know what is left to do.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::mpsc::{TryRecvError, TrySendError};
use std::time::Duration;

use tokio::task::coop;

use super::channel::{Channel, Store};
use super::line::Line;
use super::waiters::Seat;
use crate::base::lock::{ConstMutex, lock};
use crate::base::{Elapsed, deadline_after, half_way};
use crate::current::WaitSite;
use crate::wait::{block_until, wait_at};

/// How many items were put and are not done.
#[derive(Debug)]
struct Unfinished {
    count: ConstMutex<usize>,
    /// Those who wait until there are none.
    joiners: Line,
}

impl Unfinished {
    const fn new() -> Unfinished {
        Unfinished {
            count: ConstMutex::new(0),
            joiners: Line::new(),
        }
    }

    /// Counts an item that is being put. Dropped before it is kept, it is counted no more.
    fn begin(&self) -> Begun<'_> {
        *lock(&self.count) += 1;
        Begun(self)
    }

    /// Counts an item as done. Returns false if there is none.
    fn end(&self) -> bool {
        let left = {
            let mut count = lock(&self.count);
            match count.checked_sub(1) {
                Some(left) => *count = left,
                None => return false,
            }
            *count
        };
        if left == 0 {
            self.joiners.notify_all();
        }
        true
    }

    fn count(&self) -> usize {
        *lock(&self.count)
    }
}

struct Begun<'a>(&'a Unfinished);

impl Begun<'_> {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Last in, first out.
impl<T> Store for Vec<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        Vec::push(self, item);
    }

    fn pop(&mut self) -> Option<T> {
        Vec::pop(self)
    }

    fn put_back(&mut self, item: T) {
        Vec::push(self, item);
    }

    fn len(&self) -> usize {
        Vec::len(self)
    }
}

/// The smallest first.
struct Smallest<T>(BinaryHeap<Ranked<T>>);

/// An item, of which the smallest is the greatest. Items are compared under the lock of the channel, so
/// what compares them must not suspend the stack.
struct Ranked<T>(T);

impl<T: Ord> Ord for Ranked<T> {
    fn cmp(&self, other: &Ranked<T>) -> Ordering {
        half_way::call(|| other.0.cmp(&self.0))
    }
}

impl<T: Ord> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Ranked<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Ranked<T> {
    fn eq(&self, other: &Ranked<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Ranked<T> {}

impl<T: Ord> Store for Smallest<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(Ranked(item));
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop().map(|Ranked(item)| item)
    }

    fn put_back(&mut self, item: T) {
        self.push(item);
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn received<T, E>(received: Result<T, E>) -> T {
    match received {
        Ok(item) => item,
        Err(_) => unreachable!("a queue has no end"),
    }
}

/// Defines a queue.
macro_rules! queue {
    ($(#[$docs:meta])* $queue:ident<T: $($bound:path)?>, $store:ty, $empty:expr) => {
        $(#[$docs])*
        pub struct $queue<T: $($bound)?> {
            channel: Channel<$store>,
            unfinished: Unfinished,
        }

        impl<T: $($bound)?> $queue<T> {
            /// Creates an empty queue that holds any number of items.
            pub const fn new() -> $queue<T> {
                $queue::with_capacity(usize::MAX)
            }

            /// Creates an empty queue that holds `capacity` items. With a capacity of zero, each item is handed
            /// from the one who puts it to the one who gets it.
            pub const fn with_capacity(capacity: usize) -> $queue<T> {
                $queue {
                    channel: Channel::with_store($empty, capacity),
                    unfinished: Unfinished::new(),
                }
            }

            /// Puts an item into the queue, and waits as long as there is no room for it.
            ///
            /// # Cancel safety
            ///
            /// If the call is cancelled, the item was not put, and is dropped; or it was put.
            ///
            /// # Panics
            ///
            /// Panics where [`wait`](crate::Wait::wait) does, even if there is room.
            #[track_caller]
            pub fn put(&self, item: T) {
                let site = WaitSite::here_unless_async(concat!("`", stringify!($queue), "::put`"), "await `put_async`");
                if let Err(item) = self.try_put(item) {
                    let begun = self.unfinished.begin();
                    let _ = wait_at(site, self.channel.send(item, Seat::of_call()));
                    begun.keep();
                }
            }

            /// As [`put`](Self::put), for async code.
            ///
            /// # Cancel safety
            ///
            /// If the future is dropped, the item was not put, and is dropped; or it was put.
            pub async fn put_async(&self, item: T) {
                let begun = self.unfinished.begin();
                let _ = coop::cooperative(self.channel.send(item, Seat::of_future())).await;
                begun.keep();
            }

            /// Puts an item into the queue if there is room for it. Never waits, and works everywhere.
            ///
            /// # Errors
            ///
            /// Returns the item if there is no room.
            pub fn try_put(&self, item: T) -> Result<(), T> {
                let begun = self.unfinished.begin();
                match self.channel.try_send(item) {
                    Ok(()) => {
                        begun.keep();
                        Ok(())
                    }
                    Err(TrySendError::Full(item) | TrySendError::Disconnected(item)) => Err(item),
                }
            }

            /// Waits for an item and takes it out.
            ///
            /// # Cancel safety
            ///
            /// A cancelled call loses no item.
            ///
            /// # Panics
            ///
            /// Panics where [`wait`](crate::Wait::wait) does, even if there is an item.
            #[track_caller]
            pub fn get(&self) -> T {
                let site = WaitSite::here_unless_async(concat!("`", stringify!($queue), "::get`"), "await `get_async`");
                received(self.channel.recv_at(site))
            }

            /// As [`get`](Self::get), for async code.
            ///
            /// # Cancel safety
            ///
            /// If the future is dropped, no item is lost.
            pub async fn get_async(&self) -> T {
                received(coop::cooperative(self.channel.recv(Seat::of_future())).await)
            }

            /// Waits for an item, but no longer than `timeout`.
            ///
            /// # Cancel safety
            ///
            /// A cancelled call loses no item.
            ///
            /// # Errors
            ///
            /// Returns [`Elapsed`] if none has come in time.
            ///
            /// # Panics
            ///
            /// Panics where [`wait_timeout`](crate::Wait::wait_timeout) does, even if there is an item.
            #[track_caller]
            pub fn get_timeout(&self, timeout: Duration) -> Result<T, Elapsed> {
                let (call, instead) = (concat!("`", stringify!($queue), "::get_timeout`"), "await `get_async`");
                let site = WaitSite::here_or_error_unless_async(call, instead);
                match (self.channel.try_recv(), site) {
                    (Ok(item), _) => Ok(item),
                    (Err(_), None) => Err(Elapsed::unwinding()),
                    (Err(_), Some(site)) => {
                        block_until(site, self.channel.recv(Seat::of_call()), deadline_after(timeout)).map(received)
                    }
                }
            }

            /// Takes an item out, if there is one. Never waits, and works everywhere.
            #[must_use]
            pub fn try_get(&self) -> Option<T> {
                match self.channel.try_recv() {
                    Ok(item) => Some(item),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
                }
            }

            /// Says that an item that was taken out is done.
            ///
            /// # Panics
            ///
            /// Panics if every item was done before.
            #[track_caller]
            pub fn task_done(&self) {
                assert!(
                    self.unfinished.end(),
                    "`task_done` was called more often than items were put into the queue; call it once for each item",
                );
            }

            /// Waits until every item that was put was taken out and is [done](Self::task_done).
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost if the call is cancelled.
            ///
            /// # Panics
            ///
            /// Panics where [`wait`](crate::Wait::wait) does, even if all are done.
            #[track_caller]
            pub fn join(&self) {
                let site = WaitSite::here_unless_async(concat!("`", stringify!($queue), "::join`"), "await `join_async`");
                while self.unfinished() > 0 {
                    let notified = self.unfinished.joiners.join(Seat::of_call());
                    if self.unfinished() > 0 {
                        wait_at(site, notified).keep();
                    }
                }
            }

            /// As [`join`](Self::join), for async code.
            pub async fn join_async(&self) {
                while self.unfinished() > 0 {
                    let notified = self.unfinished.joiners.join(Seat::of_future());
                    if self.unfinished() > 0 {
                        notified.await.keep();
                    }
                }
            }

            /// Returns how many items were put and are not done.
            #[must_use]
            pub fn unfinished(&self) -> usize {
                self.unfinished.count()
            }

            /// Returns how many items are in the queue.
            #[must_use]
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// Returns whether no item is in the queue.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl<T: $($bound)?> Default for $queue<T> {
            fn default() -> $queue<T> {
                $queue::new()
            }
        }

        impl<T: $($bound)?> fmt::Debug for $queue<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($queue))
                    .field("len", &self.len())
                    .field("unfinished", &self.unfinished())
                    .finish_non_exhaustive()
            }
        }
    };
}

queue! {
    /// A queue, first in, first out, whose items are counted until they are done: Python's and Gruvi's
    /// `Queue`.
    ///
    /// Several may put and get at once; those who wait are served first in, first out. An item that was
    /// on its way to somebody who is cancelled goes back.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Queue;
    /// use switchback::thread;
    ///
    /// static JOBS: Queue<u32> = Queue::with_capacity(2);
    ///
    /// # switchback::run(|| {
    /// let workers = [(); 2].map(|()| {
    ///     thread::spawn(|| {
    ///         loop {
    ///             let job = JOBS.get();
    ///             println!("job {job}");
    ///             JOBS.task_done();
    ///         }
    ///     })
    /// });
    /// (0..5).for_each(|job| JOBS.put(job)); // waits while two are queued
    /// JOBS.join(); // until all five are done
    /// workers.into_iter().for_each(|worker| drop(worker.into_fiber().cancel()));
    /// # }).unwrap();
    /// ```
    Queue<T: >, VecDeque<T>, VecDeque::new()
}

queue! {
    /// A [`Queue`] that is last in, first out.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::LifoQueue;
    ///
    /// let queue = LifoQueue::new();
    /// queue.try_put(1).unwrap();
    /// queue.try_put(2).unwrap();
    /// assert_eq!(queue.try_get(), Some(2));
    /// ```
    LifoQueue<T: >, Vec<T>, Vec::new()
}

queue! {
    /// A [`Queue`] whose smallest item comes first. Use [`Reverse`](std::cmp::Reverse) for the largest.
    ///
    /// Items are compared under the lock of the queue, so their `cmp` must not use the queue. In a fiber or
    /// a bridge it is refused, with a panic, to wait there.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::PriorityQueue;
    ///
    /// let queue = PriorityQueue::new();
    /// queue.try_put((2, "later")).unwrap();
    /// queue.try_put((1, "first")).unwrap();
    /// assert_eq!(queue.try_get(), Some((1, "first")));
    /// ```
    PriorityQueue<T: Ord>, Smallest<T>, Smallest(BinaryHeap::new())
}
