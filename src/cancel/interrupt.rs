//! [`Interrupt`]: the reason why a wait ends before its future is ready.
//!
//! A cancel is an unwind: the wait that the fiber is in, or reaches next, throws a [`Cancelled`]
//! with [`std::panic::resume_unwind`]. That runs the destructors on the fiber's stack, but not the
//! panic hook. The root of the stack catches it.
//!
//! It is not thrown where the stack may be unwinding, by the rules of
//! [`crate::current::unwinding`], nor inside [`shield`](crate::shield()) and
//! [`assert_no_switchpoints`](crate::assert_no_switchpoints). An interrupt that is not thrown stays
//! pending.
//!
//! # The order of interrupts
//!
//! 1. The hub (or the bridge's task) is gone: the stack unwinds once. A later wait returns its
//!    error or, if it has none, leaves the stack for ever. (So does a wait in a loop that ignores a
//!    thousand such errors.)
//! 2. A cancel: once.
//! 3. A deadline of [`with_timeout`](crate::with_timeout) that has passed, or a failure in a
//!    [`try_scope`](crate::try_scope()): at each wait inside that call.
//! 4. A close of the hub: at each wait.

use std::any::Any;
use std::panic::{Location, resume_unwind};
use std::thread::panicking;

use crate::current::body::{HUB_CLOSING, HUB_GONE};
use crate::current::{Expired, StackState, refuse_other_runtime, suspend, unwinding};
use crate::hub::CANCELLED_BY_TEST;
use crate::shared::{Cancelled, interrupt};

/// Whether stacks can be unwound in this build.
pub(crate) const CAN_UNWIND: bool = cfg!(panic = "unwind");

/// What a wait does when it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// It can only unwind.
    Unwind,
    /// It unwinds, or returns an error where that is impossible.
    UnwindOrError,
    /// It returns an error, also while the stack unwinds, and where frames cannot be unwound.
    Error,
}

/// Why a wait ends before its future is ready.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The stack has to unwind with this payload.
    Thrown(Thrown),
    /// The hub is gone, and the stack was told so before.
    HubGone,
    /// The stack is unwinding, and the future is not ready.
    Unwinding,
}

/// The payload with which a stack unwinds.
#[derive(Debug)]
pub(crate) enum Thrown {
    Cancelled(Cancelled),
    Expired(Expired),
}

impl Thrown {
    /// Unwinds, without running the panic hook.
    pub(crate) fn throw(self) -> ! {
        resume_unwind(match self {
            Thrown::Cancelled(cancelled) => Box::new(cancelled) as Box<dyn Any + Send>,
            Thrown::Expired(expired) => Box::new(expired),
        })
    }
}

impl Interrupt {
    /// Ends a wait that can only unwind.
    #[cold]
    pub(crate) fn throw(self) -> ! {
        match self {
            Interrupt::Thrown(thrown) => thrown.throw(),
            Interrupt::HubGone | Interrupt::Unwinding => {
                unreachable!("a wait that can only unwind is not refused")
            }
        }
    }

    /// Converts the interrupt into a value to return.
    pub(crate) fn into_cancelled(self) -> Cancelled {
        match self {
            Interrupt::Thrown(Thrown::Cancelled(cancelled)) => cancelled,
            Interrupt::Thrown(Thrown::Expired(expired)) => Cancelled::because(expired.why()),
            Interrupt::HubGone => Cancelled::because(HUB_GONE),
            Interrupt::Unwinding => Cancelled::because("the fiber is unwinding and cannot wait"),
        }
    }
}

/// Takes the interrupt to act on here, if there is one.
///
/// `may_unwind` says whether the stack may be unwinding. If the stack has to be abandoned, this
/// does not return.
#[inline]
#[track_caller]
pub(crate) fn take(state: &StackState, may_unwind: bool, on: OnInterrupt) -> Option<Interrupt> {
    match may_be_any(state) {
        false => None,
        true => take_cold(state, may_unwind, on),
    }
}

/// Returns whether [`take`] has to look closer.
#[inline]
pub(crate) fn may_be_any(state: &StackState) -> bool {
    state.resumer.interrupts() != 0 || !state.deadlines.is_empty()
}

#[cold]
#[track_caller]
fn take_cold(state: &StackState, mut may_unwind: bool, on: OnInterrupt) -> Option<Interrupt> {
    if state.threw_recurring.get() && !state.has_ended() {
        if state.resumer.is_in_other_runtime() {
            refuse_other_runtime("a wait");
        }
        // A loop that catches a recurring interrupt and waits again must not keep the thread.
        may_unwind = suspend::give_way(state);
    }
    take_now(state, may_unwind, on)
}

