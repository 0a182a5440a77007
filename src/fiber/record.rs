//! What the world may know of a fiber: the part that crosses threads.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use futures::task::AtomicWaker;

use crate::cancel::Cancelled;
use crate::foreign;
use crate::hub::Shared;
use crate::sync_util::{self, lock};

/// Identifies a fiber, unlike any other of the process.
///
/// It is meant for diagnostics, like [`tokio::task::Id`]: the number says
/// nothing about when or where the fiber was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiberId(NonZeroU64);

impl FiberId {
    fn next() -> FiberId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        FiberId(NonZeroU64::new(id).expect("2^64 fibers were made"))
    }
}

impl fmt::Display for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FiberId({})", self.0)
    }
}

/// How far a fiber has come.
///
/// `New -> Started -> Ended | Abandoned`; a fiber that is cancelled before it
/// started goes from `New` to `Ended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Made, not started.
    New,
    /// In the ready queue, running or waiting.
    Started,
    /// Its body has returned and its result is with its joiner or dropped.
    Ended,
    /// Its stack could not be unwound and was leaked.
    Abandoned,
}

impl Phase {
    fn from_bits(bits: u8) -> Phase {
        match bits {
            0 => Phase::New,
            1 => Phase::Started,
            2 => Phase::Ended,
            3 => Phase::Abandoned,
            _ => unreachable!("no other phase is ever stored"),
        }
    }
}

/// Reasons why a fiber should not simply go on, as bits of one byte, so that
/// the wait path asks for all of them with one load.
pub(crate) mod interrupt {
    /// Somebody called `cancel`: delivered once.
    pub(crate) const CANCEL: u8 = 1;
    /// The hub is closing: delivered at each wait.
    pub(crate) const CLOSE: u8 = 2;
    /// The hub is gone: delivered once, after that waits are refused.
    pub(crate) const END: u8 = 4;
}

const UNWATCHED: usize = usize::MAX;
const NOWHERE: usize = usize::MAX;

/// The shared part of a fiber: its handles, its wakers and its hub hold it.
///
/// It holds nothing of the user's, so its last drop, on whatever thread, runs
/// no user code but the drop of a joiner's waker.
pub(crate) struct Record {
    id: FiberId,
    name: OnceLock<Box<str>>,
    pub(crate) hub: Arc<Shared>,
    /// Where the hub keeps the fiber; [`NOWHERE`] before it has arrived there. Only
    /// the hub's thread uses it, after it has checked that the place still holds
    /// this very record.
    slot: AtomicUsize,
    phase: AtomicU8,
    interrupts: AtomicU8,
    /// The message of a pending cancel. Its lock also orders `CANCEL`'s changes.
    cancel: Mutex<Option<Cow<'static, str>>>,
    /// Set while the record is in the hub's queue of remote wakes.
    ///
    /// Ordering: `swap(true, AcqRel)` by a waker pairs with `swap(false, AcqRel)`
    /// by the hub that drains: a waker that finds it set has published what it
    /// did before to the hub that will clear it.
    queued_remotely: sync_util::AtomicBool,
    /// The token of `park` and `unpark`.
    pub(crate) unparked: AtomicBool,
    /// Whether an interrupt is put off until nobody on the thread unwinds.
    put_off: AtomicBool,
    /// Whether a join has taken the result, or an error instead of it.
    claimed: AtomicBool,
    /// Whether the fiber panicked and nobody has taken the panic.
    unclaimed_panic: AtomicBool,
    /// Whoever waits in `Join`.
    pub(crate) joiner: AtomicWaker,
    /// How much of its stack the fiber was last seen to have used; 0 if it is not
    /// measured.
    stack_used: AtomicUsize,
    /// Where the hub keeps this record among those whose joiners it must tell
    /// when it fails; [`UNWATCHED`] if it does not. Written under the hub's lock.
    watch_key: AtomicUsize,
}

impl Record {
    pub(crate) fn new(hub: Arc<Shared>, name: Option<Box<str>>) -> Record {
        Record {
            id: FiberId::next(),
            name: name.map_or_else(OnceLock::new, OnceLock::from),
            hub,
            slot: AtomicUsize::new(NOWHERE),
            phase: AtomicU8::new(Phase::New as u8),
            interrupts: AtomicU8::new(0),
            cancel: Mutex::new(None),
            queued_remotely: sync_util::AtomicBool::new(false),
            unparked: AtomicBool::new(false),
            put_off: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            unclaimed_panic: AtomicBool::new(false),
            joiner: AtomicWaker::new(),
            stack_used: AtomicUsize::new(0),
            watch_key: AtomicUsize::new(UNWATCHED),
        }
    }

