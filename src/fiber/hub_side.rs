//! What a hub keeps of a fiber: the part that stays on the hub's thread.

use std::cell::Cell;

use super::record::FiberId;
use crate::prefetch::prefetch;
use crate::switch::Berth;

/// The hub's part of a fiber's [`Record`](super::Record), reached with the hub's
/// `Core` only.
///
/// A record is dropped on whatever thread, so nothing in here has a destructor.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct HubSide {
    /// The fiber of the same hub that waits in `Join`.
    pub(crate) joiner: Cell<Option<Neighbour>>,
    /// The fiber's stack.
    pub(crate) berth: Berth,
    /// Where its stack ended when it suspended last.
    top: Cell<usize>,
    /// The last turn in which it queued itself while it ran, as a yield does.
    pub(crate) yielded: Cell<u64>,
    /// Its place in the hub's table.
    pub(crate) slot: Cell<u32>,
    pub(crate) stage: Cell<Stage>,
    /// Whether it has an entry in the ready queue. The hub's table has the fiber
    /// until that entry has been taken.
    pub(crate) queued: Cell<bool>,
    /// Its entry came up while it ran (on a hub driven from inside the fiber):
    /// queue it again when it suspends.
    pub(crate) requeue: Cell<bool>,
}

impl HubSide {
    /// The fiber suspends, with its stack used from the base to here.
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

const _: () = assert!(!std::mem::needs_drop::<HubSide>());

/// What the hub has done with a fiber so far. (The record's phase says it to the
/// world; this spares the hub a look at it.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has not arrived.
    #[default]
    Absent,
    /// Never resumed.
    New,
    /// Resumed at least once.
    Begun,
    /// Its stack has returned or was leaked.
    Over,
}

/// A fiber of the same hub: where it was, and which. It may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) slot: u32,
    pub(crate) id: FiberId,
}
