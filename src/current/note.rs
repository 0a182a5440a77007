//! [`note`]: what a future that is polled waits for, and whether that is recorded.

use super::place::Frame;
use super::{Blocker, Place, with_place};

/// Records what the future that is polled waits for, if a stack of ours polls it.
#[inline]
pub(crate) fn note(blocker: Blocker) {
    with_place(|place| {
        if let Place::Poll(state) = place {
            state.wait.note(blocker);
        }
    });
}

/// Records that the future that is polled no longer waits for a lock, if it has recorded one in this poll.
pub(crate) fn forget_lock() {
    with_place(|place| {
        if let Place::Poll(state) = place {
            state.wait.forget_lock();
        }
    });
}

/// Returns the number of the fiber whose code runs, or whose future is polled, if its hub records waits;
/// otherwise 0.
#[inline(always)]
pub(crate) fn tracked_fiber() -> u64 {
    let frame = Frame::new();
    match frame.place() {
        Place::Stack(state) | Place::Poll(state) => state.tracked(),
        _ => 0,
    }
}
