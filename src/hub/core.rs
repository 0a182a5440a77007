//! The hub's own state, reached only from its own thread.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::panicking;

use tokio::runtime::Handle;

use super::data::HubData;
use super::metrics::HubMetrics;
use super::ready::{Ready, ReadyQueue, Ticket};
use super::registry::NoHub;
use super::shared::{Errand, Shared, SoleDriver};
use super::table::Table;
use super::turn;
use crate::cancel::PutBack;
use crate::fiber::{FiberIds, FiberRef, HubSide, Record, Stage};
use crate::foreign;
use crate::interrupt::Interrupts;
use crate::join::Spares;
use crate::outside::{self, Surroundings};
#[cfg(unix)]
use crate::poll::Poller;
use crate::stack::{Depths, Stack, StackPool};

/// What can be set about a hub before it is made.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Box<str>,
    pub(crate) stack_size: usize,
    pub(crate) max_cached_stacks: usize,
    pub(crate) measure_stacks: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "Hub".into(),
            stack_size: crate::stack::DEFAULT_SIZE,
            max_cached_stacks: crate::stack::DEFAULT_MAX_CACHED,
            measure_stacks: false,
        }
    }
}

/// How far a hub has come. `Open -> Closing -> Draining -> Ended`; from each to
/// `Ended` if it ends abruptly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// No new fibers; those that live are cancelled at each wait.
    Closing,
    /// No fibers are left but a root that waits for this. No new callbacks; those
    /// that are queued run.
    Draining,
    /// No fibers, for ever.
    Ended,
}

/// A hub, seen from its own thread.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    /// Whether the thread was panicking when the hub was made.
    pub(super) made_while_panicking: bool,
    /// Unlike that of any other hub of the process.
    pub(crate) number: u64,
    pub(crate) runtime: Handle,
    /// Where the driver is polled that runs this turn.
    pub(super) driven_in: Cell<DrivenIn>,
    pub(crate) config: Config,
    pub(crate) stacks: StackPool,
    pub(crate) depths: Depths,
    pub(super) state: Cell<State>,
    pub(super) ready: ReadyQueue,
    pub(super) table: Table,
    pub(crate) ids: FiberIds,
    pub(crate) spares: Spares,
    /// Whether a driver runs or has been woken: no need to wake it again.
    pub(super) awake: Cell<bool>,
    /// The driver, if there was one when the drivers had this version.
    driver: Cell<Option<SoleDriver>>,
    drivers_version: Cell<u64>,
    /// Counts the turns; tells a fiber that has already run in this one.
    pub(super) turn: Cell<u64>,
    /// Fibers resumed since tokio last had a chance to poll for I/O.
    pub(super) resumes_since_io: Cell<u64>,
    /// The root fiber, if the hub was made to run one.
    pub(super) root: RefCell<Option<FiberRef>>,
    /// The root fiber, if it waits for the close: neither cancelled nor waited for.
    pub(super) exempt: RefCell<Option<FiberRef>>,
    /// Ctrl-C, if this hub answers it.
    pub(super) interrupts: OnceCell<Rc<Interrupts>>,
    pub(super) data: HubData,
    #[cfg(unix)]
    pub(super) poll: Poller,
    /// How many callbacks are in the ready queue.
    callbacks: Cell<usize>,
    pub(super) switches: Cell<u64>,
    callbacks_run: Cell<u64>,
}

/// Where a driver is polled.
#[derive(Clone, Copy, Debug)]
pub(super) enum DrivenIn {
    /// In a task of a current-thread runtime.
    Task { in_executor: bool },
    /// In a `run_until`, wherever that is.
    Future(Surroundings),
}

