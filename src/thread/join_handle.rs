//! [`JoinHandle`]: the owner of a fiber's result, in std's shape.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use super::Thread;
use crate::handles::{Fiber, JoinError};
use crate::shared::Cancelled;
use crate::wait::wait_as;

/// The owner of a fiber's result, as [`std::thread::JoinHandle`] is of a thread's.
///
/// It is also a future, whose output is that of [`join`](JoinHandle::join). Dropping it detaches the
/// fiber.
///
/// # Examples
///
/// In async code, the handle is awaited:
///
/// ```
/// use switchback::thread;
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let worker = thread::spawn(|| 6 * 7);
///     assert_eq!(worker.await.unwrap(), 42);
/// }
/// ```
pub struct JoinHandle<T> {
    fiber: Fiber<T>,
    thread: Thread,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(fiber: Fiber<T>) -> JoinHandle<T> {
        JoinHandle {
            thread: Thread::of_fiber(fiber.handle()),
            fiber,
        }
    }

    /// Returns a handle to the fiber, without its result.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let fiber = thread::spawn(|| thread::current().id());
    /// let id = fiber.thread().id();
    /// assert_eq!(fiber.join().unwrap(), id);
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Waits until the fiber has ended and returns its result.
    ///
    /// # Cancel safety
    ///
    /// If the caller is cancelled, the fiber is detached.
    ///
    /// # Errors
    ///
    /// Returns the payload of the fiber's panic. If the fiber was cancelled, or could not run to its
    /// end, this is a [`Cancelled`], whose message says which it was.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, and if a fiber joins itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{Cancelled, thread};
    ///
    /// # switchback::run(|| {
    /// let fails = thread::spawn(|| -> u32 { "seven".parse().unwrap() });
    /// assert!(fails.join().unwrap_err().is::<String>());
    ///
    /// let cancelled = thread::spawn(thread::park).into_fiber();
    /// cancelled.cancel();
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        wait_as("`JoinHandle::join`", self)
    }

    /// Returns whether the fiber has ended, so that [`join`](JoinHandle::join) does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let fiber = thread::spawn(|| ());
    /// assert!(!fiber.is_finished()); // it has not begun
    /// thread::yield_now();
    /// assert!(fiber.is_finished());
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.fiber.is_alive()
    }

    /// Returns the fiber as what [`switchback::spawn`](crate::spawn()) returns.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{prelude::*, thread};
    ///
    /// let fiber = thread::spawn(thread::park).into_fiber();
    /// fiber.cancel();
    /// assert!(fiber.wait().unwrap_err().is_cancelled());
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn into_fiber(self) -> Fiber<T> {
        self.fiber
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<thread::Result<T>> {
        let joined = Pin::new(&mut self.fiber).poll(cx);
        joined.map(|result| result.map_err(payload))
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}

/// Returns what std's `join` gives for a thread that has ended so.
pub(super) fn payload(error: JoinError) -> Box<dyn Any + Send> {
    match error.try_into_panic() {
        Ok(payload) => payload,
        Err(error) => Box::new(match error.cancelled() {
            Some(cancelled) => cancelled.clone(),
            None => Cancelled::because(error.to_string()),
        }),
    }
}
