//! [`UnixListener`].

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use super::UnixStream;
use crate::io::Call;
use crate::net::convert::{conversions, source};
use crate::net::direction::Direction;
use crate::net::socket::{Socket, Source};

/// A Unix socket that listens for connections, as [`std::os::unix::net::UnixListener`], whose
/// `accept` blocks the fiber.
///
/// What is said of [`TcpListener`](crate::net::TcpListener) about sharing, cancel safety and panics
/// holds here too. Dropping it leaves the file at its path.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use switchback::net::unix::{UnixListener, UnixStream};
///
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-listener", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("socket");
/// let listener = UnixListener::bind(&path)?;
/// let client = switchback::spawn({
///     let path = path.clone();
///     move || UnixStream::connect(path)
/// });
/// let (_stream, _peer) = listener.accept()?;
/// # use switchback::prelude::*;
/// # client.wait()??;
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct UnixListener(Socket<net::UnixListener>);

source! { net::UnixListener }
conversions! { UnixListener, net::UnixListener, tokio::net::UnixListener }

impl UnixListener {
    /// Creates a socket at a path, and listens.
    ///
    /// # Errors
    ///
    /// Those of the system, such as `AddrInUse` if there is a file at the path.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::unix::UnixListener;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-bind", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        let listener = net::UnixListener::bind(path)?;
        Ok(UnixListener(Socket::new(listener)?))
    }

    /// Creates a socket at an address, and listens.
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
    /// use switchback::net::unix::{SocketAddr, UnixListener};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-bind-addr", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let address = SocketAddr::from_pathname(&path)?;
    /// let listener = UnixListener::bind_addr(&address)?;
    /// # drop(listener);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        let listener = net::UnixListener::bind_addr(socket_addr)?;
        Ok(UnixListener(Socket::new(listener)?))
    }

    /// Waits for a connection, and returns it with the address of its other end.
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
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-accept", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// let _client = UnixStream::connect(&path)?;
    /// let (_stream, peer) = listener.accept()?;
    /// assert!(peer.is_unnamed());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        const CALL: Call = Call::net("`net::UnixListener::accept`");
        let accepted = self
            .0
            .wait(CALL, Direction::Read, net::UnixListener::accept);
        let (stream, peer) = accepted?;
        Ok((UnixStream(Socket::new(stream)?), peer))
    }

    /// Returns an iterator over connections. It never ends: each `next` is an
    /// [`accept`](UnixListener::accept).
    ///
    /// # Errors
    ///
    /// Each item is the result of an `accept`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::io::Write;
    /// use switchback::net::unix::{UnixListener, UnixStream};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-incoming", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// # let client = UnixStream::connect(&path)?;
    /// for stream in listener.incoming() {
    ///     stream?.write_all(b"hello")?;
    ///     break;
    /// }
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Returns the address that the socket is bound to.
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
    /// use switchback::net::unix::UnixListener;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-local", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Returns another handle to the same socket, for another fiber or thread. The handles share
    /// everything, also the mode of [`set_nonblocking`](UnixListener::set_nonblocking).
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
    /// use switchback::net::unix::UnixListener;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-common-0", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// let other = listener.try_clone()?;
    /// assert_eq!(format!("{:?}", other.local_addr()?), format!("{:?}", listener.local_addr()?));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        Ok(UnixListener(self.0.clone()))
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
    /// use switchback::net::unix::UnixListener;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-common-1", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// assert!(listener.take_error()?.is_none());
    /// # std::fs::remove_dir_all(folder)?;
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
    /// use switchback::net::unix::UnixListener;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-common-2", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let listener = UnixListener::bind(&path)?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The iterator of [`UnixListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl FusedIterator for Incoming<'_> {}
