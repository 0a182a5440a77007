//! [`WaitIter`]: a stream as an iterator.

use std::iter::FusedIterator;

use futures::stream::{Stream, StreamExt as _};

use crate::wait::wait_as;

/// Iterates over a stream in blocking-style code.
///
/// This trait is implemented for every [`Stream`].
pub trait WaitStream: Stream {
    /// Returns an iterator that waits for each item of the stream.
    ///
    /// A stream that is not `Unpin` has to be pinned first: `Box::pin(stream).wait_iter()`.
    /// To take only the first few items, iterate over a `&mut` of the stream, which is a
    /// stream too.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::channel::mpsc;
    /// use switchback::{prelude::*, spawn};
    ///
    /// # switchback::run(|| {
    /// let (mut sender, receiver) = mpsc::channel(1);
    /// let mut squares = spawn(move || {
    ///     for n in 1..=3 {
    ///         sender.wait_send(n * n).unwrap();
    ///     }
    /// });
    /// assert_eq!(receiver.wait_iter().sum::<i32>(), 14);
    /// # squares.join().wait().unwrap();
    /// # }).unwrap();
    /// ```
    fn wait_iter(self) -> WaitIter<Self>
    where
        Self: Sized + Unpin,
    {
        WaitIter {
            stream: self,
            ended: false,
        }
    }
}

impl<S: Stream + ?Sized> WaitStream for S {}

/// The iterator that [`wait_iter`](WaitStream::wait_iter) returns.
///
/// `next` waits as [`.wait()`](crate::Wait::wait) does: it suspends a fiber, and blocks a
/// plain thread. The iterator is fused: after the end, it does not poll the stream again.
///
/// # Cancel safety
///
/// No item is lost, because the cancel is checked before the stream is polled.
///
/// # Panics
///
/// `next` panics where [`.wait()`](crate::Wait::wait) does.
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct WaitIter<S> {
    stream: S,
    ended: bool,
}

impl<S> WaitIter<S> {
    /// Returns a reference to the stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns a mutable reference to the stream.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the stream, with the items that have not been taken.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream + Unpin> Iterator for WaitIter<S> {
    type Item = S::Item;

    #[track_caller]
    fn next(&mut self) -> Option<S::Item> {
        if self.ended {
            return None;
        }
        let item = wait_as("`WaitIter::next`", self.stream.next());
        self.ended = item.is_none();
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.ended {
            true => (0, Some(0)),
            false => self.stream.size_hint(),
        }
    }
}

impl<S: Stream + Unpin> FusedIterator for WaitIter<S> {}
