//! Unix sockets in the shape of [`std::os::unix::net`], which block the fiber.
//!
//! `use switchback::net::unix::UnixStream` takes the place of `use std::os::unix::net::UnixStream`.
//! The [table of `net`](super#compared-with-std) has these types too.

#[doc(no_inline)]
pub use std::os::unix::net::*;

mod address;
mod datagram;
mod listener;
mod stream;

pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use stream::UnixStream;
