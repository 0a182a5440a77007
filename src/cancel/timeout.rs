//! [`with_timeout`]: a deadline over blocking-style code. `Deadlines`, in [`crate::current`],
//! brings it to the waits inside.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::coop;

use super::CAN_UNWIND;
use crate::base::{Elapsed, Timer, deadline_after};
use crate::current::{Expired, Place, StackState, place, stretched, with_place};

/// Runs `f` with a deadline: once `duration` has passed, the wait that `f` is in, or its next one,
/// unwinds to this call.
///
/// The time is counted from this call, with the resolution of tokio's timers (one millisecond). `f`
/// is not stopped between waits; if it returns without another wait, its result counts. Calls can
/// be nested, and each catches only its own deadline. Inside `f`, destructors run, and code that
/// catches panics runs until its next wait at most. Like a cancel, a deadline is held off on a
/// stack that is, or may be, unwinding.
///
/// # Errors
///
/// Returns [`Elapsed`] if a wait in `f` found that the time had passed.
///
/// # Panics
///
/// Panics if `f` panics, and outside of a fiber or bridge, where no wait could stop `f`. Panics if
/// the runtime's timers are not enabled, and in a build with `panic = "abort"`, which cannot
/// unwind.
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
#[doc(alias = "withTimeout")]
#[doc(alias = "context.WithTimeout")]
#[doc(alias = "timeout")]
#[track_caller]
pub fn with_timeout<T>(duration: Duration, f: impl FnOnce() -> T) -> Result<T, Elapsed> {
    if !CAN_UNWIND {
        panic!(
            "`with_timeout` ends its body by unwinding, which `panic = \"abort\"` rules out; use \
             `wait_timeout` at each wait"
        );
    }
    let in_fiber = with_place(|place| matches!(place, Place::Stack(_)));
    assert!(
        in_fiber,
        "`with_timeout` was called outside of a fiber, where nothing can end its body; in async \
         code use `tokio::time::timeout`, on a plain thread `wait_timeout` at each wait",
    );
    let timer = Timer::new(stretched(deadline_after(duration)));
    let is_due = duration.is_zero();
    with_place(|place| match place {
        Place::Stack(state) => run(state, timer, is_due, f),
        _ => unreachable!("it was a stack just now"),
    })
}

fn run<T>(
    state: &StackState,
    timer: Timer,
    is_due: bool,
    f: impl FnOnce() -> T,
) -> Result<T, Elapsed> {
    // A timer rounds up to its resolution, so a deadline that is already due has to be marked here.
    const WHY: &str = "deadline has elapsed";
    let shields = state.shields.get();
    let enter = |waker: &_| state.deadlines.enter(WHY, is_due, shields, waker);
    let (deadline, _frame) = state.with_waker(enter);
    let mut timer = pin!(timer);
    {
        let _polling = place::enter_poll(state);
        let waker = Waker::from(deadline.clone());
        // The budget must not apply: the timer has to be set now, not later.
        let set = coop::unconstrained(timer.as_mut());
        if pin!(set).poll(&mut Context::from_waker(&waker)).is_ready() {
            deadline.expire();
        }
    }
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Expired>() {
        Ok(expired) if expired.is_of(&deadline) => Elapsed::deadline(),
        Ok(outer) => resume_unwind(outer),
        Err(payload) => resume_unwind(payload),
    })
}
