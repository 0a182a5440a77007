//! [`Channel`]: what senders and receivers share.
//!
//! A message is handed on under the lock: to a receiver that waits, if there is one, or else into the
//! queue if it has room, or else it stays with its sender, who waits. A receiver takes from the queue,
//! and then the message of the first sender that waits moves into it. Whoever waits finds in its entry
//! what it was given. So the order is first in, first out, also among several that receive.
//!
//! Messages are dropped outside of the lock, because that runs code of the user's.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::mpsc::{RecvError, SendError, TryRecvError, TrySendError};
use std::task::{Context, Poll, Waker};

use crate::base::contain;
use crate::base::lock::{ConstMutex, lock};
use crate::sync::waiters::{Key, Waiters, wake};

pub(super) struct Channel<T>(ConstMutex<State<T>>);

struct State<T> {
    queue: VecDeque<T>,
    /// How many the queue holds; `usize::MAX` if that is not limited. With zero, messages go from hand to
    /// hand.
    room: usize,
    senders: usize,
    has_receiver: bool,
    /// Receivers that wait. Each is left its message; none, if there are no senders any more.
    receiving: Waiters<Option<T>>,
    /// Senders that wait, with their messages, which are taken from them.
    sending: Waiters<Option<T>>,
}

impl<T> State<T> {
    /// Takes the next message, and lets a sender that waits go on. Returns whom to wake.
    fn take(&mut self) -> Option<(T, Option<Waker>)> {
        let queued = self.queue.pop_front();
        if queued.is_some() && self.queue.len() >= self.room {
            return queued.map(|message| (message, None));
        }
        let (next, woken) = match self.sending.first() {
            Some(first) => (self.sending.get(first).take(), self.sending.tell(first)),
            None => (None, None),
        };
        match queued {
            Some(message) => {
                self.queue.extend(next);
                Some((message, woken))
            }
            None => next.map(|message| (message, woken)),
        }
    }

    /// Hands a message to a receiver that waits, or puts it into the queue. Returns whom to wake, or the
    /// message if there is no room.
    fn put(&mut self, message: T) -> Result<Option<Waker>, T> {
        if let Some(first) = self.receiving.first() {
            *self.receiving.get(first) = Some(message);
            return Ok(self.receiving.tell(first));
        }
        match self.queue.len() < self.room {
            true => {
                self.queue.push_back(message);
                Ok(None)
            }
            false => Err(message),
        }
    }

    /// Takes back a message that a receiver was left and did not take.
    fn put_back(&mut self, message: T) -> Option<Waker> {
        if let Some(first) = self.receiving.first() {
            *self.receiving.get(first) = Some(message);
            return self.receiving.tell(first);
        }
        self.queue.push_front(message);
        None
    }
}

impl<T> Channel<T> {
    pub(super) fn new(room: usize) -> Channel<T> {
        Channel(ConstMutex::new(State {
            queue: VecDeque::new(),
            room,
            senders: 1,
            has_receiver: true,
            receiving: Waiters::new(),
            sending: Waiters::new(),
        }))
    }

    pub(super) fn add_sender(&self) {
        lock(&self.0).senders += 1;
    }

    /// Ends a sender. The last one wakes all who wait to receive.
    pub(super) fn end_sender(&self) {
        let woken = {
            let mut state = lock(&self.0);
            state.senders -= 1;
            match state.senders {
                0 => state.receiving.tell_all(|_| ()),
                _ => Vec::new(),
            }
        };
        wake(woken);
    }

    /// Ends the receiver: drops what is queued, and gives those who wait to send their messages back.
    pub(super) fn end_receiver(&self) {
        let (queue, woken) = {
            let mut state = lock(&self.0);
            state.has_receiver = false;
            (mem::take(&mut state.queue), state.sending.tell_all(|_| ()))
        };
        wake(woken);
        drop(queue);
    }

