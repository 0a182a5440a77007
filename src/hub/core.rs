//! [`Core`]: a hub, as its own thread sees it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Context;
use std::thread::panicking;
use std::time::Instant;

use tokio::runtime::Handle;

use super::alarm::Alarm;
use super::config::Config;
use super::data::HubData;
use super::depths::Depths;
use super::interrupt::Interrupts;
#[cfg(unix)]
use super::poll::{self, Poller};
use super::ready::{Ready, ReadyQueue, Ticket};
use super::ready_times::ReadyTimes;
#[cfg(feature = "test-util")]
use super::rest::Rest;
use super::table::Table;
use super::trial::Trial;
use crate::base::ResumedIn;
use crate::base::executors::is_current;
use crate::shared::mailbox::Mail;
use crate::shared::{
    ColdPart, FiberId, FiberIds, FiberRef, HubMetrics, HubPart, HubState, HubToken, LocalJoiner,
    LocalPhase, Mailbox, Next, PoolQueue, Recycler, RemoteSpawn, Scheduler, SoleDriver, Takes,
    TimeRecord, Track,
};
use crate::stack::{Stack, StackPool};

/// A hub, as its own thread sees it.
///
/// # Access to the fields
///
/// All fields belong to the hub's thread. Three kinds of code use them: a driver, during a turn;
/// the code on the stack of a fiber, in calls of this crate; and any other code of the thread, in
/// calls of this crate. None of them holds a borrow of a cell while it runs code of another kind,
/// so each finds the hub in the state that is described here.
///
/// | field | written by | read by |
/// |---|---|---|
/// | `mailbox`, `token`, `number`, `runtime`, `config`, `made_while_panicking` | no code, after the hub was made | all |
/// | `driven_in` | the driver, at the beginning and end of a turn; the end of the hub | the driver, waits |
/// | `noticed`, `turn`, `resumes_since_io` | the driver | the driver |
/// | `turn_end` | the driver, wakes | the driver |
/// | `state` | the close and the end of the hub | all |
/// | `ready`, `table` | launch, wakes, turns, the end | the same, metrics |
/// | `mail`, `has_left_mail` | intake | intake, close |
/// | `awake`, `driver`, `drivers_version` | `notify`, the driver | the same |
/// | `alarm` | a driver, once | the drivers |
/// | `member`, `taken` | the making of the hub; fibers from the queue of its pool | intake |
/// | `root`, `root_address`, `root_waits`, `interrupts` | `run`, and the close that the root waits for | close, Ctrl-C |
/// | `stacks`, `depths`, `ids`, `recycler`, `data`, `poll`, `trial`, `rest` | see their types | see their types |
/// | `callbacks_run` | turns | metrics |
/// | `wakes`, `remote_wakes` | wakes, and the intake of those from other threads | metrics |
/// | `ready_times` | wakes, turns | turns |
/// | `kept` | the ends of fibers, turns | the same |
pub(crate) struct Core {
    pub(crate) mailbox: Arc<Mailbox>,
    /// The right to use the hub parts of this hub's fibers.
    pub(crate) token: HubToken,
    /// The number of the hub among those that take from the queue of its pool.
    member: Option<usize>,
    /// The live fibers that the hub took from the queue of its pool, if their number is limited.
    taken: RefCell<HashSet<FiberId>>,
    /// Whether the thread was panicking when the hub was made.
    pub(crate) made_while_panicking: bool,
    /// A number that no other hub of the process has.
    pub(crate) number: u64,
    pub(crate) runtime: Handle,
    /// The surroundings of the driver that runs this turn.
    pub(crate) driven_in: ResumedIn,
    pub(crate) config: Config,
    pub(crate) stacks: StackPool,
    pub(crate) depths: Depths,
    pub(crate) state: Cell<HubState>,
    pub(crate) ready: ReadyQueue,
    pub(crate) table: Table,
    /// Mail that was taken out of the mailbox and has not been handled.
    pub(crate) mail: RefCell<Mail>,
    /// Whether `mail` holds anything.
    pub(crate) has_left_mail: Cell<bool>,
    pub(crate) ids: FiberIds,
    pub(crate) recycler: Recycler,
    /// Whether a driver is running or was woken, so that it need not be woken again.
    pub(crate) awake: Cell<bool>,
    /// The only driver, if it was the only one in this version of the drivers.
    driver: Cell<Option<SoleDriver>>,
    drivers_version: Cell<u64>,
    /// The alarm of the task that stands by for the drivers, if there is one. Unset before it is known
    /// whether there has to be one.
    pub(crate) alarm: OnceCell<Option<Arc<Alarm>>>,
    /// How many of the fibers that were ever added [`thread_end`](crate::base::thread_end) knows of.
    pub(crate) noticed: Cell<u64>,
    /// Counts the turns, for metrics, and so that a pass over descriptors gives way once in each.
    pub(crate) turn: Cell<u64>,
    /// The turn ends when this many entries have left the ready queue since the hub was made.
    pub(crate) turn_end: Cell<u64>,
    /// The number of entries handled since tokio last had a chance to poll for I/O.
    pub(crate) resumes_since_io: Cell<u64>,
    /// The root fiber, if the hub was made to run one.
    root: RefCell<Option<FiberRef>>,
    /// The root's address, or 0, for a quick look.
    root_address: Cell<usize>,
    /// Whether the root waits for the close. If so, the close neither cancels it nor waits for it.
    root_waits: Cell<bool>,
    /// The handling of Ctrl-C, if this hub answers it.
    pub(crate) interrupts: OnceCell<Rc<Interrupts>>,
    pub(crate) data: HubData,
    #[cfg(unix)]
    pub(crate) poll: Poller,
    pub(crate) callbacks_run: Cell<u64>,
    wakes: Cell<u64>,
    pub(crate) remote_wakes: Cell<u64>,
    /// Since when fibers are ready, if the hub records that.
    ready_times: Option<Box<ReadyTimes>>,
    /// Fibers that have ended while another thread read which fiber runs.
    kept: RefCell<Vec<FiberRef>>,
    /// What a test asked for, if the hub is one of a test.
    #[cfg(feature = "test-util")]
    trial: Option<Box<Trial>>,
    #[cfg(feature = "test-util")]
    rest: Rest,
}

