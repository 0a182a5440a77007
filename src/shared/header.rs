//! [`Header`]: the part of a fiber that every thread may use.
//!
//! # Layout
//!
//! A fiber has one allocation besides its stack. It holds the header and, behind it, the space for
//! the result, whose type only the [`ResultSender`](super::ResultSender) and the
//! [`ResultReceiver`](super::ResultReceiver) know. It begins at a cache line. On 64-bit Linux, and
//! without the feature `tracing`, it has four lines of eight words each:
//!
//! ```text
//! byte  0       8       16      24      32      40      48      56      64
//!       +-------+-------+-------+-------+-------+-------+-------+-------+
//!     0 | coroutine                             | bytes | base  | home  |  each resume
//!       +-------+-------+-------+-------+-------+-------+-------+-------+
//!    64 | count         | cold_part                             | life  |  spawn, join, wake from another thread
//!       +-------+-------+-------+-------+-------+-------+-------+-------+
//!   128 | used  | id    | name                  | origin        | can-  |  `id` as the line above; the rest seldom
//!       +-------+-------+-------+-------+-------+-------+-------+-------+
//!   192 | cel   | result                                                |  the end, join
//!       +-------+-------+-------+-------+-------+-------+-------+-------+
//! ```
//!
//! `bytes` is the flag of the [`CoroutineCell`](crate::switch::CoroutineCell) and the `HubBytes`
//! behind it, among them the interrupts. `life` stands for the fields from `life` to `joiner_key`,
//! and `used` for `stack_used`.
//!
//! The first line has all that a hub and a fiber use of a header when the fiber gives way or waits.
//! With many fibers, no line of a fiber is in the cache any more when its turn comes, and to fetch one
//! costs more than the rest of the resume. The stack has a few more of them: see
//! [`crate::current::StackState`].
//!
//! # Access to the fields
//!
//! | field | accessed by |
//! |---|---|
//! | `hub_part` | the hub's thread, with the hub's [`HubToken`] |
//! | `interrupts` of `hub_part` | set by any thread, cleared by the code on the fiber's stack and by the hub |
//! | `home` | any thread; changed once by a hub that takes the fiber of a pool; taken out when the header is freed |
//! | `count` | [`FiberRef`](super::FiberRef) only |
//! | `cold_part` | as `hub_part` |
//! | `life` | any thread; bits are set and never cleared: see [`life`] |
//! | `queued_remotely` | set by a wake on another thread, cleared by the hub |
//! | `unparked` | set by any thread, taken by the fiber |
//! | `unclaimed_panic` | set by the fiber at its end, cleared by its joiner |
//! | `joiner_key` | any thread, under the lock of the mailbox's `joiners` |
//! | `stack_used` | written by the hub, read by any thread |
//! | `id`, `origin` | any thread; they never change |
//! | `name` | any thread; written once, when it is first given or asked for |
//! | `cancel` | any thread, under its lock: the message of the cancel in `interrupts` |
//! | `span` | written by the fiber, read by any thread |
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
#[cfg(feature = "tracing")]
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};
#[cfg(feature = "tracing")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use super::mailbox::Mailbox;
use super::reference::Count;
use super::{Cancelled, ColdPart, FiberId, HubPart, HubToken, Origin};
use crate::base::lock::{self, lock};
use crate::base::{WakerKey, contain};
use crate::stack::{self, Stack};
use crate::switch::prefetch;

/// Whether a new fiber is queued at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    AtOnce,
    /// When [`Fiber::start`](crate::Fiber::start) is called.
    Later,
}

/// The life cycle of a fiber.
///
/// `New -> Started -> Ended | Abandoned`. A fiber that is cancelled before it was started becomes
/// `Started` when its hub runs it to drop its closure. Only a fiber that could not be made goes
/// from `New` to `Ended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The fiber was made and has not been started.
    New,
    /// The fiber is in the ready queue, running or waiting.
    Started,
    /// The body has returned, and the result was handed to the joiner or dropped.
    Ended,
    /// The stack could not be unwound and was leaked.
    Abandoned,
}

/// The phase as bits, which are set and never cleared, and two more bits. `DETACHED` says that the
/// fiber's `Fiber` is gone, so no joiner will take the result. `JOINED` says that a waker was left
/// to be woken at the fiber's end.
///
/// Ordering: each change is `AcqRel`. The change that sets `ENDED` and the one that sets `DETACHED`
/// release what their side did to the result, and acquire what the other side did: see the Result
/// Invariant of [`super::result`].
mod life {
    pub(super) const STARTED: u8 = 1;
    pub(super) const ENDED: u8 = 2;
    pub(super) const ABANDONED: u8 = 4;
    pub(super) const DETACHED: u8 = 8;
    pub(super) const JOINED: u8 = 16;

