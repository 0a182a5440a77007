//! [`Mailbox`]: the part of a hub that threads share. Through it other threads wake the hub's
//! fibers, send it requests, and learn that it has ended or failed.
//!
//! # Access to the fields
//!
//! | field | accessed by |
//! |---|---|
//! | `scheduler`, `runtime`, `thread`, `thread_name` | any thread; they never change |
//! | `inbox` | any thread, under its lock; no foreign code runs under it |
//! | `pending` | written under the lock of `inbox`, read by the hub |
//! | `driven` | written under the lock of `inbox`, read by any thread |
//! | `failure` | set once by any thread ([`fail`](Mailbox::fail) takes no lock for it), read by any thread |
//! | `drivers_version` | written under the lock of `inbox`, read by the hub |
//! | `counters`, `running`, `times` | written by the hub, read by any thread |
//! | `timers` | written by the timers, read by any thread |
//! | `name`, `pool`, `proc_path`, `slice` | any thread; they never change |
//! | `pool_queue`, `joiners`, `close_waiters` | any thread; they have locks of their own |
//!
//! # Orderings
//!
//! | store | pairs with | so that |
//! |---|---|---|
//! | `pending`, `Release`, by a sender | `Acquire` in [`has_mail`](Mailbox::has_mail) | a hub that sees it finds the mail |
//! | `drivers_version`, `Release`, by a driver | `Acquire` in [`drivers_version`](Mailbox::drivers_version) | a hub that sees the new number looks for the new driver |
//! | `failure`, `Release` or `AcqRel` | `Acquire` in [`failure`](Mailbox::failure) | a joiner that sees it also sees what led to it |
//!
//! # Pools
//!
//! A pool of hubs has a mailbox too, which no hub reads. It is the mailbox of fibers that have not
//! begun, and has the [`PoolQueue`] that they are in. The hubs of the pool keep it, and use its
//! list of joiners: a fiber's joiner stays where it is when a hub takes the fiber.
//!
//! # The order of intake
//!
//! Wakes and requests have separate queues. A wake names a fiber that the hub already has, and
//! there is at most one for each fiber, so wakes may overtake requests. Requests (new fibers and
//! callbacks) keep the order in which they were sent. How much of each the hub takes in per turn is
//! in [`crate::scheduler::intake`].

use std::collections::VecDeque;
use std::fmt;
use std::mem;
#[cfg(feature = "tracing")]
use std::num::NonZeroU64;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::thread::{self, ThreadId};

use tokio::runtime;

use super::block::Block;
use super::drivers::{Drivers, SharedWaker, SoleDriver};
use super::pool_queue::{Awaken, Lane, PoolQueue};
use super::reference::FiberRef;
use super::{
    Counters, FiberId, HubFailure, HubState, HubToken, RunningFiber, Slice, SpawnError, TimeRecord,
    Track,
};
use crate::base::lock::{AtomicBool, AtomicU8, Mutex, lock};
use crate::base::{TimerCount, WakerList, contain};

/// The way from a fiber or a mailbox, on any thread, to its hub. The scheduler implements it.
pub(crate) trait Scheduler: Sync {
    /// Makes the fiber ready.
    fn wake(&self, fiber: &FiberRef);

    /// Offers the hub the memory of one of its fibers that is gone, and the fiber's reference to this.
    fn recycle(&self, mailbox: Arc<Mailbox>, block: Box<Block>);

