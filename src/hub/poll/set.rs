//! [`PollSet`]: the descriptors that the operating system watches for one hub.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::RawFd;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mio::Token;
use mio::unix::SourceFd;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::events::Events;
use crate::base::report;

/// A poll set of the operating system (an epoll, a kqueue), whose own readiness
/// tokio watches.
///
/// It is edge-triggered: what was found is found again only if something happens
/// or after [`modify`](PollSet::modify), and then only if it is ready still.
pub(super) struct PollSet {
    poll: AsyncFd<mio::Poll>,
    /// Room for one: each descriptor is found when its turn has come, so that it
    /// is ready then.
    found: mio::Events,
}

impl PollSet {
    /// An empty set, watched by the current runtime.
    #[track_caller]
    pub(super) fn new() -> io::Result<PollSet> {
        let poll = mio::Poll::new()?;
        // Deprecated in favour of an unsafe one, since what a descriptor's owner
        // does can make it dangle. This one is ours, and closed by `AsyncFd`. The
        // unsafe one is too new for the lowest tokio that we allow.
        #[allow(deprecated)]
        let poll = AsyncFd::with_interest(poll, tokio::io::Interest::READABLE)?;
        Ok(PollSet {
            poll,
            found: mio::Events::with_capacity(1),
        })
    }

    /// Takes a descriptor in. What is ready is found, and `token` tells it.
    pub(super) fn add(&self, fd: RawFd, token: usize, events: Events) -> io::Result<()> {
        let registry = self.poll.get_ref().registry();
        match interest(events) {
            Some(interest) => registry.register(&mut SourceFd(&fd), Token(token), interest),
            None => Ok(()),
        }
    }

    /// Changes what is asked of a descriptor. What is ready is found again.
    ///
    /// # Errors
    ///
    /// If the number does not stand for the open file that was added. (With
    /// kqueue, if it stands for none.)
    pub(super) fn modify(&self, fd: RawFd, token: usize, events: Events) -> io::Result<()> {
        let registry = self.poll.get_ref().registry();
        match interest(events) {
            Some(interest) => registry.reregister(&mut SourceFd(&fd), Token(token), interest),
            None => registry.deregister(&mut SourceFd(&fd)),
        }
    }

    /// Lets go of a descriptor.
    ///
    /// # Errors
    ///
    /// As [`modify`](PollSet::modify). Then the set may go on to find what the
    /// number stood for.
    pub(super) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.modify(fd, 0, Events::NONE)
    }

    /// Takes out a descriptor that is ready now, and for what. If there is none,
    /// `cx` will be woken.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) -> Option<(usize, Events)> {
        // What limits the hub is its bound on entries; a waker that is called at
        // once, for want of budget, would be called under a borrow.
        let found = coop::unconstrained(poll_fn(|cx| self.poll_next(cx)));
        match pin!(found).poll(cx) {
            Poll::Ready(found) => Some(found),
            Poll::Pending => None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Events)> {
        loop {
            let mut ready = match self.poll.poll_read_ready_mut(cx) {
                Poll::Ready(Ok(ready)) => ready,
                // The runtime is going, and the hub with it.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            };
            let polled = ready
                .get_inner_mut()
                .poll(&mut self.found, Some(Duration::ZERO));
            match polled {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    report::error(format_args!("descriptors cannot be polled any more: {e}"));
                    return Poll::Pending;
                }
            }
            if let Some(event) = self.found.iter().next() {
                return Poll::Ready((event.token().0, events(event)));
            }
            // Nothing is lost if something became ready since: clearing spares
            // what tokio has noticed after `ready` was made, and what it notices
            // later it notes later.
            ready.clear_ready();
        }
    }
}

impl fmt::Debug for PollSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.poll.get_ref(), f)
    }
}

fn interest(events: Events) -> Option<mio::Interest> {
    let readable = events
        .contains(Events::READABLE)
        .then_some(mio::Interest::READABLE);
    let writable = events
        .contains(Events::WRITABLE)
        .then_some(mio::Interest::WRITABLE);
    match (readable, writable) {
        (Some(readable), Some(writable)) => Some(readable | writable),
        (one, other) => one.or(other),
    }
}

fn events(event: &mio::event::Event) -> Events {
    let mut events = Events::NONE;
    if event.is_readable() || event.is_read_closed() || event.is_error() {
        events |= Events::READABLE;
    }
    if event.is_writable() || event.is_error() {
        events |= Events::WRITABLE;
    }
    events
}
