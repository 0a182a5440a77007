//! [`WaitSite`]: the check that comes before each wait.
//!
//! Every call that may suspend makes this check first, before it changes anything.

use std::cell::Cell;
use std::panic::Location;
use std::thread::panicking;

use super::place::{Frame, Place};
use super::{StackState, suspend};
use crate::base::executors::{self, Executor};
use crate::base::{Unwinding, half_way, report};

/// A place where waiting is allowed, for this call. (It is made in the caller's frame, so that the compiler
/// knows the name there, and need not keep it.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitSite {
    pub(crate) kind: SiteKind,
    pub(crate) call: &'static str,
}

/// What a place is where waiting is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteKind {
    /// The code is on a stack of ours, which can suspend.
    Stack,
    /// The code is on a plain thread, which can block.
    Thread,
    /// Tokio knows whether the thread may block: see [`Executor::Unlimited`].
    Tokio,
}

/// Why waiting is not allowed.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// The code is async.
    Async,
    /// A wait on this stack or thread polls a future, whose code this is.
    Poll,
    /// The code is a callback of the hub.
    Hub,
    /// The code is a waker, or other foreign code that is called in the middle of something.
    Waker,
    /// An executor was entered or left on this stack.
    Elsewhere,
    /// `assert_no_switchpoints` forbids the wait. Without it, the code would wait at this site.
    Forbidden(SiteKind),
}

/// What to do in async code instead of waiting for a future.
const USE_AWAIT: &str = "use `.await`";

impl WaitSite {
    /// Determines where the running code may wait, for a call that waits for a future.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed. The message names `call`.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn here(call: &'static str) -> WaitSite {
        WaitSite::here_unless_async(call, USE_AWAIT)
    }

    /// Returns whether the running code is on a stack of ours and may make a call that turns out not to
    /// wait. Whether the stack may suspend is not asked yet.
    #[inline(always)]
    pub(crate) fn allows_unless_it_waits() -> bool {
        let frame = Frame::new();
        match frame.place() {
            Place::Stack(state) => state.no_switch.get() == 0 && !half_way::is_running(),
            _ => false,
        }
    }

    /// Like [`here`](WaitSite::here). In async code, the message says what to do `instead`, such as
    /// awaiting a method of another name. It may be empty.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn here_unless_async(call: &'static str, instead: &str) -> WaitSite {
        let frame = Frame::new();
        let kind = match frame.place() {
            Place::Stack(state) if may_switch(state) => SiteKind::Stack,
            _ => WaitSite::here_or_panic(call, instead),
        };
        WaitSite { kind, call }
    }

    #[cold]
    #[track_caller]
    fn here_or_panic(call: &'static str, instead: &str) -> SiteKind {
        match WaitSite::find() {
            Ok(kind) => kind,
            Err(refusal) if panicking() => refusal.unwinding(call, instead),
            Err(refusal) => refusal.panic(call, instead),
        }
    }

    /// Like [`here`](WaitSite::here), for a call that can return an error. Returns `None` where a
    /// panic would be the second one, which aborts the process.
    #[track_caller]
    #[inline]
    pub(crate) fn here_or_error(call: &'static str) -> Option<WaitSite> {
        WaitSite::here_or_error_unless_async(call, USE_AWAIT)
    }

    /// Like [`here_or_error`](WaitSite::here_or_error), with what to do `instead` in async code.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn here_or_error_unless_async(
        call: &'static str,
        instead: &str,
    ) -> Option<WaitSite> {
        let frame = Frame::new();
        let kind = match frame.place() {
            Place::Stack(state) if may_switch(state) => SiteKind::Stack,
            _ => WaitSite::find_or_error(call, instead)?,
        };
        Some(WaitSite { kind, call })
    }

    #[cold]
    #[track_caller]
    fn find_or_error(call: &'static str, instead: &str) -> Option<SiteKind> {
        match WaitSite::find() {
            Ok(kind) => Some(kind),
            Err(_) if panicking() => None,
            Err(refusal) => refusal.panic(call, instead),
        }
    }

    #[inline]
    fn find() -> Result<SiteKind, Refusal> {
        match Frame::new().place() {
            Place::Stack(_) if half_way::is_running() => Err(Refusal::Waker),
            Place::Stack(state) if state.resumer.is_elsewhere() => Err(Refusal::Elsewhere),
            Place::Stack(state) if state.no_switch.get() > 0 => {
                Err(Refusal::Forbidden(SiteKind::Stack))
            }
            Place::Stack(_) => Ok(SiteKind::Stack),
            Place::Outside | Place::Driver(_) => WaitSite::find_outside(),
            Place::Hub(_) => Err(Refusal::Hub),
            Place::Poll(_) | Place::ThreadPoll => Err(Refusal::Poll),
        }
    }

    #[cold]
    fn find_outside() -> Result<SiteKind, Refusal> {
        let site = match executors::look() {
            Executor::Polls => return Err(Refusal::Async),
            Executor::Unlimited => SiteKind::Tokio,
            Executor::Absent => SiteKind::Thread,
        };
        match Forbidden::holds() {
            true => Err(Refusal::Forbidden(site)),
            false => Ok(site),
        }
    }
}