    /// Tells a subscriber what is done with a waker of the fiber that has this span. A fiber without a
    /// hub has none.
    #[cfg(feature = "tracing")]
    fn note_waker(&self, _span: NonZeroU64, _operation: &'static str) {}

    /// Makes the hub check which descriptors are ready.
    #[cfg(unix)]
    fn poll(&self, mailbox: &Arc<Mailbox>);
}

/// The length of the inbox from which on those who send more requests give way. It is what a hub
/// handles in a few milliseconds, so that the hub has enough to do until they run again.
const FAR_BEHIND: usize = 16 * 1024;

/// They give way at each request whose place in the inbox is a multiple of this.
const GIVES_WAY_EVERY: usize = 64;

/// The part of a hub that it shares with wakers, handles and drivers on any thread.
pub(crate) struct Mailbox {
    scheduler: &'static dyn Scheduler,
    runtime: Option<runtime::Id>,
    thread: ThreadId,
    thread_name: Option<Box<str>>,
    /// The hub's name.
    name: Box<str>,
    /// The mailbox of the pool that the hub belongs to.
    pool: Option<Arc<Mailbox>>,
    /// The queue of a pool, if this is a pool's mailbox.
    pool_queue: Option<PoolQueue<Box<dyn RemoteSpawn>>>,
    /// Whether the inbox holds anything for the hub.
    pending: AtomicBool,
    /// Whether a driver was ever polled on the hub's own thread. If so, the hub can no longer fail
    /// with [`HubFailure::NeverRan`], and a hub that has failed is never driven.
    driven: AtomicBool,
    failure: AtomicU8,
    /// Counts the changes of `inbox.drivers`.
    drivers_version: AtomicU64,
    pub(crate) counters: Counters,
    /// The fiber that has the hub's thread.
    pub(crate) running: RunningFiber,
    /// How many timers of the hub's thread there are.
    pub(crate) timers: TimerCount,
    /// How long fibers run, and wait until they do, if the hub records that.
    times: Option<Box<TimeRecord>>,
    /// The path of the thread below `/proc`, on Linux.
    proc_path: Option<Box<str>>,
    /// For how long a fiber may have the thread, if that is limited.
    slice: Option<Slice>,
    inbox: Mutex<Inbox>,
    /// The wakers of all that wait for fibers of the hub to end, except fibers of the same hub.
    /// They are kept here and not with each fiber, so that a thread that finds out that the hub has
    /// failed can wake all of them, under one lock.
    joiners: WakerList,
    close_waiters: WakerList,
}

/// A new fiber on its way to the hub. Dropping it before it arrives refuses the fiber.
pub(crate) trait RemoteSpawn: Send {
    /// Launches the fiber on its hub, and returns it to be queued or begun. Returns `None` if the
    /// fiber was refused. Called on the hub's thread.
    fn arrive(self: Box<Self>) -> Option<FiberRef>;

    /// Gives the fiber, which was sent to a pool, to a hub of the pool.
    fn give_to(&self, hub: &Arc<Mailbox>);
}

/// Reads the state of a hub on its thread. It is our own code, and changes nothing.
pub(crate) type Look = Box<dyn FnOnce() + Send>;

/// A request from another thread. Requests are handled in the order in which they were sent.
pub(crate) enum Request {
    /// Queue this callback behind everything that is ready.
    Callback(Box<dyn FnOnce() + Send>),
    /// Take a new fiber.
    Spawn(Box<dyn RemoteSpawn>),
}

#[derive(Default)]
struct Inbox {
    /// Fibers that were woken on other threads, each at most once.
    wakes: VecDeque<FiberRef>,
    requests: VecDeque<Request>,
    /// Called on the hub's thread, before anything else.
    looks: Vec<Look>,
    /// Whether a thread has asked the hub to close.
    close: bool,
    /// Whether the hub must check which descriptors are ready.
    #[cfg(unix)]
    poll: bool,
    drivers: Drivers,
    /// The fibers that the close has to end; `None` before the close has begun.
    closing: Option<Arc<[FiberRef]>>,
    state: HubState,
}

/// The mail that a hub has taken out of its inbox.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) wakes: VecDeque<FiberRef>,
    pub(crate) requests: VecDeque<Request>,
    pub(crate) looks: Vec<Look>,
    pub(crate) close: bool,
    #[cfg(unix)]
    pub(crate) poll: bool,
}

impl Mail {
    /// Takes out each queue that was long and is empty, so that its memory is given back. An empty
    /// queue goes back into the inbox with the next mail, and may not be needed for as much again.
    pub(crate) fn take_spent(&mut self) -> (VecDeque<FiberRef>, VecDeque<Request>) {
        (take_spent(&mut self.wakes), take_spent(&mut self.requests))
    }
}

fn take_spent<T>(queue: &mut VecDeque<T>) -> VecDeque<T> {
    const KEPT: usize = 1024;
    match queue.is_empty() && queue.capacity() > KEPT {
        true => mem::take(queue),
        false => VecDeque::new(),
    }
}

