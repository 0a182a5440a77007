//! [`Channel`]: what those who send and those who receive share, in channels and queues.
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

use super::waiters::{Key, Waiters, lock_to_poll, wake};
use crate::base::contain;
use crate::base::lock::{ConstMutex, lock};

pub(super) struct Channel<S: Store>(ConstMutex<State<S>>);

/// Where messages are queued, and in which order they come out.
pub(super) trait Store {
    type Item;

    fn push(&mut self, item: Self::Item);
    fn pop(&mut self) -> Option<Self::Item>;
    /// Adds an item that has come out and was not taken.
    fn put_back(&mut self, item: Self::Item);
    fn len(&self) -> usize;
}

/// First in, first out.
impl<T> Store for VecDeque<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn put_back(&mut self, item: T) {
        self.push_front(item);
    }

    fn len(&self) -> usize {
        VecDeque::len(self)
    }
}

struct State<S: Store> {
    queue: S,
    /// How many the queue holds; `usize::MAX` if that is not limited. With zero, messages go from hand to
    /// hand.
    room: usize,
    senders: usize,
    has_receiver: bool,
    /// Receivers that wait. Each is left its message; none, if there are no senders any more.
    receiving: Waiters<Option<S::Item>>,
    /// Senders that wait, with their messages, which are taken from them.
    sending: Waiters<Option<S::Item>>,
}

impl<S: Store> State<S> {
    /// Takes the next message, and lets a sender that waits go on. Returns whom to wake.
    fn take(&mut self) -> Option<(S::Item, Option<Waker>)> {
        let queued = self.queue.pop();
        if queued.is_some() && self.queue.len() >= self.room {
            return queued.map(|message| (message, None));
        }
        let (next, woken) = match self.sending.first() {
            Some(first) => (self.sending.get(first).take(), self.sending.tell(first)),
            None => (None, None),
        };
        match queued {
            Some(message) => {
                if let Some(next) = next {
                    self.queue.push(next);
                }
                Some((message, woken))
            }
            None => next.map(|message| (message, woken)),
        }
    }

    /// Hands a message to a receiver that waits, or puts it into the queue. Returns whom to wake, or the
    /// message if there is no room.
    fn put(&mut self, message: S::Item) -> Result<Option<Waker>, S::Item> {
        if let Some(first) = self.receiving.first() {
            *self.receiving.get(first) = Some(message);
            return Ok(self.receiving.tell(first));
        }
        match self.queue.len() < self.room {
            true => {
                self.queue.push(message);
                Ok(None)
            }
            false => Err(message),
        }
    }

    /// Takes back a message that a receiver was left and did not take.
    fn put_back(&mut self, message: S::Item) -> Option<Waker> {
        if let Some(first) = self.receiving.first() {
            *self.receiving.get(first) = Some(message);
            return self.receiving.tell(first);
        }
        self.queue.put_back(message);
        None
    }
}

impl<T> Channel<VecDeque<T>> {
    pub(super) fn new(room: usize) -> Channel<VecDeque<T>> {
        Channel::with_store(VecDeque::new(), room)
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
}

impl<S: Store> Channel<S> {
    pub(super) const fn with_store(store: S, room: usize) -> Channel<S> {
        Channel(ConstMutex::new(State {
            queue: store,
            room,
            senders: 1,
            has_receiver: true,
            receiving: Waiters::new(),
            sending: Waiters::new(),
        }))
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).queue.len()
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

    /// Sends a message if that needs no wait.
    pub(super) fn try_send(&self, message: S::Item) -> Result<(), TrySendError<S::Item>> {
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
    pub(super) fn send(&self, message: S::Item) -> Send<'_, S> {
        Send {
            channel: self,
            message: Some(message),
            key: None,
        }
    }

    /// Receives a message if that needs no wait.
    pub(super) fn try_recv(&self) -> Result<S::Item, TryRecvError> {
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
    pub(super) fn recv(&self) -> Recv<'_, S> {
        Recv {
            channel: self,
            key: None,
        }
    }
}

/// A future that sends a message. Dropped before it was ready, it has sent it or drops it.
pub(super) struct Send<'a, S: Store> {
    channel: &'a Channel<S>,
    /// Until it is sent, or is with the channel.
    message: Option<S::Item>,
    key: Option<Key>,
}

