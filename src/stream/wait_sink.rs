//! [`WaitSink`]: sinks in blocking-style code.

use futures::sink::{Sink, SinkExt as _};

use crate::wait::wait_as;

/// Sends to a sink in blocking-style code.
///
/// This trait is implemented for every [`Sink`] that is `Unpin`; pin any other sink first.
/// Each call waits as [`.wait()`](crate::Wait::wait) does: it suspends a fiber, blocks a
/// plain thread, and panics in async code.
///
/// # Examples
///
/// ```
/// use futures::channel::mpsc;
/// use switchback::{prelude::*, spawn};
///
/// # switchback::run(|| {
/// let (mut sender, receiver) = mpsc::channel(0);
/// let mut reader = spawn(move || receiver.wait_iter().collect::<Vec<_>>());
/// sender.wait_feed('a').unwrap();
/// sender.wait_send('b').unwrap();
/// sender.wait_close().unwrap();
/// assert_eq!(reader.join().wait().unwrap(), ['a', 'b']);
/// # }).unwrap();
/// ```
pub trait WaitSink<Item>: Sink<Item> + Unpin {
    /// Waits until there is room, sends `item` and waits until it has been flushed.
    ///
    /// # Cancel safety
    ///
    /// If the call is cancelled, the item has either been sent or is dropped.
    ///
    /// # Errors
    ///
    /// The errors are those of the sink.
    ///
    /// # Panics
    ///
    /// Panics where [`.wait()`](crate::Wait::wait) does.
    #[track_caller]
    fn wait_send(&mut self, item: Item) -> Result<(), Self::Error> {
        wait_as("`.wait_send()`", self.send(item))
    }

    /// Waits until there is room and sends `item`, without a flush. To send several items,
    /// call [`wait_flush`](WaitSink::wait_flush) after the last.
    ///
    /// # Cancel safety
    ///
    /// If the call is cancelled, the item is dropped.
    ///
    /// # Errors
    ///
    /// The errors are those of the sink.
    ///
    /// # Panics
    ///
    /// Panics where [`.wait()`](crate::Wait::wait) does.
    #[track_caller]
    fn wait_feed(&mut self, item: Item) -> Result<(), Self::Error> {
        wait_as("`.wait_feed()`", self.feed(item))
    }

    /// Waits until everything that was sent has been flushed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; the call can be repeated.
    ///
    /// # Errors
    ///
    /// The errors are those of the sink.
    ///
    /// # Panics
    ///
    /// Panics where [`.wait()`](crate::Wait::wait) does.
    #[track_caller]
    fn wait_flush(&mut self) -> Result<(), Self::Error> {
        wait_as("`.wait_flush()`", self.flush())
    }

    /// Flushes the sink, closes it and waits until that is done.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; the call can be repeated.
    ///
    /// # Errors
    ///
    /// The errors are those of the sink.
    ///
    /// # Panics
    ///
    /// Panics where [`.wait()`](crate::Wait::wait) does.
    #[track_caller]
    fn wait_close(&mut self) -> Result<(), Self::Error> {
        wait_as("`.wait_close()`", self.close())
    }
}

impl<Item, S: Sink<Item> + Unpin + ?Sized> WaitSink<Item> for S {}
