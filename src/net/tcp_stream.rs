//! [`TcpStream`].

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket};
use std::time::Duration;

use super::addresses::{ToSocketAddrs, no_address};
use super::convert::{conversions, source, stream};
use super::direction::Direction;
use super::socket::{Socket, Source};
use crate::io::{Call, complete, in_runtime};

/// A TCP connection, as [`std::net::TcpStream`], which blocks the fiber.
///
/// It is read and written through `&mut self` or `&self`, by any number of fibers, of any hubs, and
/// threads at once. It is closed when it and all its [clones](TcpStream::try_clone) are dropped.
///
/// # Cancel safety
///
/// A cancelled read or write has moved no bytes. `read_exact`, `read_to_end` and `write_all`
/// consist of several calls, and lose their progress.
///
/// # Errors
///
/// The errors are those of std. While the fiber unwinds, a call that would have to wait returns an
/// error of the kind [`Other`](io::ErrorKind::Other) that says so.
///
/// # Panics
///
/// Panics where [`.wait()`](crate::Wait::wait) does, except in the mode of
/// [`set_nonblocking`](TcpStream::set_nonblocking), and on a runtime whose I/O is not enabled.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use switchback::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let client = switchback::spawn(move || -> std::io::Result<Vec<u8>> {
///     let mut stream = TcpStream::connect(address)?;
///     stream.write_all(b"ping")?;
///     let mut answer = Vec::new();
///     stream.read_to_end(&mut answer)?; // blocks this fiber only
///     Ok(answer)
/// });
///
/// let (mut stream, _peer) = listener.accept()?;
/// let mut question = [0; 4];
/// stream.read_exact(&mut question)?;
/// stream.write_all(b"pong")?;
/// drop(stream);
/// # use switchback::prelude::*;
/// assert_eq!(client.wait()??, b"pong");
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct TcpStream(pub(super) Socket<net::TcpStream>);

source! { with timeouts: net::TcpStream }
conversions! { TcpStream, net::TcpStream, tokio::net::TcpStream }
stream! {
    TcpStream,
    "`net::TcpStream::read`",
    "`net::TcpStream::read_vectored`",
    "`net::TcpStream::write`",
    "`net::TcpStream::write_vectored`"
}

impl TcpStream {
    /// Connects to an address, or to the first of several that accepts. Waits until it is connected.
    ///
    /// # Cancel safety
    ///
    /// A cancel gives the connection up.
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
    /// use switchback::net::{SocketAddr, TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("localhost:0")?;
    /// let port = listener.local_addr()?.port();
    /// let stream = TcpStream::connect(("localhost", port))?;
    /// assert_eq!(stream.peer_addr()?.port(), port);
    ///
    /// let addresses = [SocketAddr::from(([127, 0, 0, 1], 1)), listener.local_addr()?];
    /// assert!(TcpStream::connect(&addresses[..]).is_ok());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let mut result = Err(no_address());
        for address in addr.to_socket_addrs()? {
            // Not in a closure, which would be the place of the wait.
            result = connect(Call::net("`net::TcpStream::connect`"), address, None);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Connects to an address. Waits until it is connected, but no longer than `timeout`, with the
    /// resolution of one millisecond.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the time has passed, and
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a timeout of zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::time::Duration;
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// assert!(TcpStream::connect_timeout(&address, Duration::from_secs(30)).is_ok());
    /// assert!(TcpStream::connect_timeout(&address, Duration::ZERO).is_err());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a timeout of zero cannot be set",
            ));
        }
        connect(
            Call::net("`net::TcpStream::connect_timeout`"),
            *addr,
            Some(timeout),
        )
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system, such as `NotConnected`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(stream.local_addr()?.ip().is_loopback());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
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
    /// use std::io::Read;
    /// use switchback::net::{Shutdown, TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.shutdown(Shutdown::Both)?;
    /// let (mut peer, _) = listener.accept()?;
    /// assert_eq!(peer.read(&mut [0; 8])?, 0); // the end
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.get_ref().shutdown(how)
    }

    /// Returns another handle to the same connection, for another fiber or thread.
    ///
    /// The handles share everything: bytes, timeouts, and the mode of
    /// [`set_nonblocking`](TcpStream::set_nonblocking).
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
    /// use std::io::{Read, Write};
    /// use switchback::{net::{TcpListener, TcpStream}, prelude::*};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut near = TcpStream::connect(listener.local_addr()?)?;
    /// let mut writer = near.try_clone()?;
    /// switchback::spawn(move || writer.write_all(b"hello")).wait()??;
    ///
    /// let mut read = [0; 5];
    /// listener.accept()?.0.read_exact(&mut read)?;
    /// assert_eq!(&read, b"hello");
    /// # near.flush()?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        Ok(TcpStream(self.0.clone()))
    }

    /// Sets how long a read may wait; `None`, which is the default, is for ever.
    ///
    /// A read that exceeds it returns [`WouldBlock`](io::ErrorKind::WouldBlock) on unix systems, and
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
    /// use std::io::{ErrorKind, Read};
    /// use std::time::Duration;
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// let error = stream.read(&mut [0; 8]).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    /// assert!(stream.set_read_timeout(Some(Duration::ZERO)).is_err());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(Direction::Read, dur)
    }

    /// Sets how long a write may wait; `None`, which is the default, is for ever. See
    /// [`set_read_timeout`](TcpStream::set_read_timeout).
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    /// assert_eq!(stream.write_timeout()?, Some(Duration::from_secs(5)));
    /// assert!(stream.set_write_timeout(Some(Duration::ZERO)).is_err());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(Direction::Write, dur)
    }

    /// Returns how long a read may wait.
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.read_timeout()?, None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Direction::Read))
    }

    /// Returns how long a write may wait.
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.write_timeout()?, None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Direction::Write))
    }

    /// Reads without taking the bytes, so that the next read returns them too. Waits until there are
    /// some.
    ///
    /// # Errors
    ///
    /// Those of a read.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::io::{Read, Write};
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut near = TcpStream::connect(listener.local_addr()?)?;
    /// near.write_all(b"hello")?;
    ///
    /// let (mut far, _) = listener.accept()?;
    /// let mut first = [0; 1];
    /// assert_eq!((far.peek(&mut first)?, first), (1, *b"h"));
    /// assert_eq!((far.read(&mut first)?, first), (1, *b"h"));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        const CALL: Call = Call::net("`net::TcpStream::peek`");
        if buf.is_empty() {
            return self.0.move_nothing(CALL, |socket| socket.peek(buf));
        }
        self.0
            .wait(CALL, Direction::Read, |socket| socket.peek(buf))
    }

    /// Sets `TCP_NODELAY`: small writes are sent at once.
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
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.get_ref().set_nodelay(nodelay)
    }

    /// Returns whether `TCP_NODELAY` is set.
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
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(!stream.nodelay()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.get_ref().nodelay()
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_ttl(100)?;
    /// assert_eq!(stream.ttl()?, 100);
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// assert!(TcpStream::connect(listener.local_addr()?)?.ttl()? > 0);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.get_ref().ttl()
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
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(stream.take_error()?.is_none());
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
    /// use std::io::{ErrorKind, Read};
    /// use switchback::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_nonblocking(true)?;
    /// let error = stream.read(&mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
}

#[track_caller]
fn connect(call: Call, address: SocketAddr, limit: Option<Duration>) -> io::Result<TcpStream> {
    let connect = async {
        let socket = in_runtime(tokio::net::TcpStream::connect(address)).await??;
        TcpStream::try_from(socket)
    };
    complete(call, limit, connect)
}
