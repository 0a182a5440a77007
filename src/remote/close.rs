//! The futures that wait until the threads of hubs have ended.

use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::panicking;
use std::time::Duration;

use pin_project_lite::pin_project;

use super::exit::{ExitWaiter, Way};
use super::members::Members;
use super::worker::Worker;
use crate::base::{Timeout, deadline_after};
use crate::handles::CloseTimeout;

/// The future that [`HubThread::close`](crate::HubThread::close) and
/// [`HubPool::close`](crate::HubPool::close) return.
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct CloseThreads {
    target: Target,
    began: bool,
    /// The number of workers that have left their hubs.
    left: usize,
    waiter: Option<ExitWaiter>,
}

/// What is closed.
#[derive(Clone)]
pub(super) enum Target {
    Thread(Arc<Worker>),
    Pool(Arc<Members>),
}

impl Target {
    fn workers(&self) -> &[Arc<Worker>] {
        match self {
            Target::Thread(worker) => slice::from_ref(worker),
            Target::Pool(members) => &members.workers,
        }
    }

    fn start_close(&self) {
        match self {
            Target::Thread(worker) => worker.hub.start_close(),
            Target::Pool(members) => members.start_close(),
        }
    }
}

impl CloseThreads {
    #[track_caller]
    pub(super) fn new(target: Target) -> CloseThreads {
        refuse_own(target.workers());
        CloseThreads {
            target,
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
            refuse_own(this.target.workers());
            this.began = true;
            // All hubs close at the same time.
            this.target.start_close();
        }
        while let Some(worker) = this.target.workers().get(this.left) {
            let waiter = this
                .waiter
                .get_or_insert_with(|| ExitWaiter::new(&worker.exit));
            if ready!(waiter.poll(cx)) == Way::Over {
                worker.join();
            }
            this.waiter = None;
            this.left += 1;
        }
        let workers = this.target.workers().iter();
        let mut panics = workers.filter_map(|w| w.exit.take_panic());
        match panics.next() {
            Some(payload) => resume_unwind(payload),
            None => Poll::Ready(()),
        }
    }
}

pin_project! {
    /// The future that [`HubThread::close_within`](crate::HubThread::close_within) and
    /// [`HubPool::close_within`](crate::HubPool::close_within) return.
    #[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
    pub struct CloseThreadsWithin {
        target: Target,
        duration: Duration,
        #[pin]
        close: Timeout<CloseThreads>,
    }
}

impl CloseThreadsWithin {
    #[track_caller]
    pub(super) fn new(target: Target, duration: Duration) -> CloseThreadsWithin {
        CloseThreadsWithin {
            target: target.clone(),
            duration,
            close: Timeout::new(CloseThreads::new(target), deadline_after(duration)),
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
            for worker in this.target.workers() {
                if worker.exit.way().is_none() {
                    timeout.add(worker.name(), worker.hub.closing_names());
                }
            }
            timeout
        }))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Thread(worker) => worker.fmt(f),
            Target::Pool(members) => members.fmt(f),
        }
    }
}

impl fmt::Debug for CloseThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CloseThreads").field(&self.target).finish()
    }
}

impl fmt::Debug for CloseThreadsWithin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseThreadsWithin")
            .field("target", &self.target)
            .field("duration", &self.duration)
            .finish()
    }
}
