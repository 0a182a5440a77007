//! [`Drivers`]: who polls a hub.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use crate::base::contain;

/// The drivers of a hub, each with the waker of the task that polls it. Wakers are the user's, so they
/// are woken and dropped outside of the lock that this is under.
#[derive(Default)]
pub(super) struct Drivers(Slab<Option<SharedWaker>>);

impl Drivers {
    /// Adds a driver whose waker is not known yet, and returns its key.
    pub(super) fn add(&mut self) -> usize {
        self.0.insert(None)
    }

    /// Returns the driver's former waker.
    pub(super) fn set_waker(&mut self, driver: usize, waker: SharedWaker) -> Option<SharedWaker> {
        self.0[driver].replace(waker)
    }

    /// Removes a driver, and returns its waker.
    pub(super) fn remove(&mut self, driver: usize) -> Option<SharedWaker> {
        self.0.remove(driver)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether there is exactly one driver.
    pub(super) fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// Returns the wakers of all drivers.
    pub(super) fn wakers(&self) -> Wakers {
        let mut wakers = self.0.iter().filter_map(|(_, waker)| waker.clone());
        Wakers {
            first: wakers.next(),
            rest: wakers.collect(),
        }
    }

    /// Returns the driver, if there is exactly one and its waker is known.
    pub(super) fn sole(&self, version: u64) -> Option<SoleDriver> {
        let mut wakers = self.0.iter();
        match (wakers.next(), wakers.next()) {
            (Some((_, Some(waker))), None) => Some(SoleDriver {
                version,
                waker: waker.clone(),
            }),
            _ => None,
        }
    }
}

/// A counted reference to a driver's waker, which may be the user's. The last one drops the waker.
#[derive(Clone)]
pub(super) struct SharedWaker(Option<Arc<Waker>>);

impl SharedWaker {
    pub(super) fn new(waker: Waker) -> SharedWaker {
        SharedWaker(Some(Arc::new(waker)))
    }

    #[inline]
    fn wake(&self) {
        if let Some(waker) = &self.0 {
            contain::wake_by_ref(waker);
        }
    }
}

impl Drop for SharedWaker {
    fn drop(&mut self) {
        contain::drop_waker(self.0.take().and_then(Arc::into_inner));
    }
}

/// Wakers of drivers. They are cloned under the lock and woken outside of it.
pub(super) struct Wakers {
    /// This is separate from the rest, because there is rarely more than one driver.
    first: Option<SharedWaker>,
    rest: Vec<SharedWaker>,
}

impl Wakers {
    pub(super) fn wake(self) {
        self.first
            .iter()
            .chain(&self.rest)
            .for_each(SharedWaker::wake);
    }
}

/// The only driver of a hub, as of one version of the drivers.
pub(crate) struct SoleDriver {
    version: u64,
    waker: SharedWaker,
}

impl SoleDriver {
    /// Returns the version of the drivers in which it is the only one.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    #[inline]
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}
