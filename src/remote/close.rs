//! The futures that wait until the threads of hubs have ended.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::panicking;
use std::time::Duration;

use pin_project_lite::pin_project;

use super::exit::{ExitWaiter, Way};
use super::worker::Worker;
use crate::base::{Timeout, deadline_after};
use crate::handles::CloseTimeout;

/// The future that [`HubThread::close`](crate::HubThread::close) and
/// [`HubPool::close`](crate::HubPool::close) return.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct CloseThreads {
    workers: Vec<Arc<Worker>>,
    began: bool,
    /// The number of workers that have left their hubs.
    left: usize,
    waiter: Option<ExitWaiter>,
}

impl CloseThreads {
    #[track_caller]
    pub(super) fn new(workers: Vec<Arc<Worker>>) -> CloseThreads {
        refuse_own(&workers);
        CloseThreads {
            workers,
            began: false,
            left: 0,
            waiter: None,
        }
    }
}

/// Panics if the caller would wait for itself.
#[track_caller]
fn refuse_own(workers: &[Arc<Worker>]) {
    // While the thread is panicking, a second panic would abort the process.
    if panicking() {
        return;
    }
    let mut hubs = workers.iter().map(|worker| &worker.hub);
    assert!(
        !hubs.clone().any(|hub| hub.runs_this_fiber()),
        "a fiber cannot wait for the end of its own hub's thread: it would wait for itself; \
         close it from outside, or begin the close by dropping the `HubThread` or `HubPool`",
    );
    assert!(
        !hubs.any(|hub| hub.runs_this_job()),
        "a blocking job cannot wait for the end of the hub's thread that waits for its end; \
         close it from outside, or begin the close by dropping the `HubThread` or `HubPool`",
    );
}

impl Future for CloseThreads {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.began {
            refuse_own(&this.workers);
            this.began = true;
            // All hubs close at the same time.
            for worker in &this.workers {
                worker.hub.start_close();
            }
        }
        while let Some(worker) = this.workers.get(this.left) {
            let waiter = this
                .waiter
                .get_or_insert_with(|| ExitWaiter::new(&worker.exit));
            if ready!(waiter.poll(cx)) == Way::Over {
                worker.join();
            }
            this.waiter = None;
            this.left += 1;
        }
        let mut panics = this.workers.iter().filter_map(|w| w.exit.take_panic());
        match panics.next() {
            Some(payload) => resume_unwind(payload),
            None => Poll::Ready(()),
        }
    }
}

pin_project! {
    /// The future that [`HubThread::close_within`](crate::HubThread::close_within) and
    /// [`HubPool::close_within`](crate::HubPool::close_within) return.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
    pub struct CloseThreadsWithin {
        workers: Vec<Arc<Worker>>,
        duration: Duration,
        #[pin]
        close: Timeout<CloseThreads>,
    }
}

impl CloseThreadsWithin {
    #[track_caller]
    pub(super) fn new(workers: Vec<Arc<Worker>>, duration: Duration) -> CloseThreadsWithin {
        CloseThreadsWithin {
            workers: workers.clone(),
            duration,
            close: Timeout::new(CloseThreads::new(workers), deadline_after(duration)),
        }
    }
}

impl Future for CloseThreadsWithin {
    type Output = Result<(), CloseTimeout>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let closed = ready!(this.close.poll(cx));
        Poll::Ready(closed.map_err(|_| {
            let mut timeout = CloseTimeout::new(*this.duration);
            for worker in &*this.workers {
                if worker.exit.way().is_none() {
                    timeout.add(worker.name(), worker.hub.closing_names());
                }
            }
            timeout
        }))
    }
}
