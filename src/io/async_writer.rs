//! [`AsyncWriter`]: a synchronous encoder as `AsyncWrite`.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::task::coop;

use super::capacity::DEFAULT_CAPACITY;
use super::complete::complete;
use crate::base::lock::lock;
use crate::generator::{Generator, Requests};

/// Adapts any [`Write`] that writes into another one to tokio's [`AsyncWrite`].
///
/// It is not `Send`, as a [`bridge`](crate::bridge()) is not: it cannot be in a task that
/// `tokio::spawn` starts.
///
/// The writer runs on a stack of its own inside the polling task, as in a
/// [`bridge`](crate::bridge()). It needs no hub and no thread, and works on any executor.
/// It writes to a [`Sink`], which in turn writes to `T`.
///
/// Bytes reach the writer through a buffer of 8 KiB. A write is ready once its bytes are in
/// the buffer, and the next write is ready once the writer has taken them all, so a slow
/// `T` slows down the caller.
///
/// **Await a shutdown at the end.** It runs `finish`, which writes what the encoder holds
/// back, and then shuts down `T`. Without it the end of the data is missing, as with every
/// encoder that is dropped early.
///
/// # Cancel safety
///
/// A dropped write has written nothing. After a dropped flush or shutdown, the next call
/// continues it. Dropping the `AsyncWriter` unwinds the writer, so its destructors run;
/// their writes are refused with an error, and nothing more reaches `T`.
///
/// # Errors
///
/// An error of the writer or of `finish` is returned unchanged, with its kind and source,
/// by the call in progress or by the next one. Such an error is final, because it is not
/// known how much of the data was written: later calls return an error of the same kind
/// ([`Other`](io::ErrorKind::Other) after `Interrupted`, which would ask callers to retry).
/// Calls after a panic return an error as well. Writes after a shutdown return
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Panics
///
/// If the writer panics, the poll that runs it resumes the panic.
///
/// # Examples
///
/// ```
/// use std::io::{BufWriter, Write};
/// use switchback::io::AsyncWriter;
/// use tokio::io::AsyncWriteExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // Anything that is `AsyncWrite`: a socket, a file.
/// let target = Vec::new();
///
/// // Anything that writes into a `Write`: an encoder of a library, here std's buffer.
/// let mut writer = AsyncWriter::new(
///     target,
///     |sink| BufWriter::new(sink),
///     |mut writer| writer.flush(), // an encoder's `finish`
/// );
/// writer.write_all(b"hello").await?;
/// writer.shutdown().await?;
/// assert_eq!(writer.into_inner(), b"hello");
/// # Ok(())
/// # }
/// ```
///
/// The example `gzip` in `examples/libraries` does this with flate2.
#[doc(alias = "AllowStdIo")]
pub struct AsyncWriter<T> {
    writer: Generator<Request, Answer>,
    state: State,
    /// Present unless the writer has it.
    buffer: Option<Buffer>,
    inner: Lent<T>,
}

type Buffer = Box<[u8]>;

enum Request {
    /// Write this many bytes of the buffer.
    Write(Buffer, usize),
    Flush,
    Finish,
}

/// The outcome of a request, with the buffer if the request came with one.
type Answer = io::Result<Option<Buffer>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The writer is waiting for a request.
    Idle,
    /// The writer is handling a request of this kind.
    Writing,
    Flushing,
    Finishing,
    /// The writer has been finished; `T` has not been shut down.
    Finished,
    ShutDown,
    /// The writer has failed with an error of this kind.
    Failed(io::ErrorKind),
}

