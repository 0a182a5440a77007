//! [`UnixDatagram`].

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::io::Call;
use crate::net::convert::{conversions, source};
use crate::net::direction::Direction;
use crate::net::socket::{Socket, Source};

/// A Unix socket for datagrams, as [`std::os::unix::net::UnixDatagram`], which blocks the fiber.
///
/// What is said of [`UdpSocket`](crate::net::UdpSocket) about sharing, cancel safety, errors and
/// panics holds here too. Dropping it leaves the file at its path.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use switchback::net::unix::UnixDatagram;
///
/// let (near, far) = UnixDatagram::pair()?;
/// # let _keep = &far;
/// let sender = switchback::spawn(move || near.send(b"hello"));
/// assert_eq!(far.recv(&mut [0; 8])?, 5); // blocks this fiber only
/// # use switchback::prelude::*;
/// # sender.wait()??;
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct UnixDatagram(Socket<net::UnixDatagram>);

source! { with timeouts: net::UnixDatagram }
conversions! { UnixDatagram, net::UnixDatagram, tokio::net::UnixDatagram }

impl UnixDatagram {
    /// Creates a socket at a path.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-bind", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind(&path)?;
    /// assert_eq!(socket.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(Socket::new(net::UnixDatagram::bind(path)?)?))
    }

    /// Creates a socket at an address.
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
    /// use switchback::net::unix::{SocketAddr, UnixDatagram};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-bind-addr", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind_addr(&SocketAddr::from_pathname(&path)?)?;
    /// # drop(socket);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(Socket::new(net::UnixDatagram::bind_addr(
            socket_addr,
        )?)?))
    }

    /// Creates a socket without an address.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// assert!(UnixDatagram::unbound()?.local_addr()?.is_unnamed());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(Socket::new(net::UnixDatagram::unbound()?)?))
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// near.send(b"hello")?;
    /// assert_eq!(far.recv(&mut [0; 8])?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = net::UnixDatagram::pair()?;
        Ok((UnixDatagram(Socket::new(a)?), UnixDatagram(Socket::new(b)?)))
    }

    /// Connects the socket to the one at a path, for [`send`](UnixDatagram::send).
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-connect", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind(&path)?;
    /// let near = UnixDatagram::unbound()?;
    /// near.connect(&path)?;
    /// near.send(b"hello")?;
    /// assert_eq!(socket.recv(&mut [0; 8])?, 5);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.0.get_ref().connect(path)
    }

    /// Connects the socket to the one at an address, for [`send`](UnixDatagram::send).
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-connect-addr", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind(&path)?;
    /// let near = UnixDatagram::unbound()?;
    /// near.connect_addr(&socket.local_addr()?)?;
    /// assert_eq!(near.peer_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()> {
        self.0.get_ref().connect_addr(socket_addr)
    }

    /// Waits for a datagram, and returns its size with the address that it came from. What `buf`
    /// has no room for is lost.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-recv-from", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind(&path)?;
    /// let near = UnixDatagram::unbound()?;
    /// near.send_to(b"hello", &path)?;
    /// let (length, from) = socket.recv_from(&mut [0; 8])?;
    /// assert!(length == 5 && from.is_unnamed());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.wait(
            Call::net("`net::UnixDatagram::recv_from`"),
            Direction::Read,
            |socket| socket.recv_from(buf),
        )
    }

    /// Waits for a datagram, and returns its size. What `buf` has no room for is lost.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// near.send(b"hello")?;
    /// assert_eq!(far.recv(&mut [0; 8])?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.wait(
            Call::net("`net::UnixDatagram::recv`"),
            Direction::Read,
            |socket| socket.recv(buf),
        )
    }

    /// Sends a datagram to the socket at a path. Waits while its queue is full.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-send-to", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind(&path)?;
    /// assert_eq!(UnixDatagram::unbound()?.send_to(b"hello", &path)?, 5);
    /// # drop(socket);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        let path = path.as_ref();
        self.send_again(Call::net("`net::UnixDatagram::send_to`"), |socket| {
            socket.send_to(buf, path)
        })
    }

    /// Sends a datagram to the socket at an address. Waits while its queue is full.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-{}-dg-send-to-addr", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("socket");
    /// let socket = UnixDatagram::bind(&path)?;
    /// let near = UnixDatagram::unbound()?;
    /// assert_eq!(near.send_to_addr(b"hello", &socket.local_addr()?)?, 5);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        self.send_again(Call::net("`net::UnixDatagram::send_to_addr`"), |socket| {
            socket.send_to_addr(buf, socket_addr)
        })
    }

    /// Sends a datagram to the socket that this one is connected to. Waits while its queue is full.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// assert_eq!(near.send(b"hello")?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.wait(
            Call::net("`net::UnixDatagram::send`"),
            Direction::Write,
            |socket| socket.send(buf),
        )
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// assert!(near.local_addr()?.is_unnamed());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Returns the address that the socket is connected to.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// assert!(near.peer_addr()?.is_unnamed());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }

    /// Shuts down reading, writing or both, for all clones.
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// use std::net::Shutdown;
    /// near.shutdown(Shutdown::Both)?;
    /// assert!(near.send(b"hello").is_err());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.get_ref().shutdown(how)
    }

    /// Returns another handle to the same socket, for another fiber or thread. The handles share
    /// everything, also the mode of [`set_nonblocking`](UnixDatagram::set_nonblocking).
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// let other = near.try_clone()?;
    /// assert_eq!(format!("{:?}", other.local_addr()?), format!("{:?}", near.local_addr()?));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(self.0.clone()))
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// near.set_nonblocking(true)?;
    /// assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// near.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// let error = near.recv(&mut [0; 8]).unwrap_err();
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
    /// [`set_read_timeout`](UnixDatagram::set_read_timeout).
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
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
    /// use switchback::net::unix::UnixDatagram;
    ///
    /// let (near, far) = UnixDatagram::pair()?;
    /// # let _keep = &far;
    /// assert_eq!(near.write_timeout()?, None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Direction::Write))
    }

    /// Sends, again and again while the queue of the receiver is full. The system reports that there
    /// is room only to sockets that are connected.
    #[track_caller]
    fn send_again(
        &self,
        call: Call,
        attempt: impl FnMut(&net::UnixDatagram) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.0.wait_by_trying(call, Direction::Write, attempt)
    }
}
