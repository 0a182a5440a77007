//! The part of a hub that crosses threads: how it is woken, and how it fails.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread::{self, ThreadId};

use slab::Slab;
use tokio::runtime;

use crate::fiber::Record;
use crate::foreign;
use crate::sync_util::lock;

/// Why a hub will never run its fibers again although nobody closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Failure {
    /// Its driver was first polled on a thread other than the hub's.
    NeverRan = 1,
    /// Its thread ended, or its runtime was dropped on another thread.
    Lost = 2,
}

/// What a hub shares with wakers, handles and drivers on any thread.
pub(crate) struct Shared {
    runtime: Option<runtime::Id>,
    thread: ThreadId,
    thread_name: Option<Box<str>>,
    /// Whether `remote.queue` has something. Written under the lock.
    ///
    /// Ordering: the `Release` store by whoever queues pairs with the `Acquire`
    /// load by the hub.
    pending: AtomicBool,
    /// Whether a driver was ever polled on the hub's own thread. Written under the
    /// lock, so that it and a failure rule each other out.
    driven: AtomicBool,
    failure: AtomicU8,
    remote: Mutex<Remote>,
}

#[derive(Default)]
struct Remote {
    queue: Vec<Arc<Record>>,
    /// One place per driver: the task that has to be woken for the hub to run.
    drivers: Slab<Option<Arc<Waker>>>,
    /// Fibers whose joiners have to be told when the hub fails.
    watched: Slab<Arc<Record>>,
    /// The hub has ended: wakes are dropped.
    ended: bool,
}

impl Shared {
    pub(crate) fn new(runtime: Option<runtime::Id>) -> Shared {
        let thread = thread::current();
        Shared {
            runtime,
            thread: thread.id(),
            thread_name: thread.name().map(Into::into),
            pending: AtomicBool::new(false),
            driven: AtomicBool::new(false),
            failure: AtomicU8::new(0),
            remote: Mutex::default(),
        }
    }

    pub(crate) fn runtime(&self) -> Option<runtime::Id> {
        self.runtime
    }

    /// The hub's thread, for messages.
    pub(crate) fn thread_label(&self) -> String {
        match &self.thread_name {
            Some(name) => format!("'{name}'"),
            None => format!("{:?}", self.thread),
        }
    }

    /// Queues a wake from a thread that is not the hub's. Wakes the drivers
    /// once per burst: the hub takes the whole queue when it runs.
    pub(crate) fn wake_remotely(&self, record: &Arc<Record>) {
        // Ordering: see `Record::queued_remotely`.
        if record.queued_remotely.swap(true, Ordering::AcqRel) {
            return;
        }
        let drivers = {
            let mut remote = lock(&self.remote);
            if remote.ended {
                return;
            }
            remote.queue.push(record.clone());
            if remote.queue.len() > 1 {
                return;
            }
            self.pending.store(true, Ordering::Release);
            remote.wakers()
        };
        drivers.wake();
    }

    /// Takes the fibers that other threads have woken, in their order.
    pub(crate) fn take_remote(&self) -> Vec<Arc<Record>> {
        if !self.pending.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut remote = lock(&self.remote);
        self.pending.store(false, Ordering::Relaxed);
        mem::take(&mut remote.queue)
    }

    /// Wakes every driver.
    pub(crate) fn wake_drivers(&self) {
        let drivers = lock(&self.remote).wakers();
        drivers.wake();
    }

    pub(crate) fn add_driver(&self) -> usize {
        lock(&self.remote).drivers.insert(None)
    }

    pub(crate) fn set_driver_waker(&self, driver: usize, waker: &Waker) {
        // A waker's clone is not our code: not under the lock.
        let waker = Arc::new(waker.clone());
        let _old = lock(&self.remote).drivers[driver].replace(waker);
    }

    /// Whether this is the only driver.
    pub(crate) fn is_last_driver(&self) -> bool {
        lock(&self.remote).drivers.len() == 1
    }

