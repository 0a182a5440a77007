//! A body on a stack of its own that answers requests, one at a time.
//!
//! It is what makes async traits out of blocking-style code: a poll asks, the
//! body answers. Requests and answers change hands by value, so neither side
//! ever looks at what the other one borrows.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::bridge::{Bridge, bridge};
use crate::wait::Wait as _;

/// The side that polls. Dropping it unwinds the body, as dropping a [`Bridge`].
pub(crate) struct Generator<Q, A> {
    /// Present until the body has ended.
    body: Option<Bridge<()>>,
    exchange: Rc<Exchange<Q, A>>,
}

/// The body's side.
pub(crate) struct Requests<Q, A>(Rc<Exchange<Q, A>>);

struct Exchange<Q, A> {
    request: Cell<Option<Q>>,
    answer: Cell<Option<A>>,
}

impl<Q: 'static, A: 'static> Generator<Q, A> {
    /// A body that runs when it is first polled.
    ///
    /// # Panics
    ///
    /// If no stack can be had.
    #[track_caller]
    pub(crate) fn new(body: impl FnOnce(Requests<Q, A>) + 'static) -> Generator<Q, A> {
        let exchange = Rc::new(Exchange {
            request: Cell::new(None),
            answer: Cell::new(None),
        });
        let requests = Requests(exchange.clone());
        Generator {
            body: Some(bridge(move || body(requests))),
            exchange,
        }
    }
}

impl<Q, A> Generator<Q, A> {
    /// Asks for something. The body learns it when it is polled.
    pub(crate) fn request(&self, request: Q) {
        let unheard = self.exchange.request.replace(Some(request));
        debug_assert!(unheard.is_none(), "one request at a time");
    }

    /// Runs the body until it has an answer, or has ended: then `None`.
    ///
    /// # Panics
    ///
    /// With the panic of the body, once; after that it has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<A>> {
        // Out of its place while it is polled: it is not polled again after a panic.
        let Some(mut body) = self.body.take() else {
            return Poll::Ready(self.exchange.answer.take());
        };
        let running = Pin::new(&mut body).poll(cx).is_pending();
        if running {
            self.body = Some(body);
        }
        match self.exchange.answer.take() {
            None if running => Poll::Pending,
            answer => Poll::Ready(answer),
        }
    }
}

impl<Q, A> Requests<Q, A> {
    /// Waits for the next request. Unwinds when the generator is dropped.
    pub(crate) fn next(&self) -> Q {
        // No waker: whoever sends a request polls the body.
        poll_fn(|_| match self.0.request.take() {
            Some(request) => Poll::Ready(request),
            None => Poll::Pending,
        })
        .wait()
    }

    /// Answers the request; returns once, or if, there is another poll.
    pub(crate) fn answer(&self, answer: A) {
        self.0.answer.set(Some(answer));
    }
}

impl<Q, A> fmt::Debug for Generator<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("running", &self.body.is_some())
            .finish_non_exhaustive()
    }
}
