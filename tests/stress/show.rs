//! Scenes with threads, runtimes and hubs of their own, which go on beside the rounds.
//!
//! What happens in a scene depends on threads, so it is no part of the trace: only that it
//! began is, and with which seed. Its objects are counted in a ledger of its own. Nothing in
//! it is bounded by a clock: one that hangs is found by the parent of this process.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::ledger::{Counted, Ledger, Owner};
use crate::runtimes::text;
use crate::tally::{Op, Tally};
use crate::world::splitmix;

/// How many scenes there are at once.
const MOST: usize = 8;

/// What a scene has.
pub(crate) struct Stage {
    pub(crate) ledger: Arc<Ledger>,
    random: Cell<u64>,
    hits: RefCell<Vec<Op>>,
    /// How many bridges were left for ever, with a warning for each.
    abandoned: Cell<u64>,
}

impl Stage {
    pub(crate) fn below(&self, n: u64) -> u64 {
        let mut state = self.random.get();
        let drawn = splitmix(&mut state);
        self.random.set(state);
        drawn % n
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn hit(&self, op: Op) {
        self.hits.borrow_mut().push(op);
    }

    pub(crate) fn fault(&self, what: impl Into<String>) {
        self.ledger.fault(what.into());
    }

    pub(crate) fn abandoned(&self, count: u64) {
        self.abandoned.set(self.abandoned.get() + count);
    }

    /// Another one with the same ledger, for another thread.
    pub(crate) fn split(&self) -> Stage {
        Stage {
            ledger: self.ledger.clone(),
            random: Cell::new(self.below(u64::MAX)),
            hits: RefCell::default(),
            abandoned: Cell::new(0),
        }
    }

    /// An object that must be dropped before the end of the scene.
    #[track_caller]
    pub(crate) fn token(&self) -> Counted {
        self.ledger.count(Owner::Nobody)
    }

    /// An object that may be forgotten, or left with a thread that ends.
    #[track_caller]
    pub(crate) fn may_leak(&self) -> Counted {
        self.ledger.count(Owner::Forgotten)
    }
}

struct Show {
    seed: u64,
    op: Op,
    ledger: Arc<Ledger>,
    thread: JoinHandle<Stage>,
}

/// The scenes of one thread of rounds.
#[derive(Default)]
pub(crate) struct Shows {
    running: RefCell<VecDeque<Show>>,
    tally: RefCell<Option<Tally>>,
    faults: RefCell<Vec<String>>,
}

impl Shows {
    /// Begins a scene. Waits for the oldest one if there are too many.
    pub(crate) fn start(&self, op: Op, seed: u64, scene: fn(&Stage)) {
        if self.running.borrow().len() >= MOST {
            self.finish_oldest();
        }
        let stage = Stage {
            ledger: Arc::default(),
            random: Cell::new(seed),
            hits: RefCell::default(),
            abandoned: Cell::new(0),
        };
        let ledger = stage.ledger.clone();
        let play = move || {
            scene(&stage);
            stage
        };
        let thread = thread::Builder::new().name(format!("{op:?}")).spawn(play);
        self.running.borrow_mut().push_back(Show {
            seed,
            op,
            ledger,
            thread: thread.expect("a thread starts"),
        });
    }

    fn finish_oldest(&self) -> bool {
        let Some(show) = self.running.borrow_mut().pop_front() else {
            return false;
        };
        let (op, seed) = (show.op, show.seed);
        let fault = |what: String| {
            let mut faults = self.faults.borrow_mut();
            faults.push(format!("{op:?} with seed {seed}: {what}"));
        };
        let stage = match show.thread.join() {
            Ok(stage) => stage,
            Err(payload) => {
                fault(format!("the scene panicked: {}", text(&*payload)));
                return true;
            }
        };
        show.ledger.take_faults().into_iter().for_each(fault);
        let mut tally = self.tally.borrow_mut();
        let tally = tally.get_or_insert_with(Tally::new);
        for (owner, line) in show.ledger.left() {
            match owner {
                Owner::Forgotten => tally.forgotten += 1,
                _ => fault(format!("an object made in line {line} was leaked")),
            }
        }
        stage.hits.take().into_iter().for_each(|op| tally.hit(op));
        tally.objects += show.ledger.created() as u64;
        tally.abandoned += stage.abandoned.get();
        true
    }

    /// Waits for the end of all scenes.
    pub(crate) fn finish(&self, tally: &mut Tally) -> Vec<String> {
        while self.finish_oldest() {}
        if let Some(own) = self.tally.take() {
            tally.add(&own);
        }
        self.faults.take()
    }
}
