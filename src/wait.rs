//! The [`Wait`] trait: poll, switch back, repeat.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread::panicking;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::cancel::{Answer, Cancelled, Interrupt, Unwinding};
use crate::fiber::{FiberState, Owner, Record};
use crate::hub::{Core, Ticket};
use crate::outside::{self, Outside};
use crate::switch::{self, Frame, Place, Suspension};
use crate::switchpoint;
use crate::time::{Elapsed, Timeout, deadline_after};
use crate::yield_now::YieldNow;

/// Waits for a future in blocking-style code, as `.await` does in async code.
///
/// It is implemented for everything that can be awaited.
///
/// In a fiber, waiting suspends the fiber: its hub goes on with others. On a
/// plain thread (also in `spawn_blocking`) it blocks that thread. In async code
/// it is refused with a panic, since it would stop every other task of the
/// thread; that is noticed in tokio's tasks and `block_on` and in executors of
/// the `futures` crate. An executor that we know nothing of is blocked.
///
/// # Cancel safety
///
/// A wait is where a fiber is cancelled: if a cancel is pending when it begins
/// or arrives while it waits, the future is dropped and the wait unwinds with
/// [`Cancelled`]. This is looked at before the future is
/// polled, so what has become ready is not taken and lost: waiting is as cancel
/// safe as dropping the future.
///
/// # Examples
///
/// ```
/// use switchback::prelude::*;
///
/// let sum = switchback::run(|| {
///     let (tx, rx) = tokio::sync::oneshot::channel();
///     switchback::spawn(move || tx.send(40).unwrap());
///     rx.wait().unwrap() + async { 2 }.wait()
/// });
/// assert_eq!(sum.unwrap(), 42);
/// ```
pub trait Wait: IntoFuture + Sized {
    /// Waits until the future is done and returns its output.
    ///
    /// # Panics
    ///
    /// In async code, inside a future's `poll`, and in the hub's callbacks. Inside
    /// [`assert_no_switchpoints`](crate::assert_no_switchpoints), unless the thread
    /// is panicking.
    #[track_caller]
    #[inline(always)]
    fn wait(self) -> Self::Output {
        Spot::here("`.wait()`").wait(self.into_future())
    }

    /// Waits until the future is done; a cancel is returned instead of thrown.
    ///
    /// For code that unwinding must not pass through, such as `extern "C"`
    /// callbacks, and for destructors: while the fiber unwinds, and once its hub
    /// has ended, the future is polled once (not at all in the latter case) and
    /// if it is not ready, that is returned as a cancel too.
    ///
    /// A returned cancel is used up. A deadline of
    /// [`with_timeout`](crate::with_timeout) and the close of the hub are
    /// returned by each wait.
    ///
    /// # Errors
    ///
    /// What the fiber was cancelled with.
    ///
    /// # Panics
    ///
    /// As [`wait`](Wait::wait), except that while the thread is panicking, it
    /// returns an error instead.
    #[track_caller]
    fn wait_or_cancelled(self) -> Result<Self::Output, Cancelled> {
        let result = match Spot::here_or_error("`.wait_or_cancelled()`") {
            Some(spot) => spot.block_on(self.into_future(), Answer::Error),
            None => Err(Interrupt::Unwinding),
        };
        result.map_err(Interrupt::into_cancelled)
    }

    /// Waits until the future is done, but no longer than `duration`.
    ///
    /// The future is polled at least once, so with a duration of zero it is
    /// tried. On a timeout it is dropped.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the time is over; also, in a fiber that is unwinding, if
    /// the future is not ready at once, and in one whose hub has ended.
    ///
    /// # Panics
    ///
    /// As [`wait_or_cancelled`](Wait::wait_or_cancelled), and if the runtime's timers are not enabled.
    #[track_caller]
    fn wait_timeout(self, duration: Duration) -> Result<Self::Output, Elapsed> {
        match Spot::here_or_error("`.wait_timeout()`") {
            Some(spot) => spot.block_until(self.into_future(), deadline_after(duration)),
            None => Err(Elapsed::unwinding()),
        }
    }