/// Refuses to suspend a stack on which another runtime is current than when it was resumed, for this
/// call.
///
/// # Panics
///
/// Always, unless the stack may be unwinding; then the stack is abandoned.
#[cold]
#[track_caller]
pub(crate) fn refuse_other_runtime(call: &'static str) {
    match panicking() {
        true => drop(Refusal::Elsewhere.unwinding(call, USE_AWAIT)),
        false => Refusal::Elsewhere.panic(call, USE_AWAIT),
    }
}

/// Returns whether the code on this stack may suspend.
#[inline(always)]
fn may_switch(state: &StackState) -> bool {
    state.no_switch.get() == 0 && !half_way::is_running() && !state.resumer.is_elsewhere()
}

impl Refusal {
    /// Handles a wait that is refused and has no error to return, while the thread counts a panic.
    /// If this stack is the one that unwinds, a second panic would abort the process.
    #[cold]
    #[track_caller]
    fn unwinding(self, call: &'static str, instead: &str) -> SiteKind {
        let frame = Frame::new();
        let (unwinding, state) = match frame.place() {
            Place::Stack(state) => (state.unwinding(), Some(state)),
            _ => (Unwinding::Maybe, None),
        };
        match (self, unwinding, state) {
            // The thread counts no panic, so one may be thrown.
            (_, Unwinding::No, _) => self.panic(call, instead),
            // The wait is allowed on a stack that surely unwinds, and on a plain thread, which does
            // not switch.
            (Refusal::Forbidden(site), Unwinding::Yes, _) => site,
            (Refusal::Forbidden(site), _, None) => site,
            // A destructor that tokio runs for a task: tokio catches what it panics with.
            (Refusal::Elsewhere, _, Some(state)) if !state.resumer.resumed_in().is_same_task() => {
                self.panic(call, instead)
            }
            // The stack cannot continue in either way, and must not suspend and be resumed.
            (Refusal::Forbidden(_) | Refusal::Elsewhere, _, Some(state)) => {
                report::error(format_args!(
                    "{call} was refused at {}, on a stack that may be unwinding; since a panic could \
                     abort the process there, the stack is abandoned",
                    Location::caller(),
                ));
                suspend::abandon(state)
            }
            (_, _, _) => self.panic(call, instead),
        }
    }

    #[cold]
    #[track_caller]
    fn panic(self, call: &'static str, instead: &str) -> ! {
        match self {
            Refusal::Async => {
                let or = if instead.is_empty() { "" } else { ", or " };
                let elsewhere = match executors::in_multi_thread_runtime() {
                    true => "send this code to a `HubPool`",
                    false => "move this code into `switchback::spawn` or `bridge`",
                };
                panic!("{call} would block the runtime; {instead}{or}{elsewhere}")
            }
            Refusal::Poll => panic!(
                "{call} inside a future's `poll`, or a destructor that it runs, would suspend the \
                 executor half way; use `.await` there, or wait outside of the future"
            ),
            Refusal::Hub => panic!(
                "{call} in a callback of the hub would stop every fiber; spawn a fiber that waits"
            ),
            Refusal::Waker => panic!(
                "{call} in a waker, or where the items of a `PriorityQueue` are compared, would suspend \
                 the code that calls it half way; let the waker wake something that waits, and compare \
                 without waiting"
            ),
            Refusal::Elsewhere => panic!(
                "{call} inside an executor that was entered on this stack (a `block_on`, a guard of \
                 `Handle::enter`, or a destructor that a runtime runs for a task) would suspend that \
                 executor half way; wait outside of it"
            ),
            Refusal::Forbidden(_) => panic!(
                "{call} is a switchpoint and was called inside `assert_no_switchpoints`; wait before \
                 or after that block"
            ),
        }
    }
}

thread_local! {
    /// The number of `assert_no_switchpoints` calls that the thread is in, outside of our
    /// stacks.
    static FORBIDDEN: Cell<u32> = const { Cell::new(0) };
}

/// Forbids waits on this thread, outside of our stacks, until it is dropped.
#[derive(Debug)]
pub(crate) struct Forbidden(());

impl Forbidden {
    pub(crate) fn begin() -> Forbidden {
        FORBIDDEN.set(FORBIDDEN.get() + 1);
        Forbidden(())
    }

    /// Returns whether the running code, outside of our stacks, is in
    /// `assert_no_switchpoints`.
    fn holds() -> bool {
        FORBIDDEN.get() > 0
    }
}

impl Drop for Forbidden {
    fn drop(&mut self) {
        FORBIDDEN.set(FORBIDDEN.get() - 1);
    }
}
