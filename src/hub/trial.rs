//! [`Trial`]: a hub of a test, whose order follows from a seed.
//!
//! A hub has one only with the feature `test-util`, and only if a test asked for it. Without the
//! feature, [`Core::trial`](super::Core::trial) is `None` for the compiler too, and nothing of this
//! is left in the program.
#![cfg_attr(not(feature = "test-util"), allow(dead_code, unreachable_pub))]

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::base::contain;
use crate::base::random::{Random, mix};

/// The order in which a hub resumes its ready fibers: see
/// [`HubBuilder::schedule`](crate::HubBuilder::schedule).
///
/// Under a schedule other than [`Fifo`](Schedule::Fifo), any order of what is ready is possible, as
/// it is among threads. So the order of starts, wakes and yields is not promised any more, nor that
/// of `sleep` with a duration of zero: a yield ends when its fiber is picked. Sleeps and deadlines
/// that fibers set through this crate take up to five times as long, as if the machine were slow, but
/// never end early. Tasks of tokio's run between any two fibers, in tokio's own order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// First-in first-out, as ever.
    #[default]
    Fifo,
    /// Each pick is a random one of what is ready, from this seed.
    Random(u64),
    /// Probabilistic concurrency testing, as described by Burckhardt, Kothari, Musuvathi and
    /// Nagarakatte (ASPLOS 2010): each fiber has a random priority, and the highest one that is
    /// ready runs. This finds bugs for which one fiber has to be left behind for long.
    Pct {
        /// What the priorities and the places of the changes follow from.
        seed: u64,
        /// How often the fiber that would run is put behind all others, at random places among the
        /// first few hundred picks, of which each has room for one. A fiber that yields 50 times in
        /// a row is put there too; and so is whatever would run at every 1,024th pick, so that none
        /// waits for ever.
        changes: u32,
    },
}

/// The number of times in a row that a fiber may give way before the other fibers are preferred.
const MAX_YIELDS: u32 = 50;

/// Every time that this many entries were picked, the next one is moved to the end of the queue. It may
/// belong to a loop that waits for one of the others without yielding.
const MAX_UNFAIR: u64 = 1024;

/// Sleeps and deadlines that are longer than this stand for "never", and are not stretched.
const NEVER: Duration = Duration::from_secs(86_400);

/// The order of a hub, as chosen by a [`Schedule`], and what was seen of it.
#[derive(Debug)]
pub(crate) struct Trial {
    schedule: Schedule,
    random: Random,
    began: Cell<Option<Instant>>,
    /// The fibers, by their place in the hub's table.
    fibers: RefCell<Vec<Numbered>>,
    /// The number of fibers that were added.
    added: Cell<u64>,
    /// The priority of the entries that are not fibers.
    others: Cell<u64>,
    /// The last priority that was given to a fiber to put it behind all others. New fibers get
    /// higher ones.
    lowest: Cell<u64>,
    /// The picks that change a priority, the next one last.
    changes: RefCell<Vec<u64>>,
    /// The next pick that changes a priority for the sake of fairness.
    fair: Cell<u64>,
    picks: Cell<u64>,
    /// No more entries are picked than this.
    limit: Cell<u64>,
    /// Woken when the limit is reached.
    at_limit: RefCell<Option<Waker>>,
    /// A hash of all that was picked and added so far.
    trace: Cell<u64>,
    /// Whether another thread has woken a fiber.
    had_foreign_wake: Cell<bool>,
    pub(crate) probe: Probe,
}

/// A fiber, as a schedule sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Numbered {
    /// Counted from the hub's start.
    number: u64,
    priority: u64,
    /// How often it gave way since it waited last.
    yields: u32,
}

/// The number of an entry that is not a fiber, in the trace.
const OTHER: u64 = u64::MAX;

/// New fibers have priorities from here on.
const FIRST_PRIORITY: u64 = 1 << 63;

