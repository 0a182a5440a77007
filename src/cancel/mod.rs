//! How a fiber is told to end, and how its stack is unwound.
//!
//! A cancel is an unwind: the wait that the fiber is in, or reaches next, throws
//! a [`Cancelled`] with [`std::panic::resume_unwind`], which runs the
//! destructors on the fiber's stack but not the panic hook. The fiber's root
//! catches it.
//!
//! # When it is not thrown
//!
//! Throwing into a stack that is already unwinding aborts the process if a
//! destructor lets it out, so it must never happen. Whether *this stack* is
//! unwinding cannot be asked: [`std::thread::panicking`] counts for the thread,
//! and a fiber that suspends inside a destructor leaves the count raised for
//! everybody else. What can be known:
//!
//! 1. If `panicking()` is false, nobody on the thread is unwinding.
//! 2. A fiber for which it was false when it suspended is not unwinding when it
//!    is resumed, whatever the count says by then.
//! 3. If it was false when a fiber was resumed and is true later in that same
//!    run, the fiber itself is unwinding, unless another stack that it ran
//!    meanwhile (a bridge, a hub) has suspended in its own unwinding.
//! 4. Otherwise it *may* be unwinding. It gets its cancel later.
//!
//! To throw, only rules 1 and 2 count. Rule 3 tells where a wait returns an error
//! rather than suspend.
//!
//! Nor is it thrown inside [`shield()`] and [`assert_no_switchpoints`]. What is not
//! thrown stays pending.
//!
//! # The order of interrupts
//!
//! 1. The hub (or the bridge's task) is gone: unwind once; a wait after that
//!    returns its error or, if it has none, leaves the stack for ever. (So does
//!    one of a loop that does not heed a thousand such errors.)
//! 2. A cancel: once.
//! 3. A deadline of [`with_timeout`] that has passed: at each wait in its frame.
//! 4. A close of the hub: at each wait.
//!
//! [`assert_no_switchpoints`]: crate::assert_no_switchpoints

mod deadline;
mod put_back;
mod shield;

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::thread::panicking;

pub use deadline::with_timeout;
pub(crate) use deadline::{Deadlines, Expired};
pub(crate) use put_back::PutBack;
pub(crate) use shield::Lower;
pub use shield::shield;

use crate::fiber::{FiberState, clear_mark, interrupt};
use crate::foreign;
use crate::switch::{self, Place};

/// What a cancelled fiber unwinds with, and what its joiner is told.
///
/// Code that catches panics may catch one of these; rethrowing it with
/// [`std::panic::resume_unwind`] counts as being cancelled.
#[derive(Clone, PartialEq, Eq)]
pub struct Cancelled {
    message: Option<Cow<'static, str>>,
}

impl Cancelled {
    pub(crate) fn new(message: Option<Cow<'static, str>>) -> Cancelled {
        Cancelled { message }
    }

    fn because(message: &'static str) -> Cancelled {
        Cancelled::new(Some(message.into()))
    }

    pub(crate) fn into_message(self) -> Option<Cow<'static, str>> {
        self.message
    }

    /// What the canceller had to say, if anything.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "cancelled: {message}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled").field(&self.message).finish()
    }
}

impl Error for Cancelled {}

impl From<Cancelled> for io::Error {
    /// The kind is [`io::ErrorKind::Other`], as for tokio's `JoinError`. Never
    /// `Interrupted`, which std's adapters answer by trying again.
    fn from(cancelled: Cancelled) -> io::Error {
        io::Error::other(cancelled)
    }
}

/// Delivers a pending cancel here, without giving way to others.
///
/// For long computations that do not wait. Outside of a fiber, and where a
/// cancel would stay pending ([`shield()`],
/// [`assert_no_switchpoints`](crate::assert_no_switchpoints), a stack that
/// unwinds), it does nothing.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{check_cancelled, current_fiber, prelude::*, spawn};
///
/// let mut fiber = spawn(|| {
///     current_fiber().unwrap().cancel();
///     loop {
///         check_cancelled();
///     }
/// });
/// assert!(fiber.join().wait().unwrap_err().is_cancelled());
/// # }).unwrap();
/// ```
pub fn check_cancelled() {
    let interrupt = switch::with_place(|place| match place {
        Place::Fiber(state) => state.check(),
        _ => None,
    });
    if let Some(thrown) = interrupt {
        thrown.throw();
    }
}

/// Runs `f` and catches a cancel that unwinds it. Other panics go on.
///
/// The cancel is used up: the fiber goes on and can be cancelled again.
///
/// # Errors
///
/// What `f` was cancelled with.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{catch_cancel, current_fiber, prelude::*, yield_now};
///
/// current_fiber().unwrap().cancel_with("enough");
/// let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
/// assert_eq!(cancelled.message(), Some("enough"));
/// yield_now().wait(); // delivered once
/// # }).unwrap();
/// ```
pub fn catch_cancel<T>(f: impl FnOnce() -> T) -> Result<T, Cancelled> {
    // What `f` broke is for the caller to see, as if it had not been caught.
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Cancelled>() {
        Ok(cancelled) => *cancelled,
        Err(payload) => resume_unwind(payload),
    })
}

