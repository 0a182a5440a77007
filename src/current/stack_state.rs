//! [`StackState`]: the state of a stack of ours, for the code that runs on it.
//!
//! # The lines of a stack
//!
//! From one suspension of a fiber to the next, its stack and [its header](crate::shared::header) are
//! touched in a few cache lines. With many fibers none of these is in the cache any more, so they should
//! be few, and the hub prefetches them. A stack, from its base down, has these:
//!
//! ```text
//! base  +--------------------------------------------------+
//!       | the engine's link to the resumer                 |  each yield and wait
//!       +--------------------------------------------------+
//!       | the fiber's closure, the frames of the root      |
//!       +--------------------------------------------------+
//!       | StackState: `resumer` to the length of           |  each yield and wait
//!       | `deadlines`                                      |
//!       +--------------------------------------------------+
//!       | StackState: from there to `wait`                 |  each wait
//!       +--------------------------------------------------+
//!       | StackState: `deferred_in` to `extent`            |
//!       +--------------------------------------------------+
//!       | the user's frames                                |
//!       +--------------------------------------------------+
//!       | the frame that waits, with its future, and below |  each yield and wait: one line or
//!       | it what the engine pushes                        |  two, and those of the future
//! top   +--------------------------------------------------+
//! ```
//!
//! The code that waits is inlined into the last frame. So that this frame is small, what a wait rarely
//! needs is in functions that are not inlined.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::rc::Rc;
use std::task::Waker;
use std::thread::panicking;

use super::deadlines::Deadlines;
use super::locals::Locals;
use super::resumer::Resumer;
use super::wait_record::WaitRecord;
use crate::base::Unwinding;
use crate::hub::Core;
use crate::shared::{FiberRef, Observer, Track, interrupt};
use crate::stack::Extent;
use crate::switch::{Suspender, Suspension, stack_pointer};

/// The state of the stack of a fiber or a bridge. It is kept at the root of that stack and used
/// only by the code that runs there, so none of it is shared. (There is one exception: the overflow
/// report reads it in a signal handler, when that code has stopped for ever.)
///
/// The fields that each wait uses come first, in one cache line.
///
/// | field | written by |
/// |---|---|
/// | `resumer`, `suspender`, `extent` | no code, after the stack has begun |
/// | `safe_yield` | yields, before they suspend |
/// | `no_switch`, `shields` | [`assert_no_switchpoints`](crate::assert_no_switchpoints) and [`shield`](crate::shield()), and their guards |
/// | `panic_is_foreign` | each suspension, and runs of other stacks: see [`super::unwinding`] |
/// | `gives_way` | a poll or call that gives way; cleared by the suspension that follows it |
/// | `end_notice` | the waits that find that the hub or the task is gone |
/// | `threw_recurring` | a wait that throws; cleared by suspensions |
/// | `track`, `tracked` | no code, after the stack has begun |
/// | `wait` | waits that are about to suspend, and the polls of our futures |
/// | `deadlines` | [`with_timeout`](crate::with_timeout); timers mark them as expired, through shared flags |
/// | `deferred_in` | a wait whose interrupt is put off |
/// | `locals` | accesses of fiber-locals; ended by the body |
#[repr(C, align(64))]
pub(crate) struct StackState {
    pub(crate) resumer: Resumer,
    suspender: Suspender,
    /// The last yield at which the stack was found to be in the runtime of its hub.
    safe_yield: Cell<Option<YieldPoint>>,
    /// The number of `assert_no_switchpoints` calls around the running code.
    pub(crate) no_switch: Cell<u32>,
    /// The number of `shield` calls around the running code.
    pub(crate) shields: Cell<u32>,
    /// Whether `panicking` may report the unwinding of another stack in this run.
    pub(crate) panic_is_foreign: Cell<bool>,
    /// Whether the stack gives way when it suspends next. If so, it is resumed after everything
    /// that is ready, without a wake.
    gives_way: Cell<bool>,
    /// What is recorded about waits.
    track: Track,
    /// Whether an interrupt that recurs at each wait was thrown since the last suspension.
    pub(crate) threw_recurring: Cell<bool>,
    pub(crate) deadlines: Deadlines,
    /// Where the stack waits, if that is recorded.
    pub(crate) wait: WaitRecord,
    pub(crate) end_notice: EndNotice,
    /// The round of deferred wakes that the stack waits for: see [`super::unwinding`].
    pub(crate) deferred_in: Cell<u64>,
    pub(crate) locals: Locals,
    /// The number of the fiber, if its waits are recorded; otherwise 0.
    tracked: u64,
    /// The address range of the stack.
    extent: Extent,
}

