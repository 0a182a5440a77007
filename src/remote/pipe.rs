//! [`pipe`]: carries bytes or items between a fiber of a pool and the task that uses it.
//!
//! The two ends share a buffer behind a lock. The end that takes takes everything at once,
//! by giving an empty buffer for the full one, so the lock is held for a copy at most. No
//! foreign code runs under it.
//!
//! The pipe has no mark for a clean end. What the fiber returns is that mark: the task asks
//! for it when the buffer is empty, and a fiber that panics, is cancelled or is lost can
//! never look like one that has come to its end.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::base::contain;
use crate::base::lock::{Mutex, lock};
use crate::cancel::Redeliver;

/// How many bytes each end of a byte pipe may hold: 32 KiB, so 64 KiB in all.
const CAPACITY: usize = 32 * 1024;

/// What the pipe has room for.
pub(super) trait Buffer: Default {
    fn is_empty(&self) -> bool;
}

impl Buffer for Vec<u8> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Buffer for VecDeque<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Creates the two ends of a pipe: the task's and the fiber's.
pub(super) fn pipe<B: Buffer>() -> (End<B>, End<B>) {
    let pipe = Arc::new(Pipe(Mutex::new(Inner {
        shared: Shared::default(),
        wakers: [None, None],
    })));
    let end = |side| End {
        pipe: Arc::clone(&pipe),
        side,
    };
    (end(0), end(1))
}

/// What the two ends share.
#[derive(Default)]
pub(super) struct Shared<B> {
    /// What was put in and not taken out.
    pub(super) buffer: B,
    /// Whether one of the ends was dropped.
    pub(super) is_broken: bool,
    /// How many flushes the task has asked for, and how many the fiber has done.
    pub(super) flushes: u64,
    pub(super) flushed: u64,
    /// Whether the task has put in everything.
    pub(super) is_finished: bool,
}

struct Pipe<B>(Mutex<Inner<B>>);

struct Inner<B> {
    shared: Shared<B>,
    /// The wakers of the ends that wait, by side.
    wakers: [Option<Waker>; 2],
}

/// One end of a pipe. The other end notices when it is dropped.
pub(super) struct End<B: Buffer> {
    pipe: Arc<Pipe<B>>,
    side: usize,
}

impl<B: Buffer> End<B> {
    /// Does what `attempt` does, and wakes the other end if that changed something. Returns
    /// `None` if `attempt` does, which then must have changed nothing.
    pub(super) fn attempt<R>(
        &self,
        attempt: impl FnOnce(&mut Shared<B>) -> Option<R>,
    ) -> Option<R> {
        let (done, other) = {
            let mut inner = lock(&self.pipe.0);
            let done = attempt(&mut inner.shared)?;
            (done, inner.wakers[1 - self.side].take())
        };
        other.into_iter().for_each(contain::wake);
        Some(done)
    }

    /// Like [`attempt`](End::attempt), again whenever the other end has changed something,
    /// until it succeeds.
    pub(super) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Shared<B>) -> Option<R>,
    ) -> Poll<R> {
        if let Some(done) = self.attempt(&mut attempt) {
            return Poll::Ready(done);
        }
        let waker = contain::clone_waker(cx.waker());
        let old = lock(&self.pipe.0).wakers[self.side].replace(waker);
        contain::drop_waker(old);
        // The other end may have changed something before it could see the waker.
        match self.attempt(attempt) {
            Some(done) => Poll::Ready(done),
            None => Poll::Pending,
        }
    }
}

impl<B: Buffer> End<B> {
    /// Takes everything out of the pipe, in exchange for `empty`.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>, empty: &mut B) -> Poll<()> {
        self.poll(cx, |pipe| {
            (!pipe.buffer.is_empty()).then(|| mem::swap(&mut pipe.buffer, empty))
        })
    }
}

impl End<Vec<u8>> {
    /// Copies bytes into the pipe, as many as there is room for.
    ///
    /// # Errors
    ///
    /// Returns an error if the other end is gone.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |pipe| {
            if pipe.is_broken {
                return Some(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let room = CAPACITY.saturating_sub(pipe.buffer.len());
            let amount = bytes.len().min(room);
            pipe.buffer.extend_from_slice(&bytes[..amount]);
            (amount > 0).then_some(Ok(amount))
        })
    }
}

impl<B: Buffer> Drop for End<B> {
    fn drop(&mut self) {
        let (own, left) = {
            let mut inner = lock(&self.pipe.0);
            let is_task = self.side == 0;
            // Nothing is put in after this.
            inner.shared.is_broken = true;
            // What the task has not taken yet must outlive the fiber.
            let left = is_task.then(|| mem::take(&mut inner.shared.buffer));
            (inner.wakers[self.side].take(), left)
        };
        contain::drop_waker(own);
        // The other end is woken.
        self.attempt(|_| Some(()));
        Redeliver::default().run("the drop of an item in a stream of a pool", || drop(left));
    }
}

impl<B: Buffer> fmt::Debug for End<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").field("side", &self.side).finish()
    }
}
