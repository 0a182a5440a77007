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

/// A poll set of the operating system (an epoll or a kqueue). Tokio watches its readiness.
///
/// The set is edge-triggered: a descriptor that was found is found again only after a new
/// event or after [`modify`](PollSet::modify), and only if it is still ready.
pub(super) struct PollSet {
    poll: AsyncFd<mio::Poll>,
    /// Holds a single event: a descriptor is looked up only when its turn has come, so that
    /// it is ready at that moment.
    found: mio::Events,
}

impl PollSet {
    /// Creates an empty set, watched by the current runtime.
    #[track_caller]
    pub(super) fn new() -> io::Result<PollSet> {
        let poll = mio::Poll::new()?;
        // This function is deprecated in favour of an unsafe one, because the owner of a
        // descriptor can make it dangle. This descriptor is ours, and `AsyncFd` closes it.
        // The unsafe function is newer than the oldest tokio that we support.
        #[allow(deprecated)]
        let poll = AsyncFd::with_interest(poll, tokio::io::Interest::READABLE)?;
        Ok(PollSet {
            poll,
            found: mio::Events::with_capacity(1),
        })
    }

    /// Adds a descriptor. [`next`](PollSet::next) finds it under `token` when it is ready.
    pub(super) fn add(&self, fd: RawFd, token: usize, events: Events) -> io::Result<()> {
        let registry = self.poll.get_ref().registry();
        match interest(events) {
            Some(interest) => registry.register(&mut SourceFd(&fd), Token(token), interest),
            None => Ok(()),
        }
    }

    /// Changes the events that a descriptor is polled for. If it is ready, it is found
    /// again.
    ///
    /// # Errors
    ///
    /// Returns an error if the number does not stand for the open file that was added (with
    /// kqueue, if it stands for no file).
    pub(super) fn modify(&self, fd: RawFd, token: usize, events: Events) -> io::Result<()> {
        let registry = self.poll.get_ref().registry();
        match interest(events) {
            Some(interest) => registry.reregister(&mut SourceFd(&fd), Token(token), interest),
            None => registry.deregister(&mut SourceFd(&fd)),
        }
    }

    /// Removes a descriptor.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`modify`](PollSet::modify). After an error the set may still
    /// find the file that the number stood for.
    pub(super) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.modify(fd, 0, Events::NONE)
    }

    /// Takes out a ready descriptor, with the events it is ready for. If there is none,
    /// `cx` will be woken.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) -> Option<(usize, Events)> {
        // This is unconstrained, because the hub's bound on entries limits it already, and
        // because without budget the waker would be called at once, under a borrow.
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
                // The runtime is being dropped, and the hub with it.
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
            // A descriptor that has become ready since is not lost: clearing keeps any
            // event that tokio noticed after `ready` was created, and later events are
            // noted later.
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
