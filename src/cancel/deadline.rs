//! [`with_timeout`]: a deadline over blocking-style code.
//!
//! Each call has a frame in its fiber's [`Deadlines`] and a timer whose waker
//! marks that frame as expired and wakes the fiber. From then on each wait inside
//! the frame throws [`Expired`] with the frame's mark, and only the frame with that
//! mark catches it: so nested deadlines are told apart, also from those of other
//! fibers, and code that catches panics cannot use one up.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::task::coop;

use super::CAN_UNWIND;
use crate::fiber::FiberState;
use crate::foreign;
use crate::switch::{self, Place};
use crate::time::{Elapsed, Timer, deadline_after};

/// Runs `f`, but not beyond `duration`: the first wait inside `f` that is in
/// progress or begins when the time is over unwinds to here.
///
/// The time is counted from this call, with the resolution of tokio's timers
/// (one millisecond). `f` is not stopped between waits; if it ends without one,
/// its result counts. Calls can be nested: each catches its own deadline only.
/// Inside `f`, destructors run, and code that catches panics goes on to its next
/// wait at most. Like a cancel, a deadline is held off on a stack that is, or may
/// be, unwinding.
///
/// # Errors
///
/// [`Elapsed`] if the time was over before `f` had ended.
///
/// # Panics
///
/// With the panic of `f`. Outside of a fiber, where nothing can stop `f`. If the
/// runtime's timers are not enabled. In a build with `panic = "abort"`, which
/// cannot unwind.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use std::time::Duration;
/// use switchback::{prelude::*, sleep, with_timeout};
///
/// let slow = with_timeout(Duration::from_millis(5), || {
///     sleep(Duration::from_secs(60)).wait();
/// });
/// assert!(slow.is_err());
/// assert_eq!(with_timeout(Duration::from_secs(60), || 42), Ok(42));
/// # }).unwrap();
/// ```
#[track_caller]
pub fn with_timeout<T>(duration: Duration, f: impl FnOnce() -> T) -> Result<T, Elapsed> {
    if !CAN_UNWIND {
        panic!(
            "`with_timeout` ends its body by unwinding, which `panic = \"abort\"` rules out; use \
             `wait_timeout` at each wait"
        );
    }
    let in_fiber = switch::with_place(|place| matches!(place, Place::Fiber(_)));
    assert!(
        in_fiber,
        "`with_timeout` was called outside of a fiber, where nothing can end its body; in async \
         code use `tokio::time::timeout`, on a plain thread `wait_timeout` at each wait",
    );
    let timer = Timer::new(deadline_after(duration));
    let is_due = duration.is_zero();
    switch::with_place(|place| match place {
        Place::Fiber(state) => run(state, timer, is_due, f),
        _ => unreachable!("it was a fiber just now"),
    })
}

fn run<T>(
    state: &FiberState,
    timer: Timer,
    is_due: bool,
    f: impl FnOnce() -> T,
) -> Result<T, Elapsed> {
    let flag = Arc::new(Flag {
        // A timer rounds up to its resolution.
        expired: AtomicBool::new(is_due),
        fiber: AtomicWaker::new(),
    });
    state.with_waker(|waker| flag.fiber.register(waker));
    let _frame = state.deadlines.enter(flag.clone(), state.shields.get());
    let mut timer = pin!(timer);
    {
        let _polling = switch::enter_poll(state);
        let waker = Waker::from(flag.clone());
        // Not subject to the budget: it must be set, not put off.
        let set = coop::unconstrained(timer.as_mut());
        if pin!(set).poll(&mut Context::from_waker(&waker)).is_ready() {
            flag.expired.store(true, Ordering::Relaxed);
        }
    }
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Expired>() {
        Ok(expired) if Arc::ptr_eq(&expired.0, &flag) => Elapsed::deadline(),
        Ok(outer) => resume_unwind(outer),
        Err(payload) => resume_unwind(payload),
    })
}

/// What a fiber unwinds with when a deadline has passed: which one.
#[derive(Debug)]
pub(crate) struct Expired(Arc<Flag>);

/// The deadlines that a fiber is under, outermost first.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Deadlines {
    /// `frames.len()`, for the wait path.
    len: Cell<usize>,
    frames: RefCell<Vec<Frame>>,
}

#[derive(Debug)]
struct Frame {
    flag: Arc<Flag>,
    /// How many shields there were around it: more than these hold it off.
    shields: u32,
}

/// Set when the timer fires. The timer has it as its waker.
#[derive(Debug)]
struct Flag {
    expired: AtomicBool,
    fiber: AtomicWaker,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.expired.store(true, Ordering::Release);
        self.fiber.wake();
    }
}

impl Deadlines {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// The outermost deadline that has passed, if `shields` do not hold it off.
    pub(super) fn expired(&self, shields: u32) -> Option<Expired> {
        if self.is_empty() {
            return None;
        }
        let frames = self.frames.borrow();
        let mut expired = frames.iter().filter(|frame| frame.has_expired());
        let frame = expired.find(|frame| frame.shields >= shields)?;
        Some(Expired(frame.flag.clone()))
    }

    /// Whoever is woken for this stack has changed.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let flags: Vec<_> = {
            let frames = self.frames.borrow();
            frames.iter().map(|frame| frame.flag.clone()).collect()
        };
        for flag in flags {
            foreign::run("a waker", || flag.fiber.register(waker));
        }
    }

    fn enter(&self, flag: Arc<Flag>, shields: u32) -> Leave<'_> {
        self.frames.borrow_mut().push(Frame { flag, shields });
        self.len.set(self.len.get() + 1);
        Leave(self)
    }
}

impl Frame {
    /// Ordering: pairs with the `Release` in `Flag::wake`.
    fn has_expired(&self) -> bool {
        self.flag.expired.load(Ordering::Acquire)
    }
}

/// Leaves the frame when dropped, also on unwind.
struct Leave<'a>(&'a Deadlines);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // Calls nest on a stack, so the innermost frame is this one's.
        let left = self.0.frames.borrow_mut().pop();
        self.0.len.set(self.0.len.get() - 1);
        debug_assert!(left.is_some());
    }
}
