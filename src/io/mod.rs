//! std's `Read` and `Write` over async I/O, and the other way round.
//!
//! | there is | and what is needed | use |
//! |---|---|---|
//! | a stream of tokio's traits | std's `Read`, `Write`, `BufRead`, `Seek`, for a synchronous library | [`Blocking`] |
//! | a decoder that is `Read` over a `Read` | `AsyncRead` | [`AsyncReader`] |
//! | an encoder that is `Write` over a `Write` | `AsyncWrite` | [`AsyncWriter`] |
//!
//! # Before you use it
//!
//! * What only computes needs none of this: to hash or to parse what fits into
//!   memory, read it with `.await` or `.wait()` and call the library on a slice.
//! * Where an async library does the same work as well, use that.
//! * A library that opens its own sockets or files blocks the thread whatever it is
//!   given here. It belongs on a thread: [`blocking`](crate::blocking).
//! * What an encoder holds back comes out only when it is finished: call `shutdown`
//!   on an [`AsyncWriter`], and `flush` on what buffers over a [`Blocking`]. A
//!   destructor cannot do it for you, since it may run while the fiber unwinds.
#![forbid(unsafe_code)]

mod async_reader;
mod async_writer;
mod blocking;
mod capacity;
mod shared;

pub use async_reader::AsyncReader;
pub use async_writer::{AsyncWriter, Sink};
pub use blocking::Blocking;
pub use shared::{SharedRead, SharedWrite};
