//! [`Blocking`]: std's I/O traits over tokio's.

use std::fmt;
use std::future::{poll_fn, ready};
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{self, Context, Poll};
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf, ReadHalf, WriteHalf, split,
};

use super::complete::complete;
use super::limit::Limit;
use super::shared::{SharedRead, SharedWrite, read_shared, write_shared};
use crate::wait::Call;

/// Wraps a stream with tokio's I/O traits and implements std's: [`Read`], [`Write`],
/// [`BufRead`] and [`Seek`], wherever `T` implements their async counterpart.
///
/// Each call waits as [`.wait()`](crate::Wait::wait) does: it suspends a fiber, blocks a
/// plain thread, and panics in async code. A call that is ready at once returns at once,
/// until tokio's budget is spent; a stream that is always ready therefore starves nothing.
/// Code written against std's traits runs in a fiber unchanged.
///
/// Results, errors and the end of the stream are those of `T`; for tokio's sockets, they
/// are the ones that std's sockets give. Nothing is buffered, and
/// [`Interrupted`](io::ErrorKind::Interrupted) is never added.
///
/// `T` has to be `Unpin`. Wrap a stream that is not as `Blocking::new(Box::pin(stream))`.
///
/// # Both directions at once
///
/// A `&Blocking<TcpStream>` reads and writes, as a `&std::net::TcpStream` does. The same
/// holds for every `T` that is [`SharedRead`] and [`SharedWrite`]. Any other stream can be
/// divided with [`into_split`](Blocking::into_split).
///
/// # Timeouts
///
/// As on std's sockets, there is one timeout for reads and one for writes, and neither is
/// set at first. A call that exceeds its timeout returns an error of the kind
/// [`TimedOut`](io::ErrorKind::TimedOut) on every platform, never `WouldBlock`.
///
/// # Cancel safety
///
/// A cancel unwinds with [`Cancelled`](crate::Cancelled); it is not an [`io::Error`]. Each call is as cancel
/// safe as tokio's call of the same name: `read`, `fill_buf` and `write` lose nothing.
/// `read_exact` and `write_all` consist of several calls, and lose their progress.
///
/// # Errors
///
/// While the fiber unwinds, a call polls once. If it is not ready, it returns an error of
/// the kind [`Other`](io::ErrorKind::Other) that says so, so a `BufWriter` that flushes in
/// its destructor does not hold up the unwinding. In a fiber whose hub has ended, a call
/// returns the same error without a poll.
///
/// # Panics
///
/// Panics where [`.wait()`](crate::Wait::wait) does. A call with a timeout panics if the
/// runtime's timers are not enabled.
///
/// # Examples
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use switchback::{io::Blocking, prelude::*, spawn};
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// This function knows nothing of fibers.
/// fn ask(mut stream: impl std::io::Read + Write) -> std::io::Result<String> {
///     stream.write_all(b"who?\n")?;
///     let mut answer = String::new();
///     BufReader::new(stream).read_line(&mut answer)?;
///     Ok(answer)
/// }
///
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// let listener = TcpListener::bind("127.0.0.1:0").wait()?;
/// let address = listener.local_addr()?;
/// let mut client = spawn(move || ask(Blocking::new(TcpStream::connect(address).wait()?)));
///
/// let mut peer = Blocking::new(listener.accept().wait()?.0);
/// peer.write_all(b"me\n")?;
/// assert_eq!(client.join().wait()??, "me\n");
/// # Ok(())
/// # })?
/// # }
/// ```
#[doc(alias = "SyncIoBridge")]
pub struct Blocking<T> {
    inner: T,
    read_timeout: Limit,
    write_timeout: Limit,
}

impl<T> Blocking<T> {
    /// Wraps `inner`, without timeouts.
    pub fn new(inner: T) -> Blocking<T> {
        Blocking {
            inner,
            read_timeout: Limit::none(),
            write_timeout: Limit::none(),
        }
    }

