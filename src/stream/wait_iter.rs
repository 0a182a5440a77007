//! [`WaitIter`]: a stream as an iterator.

use std::iter::FusedIterator;

use futures::stream::{Stream, StreamExt as _};

use crate::wait::wait_as;

/// Iterates over a stream in blocking-style code.
///
/// It is implemented for every [`Stream`].
pub trait WaitStream: Stream {
    /// An iterator over the items of the stream, each of which it waits for.
    ///
    /// A stream that is not `Unpin` has to be pinned before:
    /// `Box::pin(stream).wait_iter()`. A `&mut` of a stream is a stream too, to iterate
    /// over the first few.
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

/// The iterator of [`wait_iter`](WaitStream::wait_iter).
///
/// `next` waits as [`.wait()`](crate::Wait::wait) does: in a fiber it suspends the
/// fiber, on a plain thread it blocks the thread. It is fused: after the end, the
/// stream is not asked again.
///
/// # Cancel safety
///
/// No item is lost: a cancel is looked at before the stream is polled.
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
    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream itself.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Gives the stream back, with the items that have not been taken.
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