    /// Waits until the future is done, but not beyond `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Wait::wait_timeout).
    ///
    /// # Panics
    ///
    /// As [`wait_or_cancelled`](Wait::wait_or_cancelled), and if the runtime's timers are not enabled.
    #[track_caller]
    fn wait_until(self, deadline: impl Into<Instant>) -> Result<Self::Output, Elapsed> {
        match Spot::here_or_error("`.wait_until()`") {
            Some(spot) => spot.block_until(self.into_future(), deadline.into()),
            None => Err(Elapsed::unwinding()),
        }
    }
}

impl<F: IntoFuture> Wait for F {}

/// A place where waiting is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spot {
    Fiber,
    Thread,
    /// Let tokio decide: see [`Outside::Scheduler`].
    Tokio,
}

/// Why waiting is not allowed.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    Async,
    Poll,
    Hub,
    Elsewhere,
    /// By `assert_no_switchpoints`; apart from that, this is where it would wait.
    Forbidden(Spot),
}

impl Spot {
    /// The switchpoint check: every call that may suspend makes it first, before
    /// it touches anything.
    ///
    /// # Panics
    ///
    /// Where waiting is not allowed, in the name of `call`.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn here(call: &str) -> Spot {
        let frame = Frame::new();
        match frame.place() {
            Place::Fiber(state) if state.may_switch() => Spot::Fiber,
            _ => Spot::here_or_panic(call),
        }
    }

    #[cold]
    #[track_caller]
    fn here_or_panic(call: &str) -> Spot {
        match Spot::find() {
            Ok(spot) => spot,
            // A panic would be a second one, which aborts the process, and there
            // is no error to return.
            Err(Refusal::Forbidden(spot)) if panicking() => spot,
            Err(refusal) => refusal.panic(call),
        }
    }

    /// As [`here`](Spot::here), for a call that can return an error: `None` where
    /// a panic would be a second one, which aborts the process.
    #[track_caller]
    #[inline]
    pub(crate) fn here_or_error(call: &str) -> Option<Spot> {
        match Spot::find() {
            Ok(spot) => Some(spot),
            Err(_) if panicking() => None,
            Err(refusal) => refusal.panic(call),
        }
    }

    #[inline]
    fn find() -> Result<Spot, Refusal> {
        switch::with_place(|place| match place {
            // A stack whose hub has ended does not suspend to be resumed.
            Place::Fiber(state) if state.owner.is_elsewhere() && !state.has_ended() => {
                Err(Refusal::Elsewhere)
            }
            Place::Fiber(state) if state.no_switch.get() > 0 => {
                Err(Refusal::Forbidden(Spot::Fiber))
            }
            Place::Fiber(_) => Ok(Spot::Fiber),
            Place::Outside | Place::Driver(_) => Spot::outside(),
            Place::Hub(_) => Err(Refusal::Hub),
            Place::Poll(_) | Place::ThreadPoll => Err(Refusal::Poll),
        })
    }

    #[cold]
    fn outside() -> Result<Spot, Refusal> {
        let spot = match outside::look() {
            Outside::Async => return Err(Refusal::Async),
            Outside::Scheduler => Spot::Tokio,
            Outside::Thread => Spot::Thread,
        };
        match switchpoint::forbidden_outside() {
            true => Err(Refusal::Forbidden(spot)),
            false => Ok(spot),
        }
    }

    /// Waits for `future` here; only an unwind ends that early.
    #[inline(always)]
    pub(crate) fn wait<F: Future>(self, future: F) -> F::Output {
        match self.block_on(future, Answer::Unwind) {
            Ok(output) => output,
            Err(interrupt) => interrupt.throw(),
        }
    }

    /// Waits for `future` here.
    #[inline(always)]
    pub(crate) fn block_on<F: Future>(
        self,
        future: F,
        answer: Answer,
    ) -> Result<F::Output, Interrupt> {
        let mut future = pin!(future);
        if let Spot::Fiber = self {
            let frame = Frame::new();
            return match frame.place() {
                Place::Fiber(state) => state.drive(future.as_mut(), answer),
                _ => unreachable!("a spot is used where it was found"),
            };
        }
        let _polling = switch::enter_thread_poll();
        Ok(match self {
            Spot::Tokio => Handle::current().block_on(future),
            _ => futures::executor::block_on(future),
        })
    }

    #[track_caller]
    fn block_until<F: Future>(self, future: F, deadline: Instant) -> Result<F::Output, Elapsed> {
        match self.block_on(Timeout::new(future, deadline), Answer::UnwindOrError) {
            Ok(output) => output,
            Err(Interrupt::Thrown(thrown)) => thrown.throw(),
            Err(Interrupt::HubGone) => Err(Elapsed::hub_gone()),
            Err(Interrupt::Unwinding) => Err(Elapsed::unwinding()),
        }
    }
}

