//! [`TcpListener`].

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::{self, SocketAddr};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket};

use super::TcpStream;
use super::addresses::{ToSocketAddrs, first_of};
use super::convert::{conversions, source};
#[cfg(unix)]
use super::direction::Direction;
use super::socket::{Socket, Source};
use crate::io::Call;
#[cfg(windows)]
use crate::io::{complete, in_runtime};

/// A socket that listens for TCP connections, as [`std::net::TcpListener`], whose `accept` blocks the
/// fiber.
///
/// Any number of fibers, of any hubs, and threads can accept from one listener. It is closed when it
/// and all its [clones](TcpListener::try_clone) are dropped.
///
/// # Cancel safety
///
/// A cancelled `accept` has taken no connection.
///
/// # Panics
///
/// Panics where [`.wait()`](crate::Wait::wait) does, except in the mode of
/// [`set_nonblocking`](TcpListener::set_nonblocking), and on a runtime whose I/O is not enabled.
///
/// # Examples
///
/// A server with a fiber for each connection:
///
/// ```
/// use std::io::{self, Read, Write};
/// use switchback::net::{TcpListener, TcpStream};
/// use switchback::spawn;
///
/// fn serve(listener: &TcpListener) -> io::Result<()> {
///     for stream in listener.incoming() {
///         let mut stream = stream?;
///         spawn(move || io::copy(&mut stream.try_clone()?, &mut stream));
///     }
///     Ok(())
/// }
///
/// # fn main() -> io::Result<()> {
/// # switchback::run(|| {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// spawn(move || serve(&listener));
///
/// let mut client = TcpStream::connect(address)?;
/// client.write_all(b"echo")?;
/// let mut answer = [0; 4];
/// client.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"echo");
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct TcpListener(Socket<net::TcpListener>);

source! { net::TcpListener }
conversions! { TcpListener, net::TcpListener, tokio::net::TcpListener }

impl TcpListener {
    /// Binds a socket to an address, or to the first of several that works, and listens. Port 0
    /// lets the system choose. Waits only if a name is looked up.
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried, or of the lookup of a name.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        first_of(addr, |address| {
            net::TcpListener::bind(address).and_then(Socket::new)
        })
        .map(TcpListener)
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let (_stream, peer) = listener.accept()?;
    /// assert_eq!(peer, client.local_addr()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        const CALL: Call = Call::net("`net::TcpListener::accept`");
        let (stream, peer) = self.accept_std(CALL)?;
        Ok((TcpStream(Socket::new(stream)?), peer))
    }

    /// Returns an iterator over connections. It never ends: each `next` is an
    /// [`accept`](TcpListener::accept).
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// for stream in listener.incoming() {
    ///     stream?.write_all(b"hello")?;
    ///     break;
    /// }
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
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// assert!(listener.local_addr()?.ip().is_loopback());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Returns another handle to the same socket, for another fiber or thread. The handles share
    /// everything, also the mode of [`set_nonblocking`](TcpListener::set_nonblocking).
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
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let other = listener.try_clone()?;
    /// assert_eq!(format!("{:?}", other.local_addr()?), format!("{:?}", listener.local_addr()?));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener(self.0.clone()))
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
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// assert!(listener.take_error()?.is_none());
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
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Sets the time to live of the packets that are sent.
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
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_ttl(100)?;
    /// assert_eq!(listener.ttl()?, 100);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.get_ref().set_ttl(ttl)
    }

    /// Returns the time to live of the packets that are sent.
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
    /// use switchback::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// assert!(listener.ttl()? > 0);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.get_ref().ttl()
    }

    #[cfg(unix)]
    #[track_caller]
    fn accept_std(&self, call: Call) -> io::Result<(net::TcpStream, SocketAddr)> {
        self.0.wait(call, Direction::Read, net::TcpListener::accept)
    }

    /// Tokio tells nothing of a listener there but its connections, so a duplicate accepts.
    #[cfg(windows)]
    #[track_caller]
    fn accept_std(&self, call: Call) -> io::Result<(net::TcpStream, SocketAddr)> {
        let listener = self.0.get_ref();
        if self.0.never_waits()? {
            return listener.accept();
        }
        let accept = async {
            match listener.accept() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            let accepted = in_runtime(async {
                let duplicate = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
                duplicate.accept().await
            });
            let (stream, peer) = accepted.await??;
            Ok((stream.into_std()?, peer))
        };
        complete(call, None, accept)
    }
}

/// The iterator of [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