impl Mailbox {
    /// Creates the mailbox of a hub on this thread, and the hub's token.
    pub(crate) fn new(
        scheduler: &'static dyn Scheduler,
        runtime: runtime::Id,
        name: Box<str>,
        pool: Option<Arc<Mailbox>>,
        slice: Option<Slice>,
        track: Track,
    ) -> (Arc<Mailbox>, HubToken) {
        let mailbox = Arc::new(Mailbox {
            runtime: Some(runtime),
            proc_path: proc_path(),
            name,
            pool,
            slice,
            times: (track == Track::Times).then(Box::default),
            ..Mailbox::with_scheduler(scheduler)
        });
        let token = HubToken::new(Arc::as_ptr(&mailbox).addr());
        (mailbox, token)
    }

    /// Creates a mailbox that no hub reads. Wakes stay in it.
    pub(crate) fn without_hub() -> Arc<Mailbox> {
        Arc::new(Mailbox::with_scheduler(&WithoutHub))
    }

    /// Creates the mailbox of a pool, in whose queue at most `limit` fibers wait.
    pub(crate) fn of_pool(limit: usize) -> Arc<Mailbox> {
        Arc::new(Mailbox {
            pool_queue: Some(PoolQueue::new(limit)),
            ..Mailbox::with_scheduler(&BeforeStart)
        })
    }

    fn with_scheduler(scheduler: &'static dyn Scheduler) -> Mailbox {
        let thread = thread::current();
        Mailbox {
            scheduler,
            runtime: None,
            thread: thread.id(),
            thread_name: thread.name().map(Into::into),
            name: Box::default(),
            pool: None,
            pool_queue: None,
            pending: AtomicBool::new(false),
            driven: AtomicBool::new(false),
            failure: AtomicU8::new(0),
            drivers_version: AtomicU64::new(1),
            counters: Counters::default(),
            running: RunningFiber::new(),
            timers: TimerCount::here(),
            times: None,
            proc_path: None,
            slice: None,
            inbox: Mutex::new(Inbox::default()),
            joiners: WakerList::new(),
            close_waiters: WakerList::new(),
        }
    }

