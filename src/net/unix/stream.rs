//! [`UnixStream`].

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::address::path_of;
use crate::io::{Call, complete, in_runtime};
use crate::net::backoff::Backoff;
use crate::net::convert::{conversions, source, stream};
use crate::net::direction::Direction;
use crate::net::socket::{Socket, Source};

/// A connection over a Unix socket, as [`std::os::unix::net::UnixStream`], which blocks the fiber.
///
/// What is said of [`TcpStream`](crate::net::TcpStream) about sharing, cancel safety, errors and
/// panics holds here too.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use std::io::{Read, Write};
/// use switchback::net::unix::UnixStream;
///
/// let (near, far) = UnixStream::pair()?;
/// let writer = switchback::spawn(move || (&near).write_all(b"hello"));
/// let mut text = String::new();
/// (&far).read_to_string(&mut text)?; // waits for the end
/// assert_eq!(text, "hello");
/// # use switchback::prelude::*;
/// # writer.wait()??;
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct UnixStream(pub(super) Socket<net::UnixStream>);

source! { with timeouts: net::UnixStream }
conversions! { UnixStream, net::UnixStream, tokio::net::UnixStream }
stream! {
    UnixStream,
    "`net::UnixStream::read`",
    "`net::UnixStream::read_vectored`",
    "`net::UnixStream::write`",
    "`net::UnixStream::write_vectored`"
}

impl UnixStream {
    /// Connects to the socket at a path. Waits until it is connected, also while the queue of the
    /// listener is full.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::{UnixListener, UnixStream};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-connect", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// let stream = UnixStream::connect(&path)?;
    /// assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        connect(Call::net("`net::UnixStream::connect`"), path.as_ref())
    }

    /// Connects to the socket at an address. Waits until it is connected, also while the queue of
    /// the listener is full.
    ///
    /// # Errors
    ///
    /// Those of the system, and [`InvalidInput`](io::ErrorKind::InvalidInput) for an address
    /// without a name.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::{UnixListener, UnixStream};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-connect-addr", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// let stream = UnixStream::connect_addr(&listener.local_addr()?)?;
    /// assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        let path = path_of(socket_addr)?;
        connect(Call::net("`net::UnixStream::connect_addr`"), &path)
    }

    /// Returns two connected sockets.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::io::{Read, Write};
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// (&near).write_all(b"hello")?;
    /// let mut text = [0; 5];
    /// (&far).read_exact(&mut text)?;
    /// assert_eq!(&text, b"hello");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = net::UnixStream::pair()?;
        Ok((UnixStream(Socket::new(a)?), UnixStream(Socket::new(b)?)))
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// assert!(near.local_addr()?.is_unnamed());
    /// # drop(far);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// assert!(near.peer_addr()?.is_unnamed());
    /// # drop(far);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }

    /// Shuts down reading, writing or both, for all clones. Reads and writes that wait return.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::io::{Read, Write};
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// use std::net::Shutdown;
    /// near.shutdown(Shutdown::Write)?;
    /// assert_eq!((&far).read(&mut [0; 8])?, 0); // the end
    /// # (&far).flush()?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.get_ref().shutdown(how)
    }

    /// Returns another handle to the same socket, for another fiber or thread. The handles share
    /// everything, also the mode of [`set_nonblocking`](UnixStream::set_nonblocking).
    ///
    /// # Errors
    ///
    /// This method never fails. It has std's signature so that callers need not change.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// let other = near.try_clone()?;
    /// assert_eq!(format!("{:?}", other.local_addr()?), format!("{:?}", near.local_addr()?));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        Ok(UnixStream(self.0.clone()))
    }

    /// Returns the pending error of the socket, and clears it.
    ///
    /// # Errors
    ///
    /// Those of the system, if the pending error cannot be asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// assert!(near.take_error()?.is_none());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.get_ref().take_error()
    }

    /// Sets whether calls return [`WouldBlock`](io::ErrorKind::WouldBlock) instead of waiting, also
    /// those of clones.
    ///
    /// In that mode, a call is the system call itself. It is no switchpoint, and allowed in async
    /// code too. The socket of the system is non-blocking in either mode.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::io::ErrorKind;
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// near.set_nonblocking(true)?;
    /// assert_eq!(std::io::Read::read(&mut &*near, &mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Sets how long a receive may wait; `None`, which is the default, is for ever.
    ///
    /// One that exceeds it returns [`WouldBlock`](io::ErrorKind::WouldBlock) on unix systems, and
    /// [`TimedOut`](io::ErrorKind::TimedOut) on Windows, as std's do. It has the resolution of one
    /// millisecond, applies to calls that begin later, and is shared with clones.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a timeout of zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::time::Duration;
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// near.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// let error = std::io::Read::read(&mut &*near, &mut [0; 8]).unwrap_err();
    /// # use std::io::ErrorKind;
    /// assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    /// assert!(near.set_read_timeout(Some(Duration::ZERO)).is_err());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(Direction::Read, dur)
    }

    /// Sets how long a send may wait; `None`, which is the default, is for ever. See
    /// [`set_read_timeout`](UnixStream::set_read_timeout).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a timeout of zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::time::Duration;
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// near.set_write_timeout(Some(Duration::from_secs(5)))?;
    /// assert_eq!(near.write_timeout()?, Some(Duration::from_secs(5)));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(Direction::Write, dur)
    }

    /// Returns how long a receive may wait.
    ///
    /// # Errors
    ///
    /// This method never fails. It has std's signature so that callers need not change.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// assert_eq!(near.read_timeout()?, None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Direction::Read))
    }

    /// Returns how long a send may wait.
    ///
    /// # Errors
    ///
    /// This method never fails. It has std's signature so that callers need not change.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// # let _far = &far;
    /// # let (near, far) = (&near, &far);
    /// assert_eq!(near.write_timeout()?, None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Direction::Write))
    }
}

/// Connects, again and again while the queue of the listener is full, which no system reports the
/// end of.
#[track_caller]
fn connect(call: Call, path: &Path) -> io::Result<UnixStream> {
    let connect = async {
        let mut backoff = Backoff::new();
        loop {
            match in_runtime(tokio::net::UnixStream::connect(path)).await? {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => backoff.pause().await?,
                socket => return UnixStream::try_from(socket?),
            }
        }
    };
    complete(call, None, connect)
}
