//! [`HubPart`] and [`ColdPart`]: the parts of a fiber's header that stay on its hub's thread. Each
//! resume uses the first one, and not the second.
//!
//! # States
//!
//! Four facts say where a fiber is: its [`LocalPhase`], whether its coroutine is `running`, whether
//! it is `queued` (has an entry in the ready queue), and whether it must be queued when it suspends
//! (`requeue`). These combinations exist:
//!
//! | phase | running | queued | requeue | what it means |
//! |---|---|---|---|---|
//! | `Absent` | no | no | no | on its way to the hub, or refused |
//! | `New` | no | no | no | in the table, not started |
//! | `New` | no | yes | no | started, or cancelled before it started; it begins when its entry is handled |
//! | `Begun` | yes | no | no | on the thread's chain of stacks |
//! | `Begun` | yes | yes | no | the same, and woken meanwhile |
//! | `Begun` | yes | no | yes | it drives its own hub, which handled its entry meanwhile |
//! | `Begun` | no | no | no | waiting |
//! | `Begun` | no | yes | no | ready |
//! | `Over` | no | no | no | removed from the table |
//! | `Over` | no | yes | no | in the table until its entry is handled |
//!
//! | from | to | by |
//! |---|---|---|
//! | `Absent` | `New` | its launch, which puts it into the table |
//! | `New` | `Begun`, running | the turn that handles its entry, or the end of the hub |
//! | `Begun`, waiting | ready | a wake or a cancel |
//! | ready | running | the turn that handles its entry |
//! | running | waiting, or ready if it was woken or gave way | its suspension |
//! | running | `Over` | its end, or its suspension for ever |

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;

use super::FiberId;
use crate::base::CACHE_LINE;
use crate::switch::{CoroutineCell, prefetch, stack_pointer};

/// What a hub reads and writes each time that it resumes a fiber. It is reached only with the hub's
/// [`HubToken`], and therefore only on the hub's thread. (`interrupts` is the exception: it is for
/// any thread, and lies here for its place.)
///
/// A header may be dropped on any thread, so no field here has a destructor.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct HubPart {
    /// The fiber's coroutine, from its launch until the fiber is over.
    pub(crate) coroutine: CoroutineCell<HubBytes>,
    /// The highest address of the stack.
    base: Cell<usize>,
}

/// The small fields of a [`HubPart`]. None needs an alignment, so they and the flag of the
/// [`CoroutineCell`] before them are one word.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct HubBytes {
    pub(crate) phase: Cell<LocalPhase>,
    /// Whether the fiber has an entry in the ready queue. The table keeps the fiber until that
    /// entry has been handled.
    pub(crate) queued: Cell<bool>,
    /// Whether its entry was handled while it was running, by its own hub driven from inside the
    /// fiber. It is queued again when it suspends.
    pub(crate) requeue: Cell<bool>,
    /// How far below the base the stack was used at the last suspension, in cache lines, as the bytes
    /// of a `u16`. `u16::MAX` stands for more.
    used: Cell<[u8; 2]>,
    /// How far below the base the state of the stack is, in cache lines; for prefetches.
    state: Cell<u8>,
    /// The [`interrupt`](super::interrupt) bits.
    pub(super) interrupts: AtomicU8,
}

impl Deref for HubPart {
    type Target = HubBytes;

    #[inline(always)]
    fn deref(&self) -> &HubBytes {
        &self.coroutine.beside
    }
}

impl HubPart {
    /// Records the highest address of the stack, on which the fiber has not begun.
    #[inline(always)]
    pub(crate) fn note_base(&self, base: usize) {
        self.base.set(base);
        self.used.set(1_u16.to_ne_bytes());
        self.state.set(1);
    }

    /// Records the address of the state that the stack has near its base.
    #[inline(always)]
    pub(crate) fn note_state(&self, state: usize) {
        let lines = self.base.get().wrapping_sub(state) / CACHE_LINE;
        self.state.set(u8::try_from(lines).unwrap_or(u8::MAX));
    }

    /// Records where the stack ends. It is called by the code that suspends the fiber, on its stack,
    /// just before each suspension (Top Invariant).
    #[inline(always)]
    pub(crate) fn note_top(&self) {
        /// What the engine pushes below the frame.
        const PUSHED: usize = 24;
        let top = stack_pointer() - PUSHED;
        let lines = self.base.get().wrapping_sub(top) / CACHE_LINE;
        let lines = lines.min(u16::MAX.into()) as u16;
        self.used.set(lines.to_ne_bytes());
    }

