//! [`PoolIter`]: an iterator in a fiber of a pool, as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::stream::{FusedStream, Stream};
use tokio::task::coop;

use super::members::Members;
use super::outlet::{Out, Outlet};
use super::pipe::End;
use crate::handles::JoinError;
use crate::wait::Wait as _;

/// How many items each end of the pipe may hold.
const CAPACITY: usize = 8;

/// The stream that [`HubPool::iter`](crate::HubPool::iter) returns.
#[must_use = "streams do nothing unless polled"]
pub struct PoolIter<T> {
    outlet: Outlet<VecDeque<T>, ()>,
    /// What was taken out of the pipe.
    taken: VecDeque<T>,
    is_over: bool,
}

impl<T: Send + 'static> PoolIter<T> {
    #[track_caller]
    pub(super) fn new<I, F>(members: Arc<Members>, make: F) -> PoolIter<T>
    where
        I: IntoIterator<Item = T>,
        F: FnOnce() -> I + Send + 'static,
    {
        PoolIter {
            outlet: Outlet::new(members, move |end| run(make, end)),
            taken: VecDeque::new(),
            is_over: false,
        }
    }
}

/// The fiber: sends the items, and waits while the pipe is full.
fn run<I: IntoIterator>(make: impl FnOnce() -> I, end: &End<VecDeque<I::Item>>) {
    for item in make() {
        let mut item = Some(item);
        let send = poll_fn(|cx| {
            end.poll(cx, |pipe| {
                if !pipe.is_broken && pipe.buffer.len() < CAPACITY {
                    pipe.buffer.extend(item.take());
                    return Some(());
                }
                pipe.is_broken.then_some(())
            })
        });
        coop::cooperative(send).wait();
        if item.is_some() {
            // The stream is gone. This is seen only if the cancel that comes with it was caught.
            return;
        }
    }
}

impl<T> Stream for PoolIter<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        // A fiber that is always ahead must still spend the task's budget.
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            if let Some(item) = this.taken.pop_front() {
                budget.made_progress();
                return Poll::Ready(Some(Ok(item)));
            }
            if let Out::Returned(returned) = ready!(this.outlet.poll(cx, &mut this.taken)) {
                this.is_over = true;
                return Poll::Ready(returned.err().map(Err));
            }
        }
    }
}

impl<T> FusedStream for PoolIter<T> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

// Items are moved in and out.
impl<T> Unpin for PoolIter<T> {}

impl<T> fmt::Debug for PoolIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolIter")
            .field("fiber", &self.outlet)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