/// Like [`take`], where the code must not suspend.
#[track_caller]
fn take_now(state: &StackState, may_unwind: bool, on: OnInterrupt) -> Option<Interrupt> {
    let can_throw = CAN_UNWIND && !may_unwind;
    let acts = can_throw || (on == OnInterrupt::Error && !may_unwind);
    probe(state, acts, Location::caller());
    if state.has_ended() {
        if can_throw && on != OnInterrupt::Error && state.end_notice.throws() {
            let cancelled = Cancelled::because(HUB_GONE);
            return Some(Interrupt::Thrown(Thrown::Cancelled(cancelled)));
        }
        let may_refuse = state.end_notice.refuse();
        if on == OnInterrupt::Unwind || !may_refuse {
            suspend::abandon(state);
        }
        return Some(Interrupt::HubGone);
    }
    // What an earlier wait has recorded holds no longer, also if that was over at once.
    state.resumer.put_off(false);
    if can_throw || on == OnInterrupt::Error {
        return take_pending(state).map(Interrupt::Thrown);
    }
    if may_unwind && is_pending(state) {
        let round = unwinding::deferred_round();
        if state.deferred_in.replace(round) != round {
            state.with_waker(unwinding::defer);
        }
        state.resumer.put_off(true);
    }
    None
}

/// Tells a test that counts them that the stack looks for a cancel at this place. `acts` says whether
/// the stack would act on one, shields aside.
#[inline]
pub(crate) fn probe(state: &StackState, acts: bool, at: &'static Location<'static>) {
    if cfg!(feature = "test-util") && state.resumer.interrupts() & interrupt::PROBE != 0 {
        probe_cold(state, acts, at);
    }
}

#[cold]
fn probe_cold(state: &StackState, acts: bool, at: &'static Location<'static>) {
    let Some(trial) = state.hub().and_then(|hub| hub.trial()) else {
        return;
    };
    let is_first = state.resumer.interrupts() & interrupt::REASONS == 0;
    let acts = acts && is_first && state.shields.get() == 0;
    if trial.probe.looks(at, acts) {
        let cancelled = Cancelled::because(CANCELLED_BY_TEST);
        state.resumer.redeliver(cancelled);
    }
}

/// Takes the interrupt that may be thrown here, outside of a wait.
#[track_caller]
pub(super) fn take_here(state: &StackState) -> Option<Thrown> {
    let can_throw = CAN_UNWIND && !panicking();
    // Shields do not hold off the end of the hub, but a block without switchpoints does.
    let end_is_held_off = state.end_notice.was_thrown() || state.no_switch.get() > 0;
    if !can_throw || (state.has_ended() && end_is_held_off) {
        return None;
    }
    if let Some(hub) = state.hub() {
        // The hub may not have noticed Ctrl-C, because of this very computation.
        hub.notice_interrupt();
    }
    match take_now(state, false, OnInterrupt::Unwind) {
        Some(Interrupt::Thrown(thrown)) => Some(thrown),
        _ => None,
    }
}

/// Returns whether there is an interrupt that is not shielded, apart from the end.
pub(crate) fn is_pending(state: &StackState) -> bool {
    let shielded = state.shields.get() > 0;
    (state.resumer.interrupts() & interrupt::REASONS != 0 && !shielded)
        || state.deadlines.expired(state.shields.get()).is_some()
}

/// Takes the pending cancel, unless it is shielded.
pub(crate) fn take_cancel(state: &StackState) -> Option<Cancelled> {
    match state.shields.get() {
        0 => state.resumer.take_cancel(),
        _ => None,
    }
}

/// Takes the first interrupt that is not shielded, apart from the end.
fn take_pending(state: &StackState) -> Option<Thrown> {
    let shielded = state.shields.get() > 0;
    if let Some(cancelled) = take_cancel(state) {
        state.resumer.cancel_delivered();
        return Some(Thrown::Cancelled(cancelled));
    }
    let recurring = match state.deadlines.expired(state.shields.get()) {
        Some(expired) => Thrown::Expired(expired),
        None if state.resumer.interrupts() & interrupt::CLOSE != 0 && !shielded => {
            Thrown::Cancelled(Cancelled::because(HUB_CLOSING))
        }
        None => return None,
    };
    state.threw_recurring.set(true);
    Some(recurring)
}
