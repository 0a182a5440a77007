//! What the actors of one round share, and the book kept about each of them.
//!
//! An actor is whatever runs the driver's program on a stack of its own: a fiber,
//! a fiber of a scope, a bridge. The books say what state each is in, as far as
//! can be told from outside the library, so that what the library does can be
//! checked against them.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use switchback::{Fiber, FiberHandle, HubHandle};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::floods::Counts;
use crate::helper::Helper;
use crate::hostile::Hostile;
use crate::ledger::{Counted, Ledger, Owner};
use crate::program::Output;
use crate::show::Shows;
use crate::tally::{Op, State, Tally};

/// How a round is played, drawn with its seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Destructors may wait by a bare `.wait()`.
    pub(crate) bare_waits_in_drop: bool,
    /// The round ends abruptly, so bridges and the fibers of their scopes may do
    /// the same: one that is dropped there is abandoned in its unwinding, which
    /// marks the thread.
    pub(crate) brutal: bool,
    /// The hub may be driven from inside its own fibers.
    pub(crate) nests: bool,
}

pub(crate) struct World {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Rc<RefCell<Tally>>,
    pub(crate) helper: Rc<Helper>,
    pub(crate) rules: Rules,
    random: Cell<u64>,
    trace: Cell<u64>,
    began: Cell<Option<Instant>>,
    pub(crate) operations_left: Cell<u32>,
    /// The round is ending: nobody begins anything.
    pub(crate) stop: Cell<bool>,
    /// The hub is closing.
    pub(crate) closing: Cell<bool>,
    /// The hub is being ended by force.
    pub(crate) ended: Cell<bool>,
    pub(crate) books: RefCell<Vec<Book>>,
    pub(crate) pool: RefCell<Vec<(usize, Fiber<Output>)>>,
    pub(crate) tasks: RefCell<Vec<AbortHandle>>,
    pub(crate) channels: RefCell<Vec<Channel>>,
    pub(crate) oneshots: RefCell<Vec<(usize, oneshot::Sender<Counted>)>>,
    pub(crate) remote_oneshots: RefCell<Vec<oneshot::Sender<u8>>>,
    /// How many fibers the helper joins.
    pub(crate) remote_joins: Cell<u32>,
    pub(crate) notify: Notify,
    pub(crate) semaphore: Semaphore,
    /// The hub of this round.
    pub(crate) hub: RefCell<Option<HubHandle>>,
    /// Its runtime.
    pub(crate) runtime: Cell<Option<tokio::runtime::Id>>,
    pub(crate) flood: Arc<Counts>,
    pub(crate) shows: Rc<Shows>,
    /// Every hostile waker of this round.
    pub(crate) hostiles: RefCell<Vec<Arc<Hostile>>>,
    /// Futures that were polled, and are kept until the round is over.
    pub(crate) kept: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    /// How many actors are suspended while the thread counts a panic, and how
    /// many ever were.
    pub(crate) unwinding: Cell<u32>,
    pub(crate) unwound: Cell<u32>,
}

pub(crate) struct Channel {
    pub(crate) sender: Option<mpsc::UnboundedSender<Counted>>,
    pub(crate) receiver: Option<mpsc::UnboundedReceiver<Counted>>,
    /// The actor that has the receiver.
    pub(crate) holder: Option<usize>,
    pub(crate) sent: usize,
    pub(crate) received: usize,
}

/// A wait that an actor is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// It throws an interrupt, and the actor was not unwinding when it began.
    pub(crate) throws: bool,
    pub(crate) panicking: bool,
    /// The actor was cancelled in it and must not come out of it.
    pub(crate) must_throw: bool,
    /// What it polls runs others, who may cancel it meanwhile.
    pub(crate) busy: bool,
    /// `World::unwound` when it began, if nobody was unwinding.
    pub(crate) calm_since: Option<u32>,
}