    /// Returns a reference to the stream.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the stream.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the stream.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Sets how long a read may wait. `None` means that it may wait for ever.
    ///
    /// The timeout applies to calls that begin later, with the resolution of tokio's timers
    /// (one millisecond). A read that is ready at once never times out.
    ///
    /// # Errors
    ///
    /// A timeout of zero is refused with [`InvalidInput`](io::ErrorKind::InvalidInput), as
    /// std's sockets do.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(timeout)
    }

    /// Sets how long a write, a flush or a shutdown may wait. `None` means that it may wait
    /// for ever.
    ///
    /// # Errors
    ///
    /// The errors are those of [`set_read_timeout`](Blocking::set_read_timeout).
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.set(timeout)
    }

    /// Returns how long a read may wait.
    ///
    /// # Errors
    ///
    /// This method never fails. It has std's signature so that callers need not change.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.read_timeout.get())
    }

    /// Returns how long a write, a flush or a shutdown may wait.
    ///
    /// # Errors
    ///
    /// This method never fails. It has std's signature so that callers need not change.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.write_timeout.get())
    }

    /// Splits the stream into a half that reads and a half that writes, for two fibers.
    ///
    /// Each half keeps its timeout. This works for any `T` through tokio's [`split`], which
    /// takes a lock for each poll; [`unsplit`](ReadHalf::unsplit) joins the halves again. A
    /// stream that has halves of its own needs no lock: call
    /// `stream.into_inner().into_split()` and wrap each half in a `Blocking`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{self, Read, Write};
    /// use switchback::{io::Blocking, prelude::*, spawn};
    ///
    /// # fn main() -> io::Result<()> {
    /// # switchback::run(|| {
    /// let (near, far) = tokio::io::duplex(64);
    /// let (mut from_far, mut to_far) = Blocking::new(near).into_split();
    /// let mut echo = spawn(move || {
    ///     let (mut from_near, mut to_near) = Blocking::new(far).into_split();
    ///     io::copy(&mut from_near, &mut to_near)
    /// });
    /// let mut writer = spawn(move || {
    ///     to_far.write_all(&[7; 1000])?;
    ///     to_far.shutdown_write()
    /// });
    /// let mut back = Vec::new();
    /// from_far.read_to_end(&mut back)?;
    /// assert_eq!(back, [7; 1000]);
    /// # writer.join().wait()??;
    /// # echo.join().wait()??;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn into_split(self) -> (Blocking<ReadHalf<T>>, Blocking<WriteHalf<T>>)
    where
        T: AsyncRead + AsyncWrite,
    {
        let (read, write) = split(self.inner);
        let read = Blocking {
            inner: read,
            read_timeout: self.read_timeout,
            write_timeout: Limit::none(),
        };
        let write = Blocking {
            inner: write,
            read_timeout: Limit::none(),
            write_timeout: self.write_timeout,
        };
        (read, write)
    }

    /// Ends the writing direction: waits until everything is written and the peer will see
    /// the end of the stream. The stream can still be read.
    ///
    /// This calls tokio's [`shutdown`](AsyncWrite::poll_shutdown). It shuts down the
    /// writing half of a TCP stream; a TLS stream sends its closing alert first. For a bare
    /// socket, [`shutdown`](Blocking::shutdown) does the same through a shared reference.
    ///
    /// # Errors
    ///
    /// The errors are those of `T`, and those of [all calls](Blocking#errors).
    ///
    /// # Panics
    ///
    /// Panics where [all calls](Blocking#panics) do.
    #[track_caller]
    pub fn shutdown_write(&mut self) -> io::Result<()>
    where
        T: AsyncWrite + Unpin,
    {
        let limit = self.write_timeout.get();
        let inner = &mut self.inner;
        let shutdown = poll_fn(|cx| Pin::new(&mut *inner).poll_shutdown(cx));
        complete("`Blocking::shutdown_write`", limit, shutdown)
    }
}

impl<T: AsyncRead + Unpin> Blocking<T> {
    /// Reads, on behalf of `call`.
    #[track_caller]
    #[inline]
    pub(crate) fn read_for(&mut self, call: Call, buf: &mut [u8]) -> io::Result<usize> {
        let limit = self.read_timeout.get();
        if buf.is_empty() {
            // Tokio's sockets would wait for data first; std's do not.
            return complete(call, limit, ready(Ok(0)));
        }
        let mut buf = ReadBuf::new(buf);
        read_into(call, &mut self.inner, limit, &mut buf)?;
        Ok(buf.filled().len())
    }
}

impl<T: AsyncRead + Unpin> Read for Blocking<T> {
    #[track_caller]
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_for("`Blocking::read`".into(), buf)
    }

    /// Reads once and spreads the bytes over the buffers.
    ///
    /// Tokio's trait reads into a single buffer. If the first buffer is small, the bytes go
    /// through a buffer of 4 KiB on the stack; otherwise only the first one is filled.
    #[track_caller]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        const CALL: &str = "`Blocking::read_vectored`";
        const SMALL: usize = 4096;
        let limit = self.read_timeout.get();
        let total = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let first = bufs.iter_mut().find(|buf| !buf.is_empty());
        let Some(first) = first else {
            return complete(CALL, limit, ready(Ok(0)));
        };
        if first.len() >= total.min(SMALL) {
            let mut buf = ReadBuf::new(first);
            read_into(CALL, &mut self.inner, limit, &mut buf)?;
            return Ok(buf.filled().len());
        }
        let mut space = [MaybeUninit::uninit(); SMALL];
        let mut scratch = ReadBuf::uninit(&mut space[..total.min(SMALL)]);
        read_into(CALL, &mut self.inner, limit, &mut scratch)?;
        let mut rest = scratch.filled();
        for buf in bufs {
            let (now, later) = rest.split_at(rest.len().min(buf.len()));
            buf[..now.len()].copy_from_slice(now);
            rest = later;
        }
        Ok(scratch.filled().len())
    }
}