    pub(super) fn base(&self) -> usize {
        self.base.get()
    }

    /// Returns how many bytes of the stack were in use at the last suspension, if the fiber is
    /// suspended and that is known.
    pub(super) fn in_use(&self) -> Option<usize> {
        self.top_if_suspended()?;
        let used = u16::from_ne_bytes(self.used.get());
        Some((usize::from(used) + 1) * CACHE_LINE)
    }

    /// Returns an address below everything that lives on the stack, if the fiber is suspended and that is
    /// known.
    ///
    /// *Top Invariant*: the stack of a suspended fiber holds nothing that lives below this address. It
    /// holds because `note_top`, just before, has noted an end of the stack that is at or below the end
    /// of the frame that suspends (it is inlined into that frame, or called from it), and because the
    /// engine's frames below that one are smaller than [`MARGIN`](Self::MARGIN).
    pub(super) fn top_if_suspended(&self) -> Option<usize> {
        let used = u16::from_ne_bytes(self.used.get());
        let suspended = self.phase.get() == LocalPhase::Begun && !self.coroutine.is_running();
        let known = cfg!(target_arch = "x86_64") && used < u16::MAX;
        (suspended && known)
            .then(|| self.base.get() - (usize::from(used) + 1) * CACHE_LINE - Self::MARGIN)
    }

    /// Much more than the engine needs to suspend a stack, which in optimized code is what it pushes.
    const MARGIN: usize = 4096;

    /// Asks the processor to fetch the lines of the stack that a resume uses: the engine's words at
    /// the base, the state of the stack, and the frames that suspended last.
    #[inline(always)]
    pub(crate) fn prefetch_stack(&self) {
        let below = |lines: usize| self.base.get().wrapping_sub(lines * CACHE_LINE);
        prefetch::<1>(below(1));
        prefetch::<1>(below(self.state.get().into()));
        let used = u16::from_ne_bytes(self.used.get());
        prefetch::<2>(below(usize::from(used) + 1));
    }
}

const _: () = assert!(!std::mem::needs_drop::<HubPart>());

/// What a hub keeps in the header of each of its fibers and does not need at each resume. As for
/// [`HubPart`], it is reached only with the token, and no field has a destructor.
#[derive(Debug, Default)]
pub(crate) struct ColdPart {
    /// The fiber of the same hub that waits for this one in `Join`.
    pub(crate) joiner: Cell<Option<LocalJoiner>>,
    /// The lowest address of the stack, where its guard begins.
    pub(super) limit: Cell<usize>,
    /// The state at the root of the stack, from when the stack has begun.
    pub(crate) state: Cell<Option<NonNull<()>>>,
    /// The number of its entry in the hub's table.
    pub(crate) slot: Cell<u32>,
    /// Whether an interrupt is put off until no stack of the thread is unwinding.
    pub(crate) put_off: Cell<bool>,
}

const _: () = assert!(!std::mem::needs_drop::<ColdPart>());

/// What the hub has done with a fiber so far. The header's [`Phase`](super::Phase) is for other
/// threads; this spares the hub from reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LocalPhase {
    /// The fiber is not in the table.
    #[default]
    Absent,
    /// The fiber is in the table and was never resumed.
    New,
    /// The fiber was resumed at least once.
    Begun,
    /// The stack has returned or was leaked.
    Over,
}

/// A fiber of the same hub, identified by its entry in the table and its ID. It may have ended
/// since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalJoiner {
    pub(crate) slot: u32,
    pub(crate) id: FiberId,
}

/// The right to use the [`HubPart`] of a hub's fibers.
///
/// *Token Invariant*: a token matches the fibers of one hub and is used only on that hub's thread.
/// It holds because [`Mailbox::new`](super::Mailbox::new) makes one token for each mailbox, on the
/// hub's thread; because a token is neither `Send` nor `Sync`; and because the hub's core owns both
/// it and the mailbox, so no other mailbox gets the same address while the token is in use.
#[derive(Debug)]
pub(crate) struct HubToken {
    mailbox: usize,
    _not_send: PhantomData<*const ()>,
}

impl HubToken {
    /// Creates the token for the mailbox at this address. To be called once for each mailbox.
    pub(super) fn new(mailbox: usize) -> HubToken {
        HubToken {
            mailbox,
            _not_send: PhantomData,
        }
    }

    /// Returns whether this token was made for the mailbox at this address.
    #[inline]
    pub(super) fn is_for(&self, mailbox: usize) -> bool {
        self.mailbox == mailbox
    }
}
