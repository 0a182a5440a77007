//! The hub's own state, reached only from its own thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::thread::panicking;

use slab::Slab;
use tokio::runtime::Handle;

use super::close::Closing;
use super::registry::NoHub;
use super::shared::Shared;
use crate::fiber::{Phase, Record};
use crate::foreign;
use crate::outside::{self, Surroundings};
use crate::scope::ScopeData;
use crate::stack::{Stack, StackPool};
use crate::switch::Coroutine;

/// What can be set about a hub before it is made.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Box<str>,
    pub(crate) stack_size: usize,
    pub(crate) max_cached_stacks: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "Hub".into(),
            stack_size: crate::stack::DEFAULT_SIZE,
            max_cached_stacks: crate::stack::DEFAULT_MAX_CACHED,
        }
    }
}

/// How far a hub has come. `Open -> Closing -> Ended`, or `Open -> Ended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// No new fibers; those that live are cancelled at each wait.
    Closing,
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
    pub(super) state: Cell<State>,
    /// Starts, wakes and cancels, in the order in which they happened.
    ready: RefCell<VecDeque<Ready>>,
    /// How many entries have left `ready` so far: see [`Ticket`].
    popped: Cell<u64>,
    pub(super) live: RefCell<Slab<Live>>,
    /// Whether a driver runs or has been woken: no need to wake it again.
    pub(super) awake: Cell<bool>,
    /// Counts the turns; tells a fiber that has already run in this one.
    pub(super) turn: Cell<u64>,
    /// Fibers resumed since tokio last had a chance to poll for I/O.
    pub(super) resumes_since_io: Cell<u32>,
    /// The root fiber, if the hub was made to run one.
    pub(super) root: RefCell<Option<Arc<Record>>>,
    pub(super) close: Closing,
}

/// Where a driver is polled.
#[derive(Clone, Copy, Debug)]
pub(super) enum DrivenIn {
    /// In a task of a current-thread runtime.
    Task { in_executor: bool },
    /// In a `run_until`, wherever that is.
    Future(Surroundings),
}

/// An entry of the ready queue.
pub(crate) enum Ready {
    /// Resume the fiber in this slot.
    Fiber(usize),
    /// Wake this waker: its task has asked to come after everything before it.
    Waker(Waker),
}

/// A fiber that has not ended, in the hub's table.
pub(super) struct Live {
    pub(super) record: Arc<Record>,
    /// The fiber's stack; absent while it runs.
    pub(super) coroutine: Option<Coroutine>,
    /// The scope that waits for its end.
    pub(super) scope: Option<Rc<ScopeData>>,
    pub(super) stage: Stage,
    /// Whether it has an entry in the ready queue. The slot is not given away
    /// before that entry has been taken.
    pub(super) queued: bool,
    /// Its entry came up while it ran (on a hub driven from inside the fiber):
    /// queue it again when it suspends.
    pub(super) requeue: bool,
    /// The last turn in which it queued itself while it ran, as a yield does.
    pub(super) yielded: u64,
}

/// What the hub has done with a fiber so far. (The record's phase says it to the
/// world; this spares the hub a look at it.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Never resumed.
    New,
    /// Resumed at least once.
    Begun,
    /// Its stack has returned or was leaked; what is left is the slot.
    Over,
}

