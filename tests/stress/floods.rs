//! Floods from other threads: callbacks, fibers, wakes and cancels, while the hub works and
//! while it closes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use switchback::prelude::*;
use switchback::{FiberHandle, HubHandle, HubThread, park, yield_now};

use crate::helper::Job;
use crate::ledger::{Ledger, Owner};
use crate::program::Cx;
use crate::show::Stage;
use crate::tally::Op;

/// What came of what was sent.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Callbacks that were taken, and those that ran.
    pub(crate) taken: AtomicU64,
    pub(crate) ran: AtomicU64,
    pub(crate) refused: AtomicU64,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::SeqCst);
}

/// What one thread sends at once.
pub(crate) struct Flood {
    hub: HubHandle,
    many: u64,
    parked: Vec<FiberHandle>,
    ledger: Arc<Ledger>,
    counts: Arc<Counts>,
}

impl Flood {
    /// Sends it all. The fibers end at once, and nobody joins them.
    pub(crate) fn send(self) {
        for n in 0..self.many {
            let token = self.ledger.count(Owner::Nobody);
            match n % 5 {
                0 | 1 => {
                    let counts = self.counts.clone();
                    let callback = move || {
                        drop(token);
                        add(&counts.ran);
                    };
                    match self.hub.run_callback(callback) {
                        Ok(()) => add(&self.counts.taken),
                        Err(_) => add(&self.counts.refused),
                    }
                }
                2 | 3 => match self.hub.spawn(move || drop(token)) {
                    Ok(fiber) if n % 2 == 0 => drop(fiber.cancel()),
                    Ok(fiber) => drop(fiber),
                    Err(_) => add(&self.counts.refused),
                },
                _ => self.parked.iter().for_each(FiberHandle::unpark),
            }
        }
    }
}

impl Cx {
    /// Has another thread send a burst to the hub. That is over before this goes on.
    pub(crate) fn flood(&self) {
        let world = &self.world;
        let Some(hub) = world.hub.borrow().clone() else {
            return;
        };
        self.hit(match (world.ended.get(), world.closing.get()) {
            (true, _) => Op::FloodAfterTheEnd,
            (_, true) => Op::FloodWhileClosing,
            _ => Op::Flood,
        });
        let many = match world.chance(3) {
            true => 600,
            false => self.below(40) + 1,
        };
        let parked = (0..3).filter_map(|_| {
            let actor = world.some_actor()?;
            world.with_book(actor, |book| book.handle.clone())
        });
        let flood = Flood {
            hub,
            many,
            parked: parked.collect(),
            ledger: world.ledger.clone(),
            counts: world.flood.clone(),
        };
        world.helper.run(Job::Flood(flood));
        if world.chance(40) {
            self.cancel_some();
        }
    }
}

/// Several threads flood a hub that works, is closed, and goes on closing.
pub(crate) fn of_a_thread(stage: &Stage) {
    let thread = HubThread::new().expect("a thread starts");
    let counts = Arc::new(Counts::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut fibers = Vec::new();
    let mut working = Vec::new();
    for kind in 0..3 + stage.below(4) {
        let (token, stop) = (stage.token(), stop.clone());
        let body = move || {
            let _token = token;
            while !stop.load(Ordering::SeqCst) {
                match kind % 2 {
                    0 => yield_now().wait(),
                    _ => park(),
                }
            }
        };
        let fiber = thread.spawn(body).expect("the hub is open");
        working.push(fiber.handle());
        fibers.push(fiber);
    }
    let many = 20 + stage.below(300);
    let senders: Vec<_> = (0..1 + stage.below(3))
        .map(|_| {
            let flood = Flood {
                hub: thread.handle(),
                many,
                parked: working.clone(),
                ledger: stage.ledger.clone(),
                counts: counts.clone(),
            };
            let victims = match stage.chance(30) {
                true => working.clone(),
                false => Vec::new(),
            };
            thread::spawn(move || {
                flood.send();
                for victim in victims {
                    victim.cancel();
                }
            })
        })
        .collect();
    if stage.chance(50) {
        stage.hit(Op::FloodWhileClosing);
        // Some of the fibers may be the first that are not taken.
        thread.close().wait();
    } else {
        stage.hit(Op::Flood);
        stop.store(true, Ordering::SeqCst);
        working.iter().for_each(FiberHandle::unpark);
    }
    for sender in senders {
        if sender.join().is_err() {
            stage.fault("a thread that floods a hub panicked");
        }
    }
    for fiber in fibers {
        // It was cancelled or has ended.
        let _ = fiber.wait();
    }
    thread.close().wait();
    let [taken, ran] = [&counts.taken, &counts.ran].map(|count| count.load(Ordering::SeqCst));
    if taken != ran {
        stage.fault(format!("of {taken} callbacks that were taken, {ran} ran"));
    }
}