impl<T: AsyncWrite + Unpin + 'static> AsyncWriter<T> {
    /// Creates an adapter for the writer that `make` returns, over `inner`. `make` runs at
    /// the first poll, on the writer's stack, and may already write there. The shutdown
    /// runs `finish`.
    ///
    /// # Panics
    ///
    /// Panics if no stack can be allocated.
    #[track_caller]
    pub fn new<W, M, F>(inner: T, make: M, finish: F) -> AsyncWriter<T>
    where
        W: Write,
        M: FnOnce(Sink<T>) -> W + 'static,
        F: FnOnce(W) -> io::Result<()> + 'static,
    {
        AsyncWriter::with_capacity(DEFAULT_CAPACITY, inner, make, finish)
    }

    /// Like [`new`](AsyncWriter::new), with a buffer of `capacity` bytes, at least one.
    ///
    /// # Panics
    ///
    /// Panics if no stack can be allocated.
    #[track_caller]
    pub fn with_capacity<W, M, F>(capacity: usize, inner: T, make: M, finish: F) -> AsyncWriter<T>
    where
        W: Write,
        M: FnOnce(Sink<T>) -> W + 'static,
        F: FnOnce(W) -> io::Result<()> + 'static,
    {
        let inner = Lent::new(inner);
        let sink = Sink(inner.clone());
        AsyncWriter {
            writer: Generator::new(move |requests| serve(&requests, make(sink), finish)),
            state: State::Idle,
            buffer: Some(vec![0; capacity.max(1)].into()),
            inner,
        }
    }
}

/// Serves requests until the writer is finished or fails.
fn serve<W: Write>(
    requests: &Requests<Request, Answer>,
    mut writer: W,
    finish: impl FnOnce(W) -> io::Result<()>,
) {
    loop {
        let answer = match requests.next() {
            Request::Write(buffer, len) => {
                let written = writer.write_all(&buffer[..len]);
                written.map(|()| Some(buffer))
            }
            Request::Flush => flush(&mut writer).map(|()| None),
            Request::Finish => {
                let finished = finish(writer);
                return requests.answer(finished.map(|()| None));
            }
        };
        let failed = answer.is_err();
        requests.answer(answer);
        if failed {
            // The writer's destructor may wait. The answer has been delivered by then.
            return;
        }
    }
}

fn flush(writer: &mut impl Write) -> io::Result<()> {
    loop {
        match writer.flush() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl<T> AsyncWriter<T> {
    /// Returns the underlying `T`. A writer that was not shut down is dropped first, and
    /// the bytes that it held back are lost.
    ///
    /// # Panics
    ///
    /// Panics if the writer has given its [`Sink`] to another thread and that thread is
    /// writing to it at this moment.
    #[track_caller]
    pub fn into_inner(self) -> T {
        drop(self.writer);
        self.inner.take()
    }

    fn request(&mut self, request: Request) {
        self.state = match request {
            Request::Write(..) => State::Writing,
            Request::Flush => State::Flushing,
            Request::Finish => State::Finishing,
        };
        self.writer.request(request);
    }

    /// Waits until the writer has no request left. An error is returned once.
    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match self.state {
            State::Writing | State::Flushing => State::Idle,
            State::Finishing => State::Finished,
            _ => return Poll::Ready(Ok(())),
        };
        // This state stays if the poll panics.
        let before = std::mem::replace(&mut self.state, State::Failed(io::ErrorKind::Other));
        match self.writer.poll(cx) {
            Poll::Pending => {
                self.state = before;
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(buffer))) => {
                self.buffer = self.buffer.take().or(buffer);
                self.state = done;
            }
            Poll::Ready(Some(Err(e))) => {
                // Callers retry after `Interrupted`, and would do so for ever if they kept
                // getting it.
                self.state = State::Failed(match e.kind() {
                    io::ErrorKind::Interrupted => io::ErrorKind::Other,
                    kind => kind,
                });
                return Poll::Ready(Err(e));
            }
            Poll::Ready(None) => debug_assert!(false, "it ends with an answer or a panic"),
        }
        Poll::Ready(Ok(()))
    }

    /// Copies bytes from `bufs`, in turn, as many as there is room for.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_settle(cx))?;
        match self.state {
            State::Failed(kind) => return Poll::Ready(Err(failed_before(kind))),
            State::Finished | State::ShutDown => {
                let kind = io::ErrorKind::BrokenPipe;
                let why = "an `AsyncWriter` was written to after its shutdown";
                return Poll::Ready(Err(io::Error::new(kind, why)));
            }
            State::Idle | State::Writing | State::Flushing | State::Finishing => {}
        }
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let budget = ready!(coop::poll_proceed(cx));
        let Some(mut buffer) = self.buffer.take() else {
            unreachable!("the writer gives it back with its answer")
        };
        budget.made_progress();
        let mut len = 0;
        for buf in bufs {
            let amount = buf.len().min(buffer.len() - len);
            buffer[len..len + amount].copy_from_slice(&buf[..amount]);
            len += amount;
        }
        self.request(Request::Write(buffer, len));
        // Run the writer as far as it gets at once. The next call does the rest, and passes
        // its own waker, which may be a different one.
        match self.poll_settle(cx) {
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(len)),
        }
    }
}

