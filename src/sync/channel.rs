//! [`Channel`]: what those who send and those who receive share, in channels and queues.
//!
//! A message is handed on under the lock: to a receiver that waits, if there is one, or else into the
//! queue if it has room, or else it stays with its sender, who waits. A receiver takes from the queue,
//! and then the message of the first sender that waits moves into it. Whoever waits finds in its entry
//! what it was given. So the order is first in, first out, also among several that receive.
//!
//! A fiber that waits in a call has a [`Hand`] open. If the message comes from code on the thread of its
//! hub, that puts it into the hand and takes the fiber out of the line, and the fiber need not lock the
//! channel again. One that ends with a message in its hand, or left in its entry, puts it back to the
//! front.
//!
//! Messages are dropped outside of the lock, because that runs code of the user's.

use std::any::type_name;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::mpsc::{RecvError, SendError, TryRecvError, TrySendError};
use std::task::{Context, Poll};

use super::cell::{Hand, OpenHand};
use super::waiters::{Key, Seat, Waiter, Waiters, Wake, drop_waiter, lock_to_poll, wake};
use crate::base::lock::{ConstMutex, lock};
use crate::current::WaitSite;
use crate::wait::{is_calm, suspend_calmly, wait_at};

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
    receiving: Waiters<Receiving<S::Item>>,
    /// Senders that wait, with their messages, which are taken from them.
    sending: Waiters<Option<S::Item>>,
}

/// A receiver that waits.
struct Receiving<T> {
    /// What it is left; nothing, if there are no senders any more.
    message: Option<T>,
    /// Where code on its thread puts its message, and takes it out of the line.
    hand: Option<OpenHand<T>>,
}

/// What a receiver gets, and whom to wake after the lock was released.
struct Received<T>(Result<T, RecvError>, Option<Wake>);

impl<T> Received<T> {
    #[inline]
    fn finish(self) -> Result<T, RecvError> {
        wake(self.1);
        self.0
    }
}

