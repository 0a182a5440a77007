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
//! everybody else. What can be known (rule numbers are for the code below):
//!
//! 1. If `panicking()` is false, nobody on the thread is unwinding.
//! 2. A fiber for which it was false when it suspended is not unwinding when it
//!    is resumed, whatever the count says by then.
//! 3. If it was false when a fiber was resumed and is true later in that same
//!    run, the fiber itself is unwinding.
//! 4. Otherwise it *may* be unwinding. It gets its cancel later.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::thread::panicking;

use crate::fiber::{FiberState, Phase, interrupt};
use crate::switch::Suspension;

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

    /// What the canceller had to say, if anything.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Unwinds with this as the payload, without the panic hook's output.
    pub(crate) fn throw(self) -> ! {
        resume_unwind(Box::new(self))
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

/// Whether a stack is unwinding, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwinding {
    No,
    Yes,
    Maybe,
}

/// What a caller of [`FiberState::interrupted`] can do about an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Only unwind.
    Throw,
    /// Return an error where unwinding is impossible.
    Error,
}

/// Why a wait does not go on.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The fiber is to unwind with this.
    Cancelled(Cancelled),
    /// The hub is gone and the fiber has already been told.
    HubGone,
    /// The fiber is unwinding and what it waits for is not ready.
    Unwinding,
}

const HUB_GONE: &str = "the hub has ended";
const HUB_CLOSING: &str = "the hub is closing";

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
    /// `may_unwind` says whether the stack may be unwinding here (rules 1 to 4).
    /// Does not return at all where the fiber must be abandoned.
    #[inline]
    pub(crate) fn interrupted(&self, may_unwind: bool, answer: Answer) -> Option<Interrupt> {
        if self.record.interrupts() == 0 {
            return None;
        }
        self.interrupted_cold(may_unwind, answer)
    }

    #[cold]
    fn interrupted_cold(&self, may_unwind: bool, answer: Answer) -> Option<Interrupt> {
        let can_throw = CAN_UNWIND && !may_unwind;
        let bits = self.record.interrupts();
        if bits & interrupt::END != 0 {
            if can_throw && !self.told_of_end.replace(true) {
                return Some(Interrupt::Cancelled(Cancelled::new(Some(HUB_GONE.into()))));
            }
            return match answer {
                Answer::Error => Some(Interrupt::HubGone),
                Answer::Throw => self.abandon(),
            };
        }
        if !can_throw {
            // Stays pending. Where the thread's panic count is what stands in
            // the way, the hub wakes the fiber when it falls.
            if CAN_UNWIND {
                self.hub.defer_cancel(&self.record);
            }
            return None;
        }
        if let Some(cancelled) = self.record.take_cancel() {
            return Some(Interrupt::Cancelled(cancelled));
        }
        let closing = bits & interrupt::CLOSE != 0;
        closing.then(|| Interrupt::Cancelled(Cancelled::new(Some(HUB_CLOSING.into()))))
    }

    /// The cancel of a fiber that has not begun to run, if there is one.
    pub(crate) fn cancelled_before_start(&self) -> Option<Cancelled> {
        let cancelled = self.record.take_cancel();
        let bits = self.record.interrupts();
        if cancelled.is_some() || bits == 0 {
            return cancelled;
        }
        let gone = bits & interrupt::END != 0;
        let why = if gone { HUB_GONE } else { HUB_CLOSING };
        Some(Cancelled::new(Some(why.into())))
    }

    /// Leaves this stack for ever, with everything on it.
    fn abandon<T>(&self) -> T {
        self.record.set_phase(Phase::Abandoned);
        loop {
            self.suspender.suspend(self, Suspension::Abandoned);
            debug_assert!(false, "an abandoned fiber was resumed");
        }
    }
}

/// Whether stacks can be unwound in this build.
pub(crate) const CAN_UNWIND: bool = cfg!(panic = "unwind");