#[cold]
fn failed_before(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "the writer of an `AsyncWriter` has failed before")
}

impl<T: AsyncWrite + Unpin> AsyncWrite for AsyncWriter<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_accept(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_accept(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let was_flushing = this.state == State::Flushing;
            ready!(this.poll_settle(cx))?;
            match this.state {
                // Nothing has been written since this flush began.
                State::Idle if was_flushing => return Poll::Ready(Ok(())),
                State::Failed(kind) => return Poll::Ready(Err(failed_before(kind))),
                State::Finished => return this.inner.poll(|inner| inner.poll_flush(cx)),
                State::ShutDown => return Poll::Ready(Ok(())),
                _ => this.request(Request::Flush),
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_settle(cx))?;
            match this.state {
                State::Finished => {
                    ready!(this.inner.poll(|inner| inner.poll_shutdown(cx)))?;
                    this.state = State::ShutDown;
                }
                State::ShutDown => return Poll::Ready(Ok(())),
                State::Failed(kind) => return Poll::Ready(Err(failed_before(kind))),
                _ => this.request(Request::Finish),
            }
        }
    }
}

impl<T> fmt::Debug for AsyncWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWriter")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The target of the writer in an [`AsyncWriter`]: a [`Write`] that writes to `T`, and
/// waits while `T` is not ready.
///
/// # Errors
///
/// The errors are those of `T`. While the writer unwinds, a call returns an error as
/// described for [`Blocking`](super::Blocking#errors).
pub struct Sink<T>(Lent<T>);

impl<T: AsyncWrite + Unpin> Write for Sink<T> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let write = poll_fn(|cx| self.0.poll(|inner| inner.poll_write(cx, buf)));
        complete("`Sink::write`", None, write)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let write = poll_fn(|cx| self.0.poll(|inner| inner.poll_write_vectored(cx, bufs)));
        complete("`Sink::write_vectored`", None, write)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        let flush = poll_fn(|cx| self.0.poll(|inner| inner.poll_flush(cx)));
        complete("`Sink::flush`", None, flush)
    }
}

impl<T> fmt::Debug for Sink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// A value that an [`AsyncWriter`] and its [`Sink`] poll in turn. A poll takes the value
/// out of the lock and puts it back afterwards.
struct Lent<T>(Arc<Mutex<Option<Box<T>>>>);

impl<T> Lent<T> {
    fn new(inner: T) -> Lent<T> {
        Lent(Arc::new(Mutex::new(Some(Box::new(inner)))))
    }

    fn clone(&self) -> Lent<T> {
        Lent(self.0.clone())
    }

    fn poll<R>(&self, poll: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<R>>) -> Poll<io::Result<R>>
    where
        T: Unpin,
    {
        let mut borrowed = Borrowed {
            inner: lock(&*self.0).take(),
            lent: self,
        };
        match &mut borrowed.inner {
            Some(inner) => poll(Pin::new(inner)),
            None => Poll::Ready(Err(io::Error::other(
                "what an `AsyncWriter` writes to was taken back, or another thread is using it",
            ))),
        }
    }

    #[track_caller]
    fn take(self) -> T {
        match lock(&*self.0).take() {
            Some(inner) => *inner,
            None => panic!("the sink of an `AsyncWriter` is being used by another thread"),
        }
    }
}

/// Puts the value back when dropped, also on unwind.
struct Borrowed<'a, T> {
    inner: Option<Box<T>>,
    lent: &'a Lent<T>,
}

impl<T> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            *lock(&*self.lent.0) = Some(inner);
        }
    }
}
