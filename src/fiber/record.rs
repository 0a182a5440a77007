//! What the world may know of a fiber: the part that crosses threads.
//!
//! # Layout
//!
//! A fiber has one allocation beside its stack: its [`Record`] and, behind it, the place
//! for its result (its [`Delivery`](crate::join::Delivery) and its
//! [`Receipt`](crate::join::Receipt) know of which type). What the hub reads and writes
//! each time it resumes the fiber is together and fits a cache line or two, behind what
//! is used when it is made, joined and freed; what is needed once, or never, comes last.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use super::Start;
use super::fiber_ref::{Count, FiberRef};
use super::hub_side::HubSide;
use crate::cancel::Cancelled;
use crate::foreign;
use crate::hub::{Core, Shared};
use crate::prefetch::prefetch;
use crate::sync_util::{self, lock};

/// Identifies a fiber, unlike any other of the process.
///
/// It is meant for diagnostics, like [`tokio::task::Id`]: the number says
/// nothing about when or where the fiber was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiberId(NonZeroU64);

/// The next number that no fiber has.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl FiberId {
    pub(crate) fn next() -> FiberId {
        FiberId::new(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn new(id: u64) -> FiberId {
        FiberId(NonZeroU64::new(id).expect("2^64 fibers were made"))
    }
}

/// Numbers that are taken for a hub in advance: to take one is to write to memory
/// that all threads share.
#[derive(Debug, Default)]
pub(crate) struct FiberIds {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl FiberIds {
    const BLOCK: u64 = 256;

    #[inline]
    pub(crate) fn next(&self) -> FiberId {
        if self.next.get() == self.end.get() {
            let next = NEXT.fetch_add(Self::BLOCK, Ordering::Relaxed);
            self.next.set(next);
            self.end.set(next + Self::BLOCK);
        }
        let id = self.next.get();
        self.next.set(id + 1);
        FiberId::new(id)
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

/// The phase as bits that are set and never cleared, with two more: whether the
/// fiber's `Fiber` is gone, so that nobody will take its result; and whether anybody has
/// left a waker to be told of the end.
///
/// Ordering: whoever sets `ENDED` or `DETACHED` releases what it did to the result
/// before, and acquires what the other did: see the Result Invariant of [`crate::join`].
mod life {
    pub(super) const STARTED: u8 = 1;
    pub(super) const ENDED: u8 = 2;
    pub(super) const ABANDONED: u8 = 4;
    pub(super) const DETACHED: u8 = 8;
    pub(super) const JOINED: u8 = 16;

    /// The bits that are the phase.
    pub(super) const PHASE: u8 = STARTED | ENDED | ABANDONED;
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

const NO_JOINER: u32 = u32::MAX;

/// The shared part of a fiber: its handles, its wakers and its hub hold it, by a
/// [`FiberRef`].
///
/// It holds nothing of the user's, so its last drop, on whatever thread, runs
/// no user code.
#[repr(C)]
pub(crate) struct Record {
    pub(super) count: Count,
    /// What only the hub uses, on its thread.
    side: HubSide,
    /// Its drop is another's: see [`take_hub`](Record::take_hub).
    pub(crate) hub: ManuallyDrop<Arc<Shared>>,
    interrupts: AtomicU8,
    life: sync_util::AtomicU8,
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
    /// Where the hub keeps the waker of whoever waits in `Join`, unless that is a fiber
    /// of the same hub; [`NO_JOINER`] if there is none. Written under the lock of
    /// the hub's `joiners`.
    joiner_key: sync_util::AtomicU32,
    /// How much of its stack the fiber was last seen to have used, in KiB, since it is
    /// measured in pages; 0 if it is not measured.
    stack_used: AtomicU32,
    id: FiberId,
    name: OnceLock<Box<str>>,
    /// The message of a pending cancel. Its lock also orders `CANCEL`'s changes.
    cancel: Mutex<Option<Box<Cow<'static, str>>>>,
}

// SAFETY: all fields but `side` are `Send` and `Sync`. `side` is reached only with a
// `Core` of the fiber's hub, which does not leave the hub's thread; so that thread alone
// uses it. To drop it, on whatever thread, does nothing: see `HubSide`.
#[allow(unsafe_code)]
unsafe impl Send for Record {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Record {}

impl Record {
    #[inline(always)]
    pub(crate) fn new(
        count: Count,
        hub: Arc<Shared>,
        id: FiberId,
        name: Option<Box<str>>,
        start: Start,
    ) -> Record {
        Record {
            count,
            side: HubSide::default(),
            hub: ManuallyDrop::new(hub),
            interrupts: AtomicU8::new(0),
            life: sync_util::AtomicU8::new(match start {
                Start::AtOnce => life::STARTED,
                Start::Later => 0,
            }),
            queued_remotely: sync_util::AtomicBool::new(false),
            unparked: AtomicBool::new(false),
            put_off: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            unclaimed_panic: AtomicBool::new(false),
            id,
            joiner_key: sync_util::AtomicU32::new(NO_JOINER),
            stack_used: AtomicU32::new(0),
            name: name.map_or_else(OnceLock::new, OnceLock::from),
            cancel: Mutex::new(None),
        }
    }

    /// Takes its reference to the hub, of which it does not dispose by itself.
    ///
    /// # Safety
    ///
    /// It is called once, and after that nothing is called that uses `hub`. (To drop the
    /// record does not.)
    #[allow(unsafe_code)]
    pub(crate) unsafe fn take_hub(&mut self) -> Arc<Shared> {
        // SAFETY: as promised by the caller.
        unsafe { ManuallyDrop::take(&mut self.hub) }
    }

    /// Has the processor fetch what the hub uses to resume the fiber.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch::<2>(std::ptr::from_ref(self).addr());
    }

    /// What the hub keeps of the fiber, for the hub.
    ///
    /// # Panics
    ///
    /// If this is not the fiber's hub.
    #[inline]
    pub(crate) fn side<'a>(&'a self, core: &'a Core) -> &'a HubSide {
        assert!(
            std::ptr::eq(Arc::as_ptr(&self.hub), Arc::as_ptr(&core.shared)),
            "a hub handles its own fibers",
        );
        &self.side
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
        let used = self.stack_used.load(Ordering::Relaxed) as usize;
        (used > 0).then_some(used * 1024)
    }

    pub(crate) fn set_stack_used(&self, used: usize) {
        let used = u32::try_from(used / 1024).unwrap_or(u32::MAX);
        self.stack_used.store(used, Ordering::Relaxed);
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

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.life.load(Ordering::Acquire) {
            life if life & life::ABANDONED != 0 => Phase::Abandoned,
            life if life & life::ENDED != 0 => Phase::Ended,
            life if life & life::STARTED != 0 => Phase::Started,
            _ => Phase::New,
        }
    }

    /// Moves from `New` to `Started`; false if it was not `New`.
    #[inline]
    pub(crate) fn claim_start(&self) -> bool {
        self.phase() == Phase::New && self.begin_life()
    }

    #[cold]
    fn begin_life(&self) -> bool {
        let before = self.life.fetch_or(life::STARTED, Ordering::AcqRel);
        before & life::PHASE == 0
    }

    /// The fiber has ended, and leaves its result to its joiner. False, and without
    /// effect, if there will be no joiner.
    #[inline]
    pub(crate) fn end_for_joiner(&self) -> bool {
        let mut life = self.life.load(Ordering::Acquire);
        while life & life::DETACHED == 0 {
            let ended = life | life::ENDED;
            let set =
                self.life
                    .compare_exchange_weak(life, ended, Ordering::AcqRel, Ordering::Acquire);
            match set {
                Ok(_) => return true,
                Err(now) => life = now,
            }
        }
        false
    }

    /// The fiber has ended, and its result is gone.
    pub(crate) fn end_detached(&self) {
        self.life.fetch_or(life::ENDED, Ordering::AcqRel);
    }

    pub(crate) fn set_abandoned(&self) {
        self.life.fetch_or(life::ABANDONED, Ordering::AcqRel);
    }

    /// There will be no joiner. True if the fiber had ended before, and so has left
    /// its result to the caller.
    pub(crate) fn detach(&self) -> bool {
        self.life.fetch_or(life::DETACHED, Ordering::AcqRel) & life::ENDED != 0
    }

    /// Whether there will be no joiner.
    pub(crate) fn is_detached(&self) -> bool {
        self.life.load(Ordering::Acquire) & life::DETACHED != 0
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

    /// Has `waker` woken when the fiber has ended, unless it has already: to be asked after
    /// this. (If it has not, whoever ends it sees that there is a waker, since the life
    /// changes in one order.)
    pub(crate) fn leave_waker(&self, waker: &Waker) {
        self.hub.joiners.leave(self, waker);
        if self.life.load(Ordering::Relaxed) & life::JOINED == 0 {
            self.life.fetch_or(life::JOINED, Ordering::AcqRel);
        }
    }

    /// Forgets the waker that was left, if it was not used.
    #[inline]
    pub(crate) fn forget_waker(&self) {
        drop(self.hub.joiners.take(self));
    }

    /// The fiber is over: tells its joiner. Called by the hub after the stack has
    /// returned, so that a waker never runs on it.
    #[inline]
    pub(crate) fn tell_joiner(&self) {
        if self.life.load(Ordering::Acquire) & life::JOINED != 0 {
            if let Some(joiner) = self.hub.joiners.take(self) {
                foreign::wake(joiner);
            }
        }
    }

    #[inline]
    pub(crate) fn joiner_key(&self) -> Option<usize> {
        let key = self.joiner_key.load(Ordering::Acquire);
        (key != NO_JOINER).then_some(key as usize)
    }

    pub(crate) fn set_joiner_key(&self, key: Option<usize>) {
        let key = key.map_or(NO_JOINER, |key| {
            u32::try_from(key).expect("fewer than 2^32 fibers are joined")
        });
        self.joiner_key.store(key, Ordering::Release);
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
    ///
    /// The fiber is not woken: see [`FiberRef::cancel`].
    fn request_cancel(&self, message: Option<Cow<'static, str>>) -> bool {
        if !self.is_alive() {
            return false;
        }
        let mut pending = lock(&self.cancel);
        if self.interrupts() & interrupt::CANCEL == 0 {
            *pending = message.map(Box::new);
            self.interrupt(interrupt::CANCEL);
        }
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
        (before & interrupt::CANCEL != 0)
            .then(|| Cancelled::new(pending.take().map(|message| *message)))
    }
}

impl FiberRef {
    /// Asks the fiber to end; false if it has ended.
    pub(crate) fn cancel(&self, message: Option<Cow<'static, str>>) -> bool {
        let asked = self.request_cancel(message);
        if asked {
            crate::switch_back::wake(self);
        }
        asked
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
