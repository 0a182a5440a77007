//! [`Watch`]: what one runtime knows about the readiness of a socket, on unix systems.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::task::coop;

use super::direction::Direction;

/// What a socket has to be for a runtime to watch it.
pub(super) trait Watchable: AsRawFd {}

impl<S: AsRawFd> Watchable for S {}

/// What one runtime knows about the readiness of a socket.
pub(super) struct Watch<S: Watchable> {
    fd: AsyncFd<Watched<S>>,
    reader: Slot,
    writer: Slot,
}

/// The socket, for tokio to take its number.
struct Watched<S>(Arc<S>);

impl<S: AsRawFd> AsRawFd for Watched<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Whether the place for one waiter that tokio has beside its list of waiters is in use. A wait in
/// this place takes fewer instructions.
#[derive(Default)]
struct Slot(AtomicBool);

/// The place for one waiter.
pub(super) struct Place<'a, S: Watchable> {
    fd: &'a AsyncFd<Watched<S>>,
    slot: &'a Slot,
    direction: Direction,
}

impl<S: Watchable> Drop for Place<'_, S> {
    fn drop(&mut self) {
        self.slot.0.store(false, Ordering::Relaxed);
    }
}

impl<S: Watchable> Place<'_, S> {
    #[inline]
    fn poll_ready(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, Watched<S>>>> {
        match self.direction {
            Direction::Read => self.fd.poll_read_ready(cx),
            Direction::Write => self.fd.poll_write_ready(cx),
        }
    }

    /// Calls `attempt` when the socket is ready, until it does not say `WouldBlock`. `drains` tells
    /// of a result after which the socket is not ready.
    #[inline]
    pub(super) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<R>,
        drains: &impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        loop {
            // Before the attempt, so that what comes during it counts as new.
            let mut ready = ready!(self.poll_ready(cx))?;
            if let Some(result) = attempt_once(&mut ready, &mut attempt, drains) {
                return Poll::Ready(result);
            }
        }
    }
}

/// Calls `attempt` on a socket that is ready. `None` if it was not.
#[inline]
fn attempt_once<S: Watchable, R>(
    ready: &mut AsyncFdReadyGuard<'_, Watched<S>>,
    attempt: &mut impl FnMut() -> io::Result<R>,
    drains: &impl Fn(&R) -> bool,
) -> Option<io::Result<R>> {
    match attempt() {
        Ok(result) => {
            if REPORTS_CHANGES && drains(&result) {
                ready.clear_ready();
            }
            Some(Ok(result))
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            ready.clear_ready();
            None
        }
        Err(e) => Some(Err(e)),
    }
}

/// The runtime that watches has ended.
#[derive(Debug)]
pub(super) struct RuntimeGone(pub(super) io::Error);

/// Whether a read or write of fewer bytes than were asked for means that the next one would have to
/// wait, as with epoll and kqueue, which report each change once.
const REPORTS_CHANGES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

impl<S: Watchable> Watch<S> {
    /// Registers the socket with the current runtime.
    pub(super) fn new(socket: &Arc<S>) -> io::Result<Watch<S>> {
        // `new` is deprecated in newer versions of tokio, because an `AsRawFd` that returns another
        // descriptor can make it dangle. This descriptor is the socket's, which `AsyncFd` shares.
        #[allow(deprecated)]
        let fd = AsyncFd::new(Watched(socket.clone()))?;
        Ok(Watch {
            fd,
            reader: Slot::default(),
            writer: Slot::default(),
        })
    }

    /// Returns the place for one waiter, if it is free.
    #[inline]
    pub(super) fn place(&self, direction: Direction) -> Option<Place<'_, S>> {
        let slot = match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        };
        // Ordering: the place itself is behind a lock of tokio's.
        let was_taken = slot.0.swap(true, Ordering::Relaxed);
        (!was_taken).then(|| Place {
            fd: &self.fd,
            slot,
            direction,
        })
    }

    /// Calls `attempt` when the socket is ready, until it does not say `WouldBlock`.
    pub(super) async fn io<R>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Result<io::Result<R>, RuntimeGone> {
        loop {
            let mut ready = self.ready(direction).await.map_err(RuntimeGone)?;
            let mut attempt = || attempt(&self.fd.get_ref().0);
            if let Some(result) = attempt_once(&mut ready, &mut attempt, &drains) {
                return Ok(result);
            }
        }
    }

    async fn ready(&self, to: Direction) -> io::Result<AsyncFdReadyGuard<'_, Watched<S>>> {
        let ready = match to {
            Direction::Read => self.fd.readable().await?,
            Direction::Write => self.fd.writable().await?,
        };
        // Tokio does not spend the task's budget here.
        poll_fn(coop::poll_proceed).await.made_progress();
        Ok(ready)
    }

    /// Returns whether the runtime has ended.
    pub(super) fn is_over(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(pin!(self.fd.readable()).poll(&mut cx), Poll::Ready(Err(_)))
    }
}

impl<S: Watchable> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
