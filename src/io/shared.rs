//! [`SharedRead`] and [`SharedWrite`]: streams that several fibers can use at once.

use std::io::{self, IoSlice, IoSliceMut};

use tokio::task::coop;

/// A stream that can be read through a shared reference, so that
/// `&`[`Blocking`](super::Blocking)`<Self>` is [`Read`](std::io::Read).
///
/// Tokio's `AsyncRead` needs `&mut self` and stores the waker of a single reader, while
/// std's sockets can be read through `&self` by any number of threads. This trait covers
/// what tokio's sockets offer for that purpose, `try_read` and `readable`.
///
/// This trait is implemented for tokio's `TcpStream`, `UnixStream`, their owned halves, and
/// pipes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read through a shared reference",
    note = "tokio's sockets and pipes can be; other streams have to implement `SharedRead`, or come \
            apart with `Blocking::into_split`"
)]
pub trait SharedRead {
    /// Reads without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing to read yet.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Like [`try_read`](SharedRead::try_read), but fills several buffers in turn. The
    /// default implementation fills only the first buffer that is not empty.
    ///
    /// # Errors
    ///
    /// The errors are those of [`try_read`](SharedRead::try_read).
    fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_read(buf),
            None => self.try_read(&mut []),
        }
    }

    /// Waits until [`try_read`](SharedRead::try_read) is worth trying again. Any number of
    /// callers may wait at once, and an implementation must wake all of them.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;
}

/// A stream that can be written through a shared reference, so that
/// `&`[`Blocking`](super::Blocking)`<Self>` is [`Write`](std::io::Write).
///
/// This trait is for streams without a buffer of their own, so `flush` does nothing. See
/// [`SharedRead`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written through a shared reference",
    note = "tokio's sockets and pipes can be; other streams have to implement `SharedWrite`, or come \
            apart with `Blocking::into_split`"
)]
pub trait SharedWrite {
    /// Writes without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room yet.
    fn try_write(&self, buf: &[u8]) -> io::Result<usize>;

    /// Like [`try_write`](SharedWrite::try_write), but writes from several buffers in turn.
    /// The default implementation writes only from the first buffer that is not empty.
    ///
    /// # Errors
    ///
    /// The errors are those of [`try_write`](SharedWrite::try_write).
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_write(buf),
            None => self.try_write(&[]),
        }
    }

    /// Waits until [`try_write`](SharedWrite::try_write) is worth trying again. Any number
    /// of callers may wait at once, and an implementation must wake all of them.
    fn writable(&self) -> impl Future<Output = io::Result<()>>;
}

/// Calls `attempt` until it reads without having to wait.
pub(super) async fn read_shared<T: SharedRead>(
    stream: &T,
    mut attempt: impl FnMut(&T) -> io::Result<usize>,
) -> io::Result<usize> {
    // A stream that is always ready must still spend the task's budget.
    coop::cooperative(async {
        loop {
            match attempt(stream) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
                result => return result,
            }
        }
    })
    .await
}

/// Calls `attempt` until it writes without having to wait.
pub(super) async fn write_shared<T: SharedWrite>(
    stream: &T,
    mut attempt: impl FnMut(&T) -> io::Result<usize>,
) -> io::Result<usize> {
    coop::cooperative(async {
        loop {
            match attempt(stream) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
                result => return result,
            }
        }
    })
    .await
}

/// Implements the traits with tokio's inherent methods of the same names.
macro_rules! shared {
    (read: $($type:ty),* $(,)?) => {$(
        impl SharedRead for $type {
            fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                <$type>::try_read(self, buf)
            }

            fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                <$type>::try_read_vectored(self, bufs)
            }

            fn readable(&self) -> impl Future<Output = io::Result<()>> {
                <$type>::readable(self)
            }
        }
    )*};
    (write: $($type:ty),* $(,)?) => {$(
        impl SharedWrite for $type {
            fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                <$type>::try_write(self, buf)
            }

            fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                <$type>::try_write_vectored(self, bufs)
            }

            fn writable(&self) -> impl Future<Output = io::Result<()>> {
                <$type>::writable(self)
            }
        }
    )*};
}

mod net {
    use std::io::{self, IoSlice, IoSliceMut};

    use tokio::net::{TcpStream, tcp};

    use super::{SharedRead, SharedWrite};

    shared! { read: TcpStream, tcp::OwnedReadHalf }
    shared! { write: TcpStream, tcp::OwnedWriteHalf }

    #[cfg(unix)]
    mod unix {
        use std::io::{self, IoSlice, IoSliceMut};

        use tokio::net::{UnixStream, unix};

        use crate::io::{SharedRead, SharedWrite};

        shared! { read: UnixStream, unix::OwnedReadHalf, unix::pipe::Receiver }
        shared! { write: UnixStream, unix::OwnedWriteHalf, unix::pipe::Sender }
    }

    #[cfg(windows)]
    mod windows {
        use std::io::{self, IoSlice, IoSliceMut};

        use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer};

        use crate::io::{SharedRead, SharedWrite};

        shared! { read: NamedPipeClient, NamedPipeServer }
        shared! { write: NamedPipeClient, NamedPipeServer }
    }
}