impl Refusal {
    #[cold]
    #[track_caller]
    fn panic(self, call: &str) -> ! {
        match self {
            Refusal::Async => panic!(
                "{call} would block the runtime; use `.await`, or move this code into \
                 `switchback::spawn` or `bridge`"
            ),
            Refusal::Poll => panic!(
                "{call} inside a future's `poll`, or a destructor that it runs, would suspend the \
                 executor half way; use `.await` there, or wait outside of the future"
            ),
            Refusal::Hub => panic!(
                "{call} in a callback of the hub would stop every fiber; spawn a fiber that waits"
            ),
            Refusal::Elsewhere => panic!(
                "{call} inside an executor that was entered on this stack (a `block_on`, or a guard \
                 of `Handle::enter`) would suspend that executor half way; wait outside of it"
            ),
            Refusal::Forbidden(_) => panic!(
                "{call} is a switchpoint and was called inside `assert_no_switchpoints`; wait before \
                 or after that block"
            ),
        }
    }
}

impl FiberState {
    /// Whether nothing keeps the code that runs from suspending.
    #[inline(always)]
    fn may_switch(&self) -> bool {
        self.no_switch.get() == 0 && !self.owner.is_elsewhere()
    }

    /// Polls `future` on the fiber's stack until it is ready, switching back to
    /// the hub in between.
    #[inline(always)]
    fn drive<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        answer: Answer,
    ) -> Result<F::Output, Interrupt> {
        if YieldNow::is_new(future.as_mut()) {
            if let Owner::Fiber { record, hub } = &self.owner {
                let waited = self.wait_in_line(record, hub, answer);
                return waited.map(YieldNow::output::<F>);
            }
        }
        let mut may_unwind = panicking();
        loop {
            if let Some(interrupt) = self.interrupted(may_unwind, answer) {
                return Err(interrupt);
            }
            {
                let _polling = switch::enter_poll(self);
                let poll = |waker: &_| future.as_mut().poll(&mut Context::from_waker(waker));
                if let Poll::Ready(output) = self.with_waker(poll) {
                    return Ok(output);
                }
            }
            if answer != Answer::Unwind && self.unwinding() == Unwinding::Yes {
                return Err(Interrupt::Unwinding);
            }
            may_unwind = self.pause(self.how());
        }
    }

    /// What [`drive`](Self::drive) does for a new [`YieldNow`], without a poll: the case
    /// in which nothing happens but that the fiber's turn comes.
    #[inline(always)]
    fn wait_in_line(&self, record: &Record, hub: &Core, answer: Answer) -> Result<(), Interrupt> {
        let is_calm = || record.interrupts() == 0 && self.deadlines.is_empty();
        let ticket = hub.ticket();
        let mut may_unwind = panicking();
        if is_calm() && hub.is_running() && !may_unwind {
            self.pause_calmly(Suspension::Yielding);
            if is_calm() && hub.has_passed(ticket) {
                return Ok(());
            }
            self.resumed();
            may_unwind = false;
        }
        self.wait_in_line_slowly(hub, ticket, may_unwind, answer)
    }

    #[cold]
    fn wait_in_line_slowly(
        &self,
        hub: &Core,
        ticket: Ticket,
        mut may_unwind: bool,
        answer: Answer,
    ) -> Result<(), Interrupt> {
        loop {
            if let Some(interrupt) = self.interrupted(may_unwind, answer) {
                return Err(interrupt);
            }
            if hub.has_passed(ticket) || !hub.is_running() {
                return Ok(());
            }
            if answer != Answer::Unwind && self.unwinding() == Unwinding::Yes {
                return Err(Interrupt::Unwinding);
            }
            may_unwind = self.pause(Suspension::Yielding);
        }
    }
}