    /// Sends a message if that needs no wait.
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let woken = {
            let mut state = lock(&self.0);
            if !state.has_receiver {
                drop(state);
                return Err(TrySendError::Disconnected(message));
            }
            match state.put(message) {
                Ok(woken) => woken,
                Err(message) => {
                    drop(state);
                    return Err(TrySendError::Full(message));
                }
            }
        };
        wake(woken);
        Ok(())
    }

    /// Returns a future that sends a message.
    pub(super) fn send(&self, message: T) -> Send<'_, T> {
        Send {
            channel: self,
            message: Some(message),
            key: None,
        }
    }

    /// Receives a message if that needs no wait.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let (message, woken) = {
            let mut state = lock(&self.0);
            match state.take() {
                Some(taken) => taken,
                None if state.senders == 0 => return Err(TryRecvError::Disconnected),
                None => return Err(TryRecvError::Empty),
            }
        };
        wake(woken);
        Ok(message)
    }

    /// Returns a future that receives a message.
    pub(super) fn recv(&self) -> Recv<'_, T> {
        Recv {
            channel: self,
            key: None,
        }
    }
}

/// A future that sends a message. Dropped before it was ready, it has sent it or drops it.
pub(super) struct Send<'a, T> {
    channel: &'a Channel<T>,
    /// Until it is sent, or is with the channel.
    message: Option<T>,
    key: Option<Key>,
}

// Nothing of the message is pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let this = &mut *self;
        let waker = contain::clone_waker(cx.waker());
        let mut state = lock(&this.channel.0);
        let Some(key) = this.key else {
            let message = this.message.take().expect("it is sent once");
            if !state.has_receiver {
                drop(state);
                contain::drop_waker(Some(waker));
                return Poll::Ready(Err(SendError(message)));
            }
            // Those who wait come first.
            let put = match state.sending.is_empty() {
                true => state.put(message),
                false => Err(message),
            };
            return match put {
                Ok(woken) => {
                    drop(state);
                    contain::drop_waker(Some(waker));
                    wake(woken);
                    Poll::Ready(Ok(()))
                }
                Err(message) => {
                    this.key = Some(state.sending.add(Some(message), waker));
                    Poll::Pending
                }
            };
        };
        if !state.sending.is_told(key) {
            let unused = state.sending.set_waker(key, waker);
            drop(state);
            contain::drop_waker(unused);
            return Poll::Pending;
        }
        let (message, _) = state.sending.remove(key);
        drop(state);
        this.key = None;
        contain::drop_waker(Some(waker));
        Poll::Ready(match message {
            None => Ok(()),
            Some(message) => Err(SendError(message)),
        })
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut state = lock(&self.channel.0);
            let removed = state.sending.remove(key);
            drop(state);
            let (message, unused) = removed;
            contain::drop_waker(unused);
            drop(message);
        }
    }
}

/// A future that receives a message. Dropped before it was ready, it loses none.
pub(super) struct Recv<'a, T> {
    channel: &'a Channel<T>,
    key: Option<Key>,
}

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let this = &mut *self;
        let waker = contain::clone_waker(cx.waker());
        let mut state = lock(&this.channel.0);
        let (received, unused, woken) = match this.key {
            None => match state.take() {
                Some((message, woken)) => (Some(Ok(message)), Some(waker), woken),
                None if state.senders == 0 => (Some(Err(RecvError)), Some(waker), None),
                None => {
                    this.key = Some(state.receiving.add(None, waker));
                    (None, None, None)
                }
            },
            Some(key) if state.receiving.is_told(key) => {
                this.key = None;
                let (message, _) = state.receiving.remove(key);
                // If there is none, there were no senders; another receiver may have put one back.
                let (message, woken) = match message {
                    Some(message) => (Some(message), None),
                    None => state.take().unzip(),
                };
                (Some(message.ok_or(RecvError)), Some(waker), woken.flatten())
            }
            Some(key) => (None, state.receiving.set_waker(key, waker), None),
        };
        drop(state);
        contain::drop_waker(unused);
        wake(woken);
        match received {
            Some(received) => Poll::Ready(received),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        let Some(key) = self.key else {
            return;
        };
        let (unused, woken) = {
            let mut state = lock(&self.channel.0);
            let (message, unused) = state.receiving.remove(key);
            (unused, message.and_then(|message| state.put_back(message)))
        };
        contain::drop_waker(unused);
        wake(woken);
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}