/// What a hub needs from the layers above it.
pub(crate) struct Above {
    pub(crate) scheduler: &'static dyn Scheduler,
    /// Drops a callback of [`Poller`] that will not be called again.
    #[cfg(unix)]
    pub(crate) drop_poll_callback: fn(poll::Callback),
}

impl Core {
    pub(crate) fn new(above: &Above, runtime: Handle, config: Config) -> Rc<Core> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (mailbox, token) = Mailbox::new(
            above.scheduler,
            runtime.id(),
            config.name.clone(),
            config.pool.clone(),
            config.slice,
            config.track,
        );
        #[cfg(feature = "test-util")]
        let trial = config
            .schedule
            .map(|schedule| Box::new(Trial::new(schedule)));
        let ready_times = (config.track == Track::Times).then(Box::default);
        let member = mailbox.pool().and_then(|pool| {
            let hub: Weak<Mailbox> = Arc::downgrade(&mailbox);
            Some(pool.pool_queue()?.join(hub))
        });
        Rc::new(Core {
            made_while_panicking: panicking(),
            number,
            #[cfg(unix)]
            poll: Poller::new(&mailbox, number, &runtime, above.drop_poll_callback),
            mailbox,
            token,
            member,
            taken: RefCell::default(),
            stacks: StackPool::new(config.stack_size, config.max_cached_stacks),
            depths: Depths::default(),
            driven_in: ResumedIn::default(),
            runtime,
            config,
            state: Cell::new(HubState::Open),
            ready: ReadyQueue::default(),
            table: Table::default(),
            mail: RefCell::default(),
            has_left_mail: Cell::new(false),
            ids: FiberIds::default(),
            recycler: Recycler::default(),
            awake: Cell::new(false),
            driver: Cell::new(None),
            drivers_version: Cell::new(0),
            alarm: OnceCell::new(),
            noticed: Cell::new(0),
            turn: Cell::new(0),
            turn_end: Cell::new(0),
            resumes_since_io: Cell::new(0),
            root: RefCell::default(),
            root_address: Cell::new(0),
            root_waits: Cell::new(false),
            interrupts: OnceCell::new(),
            data: HubData::default(),
            ready_times,
            kept: RefCell::default(),
            callbacks_run: Cell::new(0),
            wakes: Cell::new(0),
            remote_wakes: Cell::new(0),
            #[cfg(feature = "test-util")]
            trial,
            #[cfg(feature = "test-util")]
            rest: Rest::default(),
        })
    }

    /// Returns what a test asked for, if the hub is one of a test. Without the feature `test-util`
    /// the compiler knows that there is nothing.
    #[inline(always)]
    pub(crate) fn trial(&self) -> Option<&Trial> {
        #[cfg(feature = "test-util")]
        return self.trial.as_deref();
        #[cfg(not(feature = "test-util"))]
        None
    }

    /// Records that the hub has handled something other than a fiber that gave way.
    #[inline(always)]
    pub(crate) fn note_progress(&self) {
        #[cfg(feature = "test-util")]
        self.rest.end();
    }

    /// Called after a turn that has left something to do. Returns whether the hub waits nevertheless,
    /// so that a virtual clock can advance; if so, `cx` will be woken.
    #[inline(always)]
    pub(crate) fn rests(&self, cx: &mut Context<'_>) -> bool {
        #[cfg(feature = "test-util")]
        return {
            let has_mail = self.mailbox.has_mail() || self.has_left_mail.get();
            !has_mail && self.rest.begins(cx, self.trial.is_some())
        };
        #[cfg(not(feature = "test-util"))]
        return {
            let _ = cx;
            false
        };
    }

    /// Brings the entry that the test wants to be handled next to the front of the ready queue.
    #[cold]
    pub(crate) fn pick(&self, trial: &Trial) {
        let slot = |n| Some(self.cold_part(self.ready.look(n)?).slot.get());
        if !self.ready.is_empty() {
            self.ready
                .bring_to_front(trial.pick(self.ready.len(), slot));
        }
    }

    /// Returns the part of a fiber's header that only this hub uses.
    #[inline]
    pub(crate) fn part<'a>(&'a self, fiber: &'a FiberRef) -> &'a HubPart {
        fiber.hub_part(&self.token)
    }

    /// Returns the part of a fiber's header that only this hub uses, and not at each resume.
    #[inline]
    pub(crate) fn cold_part<'a>(&'a self, fiber: &'a FiberRef) -> &'a ColdPart {
        fiber.cold_part(&self.token)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.get() == HubState::Open
    }

    /// Returns whether the hub takes new fibers: it is open, and its runtime was not dropped
    /// elsewhere.
    #[inline]
    pub(crate) fn takes_fibers(&self) -> bool {
        self.is_open() && self.mailbox.failure().is_none()
    }

    /// Returns whether the hub still runs fibers, that is, has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.state.get() != HubState::Ended
    }

    /// Makes this fiber the hub's root.
    pub(crate) fn set_root(&self, root: &FiberRef) {
        self.root.replace(Some(root.clone()));
        self.root_address.set(root.as_ptr().addr().get());
    }

    /// Records that the root waits for the close.
    pub(crate) fn set_root_waits(&self) {
        self.root_waits.set(true);
    }

    #[inline(always)]
    pub(crate) fn is_root(&self, fiber: &FiberRef) -> bool {
        // The reference in `root` keeps the address from being another fiber's.
        fiber.as_ptr().addr().get() == self.root_address.get()
    }

    /// Returns whether a close neither cancels this fiber nor waits for it.
    pub(crate) fn is_exempt(&self, fiber: &FiberRef) -> bool {
        self.root_waits.get() && self.is_root(fiber)
    }

    /// Returns whether no fiber is left that a close has to wait for.
    pub(crate) fn only_exempt_live(&self) -> bool {
        let root = self.root.borrow();
        let exempt = root.as_ref().filter(|_| self.root_waits.get());
        let exempt_lives = exempt.is_some_and(|root| self.table.contains(&self.token, root));
        self.table.len() == usize::from(exempt_lives)
    }

    /// Returns whether any callback is in the ready queue, or was accepted and is on its way there.
    pub(crate) fn has_callbacks(&self) -> bool {
        self.ready.has_callbacks()
            || !self.mail.borrow().requests.is_empty()
            || self.mailbox.has_requests()
    }

    /// Makes this hub answer Ctrl-C, if `interrupts` is given.
    pub(crate) fn set_interrupts(&self, interrupts: Option<Rc<Interrupts>>) {
        if let Some(interrupts) = interrupts {
            let set = self.interrupts.set(interrupts);
            debug_assert!(set.is_ok(), "a hub is run once");
        }
    }

    /// Like [`notice_interrupt`](Core::notice_interrupt), if this fiber is the root. Called before it is
    /// resumed, because a signal that came in this turn comes before what this turn has made ready.
    #[inline(always)]
    pub(crate) fn notice_interrupt_if_root(&self, fiber: &FiberRef) {
        if self.is_root(fiber) {
            self.notice_interrupt();
        }
    }

    /// Cancels the root fiber if the hub answers Ctrl-C and one has arrived.
    #[inline]
    pub(crate) fn notice_interrupt(&self) {
        if let Some(interrupts) = self.interrupts.get() {
            interrupts.notice();
        }
    }

    /// Records that the pending cancel was delivered to a fiber.
    pub(crate) fn cancel_delivered(&self, fiber: &FiberRef) {
        if let Some(interrupts) = self.interrupts.get() {
            interrupts.delivered(fiber);
        }
    }

    /// Returns whether the queue of the hub's pool, if there is one, may hold anything.
    #[inline]
    pub(crate) fn may_have_starts(&self) -> bool {
        self.member.is_some() && self.pool_queue().is_some_and(PoolQueue::may_hold_any)
    }

    fn pool_queue(&self) -> Option<&PoolQueue<Box<dyn RemoteSpawn>>> {
        self.mailbox.pool()?.pool_queue()
    }

    /// Returns what the hub takes out of the queue of its pool.
    fn takes(&self) -> Takes {
        match self.taken.borrow().len() < self.config.max_fibers {
            _ if !self.takes_fibers() => Takes::Nothing,
            true => Takes::All,
            false => Takes::Inner,
        }
    }

    /// Takes a fiber out of the queue of the hub's pool. One that is to be begun belongs to this
    /// hub from now on.
    pub(crate) fn take_start(&self) -> Option<Next<Box<dyn RemoteSpawn>>> {
        let queue = self.pool_queue()?;
        queue.take(self.takes(), |start| start.give_to(&self.mailbox))
    }

    /// Returns whether the queue of the hub's pool has nothing for the hub, which is woken when
    /// there is something.
    #[inline]
    pub(crate) fn waits_for_starts(&self) -> bool {
        self.member.is_none_or(|member| self.goes_idle(member))
    }

    #[cold]
    fn goes_idle(&self, member: usize) -> bool {
        let idle = |queue: &PoolQueue<_>| queue.goes_idle(member, self.takes(), self.table.len());
        self.pool_queue().is_none_or(idle)
    }

    /// Leaves the hub's pool. Returns the fibers that no other hub will take, to be refused.
    pub(crate) fn leave_pool(&self) -> Vec<Box<dyn RemoteSpawn>> {
        match (self.pool_queue(), self.member) {
            (Some(queue), Some(member)) => queue.leave(member),
            _ => Vec::new(),
        }
    }

    /// Counts a fiber that was taken out of the queue of the pool until the guard is dropped, or
    /// the fiber was abandoned. Does nothing if their number is not limited.
    pub(crate) fn count_taken(self: &Rc<Self>, fiber: FiberId) -> Option<TakenGuard> {
        let is_limited = self.config.max_fibers < usize::MAX;
        is_limited.then(|| {
            self.taken.borrow_mut().insert(fiber);
            TakenGuard {
                core: self.clone(),
                fiber,
            }
        })
    }

    /// Stops counting a fiber that was taken out of the queue of the pool.
    pub(crate) fn uncount_taken(&self, fiber: FiberId) {
        self.taken.borrow_mut().remove(&fiber);
    }

    /// Returns whether the running code, which this hub has resumed from a task of its runtime, is in
    /// another runtime now. If so, it must not suspend: see the Nesting Invariant of [`ResumedIn`].
    #[inline]
    pub(crate) fn is_in_other_runtime(&self) -> bool {
        !is_current(&self.runtime)
    }

    /// Returns a stack for a new fiber.
    #[inline]
    pub(crate) fn take_stack(&self, size: Option<usize>) -> io::Result<Stack> {
        self.stacks.take(size)
    }

    /// Queues a fiber of this hub behind everything that is ready. Does nothing if it is queued
    /// already, has not arrived, or has ended.
    #[inline]
    pub(crate) fn wake(&self, fiber: &FiberRef) {
        let part = self.part(fiber);
        if !part.queued.get() && matches!(part.phase.get(), LocalPhase::New | LocalPhase::Begun) {
            self.wakes.set(self.wakes.get() + 1);
            if part.coroutine.is_running() {
                self.queue_again(fiber, part);
            } else {
                if let Some(times) = &self.ready_times {
                    self.note_ready(times, fiber);
                }
                self.queue(fiber, part);
            }
            self.notify();
        } else {
            self.end_rest();
        }
    }

    /// Like [`wake`](Core::wake), for a fiber that was put into the table just now, so that it neither
    /// runs nor is queued.
    #[inline(always)]
    pub(crate) fn start(&self, fiber: &FiberRef) {
        let part = self.part(fiber);
        debug_assert!(part.phase.get() == LocalPhase::New && !part.queued.get());
        self.wakes.set(self.wakes.get() + 1);
        if let Some(times) = &self.ready_times {
            self.note_ready(times, fiber);
        }
        self.queue(fiber, part);
        self.notify();
    }

    #[cold]
    fn note_ready(&self, times: &ReadyTimes, fiber: &FiberRef) {
        times.set(self.cold_part(fiber).slot.get(), fiber.id(), Instant::now());
    }

    /// Returns since when fibers are ready, and the record of their times, if the hub has these.
    #[inline(always)]
    pub(crate) fn times(&self) -> Option<(&ReadyTimes, &TimeRecord)> {
        match &self.ready_times {
            None => None,
            Some(times) => Some((times, self.mailbox.times()?)),
        }
    }

    /// Ends the rest of a hub that waits although something is ready: see [`rests`](Core::rests).
    #[inline(always)]
    fn end_rest(&self) {
        #[cfg(feature = "test-util")]
        self.notify();
    }

    /// Queues a fiber that is in the table and not queued.
    #[inline(always)]
    pub(crate) fn queue(&self, fiber: &FiberRef, part: &HubPart) {
        debug_assert!(!part.queued.get() && part.phase.get() != LocalPhase::Absent);
        part.queued.set(true);
        // Table Invariant: the fiber is in the table, and stays there while it is queued.
        self.ready.push_fiber(fiber.lend());
    }

    /// Like [`queue`](Core::queue), for a fiber that has run in this turn and queues itself. It gives
    /// way, so the turn ends before the entry.
    #[inline(always)]
    pub(crate) fn queue_again(&self, fiber: &FiberRef, part: &HubPart) {
        let before = self.ready.queued();
        self.turn_end.set(self.turn_end.get().min(before));
        self.queue(fiber, part);
    }

    /// Wakes the fiber of this hub that waits for `fiber` to end.
    #[inline]
    pub(crate) fn wake_joiner(&self, fiber: &FiberRef) {
        if let Some(joiner) = self.cold_part(fiber).joiner.take() {
            self.wake_if_live(joiner);
        }
    }

    /// Wakes a fiber of this hub, if it has not ended.
    #[inline]
    pub(crate) fn wake_if_live(&self, waiting: LocalJoiner) {
        if let Some(fiber) = self.table.find(waiting) {
            fiber.note_waker("waker.wake_by_ref");
            self.wake(&fiber);
        }
    }

    /// Keeps a fiber that leaves the table for as long as other threads may use it: the Reader
    /// Invariant of [`RunningFiber`](crate::shared::RunningFiber).
    #[inline]
    pub(crate) fn keep_if_read(&self, fiber: &FiberRef) {
        self.mailbox.running.leave();
        if self.mailbox.running.is_read() {
            self.keep(fiber);
        }
    }

    #[cold]
    fn keep(&self, fiber: &FiberRef) {
        self.kept.borrow_mut().push(fiber.clone());
    }

    /// Lets go of the fibers that were kept, if no thread uses them any more.
    #[inline]
    pub(crate) fn let_go_of_kept(&self) {
        if !self.kept.borrow().is_empty() && !self.mailbox.running.is_read() {
            drop(self.kept.take());
        }
    }

    /// Queues an entry and makes sure that the hub runs.
    pub(crate) fn push(&self, entry: Ready) {
        self.ready.push(entry);
        self.notify();
    }

    /// Makes sure that the hub runs.
    #[inline]
    pub(crate) fn notify(&self) {
        if !self.awake.replace(true) {
            self.wake_drivers();
        }
    }

    /// Wakes the drivers. Takes no lock if there is only one and it is known.
    fn wake_drivers(&self) {
        match self.driver.take() {
            Some(driver) if driver.version() == self.mailbox.drivers_version() => {
                driver.wake();
                match self.driver.take() {
                    None => self.driver.set(Some(driver)),
                    // The waker is foreign code, and its call has led to another driver.
                    newer => {
                        self.driver.set(newer);
                        drop(driver);
                    }
                }
            }
            unknown => {
                self.set_driver(unknown);
                self.mailbox.wake_drivers();
            }
        }
    }

    /// Sets the driver to be woken, if it is known.
    pub(crate) fn set_driver(&self, driver: Option<SoleDriver>) {
        drop(self.driver.replace(driver));
    }

    /// Updates the driver to be woken, if the drivers have changed.
    #[inline]
    pub(crate) fn learn_driver(&self) {
        let version = self.mailbox.drivers_version();
        if self.drivers_version.replace(version) != version {
            self.set_driver(self.mailbox.sole_driver());
        }
    }

    /// Returns the ticket of the entry that is queued next. If a test picks the entries, it is the
    /// ticket of the one that is handled next, because the last one may never be.
    #[inline]
    pub(crate) fn ticket(&self) -> Ticket {
        match self.trial() {
            None => self.ready.ticket(),
            Some(trial) if trial.is_in_order() => self.ready.ticket(),
            Some(_) => self.ready.next_ticket(),
        }
    }

    /// Returns whether the entry with this ticket, and so every entry before it, has left the
    /// queue.
    #[inline]
    pub(crate) fn has_passed(&self, ticket: Ticket) -> bool {
        self.ready.has_passed(ticket)
    }

    /// Frees memory that may not be needed soon. Called when the hub has nothing to do.
    #[inline]
    pub(crate) fn trim(&self) {
        self.stacks.idle();
        self.ready.trim();
        self.table.trim();
    }

    /// Gives back memory that is not in use now, also that of fibers that wait: see
    /// [`Hub::trim`](crate::Hub::trim).
    pub(crate) fn trim_all(&self) {
        for fiber in self.table.fibers() {
            // A measured fiber is measured by its pages, which are given back next.
            self.depths.look(&fiber);
            fiber.trim_stack(&self.token);
        }
        self.stacks.discard_all();
        self.recycler.trim();
        self.ready.trim();
        self.table.trim();
    }

    /// Returns figures about what the hub has done and has to do.
    pub(crate) fn metrics(&self) -> HubMetrics {
        HubMetrics {
            timers: self.mailbox.timers.get(),
            ..self.counted()
        }
    }

    /// Returns those of the figures that the hub itself counts.
    pub(crate) fn counted(&self) -> HubMetrics {
        HubMetrics {
            timers: 0,
            live_fibers: self.table.len(),
            ready: self.ready.len(),
            cached_stacks: self.stacks.cached(),
            deepest_stack: self.depths.deepest(),
            spawned: self.table.added(),
            switches: self.mailbox.running.resumes(),
            callbacks: self.callbacks_run.get(),
            wakes: self.wakes.get(),
            remote_wakes: self.remote_wakes.get(),
            turns: self.turn.get(),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.mailbox.running.is_read() {
            // A thread may still use one of them.
            std::mem::forget(self.kept.take());
        }
    }
}

/// The guard of [`Core::count_taken`].
#[derive(Debug)]
pub(crate) struct TakenGuard {
    core: Rc<Core>,
    fiber: FiberId,
}

impl Drop for TakenGuard {
    fn drop(&mut self) {
        self.core.uncount_taken(self.fiber);
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("name", &self.config.name)
            .field("runtime", &self.mailbox.runtime())
            .field("state", &self.state.get())
            .field("fibers", &self.table.len())
            .finish_non_exhaustive()
    }
}
