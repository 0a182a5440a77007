//! [`note`]: what a future that is polled waits for.

use super::{Blocker, Place, with_place};

/// Records what the future waits for that is polled, if a stack of ours polls it.
#[inline]
pub(crate) fn note(blocker: Blocker) {
    with_place(|place| {
        if let Place::Poll(state) = place {
            state.wait.note(blocker);
        }
    });
}
