//! [`Fiber`]: the owner of a fiber's result.
//!
//! The data of a fiber is in three places:
//!
//! | data | place | used by |
//! |---|---|---|
//! | [`Header`](crate::shared::Header) | an allocation, referred to by [`FiberRef`]s | any thread: handles, wakers, the hub |
//! | [`StackState`](crate::current::StackState) | the root of its stack | the code that runs on that stack |
//! | [`HubPart`](crate::shared::HubPart) | in the header | the hub, on its thread |
//!
//! The result goes from the fiber's stack to its [`Fiber`] through the same allocation: from the
//! [`ResultSender`](crate::shared::ResultSender) to the [`ResultReceiver`].

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::join::{self, Join};
use super::{CancelOnDrop, FiberHandle, JoinError};
use crate::base::contain;
use crate::current::{Place, origin, with_place};
use crate::scheduler::launch::{self, Settings};
use crate::scheduler::{attach, registry};
use crate::shared::{
    Cancelled, FiberId, FiberRef, Mailbox, Phase, ResultReceiver, Start, result_channel,
};

/// Makes a fiber that runs `f`, and starts it.
///
/// The fiber is queued behind everything that is ready on the current hub. It never runs before
/// `spawn` returns. In a fiber, the current hub is the fiber's own. Elsewhere it is the hub of the
/// current runtime, which is made if there is none.
///
/// Dropping the returned [`Fiber`] detaches it.
///
/// # Panics
///
/// Panics if there is no hub and none can be made: outside of a tokio runtime, on a multi-thread
/// runtime outside of [`Hub::run_until`], and on a thread that does not drive its runtime. Panics
/// if the hub is closed or no stack can be allocated; [`Builder::spawn`] returns an error instead.
/// If the thread is already panicking, a second panic would abort the process, so this returns a
/// fiber that counts as cancelled.
///
/// [`Builder::spawn`]: crate::Builder::spawn
/// [`Hub::run_until`]: crate::Hub::run_until
///
/// # Examples
///
/// ```
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let mut fiber = switchback::spawn(|| 6 * 7);
///     assert_eq!(fiber.join().await.unwrap(), 42);
/// }
/// ```
#[doc(alias = "go")]
#[doc(alias = "launch")]
#[doc(alias = "fork")]
#[doc(alias = "spawn_local")]
#[doc(alias = "Thread.startVirtualThread")]
#[track_caller]
pub fn spawn<F, T>(f: F) -> Fiber<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Fiber::make(f, Start::AtOnce)
}

/// The owner of a fiber's result, as [`std::thread::JoinHandle`] is of a thread's.
///
/// It is itself a future, with the same output as [`join`](Fiber::join). Dropping it detaches the
/// fiber, which continues; its result is dropped on its own stack when it ends. A fiber that was
/// never started is cancelled instead.
///
/// A `Fiber` can be sent to another thread if `T` can, and joined there. The fiber itself stays on
/// its hub's thread.
#[doc(alias = "coroutine")]
#[doc(alias = "goroutine")]
#[doc(alias = "green thread")]
#[doc(alias = "virtual thread")]
#[doc(alias = "JoinHandle")]
#[doc(alias = "greenlet")]
pub struct Fiber<T>(ResultReceiver<T>);

