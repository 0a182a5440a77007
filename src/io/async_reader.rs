//! [`AsyncReader`]: a synchronous decoder as `AsyncRead`.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::task::coop;

use super::capacity::DEFAULT_CAPACITY;
use crate::generator::{Generator, Requests};

/// Adapts any [`Read`] that may wait to tokio's [`AsyncRead`] and [`AsyncBufRead`].
///
/// It is not `Send`, as a [`bridge`](crate::bridge()) is not: it cannot be in a task that
/// `tokio::spawn` starts.
///
/// The reader runs on a stack of its own inside the polling task, as in a
/// [`bridge`](crate::bridge()). It needs no hub and no thread, and works on any executor.
/// It reads from its source through a [`Blocking`](super::Blocking).
///
/// The reader runs only when it is polled and the buffer in between, of 8 KiB, is empty, so
/// it is never further ahead than that. Each poll for more data calls `read` once. Its
/// results are passed on unchanged: errors with their kind and source, and the end of the
/// data; a poll after an error, or after the end, calls `read` again. The one exception is
/// `Interrupted`: the `read` is retried, as std does.
///
/// # Cancel safety
///
/// Dropping a read loses nothing. Dropping the `AsyncReader` unwinds the reader from its
/// current wait, so its destructors run.
///
/// # Panics
///
/// If the reader panics, the poll that runs it resumes the panic. Later polls return an
/// error.
///
/// # Examples
///
/// ```
/// use std::io::{self, Read};
/// use switchback::io::{AsyncReader, Blocking};
/// use tokio::io::AsyncReadExt;
///
/// /// A synchronous decoder. Those of libraries are used in the same way.
/// struct Rot13<R>(R);
///
/// impl<R: Read> Read for Rot13<R> {
///     fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
///         let n = self.0.read(buf)?;
///         for byte in buf[..n].iter_mut().filter(|byte| byte.is_ascii_lowercase()) {
///             *byte = b'a' + (*byte - b'a' + 13) % 26;
///         }
///         Ok(n)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> io::Result<()> {
/// // Anything that is `AsyncRead`: a socket, a file, the body of a request.
/// let source: &[u8] = b"uryyb";
///
/// let mut decoded = AsyncReader::new(move || Rot13(Blocking::new(source)));
/// let mut text = String::new();
/// decoded.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # Ok(())
/// # }
/// ```
///
/// The example `gzip` in `examples/libraries` does this with flate2.
#[doc(alias = "AllowStdIo")]
pub struct AsyncReader {
    reader: Generator<Buffer, (Buffer, io::Result<usize>)>,
    /// Present unless the reader has it.
    buffer: Option<Buffer>,
    /// The part of the buffer that has been read and not yet consumed.
    filled: Range<usize>,
}

type Buffer = Box<[u8]>;

impl AsyncReader {
    /// Creates an adapter for the reader that `make` returns. `make` runs at the first
    /// poll, on the reader's stack, and may already read there.
    ///
    /// # Panics
    ///
    /// Panics if no stack can be allocated.
    #[track_caller]
    pub fn new<R, F>(make: F) -> AsyncReader
    where
        R: Read,
        F: FnOnce() -> R + 'static,
    {
        AsyncReader::with_capacity(DEFAULT_CAPACITY, make)
    }

    /// Like [`new`](AsyncReader::new), with a buffer of `capacity` bytes, at least one.
    ///
    /// # Panics
    ///
    /// Panics if no stack can be allocated.
    #[track_caller]
    pub fn with_capacity<R, F>(capacity: usize, make: F) -> AsyncReader
    where
        R: Read,
        F: FnOnce() -> R + 'static,
    {
        let body = move |requests: Requests<Buffer, _>| {
            let mut reader = make();
            loop {
                let mut buffer = requests.next();
                let result = read(&mut reader, &mut buffer);
                requests.answer((buffer, result));
            }
        };
        AsyncReader {
            reader: Generator::new(body),
            buffer: Some(vec![0; capacity.max(1)].into()),
            filled: 0..0,
        }
    }
}

fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl AsyncReader {
    /// Runs the reader if the buffer is empty.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.filled.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(buffer) = self.buffer.take() {
            self.reader.request(buffer);
        }
        let Some((buffer, result)) = ready!(self.reader.poll(cx)) else {
            return Poll::Ready(Err(io::Error::other(
                "the reader of an `AsyncReader` has panicked",
            )));
        };
        let room = buffer.len();
        self.buffer = Some(buffer);
        let amount = result?;
        if amount > room {
            return Poll::Ready(Err(io::Error::other(
                "the reader of an `AsyncReader` says that it has read more than there was room for",
            )));
        }
        self.filled = 0..amount;
        Poll::Ready(Ok(()))
    }

    fn filled(&self) -> &[u8] {
        match &self.buffer {
            Some(buffer) => &buffer[self.filled.clone()],
            None => &[],
        }
    }
}

impl AsyncBufRead for AsyncReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.filled.is_empty() {
            // A reader that never waits must still spend the task's budget.
            let budget = ready!(coop::poll_proceed(cx));
            let filled = ready!(this.poll_fill(cx));
            budget.made_progress();
            filled?;
        }
        Poll::Ready(Ok(this.filled()))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let filled = &mut self.filled;
        filled.start = filled.end.min(filled.start.saturating_add(amount));
    }
}

impl AsyncRead for AsyncReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let budget = ready!(coop::poll_proceed(cx));
        let filled = ready!(this.poll_fill(cx));
        budget.made_progress();
        filled?;
        let filled = this.filled();
        let amount = filled.len().min(buf.remaining());
        buf.put_slice(&filled[..amount]);
        Pin::new(this).consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for AsyncReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncReader")
            .field("buffered", &self.filled().len())
            .finish_non_exhaustive()
    }
}