    #[inline]
    pub(crate) fn scheduler(&self) -> &'static dyn Scheduler {
        self.scheduler
    }

    pub(crate) fn runtime(&self) -> Option<runtime::Id> {
        self.runtime
    }

    /// Returns the path of the hub's thread below `/proc`, where there is one.
    pub(crate) fn proc_path(&self) -> Option<&str> {
        self.proc_path.as_deref()
    }

    /// Returns for how long a fiber may have the thread, if that is limited.
    pub(crate) fn slice(&self) -> Option<Slice> {
        self.slice
    }

    /// Returns how long fibers run, and wait until they do, if the hub records that.
    #[inline(always)]
    pub(crate) fn times(&self) -> Option<&TimeRecord> {
        self.times.as_deref()
    }

    /// Returns the hub's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the mailbox of the pool that the hub belongs to.
    pub(crate) fn pool(&self) -> Option<&Arc<Mailbox>> {
        self.pool.as_ref()
    }

    /// Returns the queue of the pool whose mailbox this is.
    pub(crate) fn pool_queue(&self) -> Option<&PoolQueue<Box<dyn RemoteSpawn>>> {
        self.pool_queue.as_ref()
    }

    /// Returns the wakers of those that wait for fibers of the hub, or of its pool.
    #[inline]
    pub(crate) fn joiners(&self) -> &WakerList {
        match &self.pool {
            Some(pool) => &pool.joiners,
            None => &self.joiners,
        }
    }

    pub(crate) fn is_own_thread(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// Returns a name for the hub's thread, for messages.
    pub(crate) fn thread_label(&self) -> String {
        match &self.thread_name {
            Some(name) => format!("'{name}'"),
            None => format!("{:?}", self.thread),
        }
    }

    /// Makes a fiber ready, from another thread than the hub's. If the hub has ended, this does
    /// nothing, because its fibers need no wake.
    pub(crate) fn send_wake(&self, fiber: &FiberRef) {
        if fiber.enters_mailbox() {
            let _ = self.send(HubState::Draining, fiber.clone(), |inbox, fiber| {
                inbox.wakes.push_back(fiber);
            });
        }
    }

    /// Makes the hub check which descriptors are ready. A hub that has ended does nothing.
    #[cfg(unix)]
    pub(crate) fn send_poll(&self) {
        let _ = self.send(HubState::Draining, (), |inbox, ()| inbox.poll = true);
    }

    /// Sends a look. If the hub ends before it looks, the look is dropped.
    pub(crate) fn send_look(&self, look: Look) {
        let refused = self.send(HubState::Draining, look, |inbox, look| {
            inbox.looks.push(look);
        });
        drop(refused);
    }

    /// Makes the hub begin to close, unless it has ended. Later requests from the same thread take
    /// effect after that.
    pub(crate) fn send_close(&self) {
        let _ = self.send(HubState::Draining, (), |inbox, ()| {
            inbox.close = true;
            inbox.advance(HubState::Closing);
        });
    }

    /// Sends a callback. Returns the callback if the hub takes no more of them.
    pub(crate) fn send_callback(
        &self,
        callback: Box<dyn FnOnce() + Send>,
    ) -> Result<(), Box<dyn FnOnce() + Send>> {
        self.send_request(HubState::Closing, callback, Request::Callback)
    }

    /// Sends a new fiber. Returns the fiber if the hub takes no more of them.
    pub(crate) fn send_spawn<S: RemoteSpawn + 'static>(&self, fiber: Box<S>) -> Result<(), Box<S>> {
        self.send_request(HubState::Open, fiber, |fiber| Request::Spawn(fiber))
    }

    /// Queues a fiber for the hubs of the pool whose mailbox this is. Returns it if the queue does
    /// not take it.
    pub(crate) fn queue_start<S: RemoteSpawn + 'static>(
        &self,
        id: FiberId,
        fiber: Box<S>,
        lane: Lane,
    ) -> Result<(), (SpawnError, Box<S>)> {
        match &self.pool_queue {
            Some(queue) => queue.push(id, lane, fiber, |fiber| fiber),
            None => Err((SpawnError::Closed, fiber)),
        }
    }

    /// Closes the queue of the pool whose mailbox this is.
    pub(crate) fn close_queue(&self) {
        if let Some(queue) = &self.pool_queue {
            queue.close();
        }
    }

    /// Sends a request, unless the hub has come further than `last`.
    ///
    /// Nothing holds back a thread that sends faster than the hub takes in. But now and then the
    /// thread lets others run first, because the hub may be waiting for its processor. Otherwise a
    /// few such threads would delay each of the hub's timers by some milliseconds.
    fn send_request<W>(
        &self,
        last: HubState,
        what: W,
        request: impl FnOnce(W) -> Request,
    ) -> Result<(), W> {
        let mut behind = 0;
        self.send(last, what, |inbox, what| {
            inbox.requests.push_back(request(what));
            behind = inbox.requests.len();
        })?;
        if behind >= FAR_BEHIND && behind % GIVES_WAY_EVERY == 0 {
            thread::yield_now();
        }
        Ok(())
    }

    /// Sends `what`, unless the hub is in a later state than `last`. The drivers are woken once for
    /// each burst, because the hub then runs until it has taken everything.
    fn send<W>(&self, last: HubState, what: W, enter: impl FnOnce(&mut Inbox, W)) -> Result<(), W> {
        let drivers = {
            let mut inbox = lock(&self.inbox);
            if inbox.state > last {
                return Err(what);
            }
            let was_empty = inbox.is_empty();
            enter(&mut inbox, what);
            if !was_empty {
                return Ok(());
            }
            self.pending.store(true, Ordering::Release);
            inbox.drivers.wakers()
        };
        drivers.wake();
        Ok(())
    }

    /// Returns whether other threads have sent anything.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Returns whether the inbox holds new fibers or callbacks.
    pub(crate) fn has_requests(&self) -> bool {
        self.requests() > 0
    }

    /// Returns how many new fibers and callbacks the inbox holds.
    pub(crate) fn requests(&self) -> usize {
        lock(&self.inbox).requests.len()
    }

    /// Takes everything that other threads have sent, with one exception: a queue is taken only if
    /// the same queue of `mail` is empty. The two are swapped.
    pub(crate) fn take_mail(&self, mail: &mut Mail) {
        let mut inbox = lock(&self.inbox);
        if mail.wakes.is_empty() {
            mem::swap(&mut mail.wakes, &mut inbox.wakes);
        }
        if mail.requests.is_empty() {
            mem::swap(&mut mail.requests, &mut inbox.requests);
        }
        mail.looks.append(&mut inbox.looks);
        mail.close |= mem::take(&mut inbox.close);
        #[cfg(unix)]
        {
            mail.poll |= mem::take(&mut inbox.poll);
        }
        let is_empty = inbox.is_empty();
        self.pending.store(!is_empty, Ordering::Relaxed);
    }

    /// Advances the state to `state`, unless it is further already.
    pub(crate) fn advance(&self, state: HubState) {
        lock(&self.inbox).advance(state);
    }

    /// Records that the close has begun and has to end these fibers.
    pub(crate) fn begin_close(&self, fibers: Arc<[FiberRef]>) {
        {
            let mut inbox = lock(&self.inbox);
            inbox.advance(HubState::Closing);
            inbox.closing = Some(fibers);
        }
        self.wake_close_waiters();
    }

    /// Returns the fibers that the close has to end; `None` if it has not begun, or is over.
    pub(crate) fn closing(&self) -> Option<Arc<[FiberRef]>> {
        lock(&self.inbox).closing.clone()
    }

    /// Returns whether the hub refuses new fibers.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.inbox).state > HubState::Open
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.inbox).state == HubState::Ended
    }

    /// Wakes all tasks that wait for the close, because it may have made progress.
    pub(crate) fn wake_close_waiters(&self) {
        self.close_waiters.wake_all();
    }

    /// The tasks that wait for the close.
    pub(crate) fn close_waiters(&self) -> &WakerList {
        &self.close_waiters
    }

    /// Wakes every driver.
    pub(crate) fn wake_drivers(&self) {
        let drivers = lock(&self.inbox).drivers.wakers();
        drivers.wake();
    }

    /// Returns how often the drivers, or their wakers, have changed.
    ///
    /// If the hub does not see a change by another thread yet, that does no harm: the thread that
    /// makes the change also has the hub driven.
    #[inline]
    pub(crate) fn drivers_version(&self) -> u64 {
        self.drivers_version.load(Ordering::Acquire)
    }

    fn drivers_have_changed(&self) {
        self.drivers_version.fetch_add(1, Ordering::Release);
    }

    /// Returns the driver, if there is exactly one and its waker is known.
    pub(crate) fn sole_driver(&self) -> Option<SoleDriver> {
        lock(&self.inbox).drivers.sole(self.drivers_version())
    }

    pub(crate) fn add_driver(&self) -> usize {
        let mut inbox = lock(&self.inbox);
        self.drivers_have_changed();
        inbox.drivers.add()
    }

    pub(crate) fn set_driver_waker(&self, driver: usize, waker: Waker) {
        let waker = SharedWaker::new(waker);
        let old = {
            let mut inbox = lock(&self.inbox);
            self.drivers_have_changed();
            inbox.drivers.set_waker(driver, waker)
        };
        drop(old);
    }

    /// Returns whether there is exactly one driver.
    pub(crate) fn has_one_driver(&self) -> bool {
        lock(&self.inbox).drivers.is_one()
    }

    /// Removes a driver. Returns true if it was the last one. Otherwise the remaining drivers are
    /// woken, because a wake may have been meant for the one that left.
    pub(crate) fn remove_driver(&self, driver: usize) -> bool {
        let (left, is_last, others) = {
            let mut inbox = lock(&self.inbox);
            self.drivers_have_changed();
            let left = inbox.drivers.remove(driver);
            (left, inbox.drivers.is_empty(), inbox.drivers.wakers())
        };
        others.wake();
        drop(left);
        is_last
    }

    #[inline]
    pub(crate) fn failure(&self) -> Option<HubFailure> {
        match self.failure.load(Ordering::Acquire) {
            0 => None,
            1 => Some(HubFailure::NeverRan),
            _ => Some(HubFailure::Lost),
        }
    }

    /// Records that the hub has ended and that its fibers were told. Later wakes have no effect.
    pub(crate) fn end(&self) {
        self.empty().refuse();
        self.close_waiters.close();
    }

    /// Records that the hub runs on its own thread. Returns false if the hub has failed.
    pub(crate) fn set_driven(&self) -> bool {
        if !self.driven.load(Ordering::Relaxed) {
            let _inbox = lock(&self.inbox);
            let failed = self.failure().is_some();
            self.driven.store(!failed, Ordering::Release);
        }
        self.failure().is_none()
    }

    /// Fails the hub if it has never run, because it was then made on the wrong thread. Returns
    /// whether it has never run.
    pub(crate) fn fail_unless_driven(&self) -> bool {
        {
            let _inbox = lock(&self.inbox);
            if self.driven.load(Ordering::Acquire) {
                return false;
            }
            if self.failure().is_none() {
                let failure = HubFailure::NeverRan as u8;
                self.failure.store(failure, Ordering::Release);
            }
        }
        self.let_go();
        true
    }

    /// Records that the hub can no longer end its fibers. Joins of them fail from now on.
    pub(crate) fn fail(&self, failure: HubFailure) {
        let unset =
            self.failure
                .compare_exchange(0, failure as u8, Ordering::AcqRel, Ordering::Acquire);
        if unset.is_ok() {
            self.let_go();
        }
    }

    /// Wakes all tasks that wait for the fibers or for the end of the hub, which has failed.
    fn let_go(&self) {
        let leftovers = self.empty();
        match &self.pool {
            // Others wait there for fibers of other hubs.
            Some(pool) => pool.joiners.wake_all(),
            None => self.joiners.close(),
        }
        leftovers.refuse();
        self.close_waiters.close();
        // A driver that is still polled ends the fibers.
        self.wake_drivers();
    }

    /// Marks the hub as ended and takes everything out of the inbox.
    fn empty(&self) -> Leftovers {
        let mut inbox = lock(&self.inbox);
        inbox.advance(HubState::Ended);
        self.pending.store(false, Ordering::Relaxed);
        Leftovers {
            wakes: mem::take(&mut inbox.wakes),
            requests: mem::take(&mut inbox.requests),
            looks: mem::take(&mut inbox.looks),
            closing: inbox.closing.take(),
        }
    }
}