    /// Takes a driver away. True if it was the last one; if it was not, the
    /// others are woken, since a wake may have been meant for the one that left.
    pub(crate) fn remove_driver(&self, driver: usize) -> bool {
        let (_left, last, others) = {
            let mut remote = lock(&self.remote);
            let left = remote.drivers.remove(driver);
            (left, remote.drivers.is_empty(), remote.wakers())
        };
        others.wake();
        last
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        match self.failure.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Failure::NeverRan),
            _ => Some(Failure::Lost),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.remote).ended
    }

    /// The hub ended and has told its fibers itself: later wakes go nowhere.
    pub(crate) fn end(&self) {
        let (_queue, _watched) = {
            let mut remote = lock(&self.remote);
            remote.ended = true;
            (mem::take(&mut remote.queue), mem::take(&mut remote.watched))
        };
    }

    /// Notes that the hub runs on its own thread; false if it has failed.
    pub(crate) fn set_driven(&self) -> bool {
        if !self.driven.load(Ordering::Relaxed) {
            let _remote = lock(&self.remote);
            let failed = self.failure().is_some();
            self.driven.store(!failed, Ordering::Release);
        }
        self.failure().is_none()
    }

    /// Fails the hub if it has never run: it was made on the wrong thread.
    pub(crate) fn fail_unless_driven(&self) -> bool {
        {
            let _remote = lock(&self.remote);
            if self.driven.load(Ordering::Acquire) {
                return false;
            }
            if self.failure().is_none() {
                let failure = Failure::NeverRan as u8;
                self.failure.store(failure, Ordering::Release);
            }
        }
        self.tell_joiners();
        true
    }

    /// The hub cannot end its fibers any more: their joins fail from now on.
    pub(crate) fn fail(&self, failure: Failure) {
        let unset =
            self.failure
                .compare_exchange(0, failure as u8, Ordering::AcqRel, Ordering::Acquire);
        if unset.is_ok() {
            self.tell_joiners();
        }
    }

    /// The hub has failed: whoever waits for its fibers learns it.
    fn tell_joiners(&self) {
        let (_queue, watched) = {
            let mut remote = lock(&self.remote);
            remote.ended = true;
            (mem::take(&mut remote.queue), mem::take(&mut remote.watched))
        };
        for (_, record) in watched {
            record.tell_joiner();
        }
    }

    /// Makes sure that whoever joins this fiber is told if the hub fails.
    pub(crate) fn watch(&self, record: &Arc<Record>) {
        if record.watch_key().is_some() {
            return;
        }
        let mut remote = lock(&self.remote);
        if !remote.ended && record.watch_key().is_none() {
            let key = remote.watched.insert(record.clone());
            record.set_watch_key(Some(key));
        }
    }

    /// The fiber has ended: it need not be watched any longer.
    pub(crate) fn unwatch(&self, record: &Record) {
        if record.watch_key().is_none() {
            return;
        }
        let _watched = {
            let mut remote = lock(&self.remote);
            // Somebody else may have been faster.
            let key = record.watch_key();
            record.set_watch_key(None);
            key.and_then(|key| remote.watched.try_remove(key))
        };
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("runtime", &self.runtime)
            .field("thread", &self.thread_label())
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}

impl Remote {
    fn wakers(&self) -> Wakers {
        let mut wakers = self.drivers.iter().filter_map(|(_, w)| w.clone());
        Wakers {
            first: wakers.next(),
            rest: wakers.collect(),
        }
    }
}

/// Wakers taken from under the lock, to be woken outside it.
struct Wakers {
    /// Apart from the rest, since there is rarely more than one driver.
    first: Option<Arc<Waker>>,
    rest: Vec<Arc<Waker>>,
}

impl Wakers {
    fn wake(self) {
        for waker in self.first.iter().chain(&self.rest) {
            foreign::run("a waker", || waker.wake_by_ref());
        }
    }
}