/// Whether a stack is unwinding, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwinding {
    No,
    Yes,
    Maybe,
}

impl Unwinding {
    /// What a warning says of a stack that was abandoned in this state.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Unwinding::No => "",
            Unwinding::Yes => {
                "; it was unwinding, so from now on this thread counts as panicking: std's \
                 mutexes poison, and cancels reach waits only through `wait_or_cancelled`"
            }
            Unwinding::Maybe => {
                "; it may have been unwinding, in which case this thread counts as panicking \
                 from now on: std's mutexes poison, and cancels reach waits only through \
                 `wait_or_cancelled`"
            }
        }
    }
}

/// What a wait can do about an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Only unwind.
    Unwind,
    /// Unwind, or return an error where that is impossible.
    UnwindOrError,
    /// Return an error: also while the stack unwinds, and through frames that
    /// cannot be unwound.
    Error,
}

/// Why a wait does not go on.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The fiber is to unwind with this.
    Thrown(Thrown),
    /// The hub is gone and the fiber has been told before.
    HubGone,
    /// The fiber is unwinding and what it waits for is not ready.
    Unwinding,
}

/// What a fiber unwinds with.
#[derive(Debug)]
pub(crate) enum Thrown {
    Cancelled(Cancelled),
    Expired(Expired),
}

impl Thrown {
    /// Unwinds, without the panic hook's output.
    pub(crate) fn throw(self) -> ! {
        resume_unwind(match self {
            Thrown::Cancelled(cancelled) => Box::new(cancelled) as Box<dyn Any + Send>,
            Thrown::Expired(expired) => Box::new(expired),
        })
    }
}

impl Interrupt {
    /// Unwinds with what ends a wait that can only unwind.
    #[cold]
    pub(crate) fn throw(self) -> ! {
        match self {
            Interrupt::Thrown(thrown) => thrown.throw(),
            Interrupt::HubGone | Interrupt::Unwinding => {
                unreachable!("a wait that can only unwind is not refused")
            }
        }
    }

    /// The interrupt as a value.
    pub(crate) fn into_cancelled(self) -> Cancelled {
        match self {
            Interrupt::Thrown(Thrown::Cancelled(cancelled)) => cancelled,
            Interrupt::Thrown(Thrown::Expired(_)) => Cancelled::because(DEADLINE),
            Interrupt::HubGone => Cancelled::because(HUB_GONE),
            Interrupt::Unwinding => Cancelled::because(UNWINDING),
        }
    }
}

const HUB_GONE: &str = "the hub has ended";
const HUB_CLOSING: &str = "the hub is closing";
const DEADLINE: &str = "deadline has elapsed";
const UNWINDING: &str = "the fiber is unwinding and cannot wait";

thread_local! {
    /// Those whose interrupt waits until nobody on the thread is unwinding, in
    /// whatever hub or bridge.
    static DEFERRED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    /// Counts how often they were woken; tells a stack that it is in the list.
    static DEFERRED_ROUND: Cell<u64> = const { Cell::new(1) };
    /// Whether there are any: spares each turn a look at the list.
    static ANY_DEFERRED: Cell<bool> = const { Cell::new(false) };
}

/// Has `waker` woken when the thread's panic count has fallen.
fn defer(waker: &Waker) {
    let waker = waker.clone();
    ANY_DEFERRED.set(true);
    let _ = DEFERRED.try_with(|deferred| deferred.borrow_mut().push(waker));
}

/// Runs other stacks from this one. If one of them suspends in its unwinding, the
/// panics that the thread counts from then on need not be this stack's: rule 3
/// does not hold for it any more.
#[inline]
pub(crate) fn nested<R>(resume: impl FnOnce() -> R) -> R {
    let before = panicking();
    if !before {
        clear_mark();
    }
    let result = resume();
    if !before && panicking() {
        switch::with_place(|place| {
            if let Place::Poll(state) | Place::Fiber(state) = place {
                state.ambient.set(true);
            }
        });
    }
    wake_deferred();
    result
}

/// Wakes those whose interrupt was put off, if nobody unwinds any more. Called
/// after stacks have run.
#[inline]
pub(crate) fn wake_deferred() {
    if ANY_DEFERRED.get() && !panicking() {
        wake_those_deferred();
    }
}

#[cold]
fn wake_those_deferred() {
    ANY_DEFERRED.set(false);
    DEFERRED_ROUND.set(DEFERRED_ROUND.get() + 1);
    let deferred = DEFERRED.try_with(|deferred| deferred.take());
    deferred.into_iter().flatten().for_each(foreign::wake);
}

