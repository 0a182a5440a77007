//! [`from_iter()`]: an iterator that may wait, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::{FusedStream, Stream};
use tokio::task::coop;

use crate::generator::{Generator, Requests};

/// Creates a stream of the items of an iterator that may wait.
///
/// The stream is not `Send`, as a [`bridge`](crate::bridge()) is not: it cannot be in a task that
/// `tokio::spawn` starts.
///
/// The iterator runs on a stack of its own inside the task that polls the stream, as in a
/// [`bridge`](crate::bridge()). It needs no hub, and works on any executor. `make` creates
/// it on that stack when the stream is first polled. It runs only while the stream is
/// polled for an item, so it is never ahead of its consumer. Once the iterator has ended,
/// it is dropped and the stream stays at its end.
///
/// # Cancel safety
///
/// Dropping a `next` loses nothing. Dropping the stream unwinds the iterator from its
/// current wait, so its destructors run.
///
/// # Panics
///
/// Panics if no stack can be allocated. If the iterator panics, the poll that runs it
/// resumes the panic, and the stream has ended.
///
/// # Examples
///
/// ```
/// use std::io::{BufRead, BufReader};
/// use futures::StreamExt;
/// use switchback::{io::Blocking, stream::from_iter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let socket = &b"one\ntwo\n"[..]; // anything that is `AsyncRead`
/// let mut lines = from_iter(move || BufReader::new(Blocking::new(socket)).lines());
/// while let Some(line) = lines.next().await {
///     println!("{}", line.unwrap());
/// }
/// # }
/// ```
#[doc(alias = "generator")]
#[doc(alias = "yield")]
#[track_caller]
pub fn from_iter<F, I>(make: F) -> FromIter<I::Item>
where
    F: FnOnce() -> I + 'static,
    I: IntoIterator,
    I::Item: 'static,
{
    let body = move |requests: Requests<(), _>| {
        let mut items = make().into_iter();
        loop {
            requests.next();
            match items.next() {
                Some(item) => requests.answer(item),
                None => return,
            }
        }
    };
    FromIter {
        items: Generator::new(body),
        state: State::Idle,
    }
}

/// The stream that [`from_iter`] returns.
#[must_use = "streams do nothing unless polled"]
pub struct FromIter<T> {
    items: Generator<(), T>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// The iterator has been asked for an item.
    Asked,
    Ended,
}

impl<T> Stream for FromIter<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        match this.state {
            State::Idle => this.items.request(()),
            State::Asked => {}
            State::Ended => return Poll::Ready(None),
        }
        this.state = State::Asked;
        // An iterator that never waits must still spend the task's budget.
        let budget = ready!(coop::poll_proceed(cx));
        // This state stays if the poll panics.
        this.state = State::Ended;
        let Poll::Ready(item) = this.items.poll(cx) else {
            this.state = State::Asked;
            return Poll::Pending;
        };
        budget.made_progress();
        if item.is_some() {
            this.state = State::Idle;
        }
        Poll::Ready(item)
    }
}

impl<T> FusedStream for FromIter<T> {
    fn is_terminated(&self) -> bool {
        self.state == State::Ended
    }
}

// Everything that is pinned is on the iterator's stack.
impl<T> Unpin for FromIter<T> {}

impl<T> fmt::Debug for FromIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromIter")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