#[track_caller]
#[inline]
fn read_into<T>(
    call: impl Into<Call>,
    inner: &mut T,
    limit: Option<Duration>,
    buf: &mut ReadBuf<'_>,
) -> io::Result<()>
where
    T: AsyncRead + Unpin,
{
    let read = poll_fn(|cx| Pin::new(&mut *inner).poll_read(cx, buf));
    complete(call, limit, read)
}

impl<T: AsyncWrite + Unpin> Blocking<T> {
    /// Writes, on behalf of `call`.
    #[track_caller]
    #[inline]
    pub(crate) fn write_for(&mut self, call: Call, buf: &[u8]) -> io::Result<usize> {
        let limit = self.write_timeout.get();
        let inner = &mut self.inner;
        let write = poll_fn(|cx| {
            let written = Pin::new(&mut *inner).poll_write(cx, buf);
            nothing_needs_no_room(written, buf.is_empty())
        });
        complete(call, limit, write)
    }

    /// Writes, on behalf of `call`.
    #[track_caller]
    pub(crate) fn write_vectored_for(
        &mut self,
        call: Call,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let limit = self.write_timeout.get();
        let inner = &mut self.inner;
        let write = poll_fn(|cx| {
            let written = Pin::new(&mut *inner).poll_write_vectored(cx, bufs);
            nothing_needs_no_room(written, bufs.iter().all(|buf| buf.is_empty()))
        });
        complete(call, limit, write)
    }
}

impl<T: AsyncWrite + Unpin> Write for Blocking<T> {
    #[track_caller]
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_for("`Blocking::write`".into(), buf)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored_for("`Blocking::write_vectored`".into(), bufs)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        let limit = self.write_timeout.get();
        let inner = &mut self.inner;
        let flush = poll_fn(|cx| Pin::new(&mut *inner).poll_flush(cx));
        complete("`Blocking::flush`", limit, flush)
    }
}

/// Passes on a write of no bytes, for its errors, but does not let it wait: std's sockets
/// accept an empty write when they are full, while tokio's wait for room.
#[inline]
fn nothing_needs_no_room(
    written: Poll<io::Result<usize>>,
    is_nothing: bool,
) -> Poll<io::Result<usize>> {
    match written {
        Poll::Pending if is_nothing => Poll::Ready(Ok(0)),
        written => written,
    }
}

impl<T: SharedRead> Read for &Blocking<T> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        const CALL: &str = "`Blocking::read`";
        let limit = self.read_timeout.get();
        if buf.is_empty() {
            return complete(CALL, limit, ready(Ok(0)));
        }
        let read = read_shared(&self.inner, |inner| inner.try_read(buf));
        complete(CALL, limit, read)
    }

    #[track_caller]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        const CALL: &str = "`Blocking::read_vectored`";
        let limit = self.read_timeout.get();
        if bufs.iter().all(|buf| buf.is_empty()) {
            return complete(CALL, limit, ready(Ok(0)));
        }
        let read = read_shared(&self.inner, |inner| inner.try_read_vectored(bufs));
        complete(CALL, limit, read)
    }
}

impl<T: SharedWrite> Write for &Blocking<T> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut write = pin!(write_shared(&self.inner, |inner| inner.try_write(buf)));
        let write = poll_fn(|cx| nothing_needs_no_room(write.as_mut().poll(cx), buf.is_empty()));
        complete("`Blocking::write`", self.write_timeout.get(), write)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut write = pin!(write_shared(&self.inner, |inner| {
            inner.try_write_vectored(bufs)
        }));
        let is_nothing = bufs.iter().all(|buf| buf.is_empty());
        let write = poll_fn(|cx| nothing_needs_no_room(write.as_mut().poll(cx), is_nothing));
        complete(
            "`Blocking::write_vectored`",
            self.write_timeout.get(),
            write,
        )
    }

    /// Does nothing, because a stream that can be written through a shared reference has no
    /// buffer.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: AsyncBufRead + Unpin> BufRead for Blocking<T> {
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        const CALL: &str = "`Blocking::fill_buf`";
        let limit = self.read_timeout.get();
        let inner = &mut self.inner;
        // A poll that may be repeated cannot return what it borrows.
        let fill = poll_fn(|cx| {
            let filled = task::ready!(Pin::new(&mut *inner).poll_fill_buf(cx))?;
            Poll::Ready(Ok(filled.is_empty()))
        });
        let at_end = complete(CALL, limit, fill)?;
        if at_end {
            return Ok(&[]);
        }
        let mut inner = Some(inner);
        complete(
            CALL,
            limit,
            poll_fn(move |cx| match inner.take() {
                Some(inner) => Pin::new(inner).poll_fill_buf(cx),
                None => Poll::Ready(Err(io::Error::other(
                    "an `AsyncBufRead` had data and was pending when it was asked for it",
                ))),
            }),
        )
    }

    fn consume(&mut self, amount: usize) {
        Pin::new(&mut self.inner).consume(amount);
    }
}

