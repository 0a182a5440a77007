//! [`HubPart`]: the part of a fiber's header that stays on its hub's thread.
//!
//! # States
//!
//! Four facts say where a fiber is: its [`LocalPhase`], whether it is `queued` (has an entry in the
//! ready queue), whether its coroutine is `running`, and whether it has to be put into the queue
//! when it suspends (`requeue`). These combinations exist:
//!
//! | phase | running | queued | requeue | what it means |
//! |---|---|---|---|---|
//! | `Absent` | no | no | no | on its way to the hub, or refused |
//! | `New` | no | no | no | in the table, not started |
//! | `New` | no | yes | no | started, or cancelled before: it begins when its entry comes up |
//! | `Begun` | yes | no | no | on the thread's chain of stacks |
//! | `Begun` | yes | yes | no | the same, and woken meanwhile |
//! | `Begun` | yes | no | yes | it drives a hub, its own, and its entry came up there |
//! | `Begun` | no | no | no | waits |
//! | `Begun` | no | yes | no | ready |
//! | `Over` | no | no | no | has left the table |
//! | `Over` | no | yes | no | stays in the table until its entry has come up |
//!
//! | from | to | by |
//! |---|---|---|
//! | `Absent` | `New` | its launch, which puts it into the table |
//! | `New` | `Begun`, running | the turn in which its entry comes up, or the end of the hub |
//! | `Begun`, waits | queued | a wake, a cancel |
//! | queued | running | the turn in which its entry comes up |
//! | running | waits, or queued if it was woken or gave way | its suspension |
//! | running | `Over` | its end, or its suspension for ever |

use std::cell::Cell;
use std::marker::PhantomData;

use super::FiberId;
use crate::base::prefetch;
use crate::switch::CoroutineCell;

/// What a hub keeps of a fiber, in the fiber's header. It is reached with the hub's [`HubToken`]
/// only, so on the hub's thread only.
///
/// A header is dropped on any thread, so nothing in here has a destructor.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct HubPart {
    /// The fiber of the same hub that waits for this one in `Join`.
    pub(crate) joiner: Cell<Option<LocalJoiner>>,
    /// The fiber's coroutine, once it is in the table and until it is over.
    pub(crate) coroutine: CoroutineCell,
    /// Where its stack ended when it suspended last.
    top: Cell<usize>,
    /// The last turn in which it queued itself while it ran, as a yield does.
    pub(crate) yielded: Cell<u64>,
    /// Its place in the hub's table.
    pub(crate) slot: Cell<u32>,
    pub(crate) phase: Cell<LocalPhase>,
    /// Whether it has an entry in the ready queue. The table keeps the fiber until that entry has
    /// come up.
    pub(crate) queued: Cell<bool>,
    /// Its entry came up while it was running, on a hub that was driven from inside the fiber. It
    /// is queued again when it suspends.
    pub(crate) requeue: Cell<bool>,
    /// Whether an interrupt is put off until nothing on the thread unwinds.
    pub(crate) put_off: Cell<bool>,
}

impl HubPart {
    /// Notes that the fiber suspends with its stack used from the base to here.
    #[inline(always)]
    pub(crate) fn note_top(&self, top: usize) {
        self.top.set(top);
    }

    /// Has the processor fetch the part of the stack that is used first.
    #[inline(always)]
    pub(crate) fn prefetch_stack(&self) {
        prefetch::<8>(self.top.get());
    }
}

const _: () = assert!(!std::mem::needs_drop::<HubPart>());

/// What the hub has done with a fiber so far. The header's [`Phase`](super::Phase) tells it to
/// other threads; this spares the hub a look at that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LocalPhase {
    /// It is not in the table.
    #[default]
    Absent,
    /// Never resumed.
    New,
    /// Resumed at least once.
    Begun,
    /// Its stack has returned or was leaked.
    Over,
}

/// A fiber of the same hub, by its place in the table and its number. It may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalJoiner {
    pub(crate) slot: u32,
    pub(crate) id: FiberId,
}

/// The right to use the [`HubPart`] of a hub's fibers. There is one for each mailbox. The hub's
/// core owns it, and it cannot leave the thread on which the hub was made.
#[derive(Debug)]
pub(crate) struct HubToken {
    mailbox: usize,
    _not_send: PhantomData<*const ()>,
}

impl HubToken {
    /// The token for the mailbox at this address. To be made once.
    pub(super) fn new(mailbox: usize) -> HubToken {
        HubToken {
            mailbox,
            _not_send: PhantomData,
        }
    }

    /// Whether the mailbox at this address is the one that it was made for.
    #[inline]
    pub(super) fn is_for(&self, mailbox: usize) -> bool {
        self.mailbox == mailbox
    }
}