impl<S: Store> State<S> {
    /// Takes the next message, and lets a sender that waits go on. Returns whom to wake.
    fn take(&mut self) -> Option<(S::Item, Option<Wake>)> {
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

    /// Takes the next message, or joins the line of receivers.
    #[inline]
    fn take_or_join(
        &mut self,
        key: &mut Option<Key>,
        waiter: &mut Option<Waiter>,
        hand: Option<OpenHand<S::Item>>,
    ) -> Option<Received<S::Item>> {
        let may_have_any = self.queue.len() > 0 || !self.sending.is_empty();
        if let Some((message, woken)) = may_have_any.then(|| self.take()).flatten() {
            return Some(Received(Ok(message), woken));
        }
        if self.senders == 0 {
            return Some(Received(Err(RecvError), None));
        }
        let receiving = Receiving {
            message: None,
            hand,
        };
        *key = Some(self.receiving.add(receiving, waiter.take()));
        None
    }

    /// Takes what a receiver was left in the line, if it was told.
    #[inline]
    fn take_told(&mut self, key: &mut Option<Key>) -> Option<Received<S::Item>> {
        let told = key.filter(|key| self.receiving.is_told(*key))?;
        *key = None;
        if let Some(message) = self.receiving.remove(told).0.message {
            return Some(Received(Ok(message), None));
        }
        // There were no senders; but another receiver may have put a message back.
        Some(match self.take() {
            Some((message, woken)) => Received(Ok(message), woken),
            None => Received(Err(RecvError), None),
        })
    }

    /// Hands a message to a receiver that waits, or puts it into the queue. Returns whom to wake, or the
    /// message if there is no room.
    fn put(&mut self, message: S::Item) -> Result<Option<Wake>, S::Item> {
        if let Some(first) = self.receiving.first_alive() {
            return Ok(self.hand_over(first, message));
        }
        match self.queue.len() < self.room {
            true => {
                self.queue.push(message);
                Ok(None)
            }
            false => Err(message),
        }
    }

    /// Hands a message to the receiver that waits first. Returns whom to wake.
    #[inline(always)]
    fn hand_over(&mut self, first: Key, message: S::Item) -> Option<Wake> {
        if self.receiving.get(first).hand.is_some() {
            if let Some((receiving, woken)) = self.receiving.remove_here(first) {
                let hand = receiving.hand.expect("it was there");
                hand.give(message);
                return Some(woken);
            }
        }
        self.receiving.get(first).message = Some(message);
        self.receiving.tell(first)
    }

    /// Takes back a message that a receiver was left and did not take.
    fn put_back(&mut self, message: S::Item) -> Option<Wake> {
        if let Some(first) = self.receiving.first_alive() {
            return self.hand_over(first, message);
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
    pub(super) fn send(&self, message: S::Item, seat: Seat) -> Send<'_, S> {
        Send {
            channel: self,
            message: Some(message),
            seat,
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

    /// Receives a message, and waits for one at this site, which must be that of the running code.
    #[track_caller]
    #[inline]
    pub(super) fn recv_at(&self, site: WaitSite) -> Result<S::Item, RecvError> {
        if !is_calm() {
            return match self.try_recv() {
                Ok(message) => Ok(message),
                Err(TryRecvError::Disconnected) => Err(RecvError),
                Err(TryRecvError::Empty) => wait_at(site, self.recv(Seat::of_call())),
            };
        }
        let hand = Hand::new();
        let mut call = RecvCall {
            recv: self.recv(Seat::of_call()),
            hand: &hand,
        };
        if let Some(received) = call.take_or_join() {
            return received;
        }
        while suspend_calmly(site, type_name::<Recv<'_, S>>) {
            if let Some(received) = call.take_told() {
                return received;
            }
        }
        wait_at(site, call)
    }

    /// Takes back a message that a receiver was given and did not take.
    #[cold]
    fn put_back(&self, message: S::Item) {
        let woken = lock(&self.0).put_back(message);
        wake(woken);
    }

    /// Returns a future that receives a message.
    pub(super) fn recv(&self, seat: Seat) -> Recv<'_, S> {
        Recv {
            channel: self,
            seat,
        }
    }
}

/// A future that sends a message. Dropped before it was ready, it has sent it or drops it.
pub(super) struct Send<'a, S: Store> {
    channel: &'a Channel<S>,
    /// Until it is sent, or is with the channel.
    message: Option<S::Item>,
    seat: Seat,
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
            &this.seat,
            cx.waker(),
        );
        let Some(key) = this.seat.key else {
            let message = this.message.take().expect("it is sent once");
            if !state.has_receiver {
                drop(state);
                drop_waiter(waker);
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
                    drop_waiter(waker);
                    wake(woken);
                    Poll::Ready(Ok(()))
                }
                Err(message) => {
                    this.seat.key = Some(state.sending.add(Some(message), waker));
                    Poll::Pending
                }
            };
        };
        if !state.sending.is_told(key) {
            let unused = state.sending.set_waiter(key, waker);
            drop(state);
            drop_waiter(unused);
            return Poll::Pending;
        }
        let (message, _) = state.sending.remove(key);
        drop(state);
        this.seat.key = None;
        drop_waiter(waker);
        Poll::Ready(match message {
            None => Ok(()),
            Some(message) => Err(SendError(message)),
        })
    }
}

impl<S: Store> Drop for Send<'_, S> {
    fn drop(&mut self) {
        if let Some(key) = self.seat.key {
            let mut state = lock(&self.channel.0);
            let removed = state.sending.remove(key);
            drop(state);
            let (message, unused) = removed;
            drop_waiter(unused);
            drop(message);
        }
    }
}

/// A future that receives a message. Dropped before it was ready, it loses none.
pub(super) struct Recv<'a, S: Store> {
    channel: &'a Channel<S>,
    seat: Seat,
}

impl<S: Store> Future for Recv<'_, S> {
    type Output = Result<S::Item, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Item, RecvError>> {
        let this = &mut *self;
        let (mut state, mut waiter) = lock_to_poll(
            &this.channel.0,
            |state| &state.receiving,
            &this.seat,
            cx.waker(),
        );
        let received = match this.seat.key {
            None => state.take_or_join(&mut this.seat.key, &mut waiter, None),
            Some(key) => {
                let received = state.take_told(&mut this.seat.key);
                if received.is_none() {
                    waiter = state.receiving.set_waiter(key, waiter);
                }
                received
            }
        };
        drop(state);
        drop_waiter(waiter);
        match received {
            Some(received) => Poll::Ready(received.finish()),
            None => Poll::Pending,
        }
    }
}

