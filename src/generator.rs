//! A body on its own stack that answers requests, one at a time.
//!
//! The async adapters over blocking-style code are built on this: a poll sends a request,
//! and the body answers it. Requests and answers are passed by value, so neither side ever
//! sees what the other one borrows.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::bridge::{Bridge, bridge};
use crate::wait::Wait as _;

/// The polling side. Dropping it unwinds the body, as dropping a [`Bridge`] does.
pub(crate) struct Generator<Q, A> {
    exchange: Rc<Exchange<Q, A>>,
}

/// The body's side.
pub(crate) struct Requests<Q, A>(Rc<Exchange<Q, A>>);

/// What both sides have. The body is in it, so that a generator that is sent to another thread is one
/// error of the compiler, not two.
struct Exchange<Q, A> {
    /// `None` while the body is polled, and when it has ended.
    body: Cell<Option<Bridge<()>>>,
    request: Cell<Option<Q>>,
    answer: Cell<Option<A>>,
}

impl<Q: 'static, A: 'static> Generator<Q, A> {
    /// Creates a body that runs when it is first polled.
    ///
    /// # Panics
    ///
    /// Panics if no stack can be allocated.
    #[track_caller]
    pub(crate) fn new(body: impl FnOnce(Requests<Q, A>) + 'static) -> Generator<Q, A> {
        let exchange = Rc::new(Exchange {
            body: Cell::new(None),
            request: Cell::new(None),
            answer: Cell::new(None),
        });
        let requests = Requests(exchange.clone());
        exchange.body.set(Some(bridge(move || body(requests))));
        Generator { exchange }
    }
}

impl<Q, A> Generator<Q, A> {
    /// Sends a request. The body receives it at the next poll.
    pub(crate) fn request(&self, request: Q) {
        let unheard = self.exchange.request.replace(Some(request));
        debug_assert!(unheard.is_none(), "one request at a time");
    }

    /// Runs the body until it answers. Returns `None` if the body has ended.
    ///
    /// # Panics
    ///
    /// Resumes a panic of the body, once. After that the body has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<A>> {
        // The body is taken out while it is polled, so that it is not polled again after a
        // panic.
        let Some(mut body) = self.exchange.body.take() else {
            return Poll::Ready(self.exchange.answer.take());
        };
        let running = Pin::new(&mut body).poll(cx).is_pending();
        if running {
            self.exchange.body.set(Some(body));
        }
        match self.exchange.answer.take() {
            None if running => Poll::Pending,
            answer => Poll::Ready(answer),
        }
    }
}

impl<Q, A> Requests<Q, A> {
    /// Waits for the next request. Unwinds if the generator is dropped.
    pub(crate) fn next(&self) -> Q {
        // No waker is needed, because the sender of a request also polls the body.
        poll_fn(|_| match self.0.request.take() {
            Some(request) => Poll::Ready(request),
            None => Poll::Pending,
        })
        .wait()
    }

    /// Answers the request. Returns at the next poll, if there is one.
    pub(crate) fn answer(&self, answer: A) {
        self.0.answer.set(Some(answer));
    }
}

impl<Q, A> Drop for Generator<Q, A> {
    fn drop(&mut self) {
        // The body has the exchange, and the exchange the body.
        drop(self.exchange.body.take());
    }
}