/// Returns the path of this thread below `/proc`, on Linux.
fn proc_path() -> Option<Box<str>> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let path = std::fs::read_link("/proc/thread-self").ok()?;
    path.to_str().map(Into::into)
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `f` writes to is foreign, so not under the lock.
        let state = lock(&self.inbox).state;
        let mut hub = f.debug_struct("Hub");
        hub.field("name", &self.name)
            .field("thread", &format_args!("{}", self.thread_label()));
        match self.failure() {
            Some(failure) => hub.field("state", &failure),
            None => hub.field("state", &state),
        };
        hub.finish_non_exhaustive()
    }
}

impl Inbox {
    /// Advances the state; it never goes back.
    fn advance(&mut self, state: HubState) {
        self.state = self.state.max(state);
    }

    fn is_empty(&self) -> bool {
        #[cfg(unix)]
        if self.poll {
            return false;
        }
        self.wakes.is_empty() && self.requests.is_empty() && self.looks.is_empty() && !self.close
    }
}

/// The contents of a mailbox whose hub has ended. They are dropped outside of the lock.
struct Leftovers {
    wakes: VecDeque<FiberRef>,
    requests: VecDeque<Request>,
    looks: Vec<Look>,
    closing: Option<Arc<[FiberRef]>>,
}

impl Leftovers {
    fn refuse(self) {
        drop((self.wakes, self.looks, self.closing));
        for request in self.requests {
            contain::run("the drop of a callback", || drop(request));
        }
    }
}

