//! [`IoWaiter`]: waits until tokio has polled for I/O.
//!
//! Tokio wakes the tasks that ask for this in reverse order. Therefore all waiters of a thread that
//! ask before the same poll share one request to tokio, which wakes them in the order in which they
//! asked.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime;

use super::contain;
use super::executors::{current_runtime, wake_after_io};
use super::lock::{Mutex, lock};

/// A waiter for the next poll for I/O.
#[derive(Debug)]
pub(crate) struct IoWaiter {
    request: Arc<Request>,
    /// The index of its waker in the request, once it has left one there.
    place: Option<usize>,
}

#[derive(Debug)]
struct Request {
    runtime: Option<runtime::Id>,
    done: AtomicBool,
    wakers: Mutex<Vec<Option<Waker>>>,
    /// The waker that tokio was given. If it has been dropped without waking anything, the
    /// `block_on` that had it has returned.
    asked: Mutex<Weak<Question>>,
}

/// The waker that tokio wakes once it has polled for I/O.
#[derive(Debug)]
struct Question(Arc<Request>);

thread_local! {
    /// The request that was made last on this thread.
    static LAST: RefCell<Weak<Request>> = const { RefCell::new(Weak::new()) };
}

impl IoWaiter {
    /// Creates a waiter for a poll for I/O that comes after this call.
    pub(crate) fn new() -> IoWaiter {
        let last = LAST.try_with(|last| last.borrow().upgrade()).ok().flatten();
        let runtime = current_runtime();
        let shared = last.filter(|last| last.runtime == runtime && !last.is_done());
        let request = shared.unwrap_or_else(|| {
            let request = Arc::new(Request {
                runtime,
                done: AtomicBool::default(),
                wakers: Mutex::default(),
                asked: Mutex::default(),
            });
            let _ = LAST.try_with(|last| last.replace(Arc::downgrade(&request)));
            request
        });
        IoWaiter {
            request,
            place: None,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.request.is_done() {
            return Poll::Ready(());
        }
        let waker = contain::clone_waker(cx.waker());
        let old = {
            let mut wakers = lock(&self.request.wakers);
            match self.place {
                Some(place) if place < wakers.len() => wakers[place].replace(waker),
                _ => {
                    self.place = Some(wakers.len());
                    wakers.push(Some(waker));
                    None
                }
            }
        };
        contain::drop_waker(old);
        self.request.ask();
        if self.request.is_done() {
            // The request was done before this waker was added, or has just been done.
            contain::wake_by_ref(cx.waker());
        }
        Poll::Pending
    }
}

impl Request {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Asks tokio to wake this request, unless tokio was asked and has not answered yet. Outside of
    /// a scheduler it answers at once.
    fn ask(self: &Arc<Self>) {
        let question = {
            let mut asked = lock(&self.asked);
            if asked.strong_count() > 0 {
                return;
            }
            let question = Arc::new(Question(self.clone()));
            *asked = Arc::downgrade(&question);
            question
        };
        wake_after_io(&mut Context::from_waker(&Waker::from(question)));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        wakers.into_iter().for_each(contain::drop_waker);
    }
}

impl Wake for Question {
    fn wake(self: Arc<Self>) {
        self.0.done.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut *lock(&self.0.wakers));
        wakers.into_iter().flatten().for_each(contain::wake);
    }
}
