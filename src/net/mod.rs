//! Sockets in the shape of [`std::net`], which block the fiber instead of its thread.
//!
//! `use switchback::net::{TcpListener, TcpStream}` takes the place of `use std::net::...`, and the
//! code that uses them stays as it is. In a fiber, a call that has to wait suspends the fiber; on a
//! plain thread it blocks the thread; in async code, where tokio's sockets belong, it panics.
//!
//! # Sharing
//!
//! A socket can be used from everywhere at once: by fibers of several hubs and by plain threads.
//! Each runtime that has to wait for it registers it for itself, so it also outlives the runtime
//! that it was made in. On plain threads, a helper runtime waits.
//!
//! A socket is one of std's, in non-blocking mode, and a call is one system call of std's whenever it
//! need not wait.
//!
//! # Examples
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use switchback::net::{TcpListener, TcpStream}; // once: use std::net::...
//! use switchback::spawn;
//!
//! /// This function was written for threads.
//! fn shout(stream: TcpStream) -> std::io::Result<()> {
//!     for line in BufReader::new(stream.try_clone()?).lines() {
//!         writeln!(&stream, "{}", line?.to_uppercase())?;
//!     }
//!     Ok(())
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! # switchback::run(|| {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! spawn(move || shout(listener.accept()?.0));
//!
//! let mut client = TcpStream::connect(address)?;
//! writeln!(client, "hello")?;
//! let mut answer = String::new();
//! BufReader::new(client).read_line(&mut answer)?;
//! assert_eq!(answer, "HELLO\n");
//! # Ok(())
//! # })?
//! # }
//! ```
//!
//! # Compared with std
//!
//! What is not listed here is std's own, re-exported: `IpAddr`, `SocketAddr`, `Shutdown` and so on.
//!
//! | std | here |
//! |---|---|
//! | `ToSocketAddrs`, `ToSocketAddrs::Iter`, `ToSocketAddrs::to_socket_addrs` | different: a trait of its own, for the same types, because a lookup of std's blocks the thread. The iterator over a text is another type |
//! | `TcpStream`, `TcpListener`, `UdpSocket`, `UnixStream`, `UnixListener`, `UnixDatagram` | different: non-blocking for the system |
//! | `TcpStream::connect`, `TcpStream::connect_timeout`, `UnixStream::connect`, `UnixStream::connect_addr` | same |
//! | `TcpListener::bind`, `UdpSocket::bind`, `UnixListener::bind`, `UnixListener::bind_addr`, `UnixDatagram::bind`, `UnixDatagram::bind_addr`, `UnixDatagram::unbound` | same |
//! | `TcpListener::accept`, `UnixListener::accept` | same |
//! | `TcpListener::incoming`, `UnixListener::incoming`, `Incoming`, `IntoIterator for &UnixListener` | same |
//! | `Read`, `Write` of `TcpStream`, `&TcpStream`, `UnixStream`, `&UnixStream` | same |
//! | `TcpStream::peek`, `UdpSocket::peek`, `UdpSocket::peek_from` | same |
//! | `UdpSocket::recv`, `UdpSocket::recv_from`, `UdpSocket::send`, `UdpSocket::send_to`, `UdpSocket::connect` | same |
//! | `UnixDatagram::recv`, `UnixDatagram::recv_from`, `UnixDatagram::send`, `UnixDatagram::send_to`, `UnixDatagram::send_to_addr`, `UnixDatagram::connect`, `UnixDatagram::connect_addr` | same |
//! | `UnixStream::pair`, `UnixDatagram::pair` | same |
//! | `local_addr`, `peer_addr`, `shutdown`, `take_error` of each type that has them: `TcpStream::local_addr`, `TcpStream::peer_addr`, `TcpStream::shutdown`, `TcpStream::take_error`, `TcpListener::local_addr`, `TcpListener::take_error`, `UdpSocket::local_addr`, `UdpSocket::peer_addr`, `UdpSocket::take_error`, `UnixStream::local_addr`, `UnixStream::peer_addr`, `UnixStream::shutdown`, `UnixStream::take_error`, `UnixListener::local_addr`, `UnixListener::take_error`, `UnixDatagram::local_addr`, `UnixDatagram::peer_addr`, `UnixDatagram::shutdown`, `UnixDatagram::take_error` | same |
//! | `TcpStream::set_nodelay`, `TcpStream::nodelay`, `TcpStream::set_ttl`, `TcpStream::ttl`, `TcpListener::set_ttl`, `TcpListener::ttl`, `UdpSocket::set_ttl`, `UdpSocket::ttl` | same |
//! | `UdpSocket::set_broadcast`, `UdpSocket::broadcast`, `UdpSocket::set_multicast_loop_v4`, `UdpSocket::multicast_loop_v4`, `UdpSocket::set_multicast_loop_v6`, `UdpSocket::multicast_loop_v6`, `UdpSocket::set_multicast_ttl_v4`, `UdpSocket::multicast_ttl_v4`, `UdpSocket::join_multicast_v4`, `UdpSocket::join_multicast_v6`, `UdpSocket::leave_multicast_v4`, `UdpSocket::leave_multicast_v6` | same |
//! | `TcpStream::try_clone`, `TcpListener::try_clone`, `UdpSocket::try_clone`, `UnixStream::try_clone`, `UnixListener::try_clone`, `UnixDatagram::try_clone` | different: never fails, makes no descriptor. Timeouts and the non-blocking mode are shared, as std's are |
//! | `TcpStream::set_read_timeout`, `TcpStream::read_timeout`, `TcpStream::set_write_timeout`, `TcpStream::write_timeout`, `UdpSocket::set_read_timeout`, `UdpSocket::read_timeout`, `UdpSocket::set_write_timeout`, `UdpSocket::write_timeout`, `UnixStream::set_read_timeout`, `UnixStream::read_timeout`, `UnixStream::set_write_timeout`, `UnixStream::write_timeout`, `UnixDatagram::set_read_timeout`, `UnixDatagram::read_timeout`, `UnixDatagram::set_write_timeout`, `UnixDatagram::write_timeout` | different: kept here and not by the system, at a resolution of 1 ms; the errors are those of std |
//! | `TcpStream::set_nonblocking`, `TcpListener::set_nonblocking`, `UdpSocket::set_nonblocking`, `UnixStream::set_nonblocking`, `UnixListener::set_nonblocking`, `UnixDatagram::set_nonblocking` | different: the system's mode is always non-blocking, and descriptors that others have of the socket show that |
//! | `AsFd`, `AsRawFd`, `From<OwnedFd>`; on Windows `AsSocket`, `AsRawSocket`, `From<OwnedSocket>` | same |
//! | `From` of each type for `OwnedFd` or `OwnedSocket` | different: `TryFrom`, because it fails while there are clones |
//! | `IntoRawFd`, `IntoRawSocket` | absent: it could not fail; use `TryFrom` |
//! | `FromRawFd`, `FromRawSocket` | absent: unsafe; use `From<OwnedFd>` |
//! | `TcpListener::only_v6`, `TcpListener::set_only_v6` | absent: deprecated |
//! | `TcpStreamExt` | absent: newer than the oldest Rust that this crate supports |
//! | not in std: `From` of std's types, `TryFrom` into them, and both ways `TryFrom` of tokio's | |
#![forbid(unsafe_code)]

#[doc(no_inline)]
pub use std::net::*;

mod addresses;
#[cfg(unix)]
mod backoff;
mod convert;
mod direction;
mod socket;
mod tcp_listener;
mod tcp_stream;
mod udp_socket;
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub mod unix;
#[cfg_attr(windows, path = "watch_windows.rs")]
mod watch;
mod watches;

pub use addresses::ToSocketAddrs;
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;
#[cfg(unix)]
#[doc(no_inline)]
pub use unix::{UnixDatagram, UnixListener, UnixStream};
