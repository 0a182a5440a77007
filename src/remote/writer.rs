//! [`PoolWriter`]: a synchronous writer in a fiber of a pool, as `AsyncWrite`.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Write};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::task::coop;

use super::call::LazyCall;
use super::members::Members;
use super::outcome::Outcome;
use super::pipe::{End, pipe};
use crate::current::origin;
use crate::wait::Wait as _;

/// The sink that [`HubPool::writer`](crate::HubPool::writer) returns.
#[must_use = "it writes nothing unless it is written to and shut down"]
pub struct PoolWriter {
    // Dropped first, so that the fiber is cancelled before it sees that the pipe is broken.
    call: LazyCall<io::Result<()>>,
    end: End<Vec<u8>>,
    /// The number of the flush that is under way.
    flush: Option<u64>,
    is_finishing: bool,
    /// How the fiber has ended.
    outcome: Option<Outcome>,
}

impl PoolWriter {
    #[track_caller]
    pub(super) fn new<W, M, F>(members: Arc<Members>, make: M, finish: F) -> PoolWriter
    where
        W: Write,
        M: FnOnce() -> W + Send + 'static,
        F: FnOnce(W) -> io::Result<()> + Send + 'static,
    {
        let origin = origin();
        let (end, fibers_end) = pipe();
        PoolWriter {
            call: LazyCall::new(move || {
                members.call(origin, move || run(make, finish, &fibers_end))
            }),
            end,
            flush: None,
            is_finishing: false,
            outcome: None,
        }
    }

    /// Waits for the end of the fiber.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(outcome) = self.outcome {
            return Poll::Ready(outcome.again());
        }
        let (outcome, result) = Outcome::of(ready!(self.call.poll(cx)));
        self.outcome = Some(outcome);
        Poll::Ready(result)
    }

    /// Waits for the end of a fiber that must not end yet.
    fn poll_early_end<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let ended = ready!(self.poll_end(cx));
        Poll::Ready(Err(ended.err().unwrap_or_else(|| {
            let why = "a `PoolWriter` was written to after its shutdown";
            io::Error::new(io::ErrorKind::BrokenPipe, why)
        })))
    }
}

/// What the fiber is to do next.
enum Next {
    Write,
    Flush,
    Finish,
    /// The task is gone. This is seen only if the cancel that comes with it was caught.
    Stop,
}

/// The fiber: writes what comes through the pipe, until it is finished or fails.
fn run<W: Write>(
    make: impl FnOnce() -> W,
    finish: impl FnOnce(W) -> io::Result<()>,
    end: &End<Vec<u8>>,
) -> io::Result<()> {
    let mut writer = make();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match coop::cooperative(poll_fn(|cx| poll_next(end, cx, &mut bytes))).wait() {
            Next::Write => writer.write_all(&bytes)?,
            Next::Flush => {
                flush(&mut writer)?;
                end.attempt(|pipe| {
                    pipe.flushed += 1;
                    Some(())
                });
            }
            Next::Finish => return finish(writer),
            Next::Stop => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Takes all bytes out of the pipe and, when there are none left, what was asked for after
/// them.
fn poll_next(end: &End<Vec<u8>>, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<Next> {
    end.poll(cx, |pipe| {
        if pipe.is_broken {
            Some(Next::Stop)
        } else if !pipe.buffer.is_empty() {
            mem::swap(&mut pipe.buffer, bytes);
            Some(Next::Write)
        } else if pipe.flushed < pipe.flushes {
            Some(Next::Flush)
        } else {
            pipe.is_finished.then_some(Next::Finish)
        }
    })
}

fn flush(writer: &mut impl Write) -> io::Result<()> {
    loop {
        match writer.flush() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl AsyncWrite for PoolWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outcome.is_some() || this.is_finishing {
            return this.poll_early_end(cx);
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.flush = None;
        let budget = ready!(coop::poll_proceed(cx));
        this.call.begin();
        let written = match this.end.poll_write(cx, bytes) {
            Poll::Ready(Ok(amount)) => Poll::Ready(Ok(amount)),
            // The fiber is ending, or may end while the pipe is full.
            Poll::Ready(Err(_)) | Poll::Pending => this.poll_early_end(cx),
        };
        if written.is_ready() {
            budget.made_progress();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.outcome.is_some() || this.is_finishing {
            return this.poll_end(cx);
        }
        this.call.begin();
        let number = *this.flush.get_or_insert_with(|| {
            let ask = this.end.attempt(|pipe| {
                pipe.flushes += 1;
                Some(pipe.flushes)
            });
            ask.unwrap_or_default()
        });
        let flushed = this
            .end
            .poll(cx, |pipe| (pipe.flushed >= number).then_some(()));
        if flushed.is_pending() {
            return this.poll_early_end(cx);
        }
        this.flush = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.call.begin();
        if !this.is_finishing {
            this.is_finishing = true;
            this.end.attempt(|pipe| {
                pipe.is_finished = true;
                Some(())
            });
        }
        this.poll_end(cx)
    }
}

impl fmt::Debug for PoolWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolWriter")
            .field("fiber", &self.call)
            .finish_non_exhaustive()
    }
}
