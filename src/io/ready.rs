//! [`ready`] and [`until_ready`]: waiting for descriptors that other code owns.
//!
//! Tokio watches a duplicate of the descriptor. The operating system knows a duplicate by its own
//! number, so it does no harm if the descriptor is watched already (its own number could not be
//! added twice), or if its owner closes it: the registration is that of the duplicate, which
//! closes with it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{self, Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::task::coop;

use crate::hub::poll::{CannotPoll, Events};

/// Waits until a descriptor is ready for one of `events`. The output says for which of them.
///
/// Use this for a descriptor that other code owns, reads and writes, such as a library in C.
/// For tokio's own sockets, use their methods; for callbacks, [`Hub::poll`](crate::Hub::poll).
/// [`until_ready`] also calls the code that reads or writes, and is what most libraries need.
///
/// If a descriptor is ready now, the future is ready at once. What can be watched are sockets,
/// pipes, terminals and the like; files and directories cannot.
///
/// A duplicate of the descriptor is watched, from the first poll until the future is dropped.
/// Until then the peer does not notice that the descriptor itself was closed.
///
/// # Cancel safety
///
/// Dropping the future loses nothing: readiness is not used up.
///
/// # Errors
///
/// Returns an error if the descriptor cannot be watched, which names it; if the process has no
/// descriptor left for the duplicate; if `events` is [`Events::NONE`]; and if the runtime ends.
///
/// # Panics
///
/// The first poll panics outside of a tokio runtime, and if the runtime's I/O is not enabled.
///
/// # Examples
///
/// A library in C gives away its descriptor as a number, which has to stay open meanwhile:
///
/// ```
/// use std::os::fd::BorrowedFd;
/// # use std::os::fd::AsRawFd;
/// use switchback::{Events, io::ready, prelude::*};
///
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// # let (near, mut far) = std::os::unix::net::UnixStream::pair()?;
/// # std::io::Write::write_all(&mut far, b"x")?;
/// # let library_socket = || near.as_raw_fd();
/// // SAFETY: the library keeps its socket open until it is told to close it.
/// let fd = unsafe { BorrowedFd::borrow_raw(library_socket()) };
/// let events = ready(fd, Events::READABLE).wait()?;
/// assert_eq!(events, Events::READABLE);
/// # Ok(())
/// # })?
/// # }
/// ```
pub fn ready<Fd: AsFd>(fd: Fd, events: Events) -> Ready<Fd> {
    Ready {
        watched: Watched::new(fd, events),
    }
}

/// Calls `f` until it returns something else than
/// [`WouldBlock`](io::ErrorKind::WouldBlock), and waits in between until the descriptor is
/// ready for one of `events`.
///
/// This turns a library that does not block into one that blocks the fiber. `f` is called at
/// once, and then each time something has happened to the descriptor, which has to be in
/// non-blocking mode. A library that may have to write while it reads, as TLS and SSH
/// have, is given both events.
///
/// `f` runs inside of a poll, so it must not wait itself. The descriptor is watched as that of
/// [`ready`], and only if `f` has said `WouldBlock`.
///
/// # Cancel safety
///
/// Dropping the future does what dropping it between two calls of `f` means for `f`; nothing
/// is called again.
///
/// # Errors
///
/// Returns the errors of `f` and those of [`ready`].
///
/// # Panics
///
/// Panics where [`ready`] does, and if `f` does.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use switchback::{Events, io::until_ready, prelude::*, spawn};
///
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// // It stands for a library that was told not to block.
/// let (library, mut peer) = UnixStream::pair()?;
/// library.set_nonblocking(true)?;
/// let reader = spawn(move || {
///     let mut answer = [0; 5];
///     let read = || (&library).read(&mut answer);
///     let count = until_ready(&library, Events::READABLE, read).wait()?;
///     assert_eq!(&answer[..count], b"hello");
///     std::io::Result::Ok(())
/// });
/// peer.write_all(b"hello")?;
/// reader.wait()?
/// # })?
/// # }
/// ```
///
/// If `f` needs the library for itself, lend the future a duplicate that was made before:
/// `library.as_fd().try_clone_to_owned()?`.
pub fn until_ready<Fd, F, R>(fd: Fd, events: Events, f: F) -> UntilReady<Fd, F>
where
    Fd: AsFd,
    F: FnMut() -> io::Result<R>,
{
    UntilReady {
        watched: Watched::new(fd, events),
        f,
    }
}

/// The future that [`ready`] returns.
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Ready<Fd> {
    watched: Watched<Fd>,
}

impl<Fd: AsFd> Future for Ready<Fd> {
    type Output = io::Result<Events>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let found = task::ready!(self.get_mut().watched.poll(cx))?;
        Poll::Ready(Ok(found.events()))
    }
}

