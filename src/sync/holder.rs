//! [`Holder`]: which fiber holds a lock, in debug builds.

#[cfg(debug_assertions)]
use crate::base::lock::lock;
#[cfg(debug_assertions)]
use crate::base::report;
#[cfg(debug_assertions)]
use crate::current::{Place, with_place};
#[cfg(debug_assertions)]
use crate::shared::{FiberRef, Phase, held_locks};

/// The fiber that holds a lock exclusively. In other builds it is not known.
#[derive(Debug)]
pub(super) struct Holder {
    #[cfg(debug_assertions)]
    fiber: std::sync::Mutex<Option<FiberRef>>,
}

impl Holder {
    pub(super) const fn new() -> Holder {
        Holder {
            #[cfg(debug_assertions)]
            fiber: std::sync::Mutex::new(None),
        }
    }

    /// Records that the running code holds the lock.
    #[inline(always)]
    pub(super) fn begin(&self) {
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
        #[cfg(debug_assertions)]
        {
            let fiber = lock(&self.fiber).take();
            if let Some(fiber) = fiber {
                held_locks::end(fiber.id());
            }
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