/// The number of an entry of the ready queue, counted from the hub's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Core {
    pub(super) fn new(runtime: Handle, config: Config) -> Rc<Core> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Rc::new(Core {
            made_while_panicking: panicking(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            shared: Arc::new(Shared::new(Some(runtime.id()))),
            stacks: StackPool::new(config.stack_size, config.max_cached_stacks),
            driven_in: Cell::new(DrivenIn::Task { in_executor: false }),
            runtime,
            config,
            state: Cell::new(State::Open),
            ready: RefCell::default(),
            popped: Cell::new(0),
            live: RefCell::default(),
            awake: Cell::new(false),
            turn: Cell::new(0),
            resumes_since_io: Cell::new(0),
            root: RefCell::default(),
            close: Closing::default(),
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

    /// A stack for a new fiber, if the hub takes one.
    pub(crate) fn stack_for_new(&self, size: Option<usize>) -> io::Result<Stack> {
        if !self.is_open() {
            return Err(io::Error::other(NoHub::Ended.to_string()));
        }
        self.stacks.take(size)
    }

    /// Puts a new fiber into the table, not started. `make` must not call back
    /// into the hub.
    pub(crate) fn insert(
        &self,
        name: Option<Box<str>>,
        scope: Option<Rc<ScopeData>>,
        make: impl FnOnce(&Arc<Record>) -> Coroutine,
    ) -> Arc<Record> {
        let mut live = self.live.borrow_mut();
        let entry = live.vacant_entry();
        let record = Arc::new(Record::new(self.shared.clone(), entry.key(), name));
        let coroutine = make(&record);
        entry.insert(Live {
            record: record.clone(),
            coroutine: Some(coroutine),
            scope,
            stage: Stage::New,
            queued: false,
            requeue: false,
            yielded: 0,
        });
        record
    }

    /// Queues a fiber of this hub behind everything that is ready; does nothing
    /// if it is queued already or has ended.
    pub(crate) fn wake(&self, record: &Record) {
        {
            let mut live = self.live.borrow_mut();
            let Some(fiber) = live.get_mut(record.slot) else {
                return;
            };
            if !std::ptr::eq(&*fiber.record, record) || fiber.queued {
                return;
            }
            fiber.queued = true;
            if fiber.coroutine.is_none() {
                fiber.yielded = self.turn.get();
            }
        }
        self.push(Ready::Fiber(record.slot));
    }

    /// Queues an entry and sees to it that the hub runs.
    pub(crate) fn push(&self, entry: Ready) {
        self.ready.borrow_mut().push_back(entry);
        self.notify();
    }

    /// Queues an entry during a turn: the hub is running.
    #[inline]
    pub(super) fn push_in_turn(&self, entry: Ready) {
        self.ready.borrow_mut().push_back(entry);
    }

    /// Sees to it that the hub runs.
    pub(crate) fn notify(&self) {
        if !self.awake.replace(true) {
            self.shared.wake_drivers();
        }
    }

    /// The ticket of the entry that is queued next.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.popped.get() + self.ready.borrow().len() as u64 + 1)
    }

    /// Whether the entry with this ticket has left the queue, and so everything
    /// before it.
    pub(crate) fn has_passed(&self, ticket: Ticket) -> bool {
        self.popped.get() >= ticket.0
    }

    /// The next entry, left in the queue, if it is a fiber's.
    #[inline]
    pub(super) fn peek_fiber(&self) -> Option<usize> {
        match self.ready.borrow().front() {
            Some(Ready::Fiber(slot)) => Some(*slot),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Ready> {
        let entry = self.ready.borrow_mut().pop_front()?;
        self.popped.set(self.popped.get() + 1);
        Some(entry)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Empties the queue: tasks in it are woken, fibers are not.
    pub(super) fn clear_ready(&self) {
        for entry in self.ready.take() {
            if let Ready::Waker(waker) = entry {
                foreign::wake(waker);
            }
        }
    }

    /// Leaks what is queued.
    pub(super) fn forget_ready(&self) {
        std::mem::forget(self.ready.take());
    }

    /// Takes the wakes of other threads into the ready queue, in their order.
    pub(super) fn drain_remote(&self) {
        for record in self.shared.take_remote() {
            // Ordering: see `Record::queued_remotely`. Cleared before the fiber
            // is resumed, so that a wake after this is a new one.
            record.queued_remotely.swap(false, Ordering::AcqRel);
            self.wake(&record);
        }
    }

    /// The names of the fibers that have not ended and that `choose` takes.
    pub(super) fn names_of(&self, choose: impl Fn(&Arc<Record>) -> bool) -> Vec<String> {
        let live = self.live.borrow();
        let records = live.iter().map(|(_, fiber)| &fiber.record);
        records
            .filter(|record| matches!(record.phase(), Phase::New | Phase::Started))
            .filter(|record| choose(record))
            .map(|record| record.name().to_owned())
            .collect()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Hub");
        s.field("name", &self.config.name)
            .field("runtime", &self.shared.runtime())
            .field("state", &self.state.get());
        match self.live.try_borrow() {
            Ok(live) => s.field("fibers", &live.len()),
            Err(_) => s.field("fibers", &format_args!("<in use>")),
        };
        s.finish_non_exhaustive()
    }
}
