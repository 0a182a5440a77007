//! [`Receiver`] and its iterators.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crate::base::deadline_after;
use crate::current::WaitSite;
use crate::sync::channel::Channel;
use crate::sync::waiters::Seat;
use crate::wait::block_until;

/// Receives what is sent into a channel: [`std::sync::mpsc::Receiver`].
///
/// Unlike std's it is `Sync`: several may wait at once, and are served first in, first out. What is
/// queued when it is dropped is dropped with it.
///
/// # Examples
///
/// Two fibers share the work:
///
/// ```
/// use std::rc::Rc;
/// use switchback::sync::mpsc::channel;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let (send, jobs) = channel::<u32>();
/// let jobs = Rc::new(jobs);
/// let workers = [(); 2].map(|()| {
///     let jobs = jobs.clone();
///     thread::spawn(move || jobs.iter().sum::<u32>())
/// });
/// (1..=10).for_each(|job| send.send(job).unwrap());
/// drop(send);
/// let sums = workers.map(|worker| worker.join().unwrap());
/// assert_eq!(sums.iter().sum::<u32>(), 55);
/// # }).unwrap();
/// ```
pub struct Receiver<T>(Arc<Channel<VecDeque<T>>>);

impl<T> Receiver<T> {
    pub(super) fn new(channel: Arc<Channel<VecDeque<T>>>) -> Receiver<T> {
        Receiver(channel)
    }

    /// Waits for a message.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call loses no message.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no message and no sender is left.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if there is a message.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{sync::mpsc, thread};
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// thread::spawn(move || sender.send(1).unwrap());
    /// assert_eq!(receiver.recv(), Ok(1));
    /// assert!(receiver.recv().is_err()); // the sender is gone
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let site = WaitSite::here_unless_async("`Receiver::recv`", "await `recv_async`");
        self.0.recv_at(site)
    }

    /// As [`recv`](Receiver::recv), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no message is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no message and no sender is left.
    pub async fn recv_async(&self) -> Result<T, RecvError> {
        tokio::task::coop::cooperative(self.0.recv(Seat::of_future())).await
    }

    /// Waits for a message, but no longer than `timeout`.
    ///
    /// While the fiber unwinds, and in a fiber whose hub has ended, this does not wait.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call loses no message.
    ///
    /// # Errors
    ///
    /// Returns [`RecvTimeoutError::Timeout`] if none has come in time, and
    /// [`RecvTimeoutError::Disconnected`] if there is none and no sender is left.
    ///
    /// # Panics
    ///
    /// Panics where [`wait_timeout`](crate::Wait::wait_timeout) does, even if there is a message.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::sync::mpsc::{RecvTimeoutError, channel};
    ///
    /// # switchback::run(|| {
    /// let (send, receive) = channel::<u32>();
    /// let soon = Duration::from_millis(1);
    /// assert_eq!(receive.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    /// drop(send);
    /// assert_eq!(receive.recv_timeout(soon), Err(RecvTimeoutError::Disconnected));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let call = "`Receiver::recv_timeout`";
        let site = WaitSite::here_or_error_unless_async(call, "await `recv_async`");
        match (self.0.try_recv(), site) {
            (Ok(message), _) => Ok(message),
            (Err(TryRecvError::Disconnected), _) => Err(RecvTimeoutError::Disconnected),
            (Err(TryRecvError::Empty), None) => Err(RecvTimeoutError::Timeout),
            (Err(TryRecvError::Empty), Some(site)) => {
                match block_until(site, self.0.recv(Seat::of_call()), deadline_after(timeout)) {
                    Ok(received) => received.map_err(RecvTimeoutError::from),
                    Err(_) => Err(RecvTimeoutError::Timeout),
                }
            }
        }
    }

    /// Returns a message if there is one. Never waits, and works everywhere.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Empty`] if there is none, and [`TryRecvError::Disconnected`] if no sender
    /// is left either.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::mpsc::{TryRecvError, channel};
    ///
    /// let (send, receive) = channel();
    /// assert_eq!(receive.try_recv(), Err(TryRecvError::Empty));
    /// send.send(1).unwrap();
    /// drop(send);
    /// assert_eq!(receive.try_recv(), Ok(1));
    /// assert_eq!(receive.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }

    /// Returns an iterator that waits for each message, and ends when no sender is left.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{sync::mpsc, thread};
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
    /// assert_eq!(receiver.iter().sum::<u32>(), 6);
    /// # }).unwrap();
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// Returns an iterator over the messages that are there. It never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::mpsc::channel;
    ///
    /// let (send, receive) = channel();
    /// send.send(1).unwrap();
    /// send.send(2).unwrap();
    /// assert_eq!(receive.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.end_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Waits for each message: see [`Receiver::iter`].
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// sender.send("first").unwrap();
/// assert_eq!(receiver.iter().next(), Some("first"));
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

/// Takes the messages that are there: see [`Receiver::try_iter`].
///
/// # Examples
///
/// ```
/// use switchback::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// sender.send(1).unwrap();
/// assert!(receiver.try_iter().eq([1])); // the sender may send more later
/// ```
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// Waits for each message of a receiver that it owns.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{sync::mpsc, thread};
///
/// let (sender, receiver) = mpsc::channel();
/// thread::spawn(move || {
///     sender.send("a").unwrap();
///     sender.send("b").unwrap();
/// });
/// for message in receiver {
///     println!("{message}");
/// }
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}
