//! [`UdpSocket`].

use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket};
use std::time::Duration;

use super::addresses::{ToSocketAddrs, first_of, no_address};
use super::convert::{conversions, source};
use super::direction::Direction;
use super::socket::{Socket, Source};
use crate::io::Call;

/// A UDP socket, as [`std::net::UdpSocket`], which blocks the fiber.
///
/// Any number of fibers, of any hubs, and threads can send and receive with one socket. It is closed
/// when it and all its [clones](UdpSocket::try_clone) are dropped.
///
/// # Cancel safety
///
/// A cancelled receive has taken no datagram, and a cancelled send has sent none.
///
/// # Errors
///
/// The errors are those of std. While the fiber unwinds, a call that would have to wait returns an
/// error of the kind [`Other`](io::ErrorKind::Other) that says so.
///
/// # Panics
///
/// Panics where [`.wait()`](crate::Wait::wait) does, except in the mode of
/// [`set_nonblocking`](UdpSocket::set_nonblocking), and on a runtime whose I/O is not enabled.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use switchback::net::UdpSocket;
///
/// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let to = far.local_addr()?;
/// let echo = switchback::spawn(move || -> std::io::Result<()> {
///     let mut text = [0; 16];
///     let (length, from) = far.recv_from(&mut text)?;
///     far.send_to(&text[..length], from)?;
///     Ok(())
/// });
/// # near.send_to(b"hello", to)?;
/// # let mut text = [0; 16];
/// # assert_eq!(near.recv_from(&mut text)?.0, 5);
/// # use switchback::prelude::*;
/// # echo.wait()??;
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct UdpSocket(Socket<net::UdpSocket>);

source! { with timeouts: net::UdpSocket }
conversions! { UdpSocket, net::UdpSocket, tokio::net::UdpSocket }