impl<T: AsyncSeek + Unpin> Seek for Blocking<T> {
    /// Waits until the seek is done. Timeouts do not apply.
    ///
    /// A seek that is cancelled stays in progress, and the next one completes it first.
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut started = false;
        let inner = &mut self.inner;
        let seek = poll_fn(|cx: &mut Context<'_>| {
            let mut inner = Pin::new(&mut *inner);
            if !started {
                // A seek that was begun earlier has to complete first.
                task::ready!(inner.as_mut().poll_complete(cx))?;
                inner.as_mut().start_seek(to)?;
                started = true;
            }
            inner.poll_complete(cx)
        });
        complete("`Blocking::seek`", None, seek)
    }
}

impl<T: fmt::Debug> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("inner", &self.inner)
            .field("read_timeout", &self.read_timeout.get())
            .field("write_timeout", &self.write_timeout.get())
            .finish()
    }
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::net::Shutdown;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    use socket2::SockRef;

    use super::Blocking;

    impl<T: AsFd> Blocking<T> {
        /// Shuts down a socket for reading, writing or both, as
        /// [`TcpStream::shutdown`](std::net::TcpStream::shutdown) does. This never waits.
        ///
        /// It works through a shared reference, so one fiber can end the calls of another: a
        /// read that waits, or comes later, returns 0, and a write an error. It acts on the
        /// socket itself; where a `T` has bytes of its own to send first, as a TLS stream has,
        /// use [`shutdown_write`](Blocking::shutdown_write). (Linux does not tell who waits to
        /// write to a Unix socket that is full of the shutdown of that direction alone; shut
        /// down both.)
        ///
        /// # Errors
        ///
        /// The errors are those of std's method. If `T` is no socket, such as a pipe, the
        /// operating system says so.
        ///
        /// # Examples
        ///
        /// ```
        /// use std::io::Read;
        /// use std::net::Shutdown;
        /// use switchback::{io::Blocking, prelude::*, scope};
        /// use tokio::net::UnixStream;
        ///
        /// # switchback::run(|| {
        /// let (near, _far) = UnixStream::pair().unwrap();
        /// let near = Blocking::new(near);
        /// scope(|s| {
        ///     let reader = s.spawn(|| (&near).read(&mut [0; 10]));
        ///     near.shutdown(Shutdown::Both).unwrap();
        ///     assert_eq!(reader.wait().unwrap().unwrap(), 0);
        /// });
        /// # }).unwrap();
        /// ```
        pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            SockRef::from(&self.inner).shutdown(how)
        }
    }

    impl<T: AsFd> AsFd for Blocking<T> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.inner.as_fd()
        }
    }

    impl<T: AsRawFd> AsRawFd for Blocking<T> {
        fn as_raw_fd(&self) -> RawFd {
            self.inner.as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod windows {
    use std::io;
    use std::net::Shutdown;
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    use socket2::SockRef;

    use super::Blocking;

    impl<T: AsSocket> Blocking<T> {
        /// Shuts down a socket for reading, writing or both, as
        /// [`TcpStream::shutdown`](std::net::TcpStream::shutdown) does. This never waits.
        ///
        /// It works through a shared reference, so one fiber can end the calls of another: a
        /// read that waits, or comes later, returns 0, and a write an error. It acts on the
        /// socket itself; where a `T` has bytes of its own to send first, as a TLS stream has,
        /// use [`shutdown_write`](Blocking::shutdown_write).
        ///
        /// # Errors
        ///
        /// The errors are those of std's method.
        pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            SockRef::from(&self.inner).shutdown(how)
        }
    }

    impl<T: AsSocket> AsSocket for Blocking<T> {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.inner.as_socket()
        }
    }

    impl<T: AsRawSocket> AsRawSocket for Blocking<T> {
        fn as_raw_socket(&self) -> RawSocket {
            self.inner.as_raw_socket()
        }
    }
}