/// How many waits a stack may try after its hub has ended.
const MAX_REFUSED: u32 = 1000;

/// Whether stacks can be unwound in this build.
pub(crate) const CAN_UNWIND: bool = cfg!(panic = "unwind");

impl FiberState {
    /// Whether the fiber is unwinding, asked in the middle of a run.
    pub(crate) fn unwinding(&self) -> Unwinding {
        match (panicking(), self.ambient.get()) {
            (false, _) => Unwinding::No,
            (true, false) => Unwinding::Yes,
            (true, true) => Unwinding::Maybe,
        }
    }

    /// Takes the interrupt that has to be acted on here, if there is one.
    ///
    /// `may_unwind` says whether the stack may be unwinding (rules 1 to 4). Does
    /// not return at all where the stack must be abandoned.
    #[inline]
    pub(crate) fn interrupted(&self, may_unwind: bool, answer: Answer) -> Option<Interrupt> {
        if self.owner.interrupts() == 0 && self.deadlines.is_empty() {
            return None;
        }
        self.interrupted_cold(may_unwind, answer)
    }

    #[cold]
    fn interrupted_cold(&self, may_unwind: bool, answer: Answer) -> Option<Interrupt> {
        let can_throw = CAN_UNWIND && !may_unwind;
        if self.has_ended() {
            if can_throw && answer != Answer::Error && !self.told_of_end.replace(true) {
                let cancelled = Cancelled::because(HUB_GONE);
                return Some(Interrupt::Thrown(Thrown::Cancelled(cancelled)));
            }
            let refused = self.refused_at_end.get();
            self.refused_at_end.set(refused + 1);
            // A loop that tries again for ever must not keep the thread.
            if answer == Answer::Unwind || refused >= MAX_REFUSED {
                self.abandon::<()>();
            }
            return Some(Interrupt::HubGone);
        }
        if can_throw || answer == Answer::Error {
            return self.pending().map(Interrupt::Thrown);
        }
        if may_unwind && self.is_pending() {
            let round = DEFERRED_ROUND.get();
            if self.deferred_in.replace(round) != round {
                self.with_waker(defer);
            }
            self.owner.put_off(true);
        }
        None
    }

    /// The interrupt that may be thrown here without a wait.
    fn check(&self) -> Option<Thrown> {
        let can_throw = CAN_UNWIND && !panicking();
        // Shields do not hold off the end, but a block without switchpoints does.
        let never = self.told_of_end.get() || self.no_switch.get() > 0;
        if !can_throw || (self.has_ended() && never) {
            return None;
        }
        if let Some(hub) = self.hub() {
            // The computation may be why the hub has not noticed it.
            hub.notice_interrupt();
        }
        match self.interrupted(false, Answer::Unwind) {
            Some(Interrupt::Thrown(thrown)) => Some(thrown),
            _ => None,
        }
    }

    /// Whether [`pending`](Self::pending) would find something.
    pub(crate) fn is_pending(&self) -> bool {
        let shielded = self.shields.get() > 0;
        (self.owner.interrupts() != 0 && !shielded)
            || self.deadlines.expired(self.shields.get()).is_some()
    }

    /// Takes a cancel that is not shielded.
    pub(crate) fn take_cancel(&self) -> Option<Cancelled> {
        match self.shields.get() {
            0 => self.owner.take_cancel(),
            _ => None,
        }
    }

    /// Takes the first interrupt that is not shielded, the end apart.
    fn pending(&self) -> Option<Thrown> {
        let shielded = self.shields.get() > 0;
        if let Some(cancelled) = self.take_cancel() {
            self.owner.cancel_delivered();
            return Some(Thrown::Cancelled(cancelled));
        }
        if let Some(expired) = self.deadlines.expired(self.shields.get()) {
            return Some(Thrown::Expired(expired));
        }
        let closing = self.owner.interrupts() & interrupt::CLOSE != 0;
        (closing && !shielded).then(|| Thrown::Cancelled(Cancelled::because(HUB_CLOSING)))
    }

    /// The cancel of a fiber that has not begun to run, if there is one.
    #[inline]
    pub(crate) fn cancelled_before_start(&self) -> Option<Cancelled> {
        match self.owner.interrupts() {
            0 => None,
            _ => self.cancelled_before_start_cold(),
        }
    }

    #[cold]
    fn cancelled_before_start_cold(&self) -> Option<Cancelled> {
        if let Some(cancelled) = self.owner.take_cancel() {
            self.owner.cancel_delivered();
            return Some(cancelled);
        }
        match self.owner.interrupts() {
            0 => None,
            bits if bits & interrupt::END != 0 => Some(Cancelled::because(HUB_GONE)),
            _ => Some(Cancelled::because(HUB_CLOSING)),
        }
    }

    /// Whether the hub, or the task of the bridge, is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.owner.interrupts() & interrupt::END != 0
    }
}
