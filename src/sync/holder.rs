//! [`Holder`]: which fiber holds a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

#[cfg(debug_assertions)]
use crate::base::lock::lock;
#[cfg(debug_assertions)]
use crate::base::report;
use crate::current::{Blocker, tracked_fiber};
#[cfg(debug_assertions)]
use crate::current::{Place, with_place};
use crate::shared::Contended;
#[cfg(debug_assertions)]
use crate::shared::{FiberRef, Phase, held_locks};

/// The fiber that has taken a lock, if its hub [tracks](crate::Track) waits.
///
/// Who takes the lock writes the number of its fiber here, and removes it before it gives the lock back:
/// two stores, even if nobody ever asks. So a fiber whose number is found here holds the lock, or is about
/// to give it back.
///
/// Of those who share the lock, only one is recorded: the first who finds no other. That is likely to be
/// the one who keeps the lock for long. The hold remembers what was recorded for it, because it may end on
/// another thread or in another fiber.
///
/// `contended` has a copy for dumps. One who joins the lock's line makes it, and while somebody is in the
/// line, each change of the holder takes the slow path, which renews it. (One who takes the lock on another
/// thread just when the line is joined may be missing in it.)
#[derive(Debug)]
pub(super) struct Holder {
    /// The number of the fiber, or 0.
    number: AtomicU64,
    contended: OnceLock<Arc<Contended>>,
    /// For the reports of debug builds.
    #[cfg(debug_assertions)]
    fiber: std::sync::Mutex<Option<FiberRef>>,
}

impl Holder {
    pub(super) const fn new() -> Holder {
        Holder {
            number: AtomicU64::new(0),
            contended: OnceLock::new(),
            #[cfg(debug_assertions)]
            fiber: std::sync::Mutex::new(None),
        }
    }

    /// Records that the running code holds the lock: that of the fiber with this
    /// [number](tracked_fiber).
    #[inline(always)]
    pub(super) fn begin(&self, fiber: u64) {
        self.number.store(fiber, Ordering::Relaxed);
        #[cfg(debug_assertions)]
        {
            let fiber = with_place(|place| match place {
                Place::Stack(state) | Place::Poll(state) => state.fiber().cloned(),
                _ => None,
            });
            if let Some(fiber) = &fiber {
                held_locks::begin(fiber.id());
            }
            *lock(&self.fiber) = fiber;
        }
    }

    /// Records that the lock is about to be given back.
    #[inline(always)]
    pub(super) fn end(&self) {
        self.number.store(0, Ordering::Relaxed);
        #[cfg(debug_assertions)]
        {
            let fiber = lock(&self.fiber).take();
            if let Some(fiber) = fiber {
                held_locks::end(fiber.id());
            }
        }
    }

    /// Records that the fiber with this number shares the lock, unless another one is recorded. Returns
    /// whether it was recorded.
    #[inline(always)]
    pub(super) fn begin_shared(&self, fiber: u64) -> bool {
        let records = fiber != 0 && self.number.load(Ordering::Relaxed) == 0;
        if records {
            self.number.store(fiber, Ordering::Relaxed);
        }
        records
    }

    /// Records that a fiber which was recorded is about to give back its share.
    #[inline(always)]
    pub(super) fn end_shared(&self, fiber: u64) {
        // Of two who came at the same time, one may have replaced the other.
        if self.number.load(Ordering::Relaxed) == fiber {
            self.number.store(0, Ordering::Relaxed);
        }
    }

    /// Records that the one who has the lock exclusively shares it from now on. Returns its number.
    pub(super) fn share(&self) -> u64 {
        let fiber = self.number.load(Ordering::Relaxed);
        self.end();
        self.begin_shared(fiber);
        fiber
    }

    /// Renews the copy for dumps, if there is one.
    pub(super) fn show(&self, is_shared: bool) {
        if let Some(contended) = self.contended.get() {
            contended.set_holder(self.number.load(Ordering::Relaxed), is_shared);
        }
    }

    /// Returns what the running fiber will wait for when it joins the line, to share the lock or to have it
    /// alone, if its hub tracks waits.
    pub(super) fn blocker(&self, shares: bool) -> Option<Blocker> {
        let is_tracked = tracked_fiber() != 0;
        is_tracked.then(|| {
            let number = self.contended.get_or_init(Contended::new).number();
            match shares {
                true => Blocker::SharedLock(number),
                false => Blocker::Lock(number),
            }
        })
    }

    /// Reports that the running code waits for a lock that will never be free, if that is so.
    pub(super) fn report_if_abandoned(&self) {
        #[cfg(debug_assertions)]
        {
            let fiber = lock(&self.fiber).clone();
            if let Some(fiber) = fiber.filter(|fiber| fiber.phase() == Phase::Abandoned) {
                report::error(format_args!(
                    "a lock of `switchback::sync` is waited for in vain: fiber '{}' held it when its \
                     stack was abandoned",
                    fiber.name(),
                ));
            }
        }
    }
}