const _: () = assert!(mem::offset_of!(StackState, deadlines) + size_of::<usize>() <= 64);
const _: () = assert!(mem::offset_of!(StackState, wait) + WaitRecord::WRITTEN <= 128);

impl StackState {
    /// Returns the state of a stack that begins. `panics` says whether the thread counts a panic. (It is
    /// asked before the resumer is made, because the compiler would copy the resumer around that call.)
    #[inline(always)]
    pub(crate) fn new(
        suspender: Suspender,
        extent: Extent,
        panics: bool,
        resumer: Resumer,
    ) -> StackState {
        let track = resumer.hub().map_or(Track::Off, |hub| hub.config.track);
        let tracked = match (track, resumer.fiber()) {
            (Track::Places | Track::Times, Some(fiber)) => fiber.id().number(),
            _ => 0,
        };
        StackState {
            track,
            tracked,
            wait: WaitRecord::default(),
            suspender,
            extent,
            resumer,
            safe_yield: Cell::new(None),
            panic_is_foreign: Cell::new(panics),
            deferred_in: Cell::new(0),
            end_notice: EndNotice::default(),
            threw_recurring: Cell::new(false),
            shields: Cell::new(0),
            no_switch: Cell::new(0),
            deadlines: Deadlines::default(),
            locals: Locals::new(),
            gives_way: Cell::new(false),
        }
    }

    /// Returns the fiber; `None` in a bridge.
    #[inline]
    pub(crate) fn fiber(&self) -> Option<&FiberRef> {
        self.resumer.fiber()
    }

    /// Returns the fiber's hub; `None` in a bridge.
    #[inline]
    pub(crate) fn hub(&self) -> Option<&Rc<Core>> {
        self.resumer.hub()
    }

    /// Returns the address range of the stack.
    #[allow(dead_code)] // where there is no overflow report
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// Returns whether this is the stack of the given fiber.
    pub(crate) fn is(&self, fiber: &FiberRef) -> bool {
        self.fiber().is_some_and(|own| FiberRef::ptr_eq(own, fiber))
    }

    /// Calls `f` with the waker that makes the stack resume.
    #[inline]
    pub(crate) fn with_waker<R>(&self, f: impl FnOnce(&Waker) -> R) -> R {
        self.resumer.with_waker(f)
    }

    /// Returns whether the stack is unwinding, for use in the middle of a run.
    pub(crate) fn unwinding(&self) -> Unwinding {
        match (panicking(), self.panic_is_foreign.get()) {
            (false, _) => Unwinding::No,
            (true, false) => Unwinding::Yes,
            (true, true) => Unwinding::Maybe,
        }
    }