    /// The bits that make up the phase.
    pub(super) const PHASE: u8 = STARTED | ENDED | ABANDONED;
}

/// Reasons to end a wait early, as bits of one byte, so that each wait checks all of them with one
/// load.
pub(crate) mod interrupt {
    /// A call of `cancel`. It is delivered once.
    pub(crate) const CANCEL: u8 = 1;
    /// The hub is closing. This is delivered at each wait.
    pub(crate) const CLOSE: u8 = 2;
    /// The hub is gone. This is delivered once; waits after that are refused.
    pub(crate) const END: u8 = 4;
    /// A test counts where the fiber looks for interrupts. This is not a reason to end a wait.
    pub(crate) const PROBE: u8 = 16;

    /// The bits that are reasons.
    pub(crate) const REASONS: u8 = CANCEL | CLOSE | END;
}

/// The part of a fiber that threads share. Its handles, its wakers and its hub refer to it with
/// [`FiberRef`](super::FiberRef)s.
///
/// It holds no closure or result of the user's, so dropping the last reference, on any thread, runs
/// no destructor of these.
#[repr(C)]
pub(crate) struct Header {
    hub_part: HubPart,
    /// [`take_mailbox`](Header::take_mailbox) drops this; dropping the header does not.
    home: Home,
    pub(super) count: Count,
    cold_part: ColdPart,
    life: lock::AtomicU8,
    /// Whether the fiber is among the wakes in the mailbox.
    ///
    /// Ordering: `swap(true, AcqRel)` by a waker pairs with `swap(false, AcqRel)` by the hub that
    /// takes the fiber out. A waker that finds it set has published its earlier writes to the hub
    /// that will clear it.
    queued_remotely: lock::AtomicBool,
    /// The token of `park` and `unpark`.
    pub(crate) unparked: AtomicBool,
    /// Whether the fiber panicked and no joiner has taken the panic.
    unclaimed_panic: AtomicBool,
    joiner_key: JoinerKey,
    /// The most of its stack that the fiber was seen to use, in KiB, because it is measured in
    /// pages; 0 if it was not measured.
    stack_used: AtomicU32,
    id: FiberId,
    name: OnceLock<Box<str>>,
    origin: Origin,
    /// The message of the pending cancel. Its lock also orders the changes of `CANCEL`.
    cancel: Mutex<Option<Box<Cow<'static, str>>>>,
    /// The number of the span that the fiber has of its own; 0 if there is none.
    #[cfg(feature = "tracing")]
    span: AtomicU64,
}

// The lines of the picture above, where the layout is known.
#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(any(switchback_system_stacks, switchback_no_spares, switchback_loom))
))]
const _: () = {
    assert!(std::mem::offset_of!(Header, count) == crate::base::CACHE_LINE);
    assert!(std::mem::offset_of!(Header, stack_used) == 2 * crate::base::CACHE_LINE);
};

// SAFETY: all fields but `hub_part` and `cold_part` are `Send` and `Sync`. Those two are reached only
// with the token of the fiber's hub (Token Invariant of `HubToken`), so only on that hub's thread,
// except for `interrupts` in `hub_part`, which is atomic. The last reference may be dropped on any
// thread, and that does not touch the two, which have no destructor.
unsafe impl Send for Header {}
// SAFETY: as above.
unsafe impl Sync for Header {}

/// The mailbox of a fiber's hub or, before a fiber of a pool has begun, the pool's.
///
/// *Home Invariant*: the pointer is from [`Arc::into_raw`], and its count is the home's. It changes
/// at most once, from a pool's mailbox to that of a hub of this pool, which keeps the pool's. So
/// whatever the pointer was stays allocated until the mailbox is taken out.
#[derive(Debug)]
struct Home(AtomicPtr<Mailbox>);

