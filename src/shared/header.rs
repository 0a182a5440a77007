//! [`Header`]: what everybody may know of a fiber.
//!
//! # Layout
//!
//! A fiber has one allocation beside its stack: its header and, behind it, the place for its result
//! (only its [`ResultSender`](super::ResultSender) and [`ResultReceiver`](super::ResultReceiver)
//! know the type of that). What is used when the fiber is made, joined and freed comes first. What
//! the hub reads and writes each time it resumes the fiber is together and fits a cache line or
//! two. What is needed once, or never, comes last.
//!
//! # Who may touch what
//!
//! | field | who, and when |
//! |---|---|
//! | `count` | [`FiberRef`](super::FiberRef) only |
//! | `hub_part` | the hub's thread, with the hub's [`HubToken`] |
//! | `mailbox` | everybody; taken out when the header is freed |
//! | `interrupts` | set by everybody, cleared by the fiber's stack and by the hub |
//! | `life` | bits are set, never cleared: see [`life`] |
//! | `queued_remotely` | set by who wakes on another thread, cleared by the hub |
//! | `unparked` | set by everybody, taken by the fiber |
//! | `unclaimed_panic` | set by the fiber at its end, cleared by its joiner |
//! | `joiner_key` | under the lock of the mailbox's `joiners` |
//! | `stack_used` | written by the hub |
//! | `name` | written once, by who asks first |
//! | `cancel` | the message of the cancel that `interrupts` tells of, under its lock |
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use super::mailbox::Mailbox;
use super::reference::Count;
use super::{Cancelled, FiberId, HubPart, HubToken};
use crate::base::lock::{self, lock};
use crate::base::{WakerKey, contain, prefetch};

/// When a new fiber is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    AtOnce,
    /// When [`Fiber::start`](crate::Fiber::start) is called.
    Later,
}

/// How far a fiber has come.
///
/// `New -> Started -> Ended | Abandoned`. A fiber that is cancelled before it started goes from
/// `New` to `Ended`.
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

/// The phase, as bits that are set and never cleared, with two more: whether the fiber's `Fiber` is
/// gone, so that nobody will take its result; and whether anybody has left a waker to be told of the
/// end.
///
/// Ordering: each change is `AcqRel`. The one that sets `ENDED` and the one that sets `DETACHED`
/// release what their side did to the result, and acquire what the other side did: see the Result
/// Invariant of [`super::result`].
mod life {
    pub(super) const STARTED: u8 = 1;
    pub(super) const ENDED: u8 = 2;
    pub(super) const ABANDONED: u8 = 4;
    pub(super) const DETACHED: u8 = 8;
    pub(super) const JOINED: u8 = 16;

    /// The bits that are the phase.
    pub(super) const PHASE: u8 = STARTED | ENDED | ABANDONED;
}

/// Reasons why a fiber should not simply go on, as bits of one byte, so that a wait asks for all of
/// them with one load.
pub(crate) mod interrupt {
    /// Somebody called `cancel`: delivered once.
    pub(crate) const CANCEL: u8 = 1;
    /// The hub is closing: delivered at each wait.
    pub(crate) const CLOSE: u8 = 2;
    /// The hub is gone: delivered once, after that waits are refused.
    pub(crate) const END: u8 = 4;
}

/// The shared part of a fiber. Its handles, its wakers and its hub hold it, by a
/// [`FiberRef`](super::FiberRef).
///
/// It holds nothing of the user's, so its last drop, on any thread, runs no user code.
#[repr(C)]
pub(crate) struct Header {
    pub(super) count: Count,
    hub_part: HubPart,
    /// Dropped by [`take_mailbox`](Header::take_mailbox), not with the header.
    pub(crate) mailbox: ManuallyDrop<Arc<Mailbox>>,
    interrupts: AtomicU8,
    life: lock::AtomicU8,
    /// Set while the fiber is among the wakes in the mailbox.
    ///
    /// Ordering: `swap(true, AcqRel)` by a waker pairs with `swap(false, AcqRel)` by the hub that
    /// takes it out. A waker that finds it set has published what it did before to the hub that
    /// will clear it.
    queued_remotely: lock::AtomicBool,
    /// The token of `park` and `unpark`.
    pub(crate) unparked: AtomicBool,
    /// Whether the fiber panicked and nobody has taken the panic.
    unclaimed_panic: AtomicBool,
    joiner_key: JoinerKey,
    /// How much of its stack the fiber was last seen to have used, in KiB, since it is measured in
    /// pages; 0 if it is not measured.
    stack_used: AtomicU32,
    id: FiberId,
    name: OnceLock<Box<str>>,
    /// The message of a pending cancel. Its lock also orders the changes of `CANCEL`.
    cancel: Mutex<Option<Box<Cow<'static, str>>>>,
}

// SAFETY: all fields but `hub_part` are `Send` and `Sync`. `hub_part` is reached with the token of
// the fiber's hub only, which does not leave the hub's thread. Dropping it, on any thread, does
// nothing: see `HubPart`.
unsafe impl Send for Header {}
// SAFETY: as above.
unsafe impl Sync for Header {}

/// Where the mailbox keeps the waker of who waits in `Join`, unless that is a fiber of the same
/// hub.
#[derive(Debug)]
struct JoinerKey(lock::AtomicU32);

impl JoinerKey {
    const NONE: u32 = u32::MAX;

