//! [`ReadyTimes`]: since when fibers of a hub are ready.

use std::cell::RefCell;
use std::fmt;
use std::time::Instant;

use crate::shared::FiberId;

/// Since when each ready fiber of a hub is ready, by the number of its entry in the table.
///
/// The allocator may be the user's and wake a fiber while the list grows. That wake is not recorded.
#[derive(Default)]
pub(crate) struct ReadyTimes(RefCell<Vec<Option<(FiberId, Instant)>>>);

impl ReadyTimes {
    /// Records that a fiber is ready since then.
    pub(crate) fn set(&self, slot: u32, fiber: FiberId, since: Instant) {
        let Ok(mut times) = self.0.try_borrow_mut() else {
            return;
        };
        let slot = slot as usize;
        if slot >= times.len() {
            times.resize(slot + 1, None);
        }
        times[slot] = Some((fiber, since));
    }

    /// Returns since when a fiber is ready that is about to run. It is not ready any more.
    pub(crate) fn take(&self, slot: u32, fiber: FiberId) -> Option<Instant> {
        let mut times = self.0.try_borrow_mut().ok()?;
        let (of, since) = times.get_mut(slot as usize)?.take()?;
        // The fiber that had this entry of the table before may have left it.
        (of == fiber).then_some(since)
    }
}

impl fmt::Debug for ReadyTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadyTimes")
    }
}