/// The number of the joiner's waker in the mailbox. A joiner that is a fiber of the same hub has
/// none; it is in [`ColdPart::joiner`] instead.
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
        origin: Origin,
    ) -> Header {
        Header {
            hub_part: HubPart::default(),
            home: Home(AtomicPtr::new(Arc::into_raw(mailbox).cast_mut())),
            count,
            cold_part: ColdPart::default(),
            life: lock::AtomicU8::new(match start {
                Start::AtOnce => life::STARTED,
                Start::Later => 0,
            }),
            queued_remotely: lock::AtomicBool::new(false),
            unparked: AtomicBool::new(false),
            unclaimed_panic: AtomicBool::new(false),
            id,
            origin,
            joiner_key: JoinerKey::new(),
            stack_used: AtomicU32::new(0),
            name: match name {
                Some(name) => OnceLock::from(name),
                None => OnceLock::new(),
            },
            cancel: Mutex::new(None),
            #[cfg(feature = "tracing")]
            span: AtomicU64::new(0),
        }
    }

    /// Takes out the reference to the mailbox, which the header does not drop.
    ///
    /// # Safety
    ///
    /// The caller must call this once, and must not use the mailbox afterwards. (Dropping the
    /// header does not use it.)
    pub(super) unsafe fn take_mailbox(&mut self) -> Arc<Mailbox> {
        // SAFETY: by the Home Invariant it is from `into_raw`; the caller gives up its count.
        unsafe { Arc::from_raw(*self.home.0.get_mut()) }
    }

    /// Returns the mailbox of the fiber's hub or, before a fiber of a pool has begun, of the pool.
    #[inline(always)]
    pub(crate) fn mailbox(&self) -> &Mailbox {
        // Ordering: pairs with the exchange in `give_to`, so that what is seen is initialized.
        let mailbox = self.home.0.load(Ordering::Acquire);
        // SAFETY: by the Home Invariant it is allocated until it is taken out, which needs the
        // header to be borrowed mutably.
        unsafe { &*mailbox }
    }

    /// Gives the fiber of a pool, which has not begun, to a hub of that pool.
    ///
    /// # Panics
    ///
    /// Panics if the fiber belongs to a hub already, or the hub to another pool.
    pub(crate) fn give_to(&self, hub: &Arc<Mailbox>) {
        let pool = hub.pool().map_or(ptr::null(), Arc::as_ptr).cast_mut();
        let new = Arc::into_raw(hub.clone()).cast_mut();
        let given = self
            .home
            .0
            .compare_exchange(pool, new, Ordering::AcqRel, Ordering::Acquire);
        let left = given.unwrap_or(new);
        // SAFETY: it is from `into_raw`, and its count is not the home's (any more). The pool's
        // mailbox stays allocated, because the hub's keeps it.
        drop(unsafe { Arc::from_raw(left) });
        assert!(given.is_ok(), "a fiber is given to one hub of its pool");
    }

    /// Asks the processor to fetch the data that the hub needs to resume the fiber.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch::<1>(std::ptr::from_ref(self).addr());
    }

    /// Returns the part that only the fiber's hub uses.
    ///
    /// # Panics
    ///
    /// Panics if `token` belongs to another hub.
    #[inline]
    pub(crate) fn hub_part<'a>(&'a self, token: &'a HubToken) -> &'a HubPart {
        assert!(self.is_of(token), "a hub handles its own fibers");
        &self.hub_part
    }

    /// Returns the part that only the fiber's hub uses, and not at each resume.
    ///
    /// # Panics
    ///
    /// Panics if `token` belongs to another hub.
    #[inline]
    pub(crate) fn cold_part<'a>(&'a self, token: &'a HubToken) -> &'a ColdPart {
        assert!(self.is_of(token), "a hub handles its own fibers");
        &self.cold_part
    }

    /// Returns both parts that only the fiber's hub uses.
    ///
    /// # Panics
    ///
    /// Panics if `token` belongs to another hub.
    #[inline(always)]
    pub(crate) fn hub_parts<'a>(&'a self, token: &'a HubToken) -> (&'a HubPart, &'a ColdPart) {
        (self.hub_part(token), &self.cold_part)
    }

    /// Records the stack of the fiber, which has not begun.
    #[inline(always)]
    pub(crate) fn note_stack(&self, token: &HubToken, stack: &Stack) {
        let (part, cold) = self.hub_parts(token);
        part.note_base(stack.root());
        cold.limit.set(stack.extent().limit);
    }

    /// Records where the state at the root of the stack is, which has begun.
    #[inline(always)]
    pub(crate) fn note_root(&self, token: &HubToken, state: NonNull<()>) {
        let (part, cold) = self.hub_parts(token);
        part.note_state(state.addr().get());
        cold.state.set(Some(state));
    }

    /// Returns the size of the fiber's stack in bytes, and how much of it is in use, if the fiber is
    /// suspended and that is known.
    pub(crate) fn stack_size_and_use(&self, token: &HubToken) -> (usize, Option<usize>) {
        let base = self.hub_part(token).base();
        let in_use = self.hub_part(token).in_use();
        (base.saturating_sub(self.cold_part.limit.get()), in_use)
    }

    /// Stores the addresses of the frames on the stack, if the fiber is suspended; returns whether it
    /// is. The fiber does not notice.
    #[cfg(all(feature = "backtrace", unix))]
    pub(crate) fn walk_stack(&self, token: &HubToken, frames: &mut stack::Frames) -> bool {
        use super::LocalPhase;
        let part = self.hub_part(token);
        if part.phase.get() != LocalPhase::Begun || part.coroutine.is_running() {
            return false;
        }
        frames.clear();
        let (limit, base) = (self.cold_part.limit.get(), part.base());
        let room = stack::memory(stack::Extent { limit, base }).start + stack::Frames::ROOM;
        match part.in_use() {
            // There is no need to resume it for that.
            Some(used) if base.saturating_sub(used) < room => frames.refuse(),
            _ => part.coroutine.walk(frames),
        }
        true
    }

    /// Gives the system back the memory of the stack below everything that lives on it, if the fiber is
    /// suspended.
    pub(crate) fn trim_stack(&self, token: &HubToken) {
        let top = self.hub_part(token).top_if_suspended();
        if let Some(top) = top {
            let limit = self.cold_part.limit.get();
            // SAFETY: the fiber is suspended, so it has a stack, whose limit this is (`note_stack`). By
            // the Top Invariant, nothing below `top` lives, and the stack does not run meanwhile,
            // because it runs on this thread only.
            unsafe { stack::discard_below(limit, top) };
        }
    }

    /// Returns whether `token` belongs to the fiber's hub.
    #[inline]
    pub(crate) fn is_of(&self, token: &HubToken) -> bool {
        token.is_for(self.home.0.load(Ordering::Relaxed).addr())
    }

    pub(crate) fn id(&self) -> FiberId {
        self.id
    }

    /// Returns where the fiber was spawned.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn name(&self) -> &str {
        self.name
            .get_or_init(|| format!("Fiber-{}", self.id).into_boxed_str())
    }

    /// Returns the name if it was given, or asked for before. This can be called in a signal
    /// handler.
    pub(crate) fn known_name(&self) -> Option<&str> {
        self.name.get().map(|name| &**name)
    }

    /// Returns the name that the fiber was given, if any.
    pub(crate) fn given_name(&self) -> Option<&str> {
        let name = self.known_name()?;
        let made = name.strip_prefix("Fiber-") == Some(&*self.id.to_string());
        (!made).then_some(name)
    }

    /// Returns the number of the span that the fiber has of its own. A wake may be reported with a
    /// number that was just replaced, so `Relaxed` will do.
    #[cfg(feature = "tracing")]
    pub(super) fn span(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.span.load(Ordering::Relaxed))
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn set_span(&self, span: Option<NonZeroU64>) {
        let span = span.map_or(0, NonZeroU64::get);
        self.span.store(span, Ordering::Relaxed);
    }

    pub(crate) fn stack_used(&self) -> Option<usize> {
        let used = self.stack_used.load(Ordering::Relaxed) as usize;
        (used > 0).then_some(used * 1024)
    }

    pub(crate) fn set_stack_used(&self, used: usize) {
        let used = u32::try_from(used / 1024).unwrap_or(u32::MAX);
        // After a trim, less seems to be used than before.
        self.stack_used.fetch_max(used, Ordering::Relaxed);
    }

    /// Marks the fiber as queued in the mailbox. Returns whether the caller has to put it there; if
    /// not, it is there already.
    pub(super) fn enters_mailbox(&self) -> bool {
        !self.queued_remotely.swap(true, Ordering::AcqRel)
    }

    /// Records that the hub has taken the fiber out of the mailbox. The hub calls this before it
    /// resumes the fiber, so a wake that comes later is queued again.
    pub(crate) fn left_mailbox(&self) {
        self.queued_remotely.swap(false, Ordering::AcqRel);
    }

    /// Returns whether another thread has woken the fiber, and the hub has not noticed yet.
    pub(crate) fn is_in_mailbox(&self) -> bool {
        self.queued_remotely.load(Ordering::Acquire)
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

    /// Starts the fiber on behalf of a user. Returns false if the fiber was started before or has
    /// an interrupt pending, such as a cancel.
    #[inline]
    pub(crate) fn start(&self) -> bool {
        !self.is_interrupted() && self.claim_start()
    }

    /// Moves the fiber from `New` to `Started`. Returns false if it was not `New`.
    #[inline]
    pub(crate) fn claim_start(&self) -> bool {
        self.phase() == Phase::New && self.begin_life()
    }

    #[cold]
    fn begin_life(&self) -> bool {
        let before = self.life.fetch_or(life::STARTED, Ordering::AcqRel);
        before & life::PHASE == 0
    }

    /// Records that the fiber has ended and leaves its result to its joiner. If there will be no
    /// joiner, changes nothing and returns false.
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

    /// Records that the fiber has ended and that its result was dropped.
    pub(crate) fn end_detached(&self) {
        self.life.fetch_or(life::ENDED, Ordering::AcqRel);
    }

    pub(crate) fn set_abandoned(&self) {
        self.life.fetch_or(life::ABANDONED, Ordering::AcqRel);
    }

    /// Records that there will be no joiner. Returns true if the fiber had already ended, in which
    /// case its result now belongs to the caller.
    pub(crate) fn detach(&self) -> bool {
        self.life.fetch_or(life::DETACHED, Ordering::AcqRel) & life::ENDED != 0
    }

    /// Returns whether there will be no joiner.
    pub(crate) fn is_detached(&self) -> bool {
        self.life.load(Ordering::Acquire) & life::DETACHED != 0
    }

    #[inline]
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.phase(), Phase::New | Phase::Started) && self.mailbox().failure().is_none()
    }

    pub(crate) fn has_unclaimed_panic(&self) -> bool {
        self.unclaimed_panic.load(Ordering::Acquire)
    }

    pub(crate) fn set_unclaimed_panic(&self, unclaimed: bool) {
        self.unclaimed_panic.store(unclaimed, Ordering::Release);
    }

    /// Leaves `waker` to be woken when the fiber ends. The caller must check afterwards whether the
    /// fiber has already ended. If it has not, the hub will see the waker at the fiber's end,
    /// because the changes of `life` have a single order.
    pub(crate) fn leave_waker(&self, waker: &Waker) {
        self.mailbox().joiners().leave(&self.joiner_key, waker);
        if self.life.load(Ordering::Relaxed) & life::JOINED == 0 {
            self.life.fetch_or(life::JOINED, Ordering::AcqRel);
        }
    }

    /// Removes the waker that was left, if it was not woken.
    #[inline]
    pub(crate) fn forget_waker(&self) {
        self.mailbox().joiners().forget(&self.joiner_key);
    }

    /// Wakes the joiner of a fiber that is over. The hub calls this after the stack has returned,
    /// so a waker never runs on that stack.
    #[inline(always)]
    pub(crate) fn tell_joiner(&self) {
        if self.life.load(Ordering::Acquire) & life::JOINED != 0 {
            self.tell_foreign_joiner();
        }
    }

    #[inline(never)]
    fn tell_foreign_joiner(&self) {
        let joiner = self.mailbox().joiners().take(&self.joiner_key);
        joiner.into_iter().for_each(contain::wake);
    }

    /// Returns the [`interrupt`] bits.
    ///
    /// Ordering: this `Acquire` pairs with the `Release` in [`interrupt`](Header::interrupt), so
    /// that a reader of a bit sees what was done before the bit was set.
    #[inline]
    pub(crate) fn interrupts(&self) -> u8 {
        self.interrupt_bits().load(Ordering::Acquire)
    }

    /// Returns whether there is a reason to end a wait early.
    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupts() & interrupt::REASONS != 0
    }

    #[inline]
    fn interrupt_bits(&self) -> &AtomicU8 {
        &self.hub_part.interrupts
    }

    pub(crate) fn interrupt(&self, bit: u8) {
        self.interrupt_bits().fetch_or(bit, Ordering::AcqRel);
    }

    pub(crate) fn take_back_interrupt(&self, bit: u8) {
        self.interrupt_bits().fetch_and(!bit, Ordering::AcqRel);
    }

    /// Asks the fiber to end. Returns false if it has ended. If a cancel is already pending, its
    /// message is kept.
    ///
    /// This does not wake the fiber: see [`FiberRef::cancel`](super::FiberRef::cancel).
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

    /// Takes the pending cancel, if there is one.
    pub(crate) fn take_cancel(&self) -> Option<Cancelled> {
        if self.interrupts() & interrupt::CANCEL == 0 {
            return None;
        }
        let mut pending = lock(&self.cancel);
        let before = self
            .interrupt_bits()
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
            .field("spawned_at", &format_args!("{}", self.origin.place))
            .finish_non_exhaustive()
    }
}
