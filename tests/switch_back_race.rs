//! Eight threads fire one `SwitchBack`, a hundred thousand times over.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use switchback::{SwitchBack, Switcher, prelude::*};

use support::{Drops, Token, watched};

const THREADS: usize = 8;
const ROUNDS: usize = 100_000;
/// How many are made at a time: the threads meet before each lot, and race
/// through it.
const LOT: usize = 4;

/// Who fired, and in which round.
struct Value {
    thread: usize,
    round: usize,
    _token: Token,
}

/// What the threads fire next; empty when there is nothing left.
type Lot = Arc<Mutex<Arc<[Switcher<Value>]>>>;

/// Fires each of each lot; counts the wins of each round.
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
                wins[round].fetch_add(1, Ordering::Relaxed);
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
        let given = drops.clone();
        let by_thread = switchback::run(move || {
            let mut by_thread = [0; THREADS];
            for first in (0..ROUNDS).step_by(LOT) {
                let waiting: Vec<_> = (0..LOT).map(|_| SwitchBack::new()).collect();
                *lot.lock().unwrap() = waiting.iter().map(SwitchBack::switcher).collect();
                meet.wait();
                meet.wait();
                // The threads' are the last ones, also if all of them have fired.
                *lot.lock().unwrap() = Arc::default();
                for (n, switch_back) in waiting.into_iter().enumerate() {
                    let value = switch_back.wait().unwrap();
                    assert_eq!(value.round, first + n);
                    by_thread[value.thread] += 1;
                }
            }
            meet.wait();
            meet.wait();
            by_thread
        })
        .unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(wins.iter().all(|wins| wins.load(Ordering::Relaxed) == 1));
        assert_eq!(given.count(), THREADS * ROUNDS);
        println!("wins by thread: {by_thread:?}");
    });
}
