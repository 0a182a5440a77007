//! [`SwitchBack`]: a future that a callback makes ready.
//!
//! The only part of the hub that it needs is the fiber's waker, so it works in async code and on
//! plain threads too. The state that it shares with its [`Switcher`]s is in [`slot`](super::slot).

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop;

use super::error::SwitchError;
use super::slot::Slot;
use super::switcher::Switcher;
use crate::base::{Elapsed, Timer, deadline_after};
use crate::cancel::Redeliver;
use crate::current::stretched;
use crate::handles::{FiberHandle, current_fiber};

/// A future that waits for a callback: it is ready when one of its [`Switcher`]s is fired.
///
/// It makes any interface that calls back look like a call that returns. Create one, give a
/// switcher to the code that will call back, and wait: with `.wait()` in a fiber or on a plain
/// thread, with `.await` in async code. It is fired once: the first of
/// [`switch`](Switcher::switch), [`throw`](Switcher::throw) and the timeout wins, which may be
/// before the wait begins.
///
/// If a fiber created it, it belongs to that fiber. Once that fiber has ended, it is inert: it
/// cannot be fired any more, even if it was moved elsewhere.
///
/// # Dropping
///
/// Dropping it makes it inert, drops a value that was fired and not taken, and then runs the
/// [cleanups](SwitchBack::add_cleanup). `.wait()` and `.await` take it by value and drop it before
/// they return. To keep it, for example to wait again after a cancel, wait for `&mut switch_back`.
/// If it is forgotten ([`std::mem::forget`]), no cleanup runs, and it is inert once its fiber has
/// ended.
///
/// Like any destructor, this drop may wait where its surroundings allow it. Nothing unwinds out of
/// it: a panic of a cleanup, or of the value's destructor, is reported, and the rest runs. A cancel
/// that arrives in such a wait ends that wait and its cleanup. The other cleanups run, and then the
/// cancel is pending again, for the fiber's next wait. So no value is lost, including the one that
/// the `SwitchBack` has just returned. While the fiber unwinds, no cancel arrives.
///
/// # Cancel safety
///
/// A wait that is cancelled drops the `SwitchBack`, and a value that was fired with it. Waiting for
/// `&mut switch_back` loses nothing.
///
/// # Errors
///
/// The future returns a [`SwitchError`] if an error was thrown, if the time has passed, or if no
/// code can fire it any more: all of its switchers were dropped, or the fiber that created it has
/// ended. (As long as no switcher was created, it waits. The end of that fiber does not wake other
/// code that waits for it; that code learns of the end when a switcher is fired.)
///
/// # Panics
///
/// Panics if it is polled again after it was ready.
///
/// # Examples
///
/// A callback on another thread:
///
/// ```
/// use std::thread;
/// use std::time::Duration;
/// use switchback::{SwitchBack, prelude::*};
///
/// // Somebody else's.
/// fn add_later(a: u32, b: u32, done: impl FnOnce(u32) + Send + 'static) {
///     thread::spawn(move || done(a + b));
/// }
///
/// fn add(a: u32, b: u32) -> u32 {
///     let switch_back = SwitchBack::with_timeout(Duration::from_secs(10));
///     let switcher = switch_back.switcher();
///     add_later(a, b, move |sum| {
///         switcher.switch(sum);
///     });
///     switch_back.wait().expect("it calls back in time")
/// }
///
/// # switchback::run(|| {
/// assert_eq!(add(1, 2), 3);
/// # }).unwrap();
/// ```
///
/// The idea is that of Gruvi's `switch_back`.
#[doc(alias = "suspendCoroutine")]
#[doc(alias = "Continuation")]
#[doc(alias = "CompletableFuture")]
#[doc(alias = "callback")]
#[doc(alias = "promise")]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct SwitchBack<T> {
    slot: Arc<Slot<T>>,
    timeout: Option<Duration>,
    timer: Option<Pin<Box<Timer>>>,
    is_done: bool,
    /// The cleanups are not `Send`, so a `SwitchBack` is not either, whatever `T` is.
    cleanups: Vec<Box<dyn FnOnce()>>,
}

impl<T> SwitchBack<T> {
    /// Creates a `SwitchBack` that waits without a limit. Its [`fiber`](SwitchBack::fiber) is the
    /// calling one.
    pub fn new() -> SwitchBack<T> {
        SwitchBack::make(None, None)
    }

