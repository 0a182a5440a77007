//! [`SharedRead`] and [`SharedWrite`]: streams that many can use at once.

use std::io::{self, IoSlice, IoSliceMut};

use tokio::task::coop;

/// A stream that can be read through a shared reference, so that
/// `&`[`Blocking`](super::Blocking)`<Self>` is [`Read`](std::io::Read).
///
/// Tokio's `AsyncRead` needs `&mut self` and keeps one reader's waker; std's sockets
/// are read through `&self`, by any number of threads. What tokio's sockets have for
/// that, `try_read` and `readable`, is this trait.
///
/// It is implemented for tokio's `TcpStream`, `UnixStream`, their owned halves, and
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
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing to read yet.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// As [`try_read`](SharedRead::try_read), into several buffers in turn. By
    /// default only into the first that is not empty.
    ///
    /// # Errors
    ///
    /// As [`try_read`](SharedRead::try_read).
    fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_read(buf),
            None => self.try_read(&mut []),
        }
    }

    /// Waits until [`try_read`](SharedRead::try_read) is worth trying again. Any
    /// number of these may wait at once, and each has to be woken.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;
}

/// A stream that can be written through a shared reference, so that
/// `&`[`Blocking`](super::Blocking)`<Self>` is [`Write`](std::io::Write).
///
/// It is for streams without a buffer of their own: `flush` does nothing. See
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
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room yet.
    fn try_write(&self, buf: &[u8]) -> io::Result<usize>;

    /// As [`try_write`](SharedWrite::try_write), from several buffers in turn. By
    /// default only from the first that is not empty.
    ///
    /// # Errors
    ///
    /// As [`try_write`](SharedWrite::try_write).
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_write(buf),
            None => self.try_write(&[]),
        }
    }

    /// Waits until [`try_write`](SharedWrite::try_write) is worth trying again. Any
    /// number of these may wait at once, and each has to be woken.
    fn writable(&self) -> impl Future<Output = io::Result<()>>;
}

/// Reads with `attempt` as soon as it does not have to wait.
pub(super) async fn read_shared<T: SharedRead>(
    stream: &T,
    mut attempt: impl FnMut(&T) -> io::Result<usize>,
) -> io::Result<usize> {
    // What never has to wait must spend its budget all the same.
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

/// Writes with `attempt` as soon as it does not have to wait.
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

/// The methods of tokio's types have the same names.
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
