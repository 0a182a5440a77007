//! Adapters between std's `Read` and `Write` and tokio's async I/O.
//!
//! | you have | you need | use |
//! |---|---|---|
//! | a stream with tokio's traits | std's `Read`, `Write`, `BufRead`, `Seek`, for a synchronous library | [`Blocking`] |
//! | a decoder that is `Read` over a `Read` | `AsyncRead` | [`AsyncReader`] |
//! | an encoder that is `Write` over a `Write` | `AsyncWrite` | [`AsyncWriter`] |
//!
//! An [`AsyncReader`] or [`AsyncWriter`] runs in the task that polls it, and is not `Send`. For the
//! body of a request or a response on a multi-thread runtime, use
//! [`HubPool::reader`](crate::HubPool::reader) and [`HubPool::writer`](crate::HubPool::writer).
//!
//! # Before you use it
//!
//! * Code that only computes needs none of this. To hash or parse data that fits into
//!   memory, read it with `.await` or `.wait()` and call the library on a slice.
//! * If an async library does the same work as well, use that.
//! * A library that opens its own sockets or files blocks the thread even over these
//!   adapters. Run it on a thread with [`blocking`](crate::blocking).
//! * An encoder writes its last bytes only when it is finished. Call `shutdown` on an
//!   [`AsyncWriter`], and `flush` on any buffer over a [`Blocking`]. A destructor cannot do
//!   it for you, because it may run while the fiber unwinds.
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
