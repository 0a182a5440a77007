//! [`PoolReader`]: what a fiber of a pool reads or writes, as `AsyncRead`.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::task::coop;

use super::members::Members;
use super::outcome::Outcome;
use super::outlet::{Out, Outlet};
use super::output::Output;
use super::pipe::End;
use crate::wait::Wait as _;

/// How many bytes a fiber reads at a time.
const CHUNK: usize = 16 * 1024;

/// The stream that [`HubPool::reader`](crate::HubPool::reader) and
/// [`HubPool::output`](crate::HubPool::output) return.
#[must_use = "streams do nothing unless they are read"]
pub struct PoolReader {
    outlet: Outlet<Vec<u8>, io::Result<()>>,
    /// What was taken out of the pipe, and how much of it was consumed.
    taken: Vec<u8>,
    consumed: usize,
    outcome: Option<Outcome>,
}

impl PoolReader {
    #[track_caller]
    pub(super) fn new<R, F>(members: Arc<Members>, make: F) -> PoolReader
    where
        R: Read,
        F: FnOnce() -> R + Send + 'static,
    {
        PoolReader::of(members, move |end| run(make, end))
    }

    #[track_caller]
    pub(super) fn of_output<F>(members: Arc<Members>, write: F) -> PoolReader
    where
        F: FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    {
        PoolReader::of(members, move |end| Output::run(end, write))
    }

    /// Creates the stream of a fiber that fills the pipe.
    #[track_caller]
    fn of<F>(members: Arc<Members>, fill: F) -> PoolReader
    where
        F: FnOnce(&End<Vec<u8>>) -> io::Result<()> + Send + 'static,
    {
        PoolReader {
            outlet: Outlet::new(members, fill),
            taken: Vec::new(),
            consumed: 0,
            outcome: None,
        }
    }

    /// Takes bytes out of the pipe. If there are none after it, the stream is at its end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(outcome) = self.outcome {
            return Poll::Ready(outcome.again());
        }
        self.taken.clear();
        self.consumed = 0;
        match ready!(self.outlet.poll(cx, &mut self.taken)) {
            Out::Taken => Poll::Ready(Ok(())),
            Out::Returned(returned) => {
                let (outcome, result) = Outcome::of(returned);
                self.outcome = Some(outcome);
                Poll::Ready(result)
            }
        }
    }
}

/// The fiber: reads until the end, and waits while the pipe is full.
fn run<R: Read>(make: impl FnOnce() -> R, end: &End<Vec<u8>>) -> io::Result<()> {
    let mut reader = make();
    let mut chunk = vec![0; CHUNK];
    loop {
        let amount = match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(amount) => amount,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let Some(mut rest) = chunk.get(..amount) else {
            return Err(io::Error::other(
                "the reader of a `PoolReader` says that it has read more than there was room for",
            ));
        };
        while !rest.is_empty() {
            let write = coop::cooperative(poll_fn(|cx| end.poll_write(cx, rest)));
            rest = &rest[write.wait()?..];
        }
    }
}

impl AsyncBufRead for PoolReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.consumed == this.taken.len() {
            // A fiber that is always ahead must still spend the task's budget.
            let budget = ready!(coop::poll_proceed(cx));
            let filled = ready!(this.poll_fill(cx));
            budget.made_progress();
            filled?;
        }
        Poll::Ready(Ok(&this.taken[this.consumed..]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.consumed = self.taken.len().min(self.consumed.saturating_add(amount));
    }
}

impl AsyncRead for PoolReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let filled = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = filled.len().min(buf.remaining());
        buf.put_slice(&filled[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for PoolReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolReader")
            .field("fiber", &self.outlet)
            .field("is_over", &self.outcome.is_some())
            .finish_non_exhaustive()
    }
}