impl UdpSocket {
    /// Binds a socket to an address, or to the first of several that works. Port 0 lets the system
    /// choose. Waits only if a name is looked up.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        first_of(addr, |address| {
            net::UdpSocket::bind(address).and_then(Socket::new)
        })
        .map(UdpSocket)
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.send_to(b"hello", far.local_addr()?)?;
    /// let mut text = [0; 8];
    /// assert_eq!(far.recv_from(&mut text)?, (5, near.local_addr()?));
    /// assert_eq!(&text[..5], b"hello");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.wait(
            Call::net("`net::UdpSocket::recv_from`"),
            Direction::Read,
            |socket| socket.recv_from(buf),
        )
    }

    /// Like [`recv_from`](UdpSocket::recv_from), but leaves the datagram for the next receive.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.send_to(b"hello", far.local_addr()?)?;
    /// let mut text = [0; 5];
    /// assert_eq!(far.peek_from(&mut text)?.0, 5);
    /// assert_eq!(far.recv_from(&mut text)?.0, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.wait(
            Call::net("`net::UdpSocket::peek_from`"),
            Direction::Read,
            |socket| socket.peek_from(buf),
        )
    }

    /// Sends a datagram to an address, the first if there are several. Waits while the system has
    /// no room, and for the lookup of a name.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidInput` if there is no address.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// assert_eq!(near.send_to(b"hello", far.local_addr()?)?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let Some(address) = addr.to_socket_addrs()?.next() else {
            return Err(no_address());
        };
        self.0.wait(
            Call::net("`net::UdpSocket::send_to`"),
            Direction::Write,
            |socket| socket.send_to(buf, address),
        )
    }

    /// Connects the socket to an address: [`send`](UdpSocket::send) and [`recv`](UdpSocket::recv)
    /// use it, and datagrams from others are dropped. Waits only if a name is looked up.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.connect(far.local_addr()?)?;
    /// far.connect(near.local_addr()?)?;
    /// assert_eq!(near.peer_addr()?, far.local_addr()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        first_of(addr, |address| self.0.get_ref().connect(address))
    }

    /// Sends a datagram to the address that the socket is connected to. Waits while the system has
    /// no room.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.connect(far.local_addr()?)?;
    /// far.connect(near.local_addr()?)?;
    /// assert_eq!(near.send(b"hello")?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.wait(
            Call::net("`net::UdpSocket::send`"),
            Direction::Write,
            |socket| socket.send(buf),
        )
    }

    /// Waits for a datagram from the address that the socket is connected to, and returns its size.
    /// What `buf` has no room for is lost.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.connect(far.local_addr()?)?;
    /// far.connect(near.local_addr()?)?;
    /// near.send(b"hello")?;
    /// assert_eq!(far.recv(&mut [0; 8])?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.wait(
            Call::net("`net::UdpSocket::recv`"),
            Direction::Read,
            |socket| socket.recv(buf),
        )
    }

    /// Like [`recv`](UdpSocket::recv), but leaves the datagram for the next receive.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.connect(far.local_addr()?)?;
    /// far.connect(near.local_addr()?)?;
    /// near.send(b"hello")?;
    /// assert_eq!(far.peek(&mut [0; 8])?, 5);
    /// assert_eq!(far.recv(&mut [0; 8])?, 5);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.wait(
            Call::net("`net::UdpSocket::peek`"),
            Direction::Read,
            |socket| socket.peek(buf),
        )
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
    /// use switchback::net::UdpSocket;
    ///
    /// let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// near.connect(far.local_addr()?)?;
    /// far.connect(near.local_addr()?)?;
    /// assert_eq!(far.peer_addr()?, near.local_addr()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(socket.local_addr()?.ip().is_loopback());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Returns another handle to the same socket, for another fiber or thread. The handles share
    /// everything, also the mode of [`set_nonblocking`](UdpSocket::set_nonblocking).
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let other = socket.try_clone()?;
    /// assert_eq!(format!("{:?}", other.local_addr()?), format!("{:?}", socket.local_addr()?));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        Ok(UdpSocket(self.0.clone()))
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(socket.take_error()?.is_none());
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// let error = socket.recv(&mut [0; 8]).unwrap_err();
    /// # use std::io::ErrorKind;
    /// assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    /// assert!(socket.set_read_timeout(Some(Duration::ZERO)).is_err());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(Direction::Read, dur)
    }

    /// Sets how long a send may wait; `None`, which is the default, is for ever. See
    /// [`set_read_timeout`](UdpSocket::set_read_timeout).
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_write_timeout(Some(Duration::from_secs(5)))?;
    /// assert_eq!(socket.write_timeout()?, Some(Duration::from_secs(5)));
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(socket.read_timeout()?, None);
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(socket.write_timeout()?, None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Direction::Write))
    }

    /// Sets `SO_BROADCAST`: whether datagrams may be sent to a broadcast address.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_broadcast(true)?;
    /// assert!(socket.broadcast()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.0.get_ref().set_broadcast(broadcast)
    }

    /// Returns whether datagrams may be sent to a broadcast address.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(!socket.broadcast()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn broadcast(&self) -> io::Result<bool> {
        self.0.get_ref().broadcast()
    }

    /// Sets `IP_MULTICAST_LOOP`: whether multicast packets come back to the local socket.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_multicast_loop_v4(false)?;
    /// assert!(!socket.multicast_loop_v4()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.0.get_ref().set_multicast_loop_v4(multicast_loop_v4)
    }

    /// Returns whether multicast packets come back to the local socket.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(socket.multicast_loop_v4()?);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.0.get_ref().multicast_loop_v4()
    }

    /// Sets `IP_MULTICAST_TTL`: the time to live of multicast packets.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_multicast_ttl_v4(42)?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 42);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.0.get_ref().set_multicast_ttl_v4(multicast_ttl_v4)
    }

    /// Returns the time to live of multicast packets.
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 1);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.0.get_ref().multicast_ttl_v4()
    }

    /// Sets `IPV6_MULTICAST_LOOP`: whether multicast packets come back to the local socket.
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
    /// use switchback::net::{Ipv6Addr, UdpSocket};
    ///
    /// let Ok(socket) = UdpSocket::bind("[::]:0") else { return Ok(()) }; // no IPv6
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # let _ = Ipv6Addr::UNSPECIFIED;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.0.get_ref().set_multicast_loop_v6(multicast_loop_v6)
    }

    /// Returns whether multicast packets come back to the local socket.
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
    /// use switchback::net::{Ipv6Addr, UdpSocket};
    ///
    /// let Ok(socket) = UdpSocket::bind("[::]:0") else { return Ok(()) }; // no IPv6
    /// assert!(socket.multicast_loop_v6()?);
    /// # let _ = Ipv6Addr::UNSPECIFIED;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.0.get_ref().multicast_loop_v6()
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_ttl(100)?;
    /// assert_eq!(socket.ttl()?, 100);
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
    /// use switchback::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(socket.ttl()? > 0);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.get_ref().ttl()
    }

    /// Joins a multicast group at the interface with this address; the unspecified address lets the
    /// system choose.
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
    /// use switchback::net::{Ipv4Addr, UdpSocket};
    ///
    /// let socket = UdpSocket::bind("0.0.0.0:0")?;
    /// let group = Ipv4Addr::new(224, 0, 0, 123);
    /// let joined = socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED);
    /// # let _ = joined; // there may be no network
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.get_ref().join_multicast_v4(multiaddr, interface)
    }

    /// Joins a multicast group at the interface with this number; 0 lets the system choose.
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
    /// use switchback::net::{Ipv6Addr, UdpSocket};
    ///
    /// let Ok(socket) = UdpSocket::bind("[::]:0") else { return Ok(()) }; // no IPv6
    /// let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x123);
    /// let joined = socket.join_multicast_v6(&group, 0);
    /// # let _ = joined; // there may be no network
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.get_ref().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves a multicast group.
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
    /// use switchback::net::{Ipv4Addr, UdpSocket};
    ///
    /// let socket = UdpSocket::bind("0.0.0.0:0")?;
    /// let group = Ipv4Addr::new(224, 0, 0, 123);
    /// assert!(socket.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED).is_err()); // not joined
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.get_ref().leave_multicast_v4(multiaddr, interface)
    }

    /// Leaves a multicast group.
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
    /// use switchback::net::{Ipv6Addr, UdpSocket};
    ///
    /// let Ok(socket) = UdpSocket::bind("[::]:0") else { return Ok(()) }; // no IPv6
    /// let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x123);
    /// assert!(socket.leave_multicast_v6(&group, 0).is_err()); // not joined
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.get_ref().leave_multicast_v6(multiaddr, interface)
    }
}