    fn new() -> JoinerKey {
        JoinerKey(lock::AtomicU32::new(Self::NONE))
    }
}

impl WakerKey for JoinerKey {
    #[inline]
    fn get(&self) -> Option<usize> {
        let key = self.0.load(Ordering::Acquire);
        (key != Self::NONE).then_some(key as usize)
    }

    fn set(&self, key: Option<usize>) {
        let key = key.map_or(Self::NONE, |key| {
            u32::try_from(key).expect("fewer than 2^32 fibers are joined")
        });
        self.0.store(key, Ordering::Release);
    }
}

impl Header {
    #[inline(always)]
    pub(super) fn new(
        count: Count,
        mailbox: Arc<Mailbox>,
        id: FiberId,
        name: Option<Box<str>>,
        start: Start,
    ) -> Header {
        Header {
            count,
            hub_part: HubPart::default(),
            mailbox: ManuallyDrop::new(mailbox),
            interrupts: AtomicU8::new(0),
            life: lock::AtomicU8::new(match start {
                Start::AtOnce => life::STARTED,
                Start::Later => 0,
            }),
            queued_remotely: lock::AtomicBool::new(false),
            unparked: AtomicBool::new(false),
            unclaimed_panic: AtomicBool::new(false),
            id,
            joiner_key: JoinerKey::new(),
            stack_used: AtomicU32::new(0),
            name: name.map_or_else(OnceLock::new, OnceLock::from),
            cancel: Mutex::new(None),
        }
    }

    /// Takes out its reference to the mailbox, which is not dropped with the header.
    ///
    /// # Safety
    ///
    /// It is called once, and nothing that uses `mailbox` is called after it. (Dropping the header
    /// does not.)
    pub(super) unsafe fn take_mailbox(&mut self) -> Arc<Mailbox> {
        // SAFETY: as promised by the caller.
        unsafe { ManuallyDrop::take(&mut self.mailbox) }
    }

    /// Has the processor fetch what the hub uses to resume the fiber.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch::<2>(std::ptr::from_ref(self).addr());
    }

    /// The part that only the fiber's hub uses.
    ///
    /// # Panics
    ///
    /// If `token` is that of another hub.
    #[inline]
    pub(crate) fn hub_part<'a>(&'a self, token: &'a HubToken) -> &'a HubPart {
        assert!(self.is_of(token), "a hub handles its own fibers");
        &self.hub_part
    }

    /// Whether `token` is that of the fiber's hub.
    #[inline]
    pub(crate) fn is_of(&self, token: &HubToken) -> bool {
        token.is_for(Arc::as_ptr(&self.mailbox).addr())
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

    /// Whether a wake from another thread has to put the fiber into the mailbox. If not, it is there
    /// already.
    pub(super) fn enters_mailbox(&self) -> bool {
        !self.queued_remotely.swap(true, Ordering::AcqRel)
    }

    /// Notes that the hub has taken the fiber out of the mailbox. Called before the fiber is resumed,
    /// so that a wake after this is a new one.
    pub(crate) fn left_mailbox(&self) {
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

    /// Starts the fiber for a user. False if it was started before, or is over because it was
    /// cancelled.
    pub(crate) fn start(&self) -> bool {
        self.interrupts() == 0 && self.claim_start()
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
        matches!(self.phase(), Phase::New | Phase::Started) && self.mailbox.failure().is_none()
    }

    pub(crate) fn has_unclaimed_panic(&self) -> bool {
        self.unclaimed_panic.load(Ordering::Acquire)
    }

    pub(crate) fn set_unclaimed_panic(&self, unclaimed: bool) {
        self.unclaimed_panic.store(unclaimed, Ordering::Release);
    }

    /// Has `waker` woken when the fiber has ended. The caller has to look after this whether it has
    /// ended already. (If it has not, the hub sees at its end that there is a waker, since the
    /// changes of `life` have one order.)
    pub(crate) fn leave_waker(&self, waker: &Waker) {
        self.mailbox.joiners.leave(&self.joiner_key, waker);
        if self.life.load(Ordering::Relaxed) & life::JOINED == 0 {
            self.life.fetch_or(life::JOINED, Ordering::AcqRel);
        }
    }

    /// Forgets the waker that was left, if it was not used.
    #[inline]
    pub(crate) fn forget_waker(&self) {
        self.mailbox.joiners.forget(&self.joiner_key);
    }

    /// Tells the joiner that the fiber is over. The hub calls this after the stack has returned, so
    /// a waker never runs on that stack.
    #[inline]
    pub(crate) fn tell_joiner(&self) {
        if self.life.load(Ordering::Acquire) & life::JOINED != 0 {
            let joiner = self.mailbox.joiners.take(&self.joiner_key);
            joiner.into_iter().for_each(contain::wake);
        }
    }

    /// The [`interrupt`] bits.
    ///
    /// Ordering: this `Acquire` pairs with the `Release` in [`interrupt`](Header::interrupt), so that
    /// what was done before a bit was set is seen.
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

    /// Asks the fiber to end; false if it has ended. Of messages that are pending together, the first
    /// is kept.
    ///
    /// The fiber is not woken: see [`FiberRef::cancel`](super::FiberRef::cancel).
    pub(super) fn request_cancel(&self, message: Option<Cow<'static, str>>) -> bool {
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

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("id", &format_args!("{}", self.id))
            .field("name", &self.name())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
