//! Conversions from and to std's and tokio's sockets, and to the system's.

/// Implements what all types of sockets have: conversions, access to the descriptor, and `Debug`.
macro_rules! conversions {
    ($type:ident, $std:ty, $tokio:ty) => {
        /// Takes a socket of std's, with its timeouts. It becomes non-blocking, and so do clones of
        /// it that std has made. If that fails, the first call returns the error.
        impl From<$std> for $type {
            fn from(socket: $std) -> $type {
                $type(Socket::adopt(socket))
            }
        }

        /// Gives back std's socket, which blocks again. Fails while there are clones of it.
        impl TryFrom<$type> for $std {
            type Error = io::Error;

            fn try_from(socket: $type) -> io::Result<$std> {
                socket.0.into_std()
            }
        }

        /// Takes a socket of tokio's, which its runtime watches no longer.
        impl TryFrom<$tokio> for $type {
            type Error = io::Error;

            fn try_from(socket: $tokio) -> io::Result<$type> {
                socket
                    .into_std()
                    .map(|socket| $type(Socket::from_nonblocking(socket)))
            }
        }

        /// Makes it a socket of tokio's. Fails while there are clones of it, and panics where there
        /// is no runtime with I/O, as tokio's `from_std` does.
        impl TryFrom<$type> for $tokio {
            type Error = io::Error;

            fn try_from(socket: $type) -> io::Result<$tokio> {
                let socket = socket.0.into_std()?;
                socket.set_nonblocking(true)?;
                <$tokio>::from_std(socket)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        #[cfg(unix)]
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.get_ref().as_fd()
            }
        }

        #[cfg(unix)]
        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.0.get_ref().as_raw_fd()
            }
        }

        #[cfg(unix)]
        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> $type {
                <$std>::from(fd).into()
            }
        }

        /// Fails while there are clones of the socket.
        #[cfg(unix)]
        impl TryFrom<$type> for OwnedFd {
            type Error = io::Error;

            fn try_from(socket: $type) -> io::Result<OwnedFd> {
                socket.0.into_std().map(OwnedFd::from)
            }
        }

        #[cfg(windows)]
        impl AsSocket for $type {
            fn as_socket(&self) -> BorrowedSocket<'_> {
                self.0.get_ref().as_socket()
            }
        }

        #[cfg(windows)]
        impl AsRawSocket for $type {
            fn as_raw_socket(&self) -> RawSocket {
                self.0.get_ref().as_raw_socket()
            }
        }

        #[cfg(windows)]
        impl From<OwnedSocket> for $type {
            fn from(socket: OwnedSocket) -> $type {
                <$std>::from(socket).into()
            }
        }

        /// Fails while there are clones of the socket.
        #[cfg(windows)]
        impl TryFrom<$type> for OwnedSocket {
            type Error = io::Error;

            fn try_from(socket: $type) -> io::Result<OwnedSocket> {
                socket.0.into_std().map(OwnedSocket::from)
            }
        }
    };
}

/// Implements [`Source`](super::socket::Source) for a socket of std's.
macro_rules! source {
    (with timeouts: $($std:ty),*) => {$(
        impl Source for $std {
            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                <$std>::set_nonblocking(self, nonblocking)
            }

            fn timeouts(&self) -> (Option<Duration>, Option<Duration>) {
                let read = self.read_timeout().ok().flatten();
                (read, self.write_timeout().ok().flatten())
            }

            fn set_timeouts(
                &self,
                read: Option<Duration>,
                write: Option<Duration>,
            ) -> io::Result<()> {
                self.set_read_timeout(read)?;
                self.set_write_timeout(write)
            }
        }
    )*};
    ($($std:ty),*) => {$(
        impl Source for $std {
            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                <$std>::set_nonblocking(self, nonblocking)
            }
        }
    )*};
}

/// Implements std's traits of streams, for the type and for references to it.
macro_rules! stream {
    ($type:ident, $read:literal, $read_vectored:literal, $write:literal, $write_vectored:literal) => {
        impl Read for $type {
            #[track_caller]
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buf)
            }

            #[track_caller]
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }

        impl Read for &$type {
            #[track_caller]
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let room = buf.len();
                if room == 0 {
                    return self
                        .0
                        .move_nothing(Call::net($read), |mut socket| socket.read(buf));
                }
                self.0.wait_draining(
                    Call::net($read),
                    Direction::Read,
                    |mut socket| socket.read(buf),
                    |read| 0 < *read && *read < room,
                )
            }

            #[track_caller]
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                let is_nothing = bufs.iter().all(|buf| buf.is_empty());
                let attempt = |mut socket: &_| Read::read_vectored(&mut socket, bufs);
                if is_nothing {
                    return self.0.move_nothing(Call::net($read_vectored), attempt);
                }
                self.0
                    .wait(Call::net($read_vectored), Direction::Read, attempt)
            }
        }

        impl Write for $type {
            #[track_caller]
            #[inline]
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&*self).write(buf)
            }

            #[track_caller]
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            /// Does nothing, because nothing is buffered.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Write for &$type {
            #[track_caller]
            #[inline]
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                if buf.is_empty() {
                    return self
                        .0
                        .move_nothing(Call::net($write), |mut socket| socket.write(buf));
                }
                self.0.wait_draining(
                    Call::net($write),
                    Direction::Write,
                    |mut socket| socket.write(buf),
                    |written| 0 < *written && *written < buf.len(),
                )
            }

            #[track_caller]
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                let attempt = |mut socket: &_| Write::write_vectored(&mut socket, bufs);
                if bufs.iter().all(|buf| buf.is_empty()) {
                    return self.0.move_nothing(Call::net($write_vectored), attempt);
                }
                self.0
                    .wait(Call::net($write_vectored), Direction::Write, attempt)
            }

            /// Does nothing, because nothing is buffered.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {conversions, source, stream};
