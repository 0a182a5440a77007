//! The part of a hub that crosses threads: how it is woken and sent errands, how
//! others learn of its end, and how it fails.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread::{self, ThreadId};

use slab::Slab;
use tokio::runtime;

use super::core::Core;
use super::joiners::Joiners;
use super::metrics::Counters;
use crate::fiber::FiberRef;
use crate::foreign;
use crate::sync_util::{AtomicBool, AtomicU8, Mutex, lock};

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
    /// Counts the changes of `remote.drivers`. Written under the lock.
    drivers_version: AtomicU64,
    pub(super) counters: Counters,
    remote: Mutex<Remote>,
    pub(crate) joiners: Joiners,
}

/// A new fiber on its way to the hub. If it is dropped instead of having arrived,
/// the fiber has been refused.
pub(super) trait Arrival: Send {
    fn arrive(self: Box<Self>, core: &Rc<Core>);
}

/// What another thread asks of a hub.
pub(super) enum Errand {
    /// Make this fiber ready.
    Wake(FiberRef),
    /// Queue this behind everything that is ready.
    Callback(Box<dyn FnOnce() + Send>),
    /// Take a new fiber.
    Spawn(Box<dyn Arrival>),
    /// Begin to close.
    Close,
    /// Look for descriptors that are ready.
    #[cfg(unix)]
    Poll,
}

/// What a hub still takes from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Takes {
    #[default]
    Everything,
    /// It is closing: no new fibers.
    Callbacks,
    /// All its fibers have ended.
    Wakes,
    /// It has ended.
    Nothing,
}

#[derive(Default)]
struct Remote {
    queue: VecDeque<Errand>,
    /// One place per driver: the task that has to be woken for the hub to run.
    drivers: Slab<Option<Arc<Waker>>>,
    /// Whoever waits for the hub's close or end.
    closers: Slab<Arc<Waker>>,
    /// The fibers that a close has to end; absent before it has begun.
    closing: Option<Arc<[FiberRef]>>,
    takes: Takes,
}