    /// Returns whether the hub, or the task of the bridge, is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.resumer.interrupts() & interrupt::END != 0
    }

    /// Returns the number of the fiber, if its waits are recorded, and otherwise 0.
    #[inline(always)]
    pub(super) fn tracked(&self) -> u64 {
        self.tracked
    }

    /// Records that a wait begins, or that its future is polled again, if waits are recorded.
    #[inline(always)]
    pub(crate) fn begin_wait(&self) {
        if self.track != Track::Off {
            self.wait.begin();
        }
    }

    /// Records that a wait suspends the stack, if waits are recorded: where, by which call, and the name of
    /// the type of the future.
    #[inline(always)]
    pub(crate) fn note_suspension(
        &self,
        at: &'static Location<'static>,
        call: &'static str,
        what: fn() -> &'static str,
    ) {
        if self.track != Track::Off {
            self.wait.suspends(self.track, at, call, what);
        }
    }

    /// Records where the stack, which goes on now, had waited, if anybody observes what runs.
    #[inline(always)]
    pub(crate) fn note_resumption(&self, at: &'static Location<'static>) {
        if Observer::is_any() {
            self.note_waited(at);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_waited(&self, at: &'static Location<'static>) {
        if let Some(hub) = self.hub().filter(|_| self.track != Track::Off) {
            hub.mailbox.running.note_waited(at);
        }
    }

    /// Like [`Resumer::is_in_other_runtime`], for a yield at this place in the source. A yield should cost
    /// nearly nothing, so tokio is not asked if the last yield that it allowed was at the same place and
    /// at the same depth of the stack. With debug assertions it is always asked.
    #[inline(always)]
    pub(crate) fn yields_in_other_runtime(&self, at: &'static Location<'static>) -> bool {
        let point = YieldPoint {
            at,
            depth: stack_pointer(),
        };
        let known = self.safe_yield.get().is_some_and(|last| last.is(point));
        (cfg!(debug_assertions) || !known) && self.finds_other_runtime(point)
    }

    #[cold]
    #[inline(never)]
    fn finds_other_runtime(&self, point: YieldPoint) -> bool {
        let is_in_other = self.resumer.is_in_other_runtime();
        if !is_in_other {
            self.safe_yield.set(Some(point));
        }
        is_in_other
    }

    /// Suspends the stack until it is resumed.
    #[inline(always)]
    pub(super) fn suspend(&self, how: Suspension) {
        self.suspender.suspend(how, &self.extent);
    }

    /// Makes the stack give way when it suspends next.
    #[inline]
    pub(crate) fn give_way(&self) {
        self.gives_way.set(true);
    }

    /// Returns how the stack suspends now.
    #[inline]
    pub(super) fn take_suspension(&self) -> Suspension {
        match self.gives_way.take() {
            true => Suspension::Yielding,
            false => Suspension::Waiting,
        }
    }
}

/// Where a yield is: in the source, and on the stack.
#[derive(Clone, Copy, Debug)]
struct YieldPoint {
    at: &'static Location<'static>,
    depth: usize,
}

impl YieldPoint {
    #[inline(always)]
    fn is(self, other: YieldPoint) -> bool {
        ptr::eq(self.at, other.at) && self.depth == other.depth
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

/// How often a stack was told that its hub or its task is gone. The first wait after that throws.
/// The waits that follow are refused, and after a number of refusals the stack is abandoned.
#[derive(Debug, Default)]
pub(crate) struct EndNotice {
    was_thrown: Cell<bool>,
    refusals: Cell<u32>,
}

impl EndNotice {
    /// The number of waits that are refused before the stack is abandoned, because a loop that
    /// retries for ever must not keep the thread.
    const MAX_REFUSALS: u32 = 1000;

    pub(crate) fn was_thrown(&self) -> bool {
        self.was_thrown.get()
    }

    /// Returns whether the end has to be thrown now, and records that it is: it is thrown once.
    pub(crate) fn throws(&self) -> bool {
        !self.was_thrown.replace(true)
    }

    /// Counts a wait that is refused. Returns false if there were too many.
    pub(crate) fn refuse(&self) -> bool {
        let refusals = self.refusals.get();
        self.refusals.set(refusals + 1);
        refusals < Self::MAX_REFUSALS
    }

    /// Records that the end was thrown and then caught where the unwinding could not continue. The
    /// next wait throws it again instead of abandoning the stack, unless that has happened too
    /// often.
    pub(crate) fn throw_again(&self) {
        self.was_thrown.set(!self.refuse());
    }
}
