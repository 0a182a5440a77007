//! [`WaitRecord`]: where a stack waits, and for what.
//!
//! A wait that is about to suspend writes it, if the hub [tracks](Track) waits. It stays there
//! after the wait, as that of the last wait. What the future knows about itself, a [`Blocker`], is
//! noted by its poll.

use std::cell::Cell;
use std::mem::offset_of;
use std::panic::Location;

use tokio::time::Instant;

use crate::shared::{FiberId, Track};

/// What a wait waits for, where this crate knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocker {
    /// The end of this fiber.
    Join(FiberId),
    /// The end of the fibers of a scope, whose children have this address.
    Scope(usize),
    /// This time.
    Time(Instant),
    /// An `unpark`.
    Unpark,
    /// To have the lock of `sync` with this number: see [`Contended`](crate::shared::Contended).
    Lock(u64),
    /// To share that lock.
    SharedLock(u64),
    /// What this fiber does once.
    Once(FiberId),
}

/// Where a stack waits, or has waited last. The code on the stack writes it; the hub reads it while
/// that code does not run.
///
/// What every wait writes comes first, in the second line of the [`StackState`](super::StackState).
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct WaitRecord {
    at: Cell<Option<&'static Location<'static>>>,
    /// The name of the call that waits.
    call: Cell<&'static str>,
    /// Returns the name of the type of the future.
    what: Cell<Option<fn() -> &'static str>>,
    blocker: Cell<Option<Blocker>>,
    /// Counts the suspensions, so that a second look can tell whether this is still the same one.
    number: Cell<u32>,
    since: Cell<Option<Instant>>,
}

impl WaitRecord {
    /// The size of the fields that every wait writes.
    pub(super) const WRITTEN: usize = offset_of!(WaitRecord, since);

    /// Records that nothing is known yet about what is waited for.
    #[inline(always)]
    pub(super) fn begin(&self) {
        self.blocker.set(None);
    }

    /// Records that a wait suspends the stack.
    #[inline(always)]
    pub(super) fn suspends(
        &self,
        track: Track,
        at: &'static Location<'static>,
        call: &'static str,
        what: fn() -> &'static str,
    ) {
        self.at.set(Some(at));
        self.call.set(call);
        self.what.set(Some(what));
        self.number.set(self.number.get().wrapping_add(1));
        if track == Track::Times {
            self.since.set(Some(Instant::now()));
        }
    }

    /// Records what the future that is polled waits for.
    #[inline]
    pub(crate) fn note(&self, blocker: Blocker) {
        self.blocker.set(Some(blocker));
    }

    /// Records that the future that is polled has given up waiting for a lock.
    pub(super) fn forget_lock(&self) {
        if let Some(Blocker::Lock(_) | Blocker::SharedLock(_)) = self.blocker.get() {
            self.blocker.set(None);
        }
    }

    /// Returns the place of the last wait that has suspended the stack.
    pub(crate) fn at(&self) -> Option<&'static Location<'static>> {
        self.at.get()
    }

    /// Returns the name of the call that waits there.
    pub(crate) fn call(&self) -> &'static str {
        self.call.get()
    }

    /// Returns the name of the type of the future of that wait.
    pub(crate) fn what(&self) -> Option<&'static str> {
        self.what.get().map(|name| name())
    }

    /// Returns what that future has noted.
    pub(crate) fn blocker(&self) -> Option<Blocker> {
        self.blocker.get()
    }

    /// Returns the number of the last suspension.
    pub(crate) fn number(&self) -> u32 {
        self.number.get()
    }

    /// Returns when that wait has suspended the stack last.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since.get()
    }
}
