//! Streams and sinks in blocking-style code, and iterators that wait as streams.
//!
//! | you have | you need | use |
//! |---|---|---|
//! | a [`Stream`] | an [`Iterator`] | [`wait_iter`](WaitStream::wait_iter) |
//! | a [`Sink`] | calls that wait | [`wait_send`](WaitSink::wait_send) |
//! | an [`Iterator`] that waits | a [`Stream`] | [`from_iter()`] |
//!
//! [`Stream`]: futures::stream::Stream
//! [`Sink`]: futures::sink::Sink
#![forbid(unsafe_code)]

mod from_iter;
mod wait_iter;
mod wait_sink;

pub use from_iter::{FromIter, from_iter};
pub use wait_iter::{WaitIter, WaitStream};
pub use wait_sink::WaitSink;
