//! The waker bridge: turns a wake from any thread into a ready fiber.
//!
//! A fiber's waker is its [`Record`], made with the fiber, lent to each poll and
//! cloned by whatever it waits for. Waking never runs the fiber: it queues it.
//!
//! | woken on | what happens |
//! |---|---|
//! | the hub's thread | the fiber goes to the end of the ready queue; no lock, no atomic read-modify-write |
//! | another thread | its record goes to the hub's remote queue; the first of a burst wakes the hub's task |
//! | any thread, hub or fiber ended | nothing |
//!
//! Wakes are hints. A fiber that is resumed polls its future again, so a stale or
//! doubled wake can never end a wait that it was not meant for.

use std::sync::Arc;

use futures::task::ArcWake;

use crate::fiber::Record;
use crate::hub::registry;

impl ArcWake for Record {
    fn wake_by_ref(record: &Arc<Self>) {
        wake(record);
    }
}

/// Makes a fiber ready, from any thread.
#[inline]
pub(crate) fn wake(record: &Arc<Record>) {
    if registry::with_local(&record.hub, |core| core.wake(record)).is_none() {
        record.hub.wake_remotely(record);
    }
}