// Nothing of the message is pinned.
impl<S: Store> Unpin for Send<'_, S> {}

impl<S: Store> Future for Send<'_, S> {
    type Output = Result<(), SendError<S::Item>>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<S::Item>>> {
        let this = &mut *self;
        let (mut state, waker) = lock_to_poll(
            &this.channel.0,
            |state| &state.sending,
            this.key,
            cx.waker(),
        );
        let Some(key) = this.key else {
            let message = this.message.take().expect("it is sent once");
            if !state.has_receiver {
                drop(state);
                contain::drop_waker(waker);
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
                    contain::drop_waker(waker);
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
        contain::drop_waker(waker);
        Poll::Ready(match message {
            None => Ok(()),
            Some(message) => Err(SendError(message)),
        })
    }
}

impl<S: Store> Drop for Send<'_, S> {
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
pub(super) struct Recv<'a, S: Store> {
    channel: &'a Channel<S>,
    key: Option<Key>,
}

impl<S: Store> Future for Recv<'_, S> {
    type Output = Result<S::Item, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Item, RecvError>> {
        let this = &mut *self;
        let (mut state, waker) = lock_to_poll(
            &this.channel.0,
            |state| &state.receiving,
            this.key,
            cx.waker(),
        );
        let (received, unused, woken) = match this.key {
            None => match state.take() {
                Some((message, woken)) => (Some(Ok(message)), waker, woken),
                None if state.senders == 0 => (Some(Err(RecvError)), waker, None),
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
                (Some(message.ok_or(RecvError)), waker, woken.flatten())
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

impl<S: Store> Drop for Recv<'_, S> {
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

impl<S: Store> fmt::Debug for Channel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::pin::pin;
    use std::sync::Arc;

    use loom::future::block_on;
    use loom::thread;

    use super::*;

    /// Polls once and ends. Returns what it has received.
    fn give_up(channel: &Channel<VecDeque<u8>>) -> Option<u8> {
        let mut recv = pin!(channel.recv());
        match recv.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(received) => received.ok(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_one_who_ends_was_given_goes_to_the_next() {
        loom::model(|| {
            let channel = Arc::new(Channel::new(usize::MAX));
            let (sends, ends) = (channel.clone(), channel.clone());
            let sends = thread::spawn(move || {
                sends.try_send(1).unwrap();
                sends.try_send(2).unwrap();
            });
            let ends = thread::spawn(move || give_up(&ends));
            let mut sum = block_on(channel.recv()).unwrap();
            sends.join().unwrap();
            if let Some(taken) = ends.join().unwrap() {
                sum += taken;
            } else {
                sum += block_on(channel.recv()).unwrap();
            }
            assert_eq!(sum, 3);
        });
    }

    #[test]
    fn senders_that_wait_for_room_go_on() {
        for room in [0, 1] {
            loom::model(move || {
                let channel = Arc::new(Channel::new(room));
                let sends = channel.clone();
                let sends = thread::spawn(move || {
                    block_on(sends.send(1)).unwrap();
                    block_on(sends.send(2)).unwrap();
                    sends.end_sender();
                });
                assert_eq!(block_on(channel.recv()), Ok(1));
                assert_eq!(block_on(channel.recv()), Ok(2));
                assert_eq!(block_on(channel.recv()), Err(RecvError));
                sends.join().unwrap();
            });
        }
    }

    #[test]
    fn those_who_wait_hear_of_the_end() {
        loom::model(|| {
            let channel = Arc::new(Channel::new(0));
            let sends = channel.clone();
            let sends = thread::spawn(move || block_on(sends.send(1)));
            let ends = channel.clone();
            let ends = thread::spawn(move || ends.end_receiver());
            assert!(sends.join().unwrap().is_err());
            ends.join().unwrap();
        });
    }
}
