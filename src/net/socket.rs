//! [`Socket`]: a socket of std's that fibers, hubs and threads share.
//!
//! The socket itself is non-blocking. A call first tries the system call, or, if the runtime watches
//! the socket already, first looks whether it is ready. If the call has to wait, the runtime of the
//! running code is told to watch the socket, which it then does for as long as the socket exists.
//! Each runtime has a [`Watch`](super::watch::Watch) of its own, so a socket can be used from several,
//! and outlives the one that it was first used in.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop;

#[cfg(unix)]
use super::backoff::Backoff;
use super::direction::Direction;
use super::watch::{Place, RuntimeGone, Watchable};
use super::watches::Watches;
use crate::base::Elapsed;
use crate::io::{Call, Limit, complete, in_runtime, try_now, with_driver};

/// What the types of std's sockets have in common.
pub(super) trait Source: Watchable {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Returns the timeouts of the system, for reads and for writes.
    fn timeouts(&self) -> (Option<Duration>, Option<Duration>) {
        (None, None)
    }

    /// Sets the timeouts of the system.
    fn set_timeouts(&self, _read: Option<Duration>, _write: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

/// A socket of std's that fibers, hubs and threads share. A clone is the same socket.
pub(super) struct Socket<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    mode: AtomicU8,
    read_timeout: Limit,
    write_timeout: Limit,
    watches: Watches<S>,
    socket: Arc<S>,
}

// The values of `mode`.

/// Calls wait.
const WAITS: u8 = 0;
/// Calls return `WouldBlock` instead of waiting.
const NEVER_WAITS: u8 = 1;
/// The socket could not be made non-blocking, so it cannot be used.
const FAILED: u8 = 2;

impl<S: Source> Clone for Socket<S> {
    fn clone(&self) -> Socket<S> {
        Socket(self.0.clone())
    }
}

impl<S: Source> Socket<S> {
    /// Takes a blocking socket that is new, and has no timeouts.
    pub(super) fn new(socket: S) -> io::Result<Socket<S>> {
        socket.set_nonblocking(true)?;
        Ok(Socket::from_nonblocking(socket))
    }

    /// Takes a non-blocking socket that is new, and has no timeouts.
    pub(super) fn from_nonblocking(socket: S) -> Socket<S> {
        Socket(Arc::new(Inner {
            mode: AtomicU8::new(WAITS),
            read_timeout: Limit::none(),
            write_timeout: Limit::none(),
            watches: Watches::new(),
            socket: Arc::new(socket),
        }))
    }

    /// Takes a socket that somebody else has made. If it cannot be made non-blocking, each call
    /// returns the error.
    pub(super) fn adopt(socket: S) -> Socket<S> {
        let mode = match socket.set_nonblocking(true) {
            Ok(()) => WAITS,
            Err(_) => FAILED,
        };
        let (read, write) = socket.timeouts();
        let adopted = Socket::from_nonblocking(socket);
        adopted.0.mode.store(mode, Ordering::Relaxed);
        // What the system has set is not zero.
        let _ = adopted.0.read_timeout.set(read);
        let _ = adopted.0.write_timeout.set(write);
        adopted
    }

    /// Returns std's socket, which blocks again.
    pub(super) fn into_std(self) -> io::Result<S> {
        let inner = Arc::into_inner(self.0).ok_or_else(shared)?;
        let timeouts = (inner.read_timeout.get(), inner.write_timeout.get());
        let never_waits = inner.mode.load(Ordering::Relaxed) == NEVER_WAITS;
        drop(inner.watches);
        let socket = Arc::into_inner(inner.socket).ok_or_else(shared)?;
        socket.set_nonblocking(never_waits)?;
        socket.set_timeouts(timeouts.0, timeouts.1)?;
        Ok(socket)
    }