impl<T> Fiber<T> {
    /// Makes a fiber that runs `f` once it is started.
    ///
    /// # Panics
    ///
    /// As for [`spawn`].
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{Fiber, prelude::*};
    ///
    /// let mut fiber = Fiber::new(|| "done");
    /// assert!(fiber.start());
    /// assert!(!fiber.start()); // only once
    /// assert_eq!(fiber.join().wait().unwrap(), "done");
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn new<F>(f: F) -> Fiber<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        Fiber::make(f, Start::Later)
    }

    #[track_caller]
    #[inline(always)]
    fn make<F>(f: F, start: Start) -> Fiber<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let origin = origin();
        let made =
            attach::with_current(|core| launch::spawn(core, Settings::default(), start, origin, f));
        match made {
            Ok(Ok(receiver)) => Fiber(receiver),
            Ok(Err(e)) => Fiber::unmade(&e),
            Err(none) => Fiber::unmade(&none),
        }
    }

    /// Panics with the reason why no fiber was made; returns a fiber that has ended for that reason where
    /// a panic would be the second one.
    #[cold]
    #[track_caller]
    fn unmade(why: &dyn fmt::Display) -> Fiber<T> {
        let why = why.to_string();
        contain::panic_once(&why);
        Fiber::stillborn(why)
    }

    #[inline]
    fn fiber(&self) -> &FiberRef {
        self.0.fiber()
    }

    /// Starts the fiber: queues it behind everything that is ready. If it was started before, was
    /// cancelled or has ended, does nothing and returns false.
    pub fn start(&self) -> bool {
        let fiber = self.fiber();
        let started = fiber.start();
        if started {
            registry::wake(fiber);
        }
        started
    }

    /// Returns a future that waits for the fiber to end and gives its result. Use `join().wait()`
    /// in a fiber and `join().await` in async code.
    ///
    /// A fiber that was not started is started by this call, because the `Fiber` is borrowed while
    /// the future exists.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing, and the fiber can be joined again. The result is taken
    /// when the future is ready.
    ///
    /// # Errors
    ///
    /// The future gives a [`JoinError`] if the fiber panicked, was cancelled, or could not run to
    /// its end.
    ///
    /// # Panics
    ///
    /// Panics if the result was taken before, and if a fiber joins itself.
    #[track_caller]
    #[inline]
    pub fn join(&mut self) -> Join<'_, T> {
        let is_itself = with_place(|place| match place {
            Place::Stack(state) => state.is(self.fiber()),
            _ => false,
        });
        assert!(!is_itself, "{}", join::ITSELF);
        assert!(
            !self.0.was_taken(),
            "the result of fiber '{}' was taken by an earlier join; keep what that returned",
            self.name(),
        );
        self.start();
        Join::new(&mut self.0)
    }

    /// Asks the fiber to end: see [`FiberHandle::cancel`].
    #[doc(alias = "abort")]
    #[doc(alias = "interrupt")]
    #[doc(alias = "kill")]
    pub fn cancel(&self) -> bool {
        self.fiber().cancel(None)
    }

    /// Asks the fiber to end: see [`FiberHandle::cancel_with`].
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.fiber().cancel(Some(message.into()))
    }

    /// Returns a future that waits for the fiber as [`join`](Fiber::join) does, and cancels the
    /// fiber if it is dropped before.
    ///
    /// Use it for work that is of no use without its caller, such as the handler of a request whose
    /// client may hang up. The fiber ends at its current or next wait, as after a
    /// [`cancel`](Fiber::cancel). One that was not started is started by the first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{prelude::*, sleep, spawn};
    ///
    /// # switchback::run(|| {
    /// let fiber = spawn(|| sleep(Duration::from_secs(3600)).wait()).cancel_on_drop();
    /// let handle = fiber.handle();
    /// fiber.wait_timeout(Duration::from_millis(1)).unwrap_err(); // drops it
    /// sleep(Duration::ZERO).wait();
    /// assert!(!handle.is_alive());
    /// # }).unwrap();
    /// ```
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop::new(self)
    }

    /// Returns a handle to the fiber, without its result.
    #[must_use]
    pub fn handle(&self) -> FiberHandle {
        FiberHandle(self.fiber().clone())
    }

    /// Returns the fiber's ID.
    #[must_use]
    pub fn id(&self) -> FiberId {
        self.fiber().id()
    }

    /// Returns the fiber's name: the one it was given, or `Fiber-N` with its ID.
    #[must_use]
    pub fn name(&self) -> &str {
        self.fiber().name()
    }

    /// Returns whether the fiber has not ended. A fiber that was not started is alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.fiber().is_alive()
    }

    pub(crate) fn from_receiver(receiver: ResultReceiver<T>) -> Fiber<T> {
        Fiber(receiver)
    }

    /// Creates a fiber that was cancelled before it was made.
    #[track_caller]
    pub(crate) fn stillborn(why: String) -> Fiber<T> {
        let no_hub = Mailbox::without_hub();
        no_hub.end();
        let (_fiber, sender, receiver) =
            result_channel(no_hub, FiberId::next(), None, Start::Later, origin());
        sender.refuse(Cancelled::because(why));
        Fiber(receiver)
    }
}

impl<T> Future for Fiber<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.start();
        join::poll(&mut this.0, cx)
    }
}

impl<T> Drop for Fiber<T> {
    fn drop(&mut self) {
        if self.0.was_taken() {
            return;
        }
        if self.fiber().phase() == Phase::New {
            self.fiber().cancel(None);
        }
        self.0.detach();
    }
}

impl<T> fmt::Debug for Fiber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.fiber(), f)
    }
}
