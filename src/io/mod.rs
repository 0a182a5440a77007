//! Adapters between std's `Read` and `Write` and tokio's async I/O.
//!
//! | you have | you need | use |
//! |---|---|---|
//! | a stream with tokio's traits | std's `Read`, `Write`, `BufRead`, `Seek`, for a synchronous library | [`Blocking`] |
//! | a decoder that is `Read` over a `Read` | `AsyncRead` | [`AsyncReader`] |
//! | an encoder that is `Write` over a `Write` | `AsyncWrite` | [`AsyncWriter`] |
//! | a library with a descriptor of its own that does not block | calls that wait | `until_ready`, on unix systems |
//!
//! An [`AsyncReader`] or [`AsyncWriter`] runs in the task that polls it, and is not `Send`. For the
//! body of a request or a response on a multi-thread runtime, use
//! [`HubPool::reader`](crate::HubPool::reader) and [`HubPool::writer`](crate::HubPool::writer).
//!
//! # What others' types need
//!
//! Glue that other crates have already makes most streams ones with tokio's traits, for a
//! [`Blocking`]:
//!
//! | you have | it goes into a `Blocking` as |
//! |---|---|
//! | a `Stream` of `Bytes`, such as a body | `tokio_util::io::StreamReader::new(Box::pin(stream))` |
//! | a stream with the traits of `futures` | `stream.compat()`, with tokio-util's `FuturesAsyncReadCompatExt` |
//! | a connection of hyper, such as an `Upgraded` | `hyper_util::rt::TokioIo::new(connection)` |
//! | a socket of std | `tokio::net::TcpStream::from_std(socket)`, after `set_nonblocking(true)` |
//! | the pipes of a child process | those of `tokio::process` |
//! | standard input | `tokio::io::stdin()`; a thread reads it, and is not interrupted |
//! | a `SyncIoBridge` in a `spawn_blocking` | what is inside of it, in a fiber |
//!
//! A library that reads or writes byte by byte needs a std `BufReader` or `BufWriter` around the
//! `Blocking`, as around a socket. Code that clones its socket takes a
//! [`net::TcpStream`](crate::net::TcpStream) instead, which is made from tokio's by `try_from` and has
//! `try_clone`.
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
//!
//! # Compared with std
//!
//! `use switchback::io` can take the place of `use std::io`, whose items it re-exports. It differs in
//! these:
//!
//! | std | here |
//! |---|---|
//! | [`stdin`](fn@stdin), [`Stdin`], [`StdinLock`] | different: types of their own, which block the fiber. A thread reads ahead for them |
//! | [`Stdin::lock`], [`Stdin::read_line`], [`Stdin::lines`], `Read` of `Stdin`, `&Stdin`, `Read`, `BufRead` of `StdinLock` | same |
//! | `IsTerminal` of `Stdin` | same, as a method of the type: [`Stdin::is_terminal`] |
//! | `AsFd`, `AsRawFd` of `Stdin` | same |
//! | `read_to_string(stdin())` | same |
//! | `stdout`, `stderr`, `Stdout`, `StdoutLock`, `Stderr`, `StderrLock` | same: std's. A write blocks the thread while a pipe is full. Do not hold their locks across a wait |
//! | `pipe`, `PipeReader`, `PipeWriter` | same: std's, which block the thread |
//! | [`Sink`] | different: that of [`AsyncWriter`]; std's is what `sink` returns |
//! | `Read`, `Write`, `BufRead`, `Seek`, `IsTerminal`, `prelude` | same: std's |
//! | `BufReader`, `BufWriter`, `LineWriter`, `IntoInnerError`, `WriterPanicked`, `Bytes`, `Chain`, `Take`, `Lines`, `Split`, `Cursor`, `SeekFrom`, `IoSlice`, `IoSliceMut` | same: std's |
//! | `copy`, `read_to_string`, `empty`, `Empty`, `repeat`, `Repeat`, `sink` | same: std's |
//! | `Error`, `ErrorKind`, `Result` | same: std's |
//!
//! What std does not have:
//!
//! | here | |
//! |---|---|
//! | [`Blocking`], [`Blocking::new`], [`Blocking::get_ref`], [`Blocking::get_mut`], [`Blocking::into_inner`], [`Blocking::into_split`] | std's traits over tokio's |
//! | [`Blocking::set_read_timeout`], [`Blocking::set_write_timeout`], [`Blocking::read_timeout`], [`Blocking::write_timeout`], [`Blocking::shutdown`], [`Blocking::shutdown_write`] | as the sockets of std, but an expired timeout is `TimedOut` on every platform |
//! | [`SharedRead`], [`SharedWrite`] | tokio's sockets and pipes, which a `Blocking` uses through a shared reference |
//! | [`AsyncReader`], [`AsyncReader::new`], [`AsyncReader::with_capacity`] | tokio's `AsyncRead` over a decoder of std's |
//! | [`AsyncWriter`], [`AsyncWriter::new`], [`AsyncWriter::with_capacity`], [`AsyncWriter::into_inner`] | tokio's `AsyncWrite` over an encoder of std's |
//! | `ready`, `Ready`, `until_ready`, `UntilReady` | on unix systems, waits for a descriptor |
#![forbid(unsafe_code)]

#[doc(no_inline)]
pub use std::io::*;

mod async_reader;
mod async_writer;
mod blocking;
mod capacity;
mod complete;
mod limit;
#[cfg(unix)]
mod ready;
mod runtime;
mod shared;
mod stdin;

pub(crate) use crate::wait::Call;
pub use async_reader::AsyncReader;
pub use async_writer::{AsyncWriter, Sink};
pub use blocking::Blocking;
pub(crate) use complete::{blocking_call, complete, try_now};
pub(crate) use limit::Limit;
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use ready::{Ready, UntilReady, ready, until_ready};
#[cfg(feature = "fs")]
pub(crate) use runtime::contained;
pub(crate) use runtime::{Driver, in_runtime, with_driver};
pub use shared::{SharedRead, SharedWrite};
pub use stdin::{Stdin, StdinLock, stdin};