    #[inline]
    pub(super) fn get_ref(&self) -> &S {
        &self.0.socket
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        // It is so already, unless that failed, or somebody has changed it through a clone of std's.
        self.0.socket.set_nonblocking(true)?;
        let mode = match nonblocking {
            true => NEVER_WAITS,
            false => WAITS,
        };
        // Ordering: the value protects no other data.
        self.0.mode.store(mode, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn set_timeout(&self, of: Direction, to: Option<Duration>) -> io::Result<()> {
        self.limit(of).set(to)
    }

    pub(super) fn timeout(&self, of: Direction) -> Option<Duration> {
        self.limit(of).get()
    }

    #[inline]
    fn limit(&self, of: Direction) -> &Limit {
        match of {
            Direction::Read => &self.0.read_timeout,
            Direction::Write => &self.0.write_timeout,
        }
    }

    /// Makes a system call, named `call`, as soon as it does not have to wait.
    #[track_caller]
    #[inline]
    pub(super) fn wait<R>(
        &self,
        call: Call,
        direction: Direction,
        attempt: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        self.wait_draining(call, direction, attempt, |_| false)
    }

    /// Like [`wait`](Socket::wait). `drains` tells of a result after which the next call would have
    /// to wait.
    #[track_caller]
    #[inline]
    pub(super) fn wait_draining<R>(
        &self,
        call: Call,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        if self.never_waits()? {
            return attempt(&self.0.socket);
        }
        if let Direction::Write = direction {
            // There is room nearly always, so the system call itself is the cheapest way to find out.
            if let Some(result) = try_now(call, || attempt(&self.0.socket)) {
                return result;
            }
        }
        let limit = self.limit(direction).get();
        let mut place = None;
        let fast = poll_fn(|cx| {
            self.0
                .poll_fast(cx, direction, &mut attempt, &drains, &mut place)
        });
        let result = match complete(call, limit, fast) {
            Ok(Some(result)) => return Ok(result),
            Ok(None) => complete(call, limit, self.0.io(direction, &mut attempt, drains)),
            Err(e) => Err(e),
        };
        match result {
            Err(e) if limit.is_some() && is_elapsed(&e) => expired(e, || attempt(&self.0.socket)),
            result => result,
        }
    }

    /// Makes a system call until it does not say `WouldBlock`, with pauses.
    #[cfg(unix)]
    #[track_caller]
    pub(super) fn wait_by_trying<R>(
        &self,
        call: Call,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        if self.never_waits()? {
            return attempt(&self.0.socket);
        }
        let limit = self.limit(direction).get();
        let tries = async {
            let mut backoff = Backoff::new();
            loop {
                match attempt(&self.0.socket) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => backoff.pause().await?,
                    result => return result,
                }
            }
        };
        match complete(call, limit, tries) {
            Err(e) if is_elapsed(&e) => expired(e, || attempt(&self.0.socket)),
            result => result,
        }
    }

    /// Returns whether calls return `WouldBlock` instead of waiting.
    #[inline]
    pub(super) fn never_waits(&self) -> io::Result<bool> {
        // Ordering: the value protects no other data.
        match self.0.mode.load(Ordering::Relaxed) {
            WAITS => Ok(false),
            NEVER_WAITS => Ok(true),
            _ => self.set_nonblocking(false).map(|()| false),
        }
    }

    /// Makes a system call that reads into nothing or writes nothing. It is made for its errors, and
    /// waits for nothing, as std's does.
    #[cold]
    #[track_caller]
    pub(super) fn move_nothing(
        &self,
        call: Call,
        attempt: impl FnOnce(&S) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.never_waits()? {
            return attempt(&self.0.socket);
        }
        match complete(call, None, async { attempt(&self.0.socket) }) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}

impl<S: Source> Inner<S> {
    /// Makes the call in the most frequent case, in few instructions: in a fiber, on a socket that
    /// its runtime is the first to watch, and that nobody else waits for. Is ready with `None` in
    /// all other cases, which [`io`](Inner::io) is for.
    #[inline]
    fn poll_fast<'a, R>(
        &'a self,
        cx: &mut Context<'_>,
        direction: Direction,
        attempt: &mut impl FnMut(&S) -> io::Result<R>,
        drains: &impl Fn(&R) -> bool,
        place: &mut Option<Place<'a, S>>,
    ) -> Poll<io::Result<Option<R>>> {
        let place = match place {
            Some(place) => place,
            none => match self.watches.fast_place(direction) {
                Some(free) => none.insert(free),
                None => return Poll::Ready(Ok(None)),
            },
        };
        let result = ready!(place.poll_io(cx, || attempt(&self.socket), drains));
        Poll::Ready(result.map(Some))
    }

    async fn io<R>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        loop {
            let runtime = with_driver(|driver| driver.id())?;
            let Some(watch) = self.watches.get(runtime) else {
                // Nothing else spends the task's budget.
                let budget = poll_fn(coop::poll_proceed).await;
                match attempt(&self.socket) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    result => {
                        budget.made_progress();
                        return result;
                    }
                }
                with_driver(|driver| self.watches.add(&self.socket, &driver))??;
                continue;
            };
            match in_runtime(watch.io(direction, &mut attempt, &drains)).await? {
                Ok(result) => return result,
                Err(RuntimeGone(e)) => {
                    // A bridge may have come to another runtime.
                    if with_driver(|driver| driver.id())? == runtime {
                        return Err(e);
                    }
                }
            }
        }
    }
}

#[cold]
fn shared() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "the socket has clones, whose fibers would block their thread if it blocked; drop them \
         before it is converted",
    )
}

fn is_elapsed(e: &io::Error) -> bool {
    e.get_ref().is_some_and(|e| e.is::<Elapsed>())
}

/// Returns what std's sockets do when a timeout has expired: the error of the system, `WouldBlock`, on
/// unix systems, and `TimedOut` on others.
#[cold]
fn expired<R>(elapsed: io::Error, attempt: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    match cfg!(unix) {
        true => attempt(),
        false => Err(elapsed),
    }
}

impl<S: Source + fmt::Debug> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.socket, f)
    }
}