    pub(crate) fn id(&self) -> FiberId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        self.name
            .get_or_init(|| format!("Fiber-{}", self.id).into_boxed_str())
    }

    /// The name, if it was given, or asked for before. Fit for a signal handler.
    pub(crate) fn known_name(&self) -> Option<&str> {
        self.name.get().map(|name| &**name)
    }

    /// The name that the fiber was given, if any.
    pub(crate) fn given_name(&self) -> Option<&str> {
        let name = self.known_name()?;
        let made = name.strip_prefix("Fiber-") == Some(&*self.id.to_string());
        (!made).then_some(name)
    }

    pub(crate) fn stack_used(&self) -> Option<usize> {
        let used = self.stack_used.load(Ordering::Relaxed);
        (used > 0).then_some(used)
    }

    pub(crate) fn set_stack_used(&self, used: usize) {
        self.stack_used.store(used, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn slot(&self) -> usize {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: usize) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// Whether the one who wakes the fiber has to put it into the hub's queue of
    /// remote wakes; if not, it is there already.
    pub(crate) fn enters_remote_queue(&self) -> bool {
        !self.queued_remotely.swap(true, Ordering::AcqRel)
    }

    /// The hub has taken the fiber out of that queue.
    pub(crate) fn left_remote_queue(&self) {
        self.queued_remotely.swap(false, Ordering::AcqRel);
    }

    /// Ordering: pairs with the `Release` of [`Record::set_phase`].
    pub(crate) fn phase(&self) -> Phase {
        Phase::from_bits(self.phase.load(Ordering::Acquire))
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Moves from `New` to `Started`; false if it was not `New`.
    #[inline]
    pub(crate) fn claim_start(&self) -> bool {
        if self.phase() != Phase::New {
            return false;
        }
        self.phase
            .compare_exchange(
                Phase::New as u8,
                Phase::Started as u8,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.phase(), Phase::New | Phase::Started) && self.hub.failure().is_none()
    }

    pub(crate) fn is_put_off(&self) -> bool {
        self.put_off.load(Ordering::Relaxed)
    }

    pub(crate) fn set_put_off(&self, put_off: bool) {
        self.put_off.store(put_off, Ordering::Relaxed);
    }

    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    pub(crate) fn set_claimed(&self) {
        self.claimed.store(true, Ordering::Release);
    }

    pub(crate) fn has_unclaimed_panic(&self) -> bool {
        self.unclaimed_panic.load(Ordering::Acquire)
    }

    pub(crate) fn set_unclaimed_panic(&self, unclaimed: bool) {
        self.unclaimed_panic.store(unclaimed, Ordering::Release);
    }

    /// The fiber is over: tells its joiner. Called by the hub after the stack has
    /// returned, so that a waker never runs on it.
    pub(crate) fn tell_joiner(&self) {
        if let Some(joiner) = self.joiner.take() {
            foreign::wake(joiner);
        }
        self.hub.unwatch(self);
    }

    pub(crate) fn watch_key(&self) -> Option<usize> {
        let key = self.watch_key.load(Ordering::Acquire);
        (key != UNWATCHED).then_some(key)
    }

    pub(crate) fn set_watch_key(&self, key: Option<usize>) {
        self.watch_key
            .store(key.unwrap_or(UNWATCHED), Ordering::Release);
    }

    /// The [`interrupt`] bits. Ordering: `Acquire` pairs with the `Release` of
    /// whoever set a bit, so that what it did before is seen.
    #[inline]
    pub(crate) fn interrupts(&self) -> u8 {
        self.interrupts.load(Ordering::Acquire)
    }

    pub(crate) fn interrupt(&self, bit: u8) {
        self.interrupts.fetch_or(bit, Ordering::AcqRel);
    }

    pub(crate) fn take_back_interrupt(&self, bit: u8) {
        self.interrupts.fetch_and(!bit, Ordering::AcqRel);
    }

    /// Asks the fiber to end; false if it has ended. The first message of those
    /// that are pending together is kept.
    pub(crate) fn cancel(self: &Arc<Self>, message: Option<Cow<'static, str>>) -> bool {
        if !self.is_alive() {
            return false;
        }
        {
            let mut pending = lock(&self.cancel);
            if self.interrupts() & interrupt::CANCEL == 0 {
                *pending = message;
                self.interrupt(interrupt::CANCEL);
            }
        }
        crate::switch_back::wake(self);
        true
    }

    /// Takes a pending cancel, if there is one.
    pub(crate) fn take_cancel(&self) -> Option<Cancelled> {
        if self.interrupts() & interrupt::CANCEL == 0 {
            return None;
        }
        let mut pending = lock(&self.cancel);
        let before = self
            .interrupts
            .fetch_and(!interrupt::CANCEL, Ordering::AcqRel);
        (before & interrupt::CANCEL != 0).then(|| Cancelled::new(pending.take()))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("id", &self.id.0)
            .field("name", &self.name())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