impl Trial {
    pub(crate) fn new(schedule: Schedule) -> Trial {
        let (seed, changes) = match schedule {
            Schedule::Fifo => (0, 0),
            Schedule::Random(seed) => (seed, 0),
            Schedule::Pct { seed, changes } => (seed, changes),
        };
        // Neighbouring seeds are to have nothing in common.
        let random = Random::new(mix(seed));
        // How long the program runs is not known, and must not matter for a replay.
        let length = 8 << random.below(8);
        let changes = length.min(changes.into());
        let mut changes: Vec<_> = (0..changes).map(|_| random.below(length)).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Trial {
            schedule,
            others: Cell::new(random.next() | FIRST_PRIORITY),
            random,
            began: Cell::new(None),
            fibers: RefCell::default(),
            added: Cell::new(0),
            lowest: Cell::new(FIRST_PRIORITY),
            changes: RefCell::new(changes),
            fair: Cell::new(MAX_UNFAIR),
            picks: Cell::new(0),
            limit: Cell::new(u64::MAX),
            at_limit: RefCell::new(None),
            trace: Cell::new(0),
            had_foreign_wake: Cell::new(false),
            probe: Probe::default(),
        }
    }

    /// Returns whether entries are handled first-in first-out.
    pub(crate) fn is_in_order(&self) -> bool {
        self.schedule == Schedule::Fifo
    }

    fn note(&self, fact: u64) {
        self.trace.set(mix(self.trace.get().wrapping_add(fact)));
    }

    /// Numbers a fiber that was added to the hub's table.
    pub(crate) fn add(&self, slot: u32, name: Option<&str>) {
        let number = self.added.replace(self.added.get() + 1);
        let mut fibers = self.fibers.borrow_mut();
        let slot = slot as usize;
        if fibers.len() <= slot {
            fibers.resize(slot + 1, Numbered::default());
        }
        fibers[slot] = Numbered {
            number,
            priority: self.random.next() | FIRST_PRIORITY,
            yields: 0,
        };
        self.note(number);
        for byte in name.unwrap_or_default().bytes() {
            self.note(byte.into());
        }
    }

    /// Picks one of the `len` entries of the ready queue; there is at least one. `slot` returns the
    /// place in the table of the fiber that an entry stands for.
    pub(crate) fn pick(&self, len: usize, slot: impl Fn(usize) -> Option<u32>) -> usize {
        let picked = match self.schedule {
            Schedule::Fifo => 0,
            Schedule::Random(_) => self.random.below(len as u64) as usize,
            Schedule::Pct { .. } => self.pick_highest(len, &slot),
        };
        let number = match slot(picked) {
            Some(slot) => self.fibers.borrow()[slot as usize].number,
            None => OTHER,
        };
        self.note(number ^ ((len as u64) << 32));
        self.count_pick();
        picked
    }

    fn pick_highest(&self, len: usize, slot: &impl Fn(usize) -> Option<u32>) -> usize {
        let pick = self.picks.get();
        loop {
            let highest = {
                let fibers = self.fibers.borrow();
                let priority = |n: usize| match slot(n) {
                    Some(slot) => fibers[slot as usize].priority,
                    None => self.others.get(),
                };
                (1..len).fold(0, |best, n| match priority(n) > priority(best) {
                    true => n,
                    false => best,
                })
            };
            if !self.takes_change(pick) {
                return highest;
            }
            self.lower(slot(highest));
        }
    }

    /// Takes the next change out, if it is due at this pick.
    fn takes_change(&self, pick: u64) -> bool {
        if self.fair.get() <= pick {
            self.fair.set(pick + MAX_UNFAIR);
            return true;
        }
        let mut changes = self.changes.borrow_mut();
        let is_due = changes.last().is_some_and(|change| *change <= pick);
        if is_due {
            changes.pop();
        }
        is_due
    }

    /// Puts a fiber, or the entries that are not fibers, behind all others.
    fn lower(&self, slot: Option<u32>) {
        let lowest = self.lowest.get() - 1;
        self.lowest.set(lowest);
        match slot {
            Some(slot) => self.fibers.borrow_mut()[slot as usize].priority = lowest,
            None => self.others.set(lowest),
        }
    }

    fn count_pick(&self) {
        let picks = self.picks.get() + 1;
        self.picks.set(picks);
        if picks == self.limit.get() {
            let waker = self.at_limit.take();
            waker.into_iter().for_each(contain::wake);
        }
    }

