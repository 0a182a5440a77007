//! [`HubPart`]: the part of a fiber's header that stays on its hub's thread.
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

use super::FiberId;
use crate::base::prefetch;
use crate::switch::CoroutineCell;

/// The data that a hub keeps in the header of each of its fibers. It is reached only with the hub's
/// [`HubToken`], and therefore only on the hub's thread.
///
/// A header may be dropped on any thread, so no field here has a destructor.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct HubPart {
    /// The fiber of the same hub that waits for this one in `Join`.
    pub(crate) joiner: Cell<Option<LocalJoiner>>,
    /// The fiber's coroutine, from its launch until the fiber is over.
    pub(crate) coroutine: CoroutineCell,
    /// The end of the used part of the stack at the last suspension.
    top: Cell<usize>,
    /// The last turn in which the fiber queued itself while it ran, as a yield does.
    pub(crate) yielded: Cell<u64>,
    /// The number of its entry in the hub's table.
    pub(crate) slot: Cell<u32>,
    pub(crate) phase: Cell<LocalPhase>,
    /// Whether the fiber has an entry in the ready queue. The table keeps the fiber until that
    /// entry has been handled.
    pub(crate) queued: Cell<bool>,
    /// Whether its entry was handled while it was running, by its own hub driven from inside the
    /// fiber. It is queued again when it suspends.
    pub(crate) requeue: Cell<bool>,
    /// Whether an interrupt is put off until no stack of the thread is unwinding.
    pub(crate) put_off: Cell<bool>,
}

impl HubPart {
    /// Records that the fiber suspends with its stack used from the base to `top`.
    #[inline(always)]
    pub(crate) fn note_top(&self, top: usize) {
        self.top.set(top);
    }

    /// Asks the processor to fetch the part of the stack that is used first.
    #[inline(always)]
    pub(crate) fn prefetch_stack(&self) {
        prefetch::<8>(self.top.get());
    }
}

const _: () = assert!(!std::mem::needs_drop::<HubPart>());

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