/// What was in a hub's [`Remote`] when it ended: dropped, or told, outside of the
/// lock.
struct Leftovers {
    queue: VecDeque<Errand>,
    closers: Slab<Arc<Waker>>,
    _closing: Option<Arc<[FiberRef]>>,
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
            drivers_version: AtomicU64::new(1),
            counters: Counters::default(),
            remote: Mutex::new(Remote::default()),
            joiners: Joiners::new(),
        }
    }

    pub(crate) fn runtime(&self) -> Option<runtime::Id> {
        self.runtime
    }

    pub(super) fn is_own_thread(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// The hub's thread, for messages.
    pub(crate) fn thread_label(&self) -> String {
        match &self.thread_name {
            Some(name) => format!("'{name}'"),
            None => format!("{:?}", self.thread),
        }
    }

    /// Queues a wake from a thread that is not the hub's.
    pub(crate) fn wake_remotely(&self, record: &FiberRef) {
        if record.enters_remote_queue() {
            // Refused by a hub that has ended, whose fibers need no wake.
            let _ = self.send(Takes::Wakes, record.clone(), Errand::Wake);
        }
    }

    /// Has the hub look for descriptors that are ready.
    #[cfg(unix)]
    pub(crate) fn poll_remotely(&self) {
        // Refused by a hub that has ended, which polls no more.
        let _ = self.send(Takes::Wakes, (), |()| Errand::Poll);
    }

    /// Queues an errand from whatever thread: `what`, as which `errand` it is. A
    /// hub that takes no longer as much as it `needs` gives it back. Wakes the
    /// drivers once per burst: the hub runs again until it has taken the whole queue.
    pub(super) fn send<E>(
        &self,
        needs: Takes,
        what: E,
        errand: impl FnOnce(E) -> Errand,
    ) -> Result<(), E> {
        let drivers = {
            let mut remote = lock(&self.remote);
            if remote.takes > needs {
                return Err(what);
            }
            let errand = errand(what);
            if let Errand::Close = errand {
                // What the same thread asks for next comes after it.
                remote.restrict(Takes::Callbacks);
            }
            remote.queue.push_back(errand);
            if remote.queue.len() > 1 {
                return Ok(());
            }
            self.pending.store(true, Ordering::Release);
            remote.wakers()
        };
        drivers.wake();
        Ok(())
    }

    /// Whether other threads have sent errands.
    #[inline]
    pub(super) fn has_errands(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Takes the errands that other threads have sent, in their order: all, or,
    /// while the hub takes everything, those up to so many `fibers`.
    pub(super) fn take_errands(&self, fibers: usize) -> VecDeque<Errand> {
        let mut remote = lock(&self.remote);
        let errands = remote.queue.iter().enumerate();
        let mut spawns = errands.filter(|(_, errand)| matches!(errand, Errand::Spawn(_)));
        match spawns.nth(fibers) {
            Some((excess, _)) if remote.takes == Takes::Everything => {
                remote.queue.drain(..excess).collect()
            }
            _ => {
                self.pending.store(false, Ordering::Relaxed);
                mem::take(&mut remote.queue)
            }
        }
    }

    /// From now on the hub takes no more than this.
    pub(super) fn restrict(&self, takes: Takes) {
        lock(&self.remote).restrict(takes);
    }

    /// Has the hub begin to close, if it has not ended.
    pub(super) fn ask_to_close(&self) {
        let _ = self.send(Takes::Wakes, (), |()| Errand::Close);
    }

    /// The close has begun, and has to end these fibers.
    pub(super) fn begin_close(&self, fibers: Arc<[FiberRef]>) {
        {
            let mut remote = lock(&self.remote);
            remote.restrict(Takes::Callbacks);
            remote.closing = Some(fibers);
        }
        self.wake_closers();
    }

    /// The names of the fibers that the close has still to end; `None` if it has
    /// not begun, or is over.
    pub(super) fn closing_names(&self) -> Option<Vec<String>> {
        let fibers = lock(&self.remote).closing.clone()?;
        let left = fibers.iter().filter(|fiber| fiber.is_alive());
        Some(left.map(|fiber| fiber.name().to_owned()).collect())
    }

    /// Whether it refuses new fibers.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.remote).takes > Takes::Everything
    }

    /// Wakes whoever waits for the close: it may have come further.
    pub(super) fn wake_closers(&self) {
        let closers: Vec<_> = {
            let remote = lock(&self.remote);
            remote
                .closers
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect()
        };
        for closer in closers {
            foreign::run("a waker", || closer.wake_by_ref());
        }
    }

    /// Wakes every driver.
    pub(crate) fn wake_drivers(&self) {
        let drivers = lock(&self.remote).wakers();
        drivers.wake();
    }

    /// How often the drivers, or their wakers, have changed.
    ///
    /// Ordering: the `Release` of a change pairs with this `Acquire`. A change on another
    /// thread that is not seen yet is one that has not happened yet for the hub, and
    /// whoever makes it has the hub driven.
    #[inline]
    pub(super) fn drivers_version(&self) -> u64 {
        self.drivers_version.load(Ordering::Acquire)
    }

    fn drivers_have_changed(&self) {
        self.drivers_version.fetch_add(1, Ordering::Release);
    }

    /// The driver, if there is only one and its waker is known.
    pub(super) fn sole_driver(&self) -> Option<SoleDriver> {
        let remote = lock(&self.remote);
        let mut drivers = remote.drivers.iter();
        match (drivers.next(), drivers.next()) {
            (Some((_, Some(waker))), None) => Some(SoleDriver {
                version: self.drivers_version(),
                waker: waker.clone(),
            }),
            _ => None,
        }
    }

    pub(crate) fn add_driver(&self) -> usize {
        let mut remote = lock(&self.remote);
        self.drivers_have_changed();
        remote.drivers.insert(None)
    }

    pub(crate) fn set_driver_waker(&self, driver: usize, waker: &Waker) {
        // A waker's clone is not our code: not under the lock.
        let waker = Arc::new(waker.clone());
        let _old = {
            let mut remote = lock(&self.remote);
            self.drivers_have_changed();
            remote.drivers[driver].replace(waker)
        };
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
            self.drivers_have_changed();
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
        lock(&self.remote).takes == Takes::Nothing
    }

    /// The hub ended and has told its fibers itself: later wakes go nowhere.
    pub(crate) fn end(&self) {
        let leftovers = self.empty();
        leftovers.refuse();
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
        self.let_go();
        true
    }

    /// The hub cannot end its fibers any more: their joins fail from now on.
    pub(crate) fn fail(&self, failure: Failure) {
        let unset =
            self.failure
                .compare_exchange(0, failure as u8, Ordering::AcqRel, Ordering::Acquire);
        if unset.is_ok() {
            self.let_go();
        }
    }

    /// The hub has failed: whoever waits for its fibers learns it.
    fn let_go(&self) {
        let leftovers = self.empty();
        self.joiners.tell();
        leftovers.refuse();
    }

    /// Marks the hub as ended.
    fn empty(&self) -> Leftovers {
        let mut remote = lock(&self.remote);
        remote.restrict(Takes::Nothing);
        self.pending.store(false, Ordering::Relaxed);
        Leftovers {
            queue: mem::take(&mut remote.queue),
            closers: mem::take(&mut remote.closers),
            _closing: remote.closing.take(),
        }
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

impl Leftovers {
    fn refuse(self) {
        for errand in self.queue {
            foreign::run("the drop of a callback", || drop(errand));
        }
        for (_, closer) in self.closers {
            foreign::run("a waker", || closer.wake_by_ref());
        }
    }
}

impl Remote {
    /// It never takes more again.
    fn restrict(&mut self, takes: Takes) {
        self.takes = self.takes.max(takes);
    }

    fn wakers(&self) -> Wakers {
        let mut wakers = self.drivers.iter().filter_map(|(_, w)| w.clone());
        Wakers {
            first: wakers.next(),
            rest: wakers.collect(),
        }
    }
}

/// Somebody who waits for the close or the end of a hub.
#[derive(Debug)]
pub(super) struct Closer {
    shared: Arc<Shared>,
    key: Option<usize>,
}

impl Closer {
    pub(super) fn new(shared: &Arc<Shared>) -> Closer {
        Closer {
            shared: shared.clone(),
            key: None,
        }
    }

    pub(super) fn hub(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Has `cx` woken when the close has come further; at once if the hub has
    /// ended, since that may have come about on another thread just now.
    pub(super) fn register(&mut self, cx: &mut Context<'_>) {
        let waker = Arc::new(cx.waker().clone());
        let _old = {
            let mut remote = lock(&self.shared.remote);
            if remote.takes == Takes::Nothing {
                drop(remote);
                cx.waker().wake_by_ref();
                return;
            }
            let known = self.key.and_then(|key| remote.closers.get_mut(key));
            match known {
                Some(known) => Some(mem::replace(known, waker)),
                None => {
                    self.key = Some(remote.closers.insert(waker));
                    None
                }
            }
        };
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let _waker = lock(&self.shared.remote).closers.try_remove(key);
        }
    }
}

/// The only driver of a hub, as of some version of its drivers.
pub(super) struct SoleDriver {
    version: u64,
    waker: Arc<Waker>,
}

impl SoleDriver {
    pub(super) fn is_current(&self, hub: &Shared) -> bool {
        self.version == hub.drivers_version()
    }

    pub(super) fn wake(&self) {
        foreign::run("a waker", || self.waker.wake_by_ref());
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