/// The scheduler of a mailbox that no hub reads. It is used for a fiber that could not be made, and
/// in models.
struct WithoutHub;

impl Scheduler for WithoutHub {
    fn wake(&self, fiber: &FiberRef) {
        fiber.mailbox().send_wake(fiber);
    }

    fn recycle(&self, mailbox: Arc<Mailbox>, block: Box<Block>) {
        drop((mailbox, block));
    }

    #[cfg(unix)]
    fn poll(&self, mailbox: &Arc<Mailbox>) {
        mailbox.send_poll();
    }
}

/// The scheduler of a pool's mailbox, for fibers that have not begun.
struct BeforeStart;

impl Scheduler for BeforeStart {
    /// Withdraws a fiber that was cancelled. Other wakes mean nothing before the start.
    fn wake(&self, fiber: &FiberRef) {
        let pool = fiber.mailbox();
        let Some(queue) = &pool.pool_queue else {
            return;
        };
        // A hub may be taking it. The lock of the queue orders the two: either the fiber sees the
        // reason for this wake when it begins, or this sees the hub.
        queue.withdraw_if(fiber.is_interrupted(), fiber.id());
        let hub = fiber.mailbox();
        if !ptr::eq(pool, hub) {
            fiber.wake();
        }
    }

    fn recycle(&self, mailbox: Arc<Mailbox>, block: Box<Block>) {
        drop((mailbox, block));
    }

    #[cfg(unix)]
    fn poll(&self, _: &Arc<Mailbox>) {}
}

impl Awaken for Mailbox {
    fn awaken(&self) {
        self.wake_drivers();
    }
}