/// What is known of an actor.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) handle: Option<FiberHandle>,
    pub(crate) is_bridge: bool,
    /// A scope's.
    pub(crate) is_child: bool,
    pub(crate) started: bool,
    pub(crate) began: bool,
    /// Its closure's captures have been dropped.
    pub(crate) ended: bool,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) shields: u32,
    pub(crate) in_drop: u32,
    /// It is past the body of so many scopes that have not returned.
    pub(crate) scope_ends: u32,
    /// Deadlines, and how many shields were around each.
    pub(crate) deadlines: Vec<(Instant, u32)>,
    /// A scope of a bridge waits for it, and ends it by force if that is dropped.
    pub(crate) under_bridge: bool,
    /// It was told that its hub has ended.
    pub(crate) told_of_end: bool,
    /// A wait of it threw that.
    pub(crate) end_thrown: bool,
    pub(crate) cancels_sent: u32,
    pub(crate) cancels_seen: u32,
    /// The actor on whose stack its handle or, for a bridge, its future lies.
    pub(crate) holder: Option<usize>,
    /// A bridge's future has been dropped.
    pub(crate) gone: bool,
    /// Its handle or its future was forgotten.
    pub(crate) forgotten: bool,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        operations: u32,
        rules: Rules,
        tally: Rc<RefCell<Tally>>,
        helper: Rc<Helper>,
        shows: Rc<Shows>,
    ) -> Rc<World> {
        let channel = |_| {
            let (sender, receiver) = mpsc::unbounded_channel();
            Channel {
                sender: Some(sender),
                receiver: Some(receiver),
                holder: None,
                sent: 0,
                received: 0,
            }
        };
        Rc::new(World {
            ledger: Arc::default(),
            tally,
            helper,
            rules,
            random: Cell::new(seed),
            trace: Cell::new(0xcbf2_9ce4_8422_2325),
            began: Cell::new(None),
            operations_left: Cell::new(operations),
            stop: Cell::new(false),
            closing: Cell::new(false),
            ended: Cell::new(false),
            books: RefCell::default(),
            pool: RefCell::default(),
            tasks: RefCell::default(),
            channels: RefCell::new((0..3).map(channel).collect()),
            oneshots: RefCell::default(),
            remote_oneshots: RefCell::default(),
            remote_joins: Cell::new(0),
            notify: Notify::new(),
            semaphore: Semaphore::new(2),
            hub: RefCell::default(),
            runtime: Cell::new(None),
            flood: Arc::default(),
            shows,
            hostiles: RefCell::default(),
            kept: RefCell::default(),
            unwinding: Cell::new(0),
            unwound: Cell::new(0),
        })
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        let mut state = self.random.get();
        let drawn = splitmix(&mut state);
        self.random.set(state);
        drawn % n
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Pays for one operation; false if the round is over.
    pub(crate) fn spend(&self) -> bool {
        let left = self.operations_left.get();
        if left == 0 || self.stop.get() {
            return false;
        }
        self.operations_left.set(left - 1);
        self.tally.borrow_mut().operations += 1;
        true
    }

    /// `actor` does `op`: counts it and adds it to the trace.
    pub(crate) fn hit(&self, actor: usize, op: Op) {
        self.tally.borrow_mut().hit(op);
        self.mark(actor as u64);
        self.mark(op as u64);
    }

    /// Adds a number to the trace (FNV-1a).
    pub(crate) fn mark(&self, number: u64) {
        let trace = (self.trace.get() ^ number).wrapping_mul(0x100_0000_01b3);
        self.trace.set(trace);
    }

    /// Adds the virtual time to the trace.
    pub(crate) fn mark_time(&self) {
        let now = Instant::now();
        let began = self.began.get().unwrap_or(now);
        self.began.set(Some(began));
        self.mark((now - began).as_millis() as u64);
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.get()
    }

    pub(crate) fn fault(&self, what: impl Into<String>) {
        self.ledger.fault(what.into());
    }

    /// Opens a book for a new actor.
    pub(crate) fn enroll(&self, book: Book) -> usize {
        let mut books = self.books.borrow_mut();
        books.push(book);
        books.len() - 1
    }

    pub(crate) fn with_book<R>(&self, actor: usize, f: impl FnOnce(&mut Book) -> R) -> R {
        f(&mut self.books.borrow_mut()[actor])
    }

    /// One of the actors made lately, if there are any.
    pub(crate) fn some_actor(&self) -> Option<usize> {
        let len = self.books.borrow().len() as u64;
        let window = len.min(24);
        (len > 0).then(|| (len - 1 - self.below(window)) as usize)
    }

    pub(crate) fn state(&self, actor: usize, cancelled_by: Option<usize>) -> State {
        let lost = self.is_abandoned(actor);
        let books = self.books.borrow();
        let book = &books[actor];
        match () {
            () if lost => State::Abandoned,
            () if book.ended && book.waiting.is_none() => State::Ended,
            () if self.closing.get() => State::Closing,
            () if !book.started => State::New,
            () if !book.began => State::Queued,
            () if cancelled_by == Some(actor) => State::Running,
            () => match book.waiting {
                Some(waiting) if book.in_drop > 0 && waiting.panicking => State::Unwinding,
                Some(_) if book.shields > 0 => State::Shielded,
                Some(_) => State::Waiting,
                None if book.scope_ends > 0 => State::ScopeEnd,
                None => State::Running,
            },
        }
    }

    /// Whether the actor's stack was left for ever: it is over, says its handle,
    /// or its future is gone, and it has not come out of a wait.
    pub(crate) fn is_abandoned(&self, actor: usize) -> bool {
        let books = self.books.borrow();
        let book = &books[actor];
        let stuck = book.waiting.is_some() || (book.scope_ends > 0 && !book.ended);
        match &book.handle {
            Some(handle) => stuck && !handle.is_alive(),
            None => stuck && book.gone && !book.forgotten,
        }
    }

    /// Whether what lies on the actor's stack is lost, with it or with the stack
    /// that its future lies on.
    pub(crate) fn is_lost(&self, actor: usize) -> bool {
        if self.is_abandoned(actor) {
            return true;
        }
        let (forgotten, holder) = {
            let books = self.books.borrow();
            let book = &books[actor];
            let host = if book.is_bridge { book.holder } else { None };
            (book.is_bridge && book.forgotten, host)
        };
        forgotten || holder.is_some_and(|host| self.is_lost(host))
    }

    /// Whether an object that is left over may be.
    pub(crate) fn excuses(&self, owner: Owner) -> bool {
        match owner {
            Owner::Nobody => false,
            Owner::Forgotten => true,
            Owner::Stack(actor) => self.is_lost(actor),
            Owner::Result(actor) => {
                let (forgotten, is_bridge, holder) =
                    self.with_book(actor, |b| (b.forgotten, b.is_bridge, b.holder));
                // The panic of a bridge goes on in its host.
                let with_host =
                    |host| self.is_lost(host) || (is_bridge && self.excuses(Owner::Result(host)));
                forgotten || self.is_lost(actor) || holder.is_some_and(with_host)
            }
            Owner::Channel(channel) => {
                let holder = self.channels.borrow()[channel].holder;
                holder.is_some_and(|holder| self.is_lost(holder))
            }
        }
    }
}

/// The next number of the generator of that name.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