impl Core {
    pub(super) fn new(runtime: Handle, config: Config) -> Rc<Core> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared::new(Some(runtime.id())));
        Rc::new(Core {
            made_while_panicking: panicking(),
            number,
            #[cfg(unix)]
            poll: Poller::new(&shared, number, &runtime),
            shared,
            stacks: StackPool::new(config.stack_size, config.max_cached_stacks),
            depths: Depths::default(),
            driven_in: Cell::new(DrivenIn::Task { in_executor: false }),
            runtime,
            config,
            state: Cell::new(State::Open),
            ready: ReadyQueue::default(),
            table: Table::default(),
            ids: FiberIds::default(),
            spares: Spares::default(),
            awake: Cell::new(false),
            driver: Cell::new(None),
            drivers_version: Cell::new(0),
            turn: Cell::new(0),
            resumes_since_io: Cell::new(0),
            root: RefCell::default(),
            exempt: RefCell::default(),
            interrupts: OnceCell::new(),
            data: HubData::default(),
            callbacks: Cell::new(0),
            switches: Cell::new(0),
            callbacks_run: Cell::new(0),
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }

    /// Whether the running fiber has entered an executor on its stack.
    #[inline]
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self.driven_in.get() {
            // Tokio itself refuses to nest in a task of a current-thread runtime.
            DrivenIn::Task { in_executor } => in_executor != outside::in_executor(),
            DrivenIn::Future(surroundings) => surroundings != Surroundings::now(),
        }
    }

    /// Whether it runs fibers: open or closing.
    pub(crate) fn is_running(&self) -> bool {
        self.state.get() != State::Ended
    }

    /// This hub answers Ctrl-C, if there is something to answer.
    pub(super) fn set_interrupts(&self, interrupts: Option<Rc<Interrupts>>) {
        if let Some(interrupts) = interrupts {
            let set = self.interrupts.set(interrupts);
            debug_assert!(set.is_ok(), "a hub is run once");
        }
    }

    /// Cancels the root fiber if the hub answers Ctrl-C and one has come.
    #[inline]
    pub(crate) fn notice_interrupt(&self) {
        if let Some(interrupts) = self.interrupts.get() {
            interrupts.notice();
        }
    }

    /// A fiber is given the cancel that was pending.
    pub(crate) fn cancel_delivered(&self, record: &FiberRef) {
        if let Some(interrupts) = self.interrupts.get() {
            interrupts.delivered(record);
        }
    }

    /// Whether this is the fiber's hub.
    #[inline]
    pub(crate) fn is_hub_of(&self, fiber: &Record) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.shared), Arc::as_ptr(&fiber.hub))
    }

    /// A stack for a new fiber, if the hub takes one.
    #[inline]
    pub(crate) fn take_stack(&self, size: Option<usize>) -> io::Result<Stack> {
        if !self.is_open() {
            return Err(io::Error::other(NoHub::Ended.to_string()));
        }
        self.stacks.take(size)
    }

    /// Queues a fiber of this hub behind everything that is ready; does nothing
    /// if it is queued already, has not arrived or has ended.
    #[inline]
    pub(crate) fn wake(&self, fiber: &FiberRef) {
        let side = fiber.side(self);
        if !side.queued.get() && matches!(side.stage.get(), Stage::New | Stage::Begun) {
            if side.berth.is_out() {
                side.yielded.set(self.turn.get());
            }
            self.queue(fiber, side);
            self.notify();
        }
    }

    /// Queues a fiber that is in the table and not queued.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) fn queue(&self, fiber: &FiberRef, side: &HubSide) {
        debug_assert!(!side.queued.get() && side.stage.get() != Stage::Absent);
        side.queued.set(true);
        // SAFETY: Table Invariant: it is in the table, and is queued now.
        let entry = unsafe { FiberRef::lend(fiber.as_ptr()) };
        self.ready.push_fiber(entry);
    }

    /// Queues a callback behind everything that is ready. False, and dropped, if
    /// the hub takes none any more.
    pub(crate) fn run_callback(&self, callback: Box<dyn FnOnce()>) -> bool {
        let takes = matches!(self.state.get(), State::Open | State::Closing);
        if takes {
            self.callbacks.set(self.callbacks.get() + 1);
            self.push(Ready::Callback(callback));
        } else {
            drop_callback(callback);
        }
        takes
    }

    /// Whether callbacks are in the ready queue.
    pub(super) fn has_callbacks(&self) -> bool {
        self.callbacks.get() > 0
    }

    /// A callback has left the ready queue and has run.
    pub(super) fn callback_ran(&self) {
        // None is left if it has ended the hub.
        self.callbacks.set(self.callbacks.get().saturating_sub(1));
        self.callbacks_run.set(self.callbacks_run.get() + 1);
    }

    /// Queues an entry and sees to it that the hub runs.
    pub(crate) fn push(&self, entry: Ready) {
        self.ready.push(entry);
        self.notify();
    }

    /// Sees to it that the hub runs.
    #[inline]
    pub(crate) fn notify(&self) {
        if !self.awake.replace(true) {
            self.wake_drivers();
        }
    }

    /// Without the lock of what is shared, if there is one driver and it is known.
    fn wake_drivers(&self) {
        match self.driver.take() {
            Some(driver) if driver.is_current(&self.shared) => {
                driver.wake();
                match self.driver.take() {
                    None => self.driver.set(Some(driver)),
                    // Somebody has learnt of another one meanwhile.
                    newer => {
                        self.driver.set(newer);
                        foreign::run("the drop of a waker", || drop(driver));
                    }
                }
            }
            unknown => {
                self.set_driver(unknown);
                self.shared.wake_drivers();
            }
        }
    }

    /// Sets who is to be woken for the hub to run, if that is known.
    pub(super) fn set_driver(&self, driver: Option<SoleDriver>) {
        let old = self.driver.replace(driver);
        foreign::run("the drop of a waker", || drop(old));
    }

    /// Learns who is to be woken for the hub to run, if that has changed.
    #[inline]
    pub(super) fn learn_driver(&self) {
        let version = self.shared.drivers_version();
        if self.drivers_version.replace(version) != version {
            self.set_driver(self.shared.sole_driver());
        }
    }

    /// The ticket of the entry that is queued next.
    #[inline]
    pub(crate) fn ticket(&self) -> Ticket {
        self.ready.ticket()
    }

    /// Whether the entry with this ticket has left the queue, and so everything
    /// before it.
    #[inline]
    pub(crate) fn has_passed(&self, ticket: Ticket) -> bool {
        self.ready.has_passed(ticket)
    }

    /// Empties the queue: tasks in it are woken, fibers are not, callbacks are
    /// dropped.
    pub(super) fn clear_ready(&self) {
        self.callbacks.set(0);
        let (entries, others) = self.ready.take();
        for fiber in entries.into_iter().flatten() {
            self.left_queue(&fiber);
        }
        for other in others {
            match other {
                Ready::Waker(waker) => foreign::wake(waker),
                Ready::Callback(callback) => drop_callback(callback),
                #[cfg(unix)]
                Ready::Poll => {}
            }
        }
    }

    /// The entry of a fiber has left the queue without being handled.
    fn left_queue(&self, fiber: &FiberRef) {
        let side = fiber.side(self);
        side.queued.set(false);
        if side.stage.get() == Stage::Over {
            self.table.remove(side.slot.get());
        }
    }

    /// Leaks what is queued.
    pub(super) fn forget_ready(&self) {
        std::mem::forget(self.ready.take());
    }

    /// Takes in what other threads have sent, but of fibers only as many as may
    /// start in this turn, or `least`.
    ///
    /// More of them would be started before what they wait for, and what they wake,
    /// has its turn: a burst would need a stack for each of its fibers at once.
    #[inline]
    pub(super) fn drain_remote_with(self: &Rc<Self>, least: usize) {
        if self.shared.has_errands() {
            let room = turn::LENGTH.saturating_sub(self.ready.len());
            self.take_errands(room.max(least));
        }
    }

    /// As [`drain_remote_with`](Core::drain_remote_with), in the middle of a turn.
    #[inline]
    pub(crate) fn drain_remote(self: &Rc<Self>) {
        self.drain_remote_with(0);
    }

    #[cold]
    fn take_errands(self: &Rc<Self>, fibers: usize) {
        let mut closes = false;
        let errands = self.shared.take_errands(fibers);
        let is_callback = |errand: &&Errand| matches!(errand, Errand::Callback(_));
        // Before a closure that is refused is dropped, which may look whether the
        // hub has closed.
        let callbacks = errands.iter().filter(is_callback).count();
        self.callbacks.set(self.callbacks.get() + callbacks);
        for errand in errands {
            match errand {
                Errand::Wake(record) => {
                    // Before the fiber is resumed, so that a wake after this is a
                    // new one.
                    record.left_remote_queue();
                    self.wake(&record);
                }
                // That drop may have ended the hub.
                Errand::Callback(callback) if !self.is_running() => drop_callback(callback),
                // It was accepted when it was sent.
                Errand::Callback(callback) => self.push(Ready::Callback(callback)),
                Errand::Spawn(newcomer) => newcomer.arrive(self),
                Errand::Close => closes = true,
                #[cfg(unix)]
                Errand::Poll => self.push(Ready::Poll),
            }
        }
        if closes {
            self.begin_close(None);
        }
    }

    /// What the hub has done and has to do.
    pub(super) fn metrics(&self) -> HubMetrics {
        HubMetrics {
            live_fibers: self.table.len(),
            ready: self.ready.len(),
            cached_stacks: self.stacks.cached(),
            deepest_stack: self.depths.deepest(),
            spawned: self.table.added(),
            switches: self.switches.get(),
            callbacks: self.callbacks_run.get(),
        }
    }
}

/// A callback that will not be called. Where it is refused, its destructor may
/// wait.
pub(super) fn drop_callback(callback: Box<dyn FnOnce()>) {
    PutBack::default().run("the drop of a callback", || drop(callback));
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("name", &self.config.name)
            .field("runtime", &self.shared.runtime())
            .field("state", &self.state.get())
            .field("fibers", &self.table.len())
            .finish_non_exhaustive()
    }
}