    /// Creates a `SwitchBack` that returns [`SwitchError::Timeout`] if it is not fired in time.
    ///
    /// The time is counted from this call, with the resolution of tokio's timers (one millisecond).
    /// The timeout takes effect when the future is polled; a value that was fired until then wins.
    ///
    /// # Panics
    ///
    /// Panics if the current runtime's timers are not enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::time::Duration;
    /// use switchback::{SwitchBack, SwitchError, prelude::*};
    ///
    /// let switch_back = SwitchBack::<()>::with_timeout(Duration::from_millis(5));
    /// let switcher = switch_back.switcher();
    /// assert!(matches!(switch_back.wait(), Err(SwitchError::Timeout(_))));
    /// assert!(!switcher.switch(())); // too late
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn with_timeout(duration: Duration) -> SwitchBack<T> {
        let timer = Timer::new(stretched(deadline_after(duration)));
        SwitchBack::make(Some(duration), Some(Box::pin(timer)))
    }

    fn make(timeout: Option<Duration>, timer: Option<Pin<Box<Timer>>>) -> SwitchBack<T> {
        SwitchBack {
            slot: Arc::new(Slot::new(current_fiber())),
            timeout,
            timer,
            is_done: false,
            cleanups: Vec::new(),
        }
    }

    /// Creates a switcher that fires this.
    pub fn switcher(&self) -> Switcher<T> {
        Switcher::new(&self.slot)
    }

    /// Returns whether this can still be fired: it was not fired, no poll has found its time to
    /// have passed, and the fiber that created it has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.slot.is_active()
    }

    /// Returns the timeout that this was created with.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the fiber that created this; `None` if it was created in async code, in a bridge or
    /// on a plain thread.
    #[must_use]
    pub fn fiber(&self) -> Option<FiberHandle> {
        self.slot.origin().cloned()
    }

    /// Adds a function that is called when this is dropped, for whatever reason, after the cleanups
    /// that were added before. Use it to unregister a callback.
    ///
    /// It is called where the `SwitchBack` is dropped, and may wait there. See
    /// [Dropping](SwitchBack#dropping) for the effect of panics and cancels.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{SwitchBack, prelude::*};
    ///
    /// let mut switch_back = SwitchBack::new();
    /// let switcher = switch_back.switcher();
    /// let ticker = tokio::spawn(async move { switcher.switch("tick") });
    /// switch_back.add_cleanup(move || ticker.abort());
    /// assert_eq!(switch_back.wait().unwrap(), "tick");
    /// # }).unwrap();
    /// ```
    pub fn add_cleanup(&mut self, cleanup: impl FnOnce() + 'static) {
        self.cleanups.push(Box::new(cleanup));
    }

    fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, SwitchError>> {
        // Like tokio's own futures, this uses the cooperative budget, so that a loop over futures
        // that are ready yields at times.
        let budget = ready!(coop::poll_proceed(cx));
        let polled = self.slot.poll(cx.waker());
        if polled.is_ready() {
            budget.made_progress();
            return polled;
        }
        // The budget is given back, because the timer needs it to report that the time has passed.
        drop(budget);
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(match self.slot.end() {
            Some(fired) => fired.map_err(SwitchError::Thrown),
            None => Err(SwitchError::Timeout(Elapsed::deadline())),
        })
    }
}

impl<T> Default for SwitchBack<T> {
    fn default() -> SwitchBack<T> {
        SwitchBack::new()
    }
}

impl<T> Future for SwitchBack<T> {
    type Output = Result<T, SwitchError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(
            !this.is_done,
            "a `SwitchBack` was waited for again after it was ready: it is fired once; make a new \
             one for each wait",
        );
        let polled = this.poll_fired(cx);
        this.is_done = polled.is_ready();
        polled
    }
}

impl<T> Drop for SwitchBack<T> {
    fn drop(&mut self) {
        let unclaimed = self.slot.end();
        // A cleanup that waits must not be woken by the timer.
        self.timer = None;
        let mut redeliver = Redeliver::default();
        if let Some(fired) = unclaimed {
            redeliver.run("the drop of what was fired", || drop(fired));
        }
        for cleanup in mem::take(&mut self.cleanups) {
            redeliver.run("a cleanup of a `SwitchBack`", cleanup);
        }
    }
}

impl<T> fmt::Debug for SwitchBack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut switch_back = f.debug_struct("SwitchBack");
        self.slot
            .fields(&mut switch_back)
            .field("timeout", &self.timeout)
            .field("cleanups", &self.cleanups.len())
            .finish()
    }
}
