//! [`Sender`] and [`SyncSender`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{SendError, TrySendError};

use super::Receiver;
use crate::current::WaitSite;
use crate::sync::channel::Channel;
use crate::sync::waiters::Seat;
use crate::wait::wait_at;

/// Creates a channel that holds any number of messages: [`std::sync::mpsc::channel`].
///
/// # Examples
///
/// ```
/// use switchback::sync::mpsc::channel;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let (send, receive) = channel();
/// thread::spawn(move || send.send(10).unwrap());
/// assert_eq!(receive.recv(), Ok(10));
/// # }).unwrap();
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel::new(usize::MAX));
    (Sender(channel.clone()), Receiver::new(channel))
}

/// Creates a channel that holds `bound` messages, and then makes senders wait:
/// [`std::sync::mpsc::sync_channel`]. With a `bound` of zero, each `send` waits until its message is
/// received.
///
/// # Examples
///
/// ```
/// use switchback::sync::mpsc::sync_channel;
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let (send, receive) = sync_channel(1);
/// send.send(1).unwrap();
/// thread::spawn(move || send.send(2).unwrap()); // waits for room
/// assert_eq!(receive.recv(), Ok(1));
/// assert_eq!(receive.recv(), Ok(2));
/// # }).unwrap();
/// ```
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let channel = Arc::new(Channel::new(bound));
    (SyncSender(channel.clone()), Receiver::new(channel))
}

/// Sends into a channel of [`channel`]: [`std::sync::mpsc::Sender`].
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{sync::mpsc, thread};
///
/// let (sender, receiver) = mpsc::channel();
/// let other = sender.clone();
/// thread::spawn(move || sender.send(1).unwrap());
/// thread::spawn(move || other.send(2).unwrap());
/// assert_eq!(receiver.iter().sum::<u32>(), 3);
/// # }).unwrap();
/// ```
pub struct Sender<T>(Arc<Channel<VecDeque<T>>>);

impl<T> Sender<T> {
    /// Sends a message. Never waits, and works everywhere.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::mpsc::{SendError, channel};
    ///
    /// let (send, receive) = channel();
    /// send.send(1).unwrap();
    /// drop(receive);
    /// assert_eq!(send.send(2), Err(SendError(2)));
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// sender.send(1).unwrap();
    /// drop(receiver);
    /// assert_eq!(sender.send(2).unwrap_err().0, 2);
    /// ```
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.try_send(message).map_err(|error| match error {
            TrySendError::Disconnected(message) | TrySendError::Full(message) => SendError(message),
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.add_sender();
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.end_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Sends into a channel of [`sync_channel`]: [`std::sync::mpsc::SyncSender`].
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{sync::mpsc, thread};
///
/// let (sender, receiver) = mpsc::sync_channel(1);
/// let other = sender.clone();
/// thread::spawn(move || sender.send(1).unwrap());
/// thread::spawn(move || other.send(2).unwrap()); // waits until there is room
/// assert_eq!(receiver.iter().sum::<u32>(), 3);
/// # }).unwrap();
/// ```
pub struct SyncSender<T>(Arc<Channel<VecDeque<T>>>);

impl<T> SyncSender<T> {
    /// Sends a message, and waits as long as there is no room for it. Senders that wait are served first
    /// in, first out.
    ///
    /// # Cancel safety
    ///
    /// If the call is cancelled, the message was not sent, and is dropped; or it was sent.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is gone.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, even if there is room.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{sync::mpsc, thread};
    ///
    /// let (sender, receiver) = mpsc::sync_channel(0);
    /// thread::spawn(move || sender.send("from hand to hand").unwrap());
    /// assert_eq!(receiver.recv(), Ok("from hand to hand"));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let site = WaitSite::here_unless_async("`SyncSender::send`", "await `send_async`");
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(message)) => Err(SendError(message)),
            Err(TrySendError::Full(message)) => {
                wait_at(site, self.0.send(message, Seat::of_call()))
            }
        }
    }

    /// As [`send`](SyncSender::send), for async code.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message was not sent, and is dropped; or it was sent.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is gone.
    pub async fn send_async(&self, message: T) -> Result<(), SendError<T>> {
        tokio::task::coop::cooperative(self.0.send(message, Seat::of_future())).await
    }

    /// Sends a message if there is room for it. Never waits, and works everywhere.
    ///
    /// # Errors
    ///
    /// Returns the message if there is no room, or if the receiver is gone. With a bound of zero there is
    /// room while a receiver waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::mpsc::{TrySendError, sync_channel};
    ///
    /// let (send, receive) = sync_channel(1);
    /// send.try_send(1).unwrap();
    /// assert_eq!(send.try_send(2), Err(TrySendError::Full(2)));
    /// drop(receive);
    /// assert_eq!(send.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(message)
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> SyncSender<T> {
        self.0.add_sender();
        SyncSender(self.0.clone())
    }
}

impl<T> Drop for SyncSender<T> {
    fn drop(&mut self) {
        self.0.end_sender();
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}