/// The future that [`until_ready`] returns.
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct UntilReady<Fd, F> {
    watched: Watched<Fd>,
    f: F,
}

impl<Fd, F, R> Future for UntilReady<Fd, F>
where
    Fd: AsFd,
    F: FnMut() -> io::Result<R>,
{
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if !this.watched.is_watched() {
            this.watched.interest()?;
            // A library that is always ready must still spend the task's budget.
            let budget = task::ready!(coop::poll_proceed(cx));
            let result = (this.f)();
            if !would_block(&result) {
                budget.made_progress();
                return Poll::Ready(result);
            }
        }
        loop {
            // This spends the budget, too.
            let found = task::ready!(this.watched.poll(cx))?;
            let result = (this.f)();
            if !would_block(&result) {
                return Poll::Ready(result);
            }
            found.clear();
        }
    }
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
}

// The descriptor and the closure are never pinned.
impl<Fd> Unpin for Ready<Fd> {}
impl<Fd, F> Unpin for UntilReady<Fd, F> {}

/// A descriptor, with its duplicate once that is watched.
struct Watched<Fd> {
    fd: Fd,
    events: Events,
    duplicate: Option<AsyncFd<OwnedFd>>,
}

impl<Fd> Watched<Fd> {
    fn new(fd: Fd, events: Events) -> Watched<Fd> {
        Watched {
            fd,
            events,
            duplicate: None,
        }
    }

    fn is_watched(&self) -> bool {
        self.duplicate.is_some()
    }

    /// Returns what the descriptor is to be watched for.
    fn interest(&self) -> io::Result<Interest> {
        let interest = |event, interest| self.events.contains(event).then_some(interest);
        let readable = interest(Events::READABLE, Interest::READABLE);
        let writable = interest(Events::WRITABLE, Interest::WRITABLE);
        match (readable, writable) {
            (Some(readable), Some(writable)) => Ok(readable | writable),
            (one, other) => one.or(other).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a descriptor is never ready for `Events::NONE`; ask for `READABLE`, \
                     `WRITABLE` or both",
                )
            }),
        }
    }
}

impl<Fd: AsFd> Watched<Fd> {
    /// Waits until the descriptor is ready.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Found<'_>>> {
        if self.duplicate.is_none() {
            let interest = self.interest()?;
            let fd = self.fd.as_fd();
            let watched = watch(fd, interest);
            self.duplicate = Some(watched.map_err(|e| CannotPoll::error(fd.as_raw_fd(), e))?);
        }
        let Watched {
            events,
            duplicate: Some(duplicate),
            ..
        } = self
        else {
            return Poll::Pending;
        };
        let mut found = Found {
            read: None,
            write: None,
        };
        if events.contains(Events::READABLE) {
            if let Poll::Ready(guard) = duplicate.poll_read_ready(cx) {
                found.read = Some(guard?);
            }
        }
        if events.contains(Events::WRITABLE) {
            if let Poll::Ready(guard) = duplicate.poll_write_ready(cx) {
                found.write = Some(guard?);
            }
        }
        match found.events().is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Ok(found)),
        }
    }
}

fn watch(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    let duplicate = fd.try_clone_to_owned()?;
    // This function is deprecated in favour of an unsafe one, because the owner of a descriptor
    // can make it dangle. This one is ours, and `AsyncFd` closes it. The unsafe function is
    // newer than the oldest tokio that we support.
    #[allow(deprecated)]
    AsyncFd::with_interest(duplicate, interest)
}

/// What a descriptor was found ready for.
struct Found<'a> {
    read: Option<AsyncFdReadyGuard<'a, OwnedFd>>,
    write: Option<AsyncFdReadyGuard<'a, OwnedFd>>,
}

impl Found<'_> {
    fn events(&self) -> Events {
        let mut events = Events::NONE;
        if self.read.is_some() {
            events |= Events::READABLE;
        }
        if self.write.is_some() {
            events |= Events::WRITABLE;
        }
        events
    }

    /// Notes that the descriptor was not ready after all. What has happened since it was found
    /// stays.
    fn clear(self) {
        for mut guard in self.read.into_iter().chain(self.write) {
            guard.clear_ready();
        }
    }
}

impl<Fd: AsFd> fmt::Debug for Ready<Fd> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watched.debug("Ready", f)
    }
}

impl<Fd: AsFd, F> fmt::Debug for UntilReady<Fd, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watched.debug("UntilReady", f)
    }
}

impl<Fd: AsFd> Watched<Fd> {
    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("fd", &self.fd.as_fd())
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}
