//! Eight threads fire one `SwitchBack`, a hundred thousand times over.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use switchback::{SwitchBack, Switcher, prelude::*};

use crate::support::{Drops, Token, watched};

const THREADS: usize = 8;
const ROUNDS: usize = 100_000;
/// How many are made at a time: the threads meet before each lot, and race
/// through it.
const LOT: usize = 16;

/// Who fired, and in which round.
struct Value {
    thread: usize,
    round: usize,
    _token: Token,
}

/// What the threads fire next; empty when there is nothing left.
type Lot = Arc<Mutex<Arc<[Switcher<Value>]>>>;

/// What a win of this thread adds to its round: two wins never look like one.
fn win_of(thread: usize) -> usize {
    100 + thread
}

/// Fires each of each lot.
fn fire(thread: usize, lot: Lot, meet: Arc<Barrier>, drops: Drops, wins: Arc<[AtomicUsize]>) {
    for first in (0..).step_by(LOT) {
        meet.wait();
        let switchers = lot.lock().unwrap().clone();
        meet.wait();
        if switchers.is_empty() {
            return;
        }
        for (n, switcher) in switchers.iter().enumerate() {
            let round = first + n;
            let value = Value {
                thread,
                round,
                _token: drops.token(),
            };
            if switcher.switch(value) {
                wins[round].fetch_add(win_of(thread), Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn of_eight_threads_one_wins_each_time_and_no_wake_is_lost() {
    watched(|| {
        let drops = Drops::new();
        let lot = Lot::default();
        let meet = Arc::new(Barrier::new(THREADS + 1));
        let wins: Arc<[_]> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let (lot, meet) = (lot.clone(), meet.clone());
                let (drops, wins) = (drops.clone(), wins.clone());
                thread::spawn(move || fire(n, lot, meet, drops, wins))
            })
            .collect();
        let taken = switchback::run(move || {
            let mut taken = Vec::new();
            while taken.len() < ROUNDS {
                let waiting: Vec<_> = (0..LOT).map(|_| SwitchBack::new()).collect();
                *lot.lock().unwrap() = waiting.iter().map(SwitchBack::switcher).collect();
                meet.wait();
                meet.wait();
                for switch_back in waiting {
                    let value: Value = switch_back.wait().unwrap();
                    assert_eq!(value.round, taken.len());
                    taken.push(win_of(value.thread));
                }
            }
            *lot.lock().unwrap() = Arc::default();
            meet.wait();
            meet.wait();
            taken
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let won: Vec<_> = wins.iter().map(|w| w.load(Ordering::Relaxed)).collect();
        assert_eq!(taken.unwrap(), won);
        assert_eq!(drops.count(), THREADS * ROUNDS);
    });
}
