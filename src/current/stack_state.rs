//! [`StackState`]: what the code on a stack of ours knows of itself.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::task::Waker;
use std::thread::panicking;

use super::deadlines::Deadlines;
use super::locals::Locals;
use super::resumer::Resumer;
use crate::base::Unwinding;
use crate::hub::Core;
use crate::shared::{FiberRef, interrupt};
use crate::stack::Extent;
use crate::switch::{Suspender, Suspension};

/// The state of a stack, of a fiber or a bridge. It lives at the root of that stack and is touched
/// only by the code that runs there, so none of it is shared. (One exception: the report of an
/// overflow reads it in a signal handler, when that code has stopped for ever.)
///
/// What each wait uses comes first and is one cache line.
///
/// | field | written by |
/// |---|---|
/// | `resumer`, `suspender` | nobody, after the stack has begun |
/// | `no_switch`, `shields` | [`assert_no_switchpoints`](crate::assert_no_switchpoints) and [`shield`](crate::shield()), and what undoes them |
/// | `panic_is_foreign` | each suspension, and runs of other stacks: see [`super::unwinding`] |
/// | `gives_way` | a poll that gives way; taken by the suspension that follows it |
/// | `end_notice` | the waits that find the hub or the task gone |
/// | `caught_sticky` | a wait that throws; cleared by suspensions |
/// | `deadlines` | [`with_timeout`](crate::with_timeout); expired by timers, which share the flags |
/// | `deferred_in` | a wait whose interrupt is put off |
/// | `locals` | accesses of fiber-locals; ended by the body |
#[repr(C, align(64))]
pub(crate) struct StackState {
    pub(crate) resumer: Resumer,
    pub(crate) suspender: Suspender,
    /// How many `assert_no_switchpoints` the running code is in.
    pub(crate) no_switch: Cell<u32>,
    /// How many `shield`s the running code is in.
    pub(crate) shields: Cell<u32>,
    /// Whether the unwinding of another stack may be what `panicking` reports in this run.
    pub(crate) panic_is_foreign: Cell<bool>,
    /// Whether the stack gives way when it suspends next: then it is resumed after everything that
    /// is ready, without a wake.
    gives_way: Cell<bool>,
    pub(crate) deadlines: Deadlines,
    pub(crate) end_notice: EndNotice,
    /// Whether an interrupt that comes at each wait was thrown since the stack suspended last.
    pub(crate) caught_sticky: Cell<bool>,
    /// The round of deferred wakes that it waits for: see [`super::unwinding`].
    pub(crate) deferred_in: Cell<u64>,
    pub(crate) locals: Locals,
}

const _: () = assert!(mem::offset_of!(StackState, deadlines) + size_of::<usize>() <= 64);

impl StackState {
    #[inline(always)]
    pub(crate) fn new(suspender: Suspender, resumer: Resumer) -> StackState {
        StackState {
            suspender,
            resumer,
            panic_is_foreign: Cell::new(panicking()),
            deferred_in: Cell::new(0),
            end_notice: EndNotice::default(),
            caught_sticky: Cell::new(false),
            shields: Cell::new(0),
            no_switch: Cell::new(0),
            deadlines: Deadlines::default(),
            locals: Locals::new(),
            gives_way: Cell::new(false),
        }
    }

    /// The fiber; `None` in a bridge.
    #[inline]
    pub(crate) fn fiber(&self) -> Option<&FiberRef> {
        self.resumer.fiber()
    }

    /// The fiber's hub; `None` in a bridge.
    #[inline]
    pub(crate) fn hub(&self) -> Option<&Rc<Core>> {
        self.resumer.hub()
    }

    /// Where the stack is.
    #[allow(dead_code)] // where there is no overflow report
    pub(crate) fn extent(&self) -> Extent {
        self.suspender.extent()
    }

    /// Whether this is the stack of that fiber.
    pub(crate) fn is(&self, fiber: &FiberRef) -> bool {
        self.fiber().is_some_and(|own| FiberRef::ptr_eq(own, fiber))
    }

    /// Calls `f` with the waker that has the stack resumed.
    #[inline]
    pub(crate) fn with_waker<R>(&self, f: impl FnOnce(&Waker) -> R) -> R {
        self.resumer.with_waker(f)
    }

    /// Whether the stack is unwinding, asked in the middle of a run.
    pub(crate) fn unwinding(&self) -> Unwinding {
        match (panicking(), self.panic_is_foreign.get()) {
            (false, _) => Unwinding::No,
            (true, false) => Unwinding::Yes,
            (true, true) => Unwinding::Maybe,
        }
    }

    /// Whether the hub, or the task of the bridge, is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.resumer.interrupts() & interrupt::END != 0
    }

    /// Has the stack give way when it suspends next.
    #[inline]
    pub(crate) fn give_way(&self) {
        self.gives_way.set(true);
    }

    /// How the stack suspends now.
    #[inline]
    pub(super) fn take_suspension(&self) -> Suspension {
        match self.gives_way.take() {
            true => Suspension::Yielding,
            false => Suspension::Waiting,
        }
    }
}

impl fmt::Debug for StackState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fiber() {
            Some(fiber) => f.debug_tuple("StackState").field(fiber).finish(),
            None => f.write_str("StackState(Bridge)"),
        }
    }
}

/// How often a stack was told that its hub, or its task, is gone. The first wait after that throws;
/// those that follow are refused, and after a number of them the stack is abandoned.
#[derive(Debug, Default)]
pub(crate) struct EndNotice {
    was_thrown: Cell<bool>,
    refusals: Cell<u32>,
}

impl EndNotice {
    /// How many waits a stack may try. A loop that tries again for ever must not keep the thread.
    const MAX_REFUSALS: u32 = 1000;

    pub(crate) fn was_thrown(&self) -> bool {
        self.was_thrown.get()
    }

    /// Whether the end has to be thrown now, which it is once.
    pub(crate) fn throws(&self) -> bool {
        !self.was_thrown.replace(true)
    }

    /// Counts a wait that is refused. False if there were too many.
    pub(crate) fn refuse(&self) -> bool {
        let refusals = self.refusals.get();
        self.refusals.set(refusals + 1);
        refusals < Self::MAX_REFUSALS
    }

    /// The end was thrown and caught where the unwinding could not go on. The next wait throws it
    /// again, instead of abandoning the stack, unless that has happened too often.
    pub(crate) fn throw_again(&self) {
        self.was_thrown.set(!self.refuse());
    }
}