impl<S: Store> Recv<'_, S> {
    /// Ends a wait that was not finished.
    #[cold]
    fn leave(&self, key: Key) {
        let (unused, woken) = {
            let mut state = lock(&self.channel.0);
            let (left, unused) = state.receiving.remove(key);
            let woken = left.message.and_then(|message| state.put_back(message));
            (unused, woken)
        };
        drop_waiter(unused);
        wake(woken);
    }
}

impl<S: Store> Drop for Recv<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if let Some(key) = self.seat.key {
            self.leave(key);
        }
    }
}

/// A [`Recv`] in the frame of a call, to which one on its thread gives the message without a second lock.
/// Then its entry is gone, and its key means nothing.
struct RecvCall<'a, S: Store> {
    recv: Recv<'a, S>,
    hand: &'a Hand<S::Item>,
}

impl<S: Store> RecvCall<'_, S> {
    #[inline]
    fn take_or_join(&mut self) -> Option<Result<S::Item, RecvError>> {
        let Recv { channel, seat } = &mut self.recv;
        let mut fiber = seat.fiber();
        let hand = fiber.is_some().then(|| self.hand.open());
        let received = lock(&channel.0).take_or_join(&mut seat.key, &mut fiber, hand);
        received.map(Received::finish)
    }

    #[inline]
    fn take_told(&mut self) -> Option<Result<S::Item, RecvError>> {
        if let Some(message) = self.take_given() {
            return Some(Ok(message));
        }
        let Recv { channel, seat } = &mut self.recv;
        let received = lock(&channel.0).take_told(&mut seat.key);
        received.map(Received::finish)
    }

    #[inline]
    fn take_given(&mut self) -> Option<S::Item> {
        let given = self.hand.take()?;
        self.recv.seat.key = None;
        Some(given)
    }
}

impl<S: Store> Future for RecvCall<'_, S> {
    type Output = Result<S::Item, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Item, RecvError>> {
        match self.take_given() {
            Some(message) => Poll::Ready(Ok(message)),
            None => Pin::new(&mut self.recv).poll(cx),
        }
    }
}

impl<S: Store> Drop for RecvCall<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if let Some(message) = self.take_given() {
            self.recv.channel.put_back(message);
        }
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
    use std::task::Waker;

    use loom::future::block_on;
    use loom::thread;

    use super::*;

    /// Polls once and ends. Returns what it has received.
    fn give_up(channel: &Channel<VecDeque<u8>>) -> Option<u8> {
        let mut recv = pin!(channel.recv(Seat::of_future()));
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
            let mut sum = block_on(channel.recv(Seat::of_future())).unwrap();
            sends.join().unwrap();
            if let Some(taken) = ends.join().unwrap() {
                sum += taken;
            } else {
                sum += block_on(channel.recv(Seat::of_future())).unwrap();
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
                    block_on(sends.send(1, Seat::of_future())).unwrap();
                    block_on(sends.send(2, Seat::of_future())).unwrap();
                    sends.end_sender();
                });
                assert_eq!(block_on(channel.recv(Seat::of_future())), Ok(1));
                assert_eq!(block_on(channel.recv(Seat::of_future())), Ok(2));
                assert_eq!(block_on(channel.recv(Seat::of_future())), Err(RecvError));
                sends.join().unwrap();
            });
        }
    }

    #[test]
    fn those_who_wait_hear_of_the_end() {
        loom::model(|| {
            let channel = Arc::new(Channel::new(0));
            let sends = channel.clone();
            let sends = thread::spawn(move || block_on(sends.send(1, Seat::of_future())));
            let ends = channel.clone();
            let ends = thread::spawn(move || ends.end_receiver());
            assert!(sends.join().unwrap().is_err());
            ends.join().unwrap();
        });
    }
}
