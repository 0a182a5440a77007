//! [`note`]: what a future that is polled waits for, and whether that is recorded.

use super::{Blocker, Place, with_place};
use crate::shared::FiberId;

/// Records what the future waits for that is polled, if a stack of ours polls it.
#[inline]
pub(crate) fn note(blocker: Blocker) {
    with_place(|place| {
        if let Place::Poll(state) = place {
            state.wait.note(blocker);
        }
    });
}

/// Returns the fiber whose code runs, or whose future is polled, if its hub records waits.
#[inline(always)]
pub(crate) fn tracked_fiber() -> Option<FiberId> {
    with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) if state.is_tracked() => {
            state.fiber().map(|fiber| fiber.id())
        }
        _ => None,
    })
}