    /// Records how a fiber suspended.
    pub(crate) fn suspended(&self, slot: u32, gave_way: bool) {
        let mut fibers = self.fibers.borrow_mut();
        let fiber = &mut fibers[slot as usize];
        fiber.yields = if gave_way { fiber.yields + 1 } else { 0 };
        let lowers = fiber.yields == MAX_YIELDS;
        if lowers {
            fiber.yields = 0;
            drop(fibers);
            self.lower(Some(slot));
        }
    }

    /// Begins a turn. Returns how many entries it handles, which is at most `most`.
    pub(crate) fn begin_turn(&self, most: u64) -> u64 {
        let now = Instant::now();
        let began = self.began.get().unwrap_or(now);
        self.began.set(Some(began));
        self.note((now - began).as_nanos() as u64);
        match self.schedule {
            _ if self.is_at_limit() => 0,
            Schedule::Fifo => most,
            _ => 1 + self.random.below(most.min(8)),
        }
    }

    /// Returns how many fibers from the pool's queue begin in a turn, which is at most `most`. It may be
    /// none, so that what is ready goes first.
    pub(crate) fn starts(&self, most: u64) -> u64 {
        match self.schedule {
            Schedule::Fifo => most,
            _ => self.random.below(most.min(8) + 1),
        }
    }

    /// Returns for how long a timer of a fiber runs that was set to `duration`.
    pub(crate) fn stretch(&self, duration: Duration) -> Duration {
        if self.is_in_order() || duration > NEVER || self.random.below(2) == 0 {
            return duration;
        }
        duration + duration * (self.random.below(1025) as u32) / 256
    }

    /// Sets how many entries may be picked. When they have been, the hub stands still.
    pub(crate) fn set_limit(&self, limit: u64, waker: &Waker) {
        self.limit.set(limit);
        let old = self.at_limit.replace(Some(contain::clone_waker(waker)));
        contain::drop_waker(old);
    }

    pub(crate) fn is_at_limit(&self) -> bool {
        self.picks.get() >= self.limit.get()
    }

    /// Returns how many entries were picked.
    pub(crate) fn picks(&self) -> u64 {
        self.picks.get()
    }

    /// Returns a number that two runs share only if they were scheduled alike.
    pub(crate) fn trace(&self) -> u64 {
        mix(self.trace.get() ^ self.picks.get())
    }

    pub(crate) fn note_foreign_wake(&self) {
        self.had_foreign_wake.set(true);
    }

    pub(crate) fn had_foreign_wake(&self) -> bool {
        self.had_foreign_wake.get()
    }
}

/// The message of the cancel at a point.
pub(crate) const CANCELLED_BY_TEST: &str = "the test cancels it here";

/// Counts the points of one fiber where a cancel would be looked at, and cancels it at one of them.
///
/// The fiber looks before each poll; there, [`Probe::looks`] is called. If it then suspends, a cancel
/// that arrives while it is suspended is another point.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    points: Cell<u64>,
    /// The point at which the fiber is cancelled.
    target: Cell<Option<u64>>,
    /// Where the fiber looked last, if it would have acted on a cancel.
    looked: Cell<Option<&'static Location<'static>>>,
    /// Where the fiber was cancelled.
    hit: Cell<Option<Hit>>,
}

/// A point at which a fiber was cancelled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) at: &'static Location<'static>,
    pub(crate) suspended: bool,
}

impl Probe {
    /// Cancels the fiber at this point; the first one is 0.
    pub(crate) fn aim(&self, target: u64) {
        self.target.set(Some(target));
    }

    pub(crate) fn points(&self) -> u64 {
        self.points.get()
    }

    pub(crate) fn hit(&self) -> Option<Hit> {
        self.hit.get()
    }

    /// The fiber looks for a cancel at this place. `acts` says whether it would act on one. Returns
    /// whether to cancel it now.
    pub(crate) fn looks(&self, at: &'static Location<'static>, acts: bool) -> bool {
        self.looked.set(acts.then_some(at));
        acts && self.count(at, false)
    }

    /// The fiber has suspended. Returns whether to cancel it now.
    pub(crate) fn suspends(&self) -> bool {
        self.looked.take().is_some_and(|at| self.count(at, true))
    }

    fn count(&self, at: &'static Location<'static>, suspended: bool) -> bool {
        let point = self.points.replace(self.points.get() + 1);
        let hits = self.target.get() == Some(point);
        if hits {
            self.hit.set(Some(Hit { at, suspended }));
        }
        hits
    }
}
