//! [`Holder`]: which fiber holds a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

#[cfg(debug_assertions)]
use crate::base::lock::lock;
#[cfg(debug_assertions)]
use crate::base::report;
use crate::current::{Blocker, note, tracked_fiber};
#[cfg(debug_assertions)]
use crate::current::{Place, with_place};
use crate::shared::Contended;
#[cfg(debug_assertions)]
use crate::shared::{FiberRef, Phase, held_locks};

/// The fiber that has taken a lock exclusively, if its hub [tracks](crate::Track) waits.
///
/// Only one who holds the lock writes it. `contended` has a copy, from when a fiber first waits for the
/// lock. One who takes the lock just then, on another thread, may miss that; so the copy lacks it.
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

    /// Records that the running code holds the lock.
    #[inline(always)]
    pub(super) fn begin(&self) {
        let fiber = tracked_fiber();
        if fiber != 0 {
            self.set(fiber);
        }
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

    /// Returns whether [`end`](Holder::end) has to be called before the lock is given back.
    #[inline(always)]
    pub(super) fn is_noted(&self) -> bool {
        cfg!(debug_assertions) || self.number.load(Ordering::Relaxed) != 0
    }

    /// Records that the lock is about to be given back.
    #[inline(always)]
    pub(super) fn end(&self) {
        if self.number.load(Ordering::Relaxed) != 0 {
            self.set(0);
        }
        #[cfg(debug_assertions)]
        {
            let fiber = lock(&self.fiber).take();
            if let Some(fiber) = fiber {
                held_locks::end(fiber.id());
            }
        }
    }

    /// Not inlined, so that the code of a lock whose holder is not recorded stays small.
    #[inline(never)]
    fn set(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
        if let Some(contended) = self.contended.get() {
            contended.set_holder(number);
        }
    }

    /// Notes that the fiber that polls waits for the lock, if its hub tracks that.
    pub(super) fn note_wait(&self) {
        if tracked_fiber() != 0 {
            let holder = || Contended::new(self.number.load(Ordering::Relaxed));
            let contended = self.contended.get_or_init(holder);
            note(Blocker::Lock(contended.number()));
        }
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
