//! Rows `yield-N`: N fibers that yield in turn. Rows `yield-N-of-SIZE`: the same on smaller stacks, beside
//! those of the default size. Rows `wait-N`: they wait for a future that wakes them at once, beside fibers
//! that yield.
//!
//! The clock runs from when the last of them has started to when the last has done its
//! share. For comparison, bare coroutines are resumed in turn by a loop, without a
//! scheduler: what the switches and the memory of as many stacks cost by themselves.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use corosensei::{Coroutine, CoroutineResult};
use switchback::{Builder, prelude::*};

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_coroutine, on_runtime, wake_self};

/// The approximate number of yields per sample.
const YIELDS: usize = 1_000_000;

/// The maximum number of stacks of the other crates. Each takes a mapping and another for
/// its guard, so some 32,000 of them are possible.
const MOST_MAPPED: usize = 30_000;

pub(crate) fn row(count: usize) -> Row {
    let row = Row::new(format!("yield-{count}"), Unit::NanosPer("yield"))
        .column(Column::Switchback, move || fibers(count, Builder::new()))
        .column(Column::TokioTasks, move || tokio_tasks(count));
    let row = match count > MOST_MAPPED {
        true => row,
        false => row.column(Column::May, move || may_coroutines(count)),
    };
    add_limit(row, count)
}

/// Adds a column for bare coroutines, unless `count` is more than the system can map.
pub(crate) fn add_limit(row: Row, count: usize) -> Row {
    if count > MOST_MAPPED {
        return row;
    }
    row.column(Column::Corosensei, move || bare_coroutines(count))
}

pub(crate) fn size_row(count: usize, size: &str, bytes: usize) -> Row {
    Row::new(format!("yield-{count}-of-{size}"), Unit::NanosPer("yield"))
        .column(Column::Switchback, move || {
            fibers(count, Builder::new().stack_size(bytes))
        })
        .column(Column::Otherwise, move || fibers(count, Builder::new()))
        .column(Column::TokioTasks, move || tokio_tasks(count))
}

pub(crate) fn wait_row(count: usize) -> Row {
    Row::new(format!("wait-{count}"), Unit::NanosPer("wait"))
        .column(Column::Switchback, move || waiting_fibers(count))
        .column(Column::Otherwise, move || fibers(count, Builder::new()))
        .column(Column::TokioTasks, move || tokio_tasks(count))
}

/// Starts when all have arrived and stops when all have left. It can be shared between
/// threads, because `may` requires that. It is touched outside of the measured part, except
/// for the turns in which the rest arrive.
struct Clock {
    fibers: usize,
    turns: usize,
    arrived: AtomicUsize,
    left: AtomicUsize,
    begin: Mutex<Option<Instant>>,
    nanos_per_yield: Mutex<Option<f64>>,
}

impl Clock {
    fn new(fibers: usize) -> Arc<Clock> {
        Arc::new(Clock {
            fibers,
            turns: YIELDS / fibers,
            arrived: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            begin: Mutex::new(None),
            nanos_per_yield: Mutex::new(None),
        })
    }

    fn arrive(&self) {
        if self.arrived.fetch_add(1, Ordering::Relaxed) + 1 == self.fibers {
            *self.begin.lock().unwrap() = Some(Instant::now());
        }
    }

    fn all_arrived(&self) -> bool {
        self.arrived.load(Ordering::Relaxed) == self.fibers
    }

    fn leave(&self) {
        if self.left.fetch_add(1, Ordering::Relaxed) + 1 == self.fibers {
            let begin = self.begin.lock().unwrap().expect("all have arrived");
            // One turn more: all but one still had to return from waiting for the last to
            // arrive.
            let yields = self.fibers * (self.turns + 1) - 1;
            let nanos = begin.elapsed().as_nanos() as f64 / yields as f64;
            *self.nanos_per_yield.lock().unwrap() = Some(nanos);
        }
    }

    fn nanos_per_yield(&self) -> f64 {
        let nanos = *self.nanos_per_yield.lock().unwrap();
        nanos.expect("all have left")
    }

    /// The body of each fiber whose yield is a call. (There is a single call, so that it is
    /// inlined into the loop.) No fiber ends before all are done, because ending a fiber
    /// and giving back its stack are not measured.
    #[inline(always)]
    fn run(&self, give_way: impl Fn()) {
        self.arrive();
        let mut turns = self.turns;
        let mut has_left = false;
        while !(has_left && self.all_left()) {
            if turns == 0 && !has_left {
                self.leave();
                has_left = true;
                continue;
            }
            if !has_left && self.all_arrived() {
                turns -= 1;
            }
            give_way();
        }
    }

    fn all_left(&self) -> bool {
        self.left.load(Ordering::Relaxed) == self.fibers
    }
}

pub(crate) fn fibers(count: usize, builder: Builder) -> f64 {
    in_fibers(count, builder, |clock| {
        clock.run(|| switchback::yield_now().wait());
    })
}

fn waiting_fibers(count: usize) -> f64 {
    in_fibers(count, Builder::new(), |clock| {
        clock.run(|| wake_self().wait());
    })
}

fn in_fibers(count: usize, builder: Builder, body: impl Fn(&Clock) + Copy + 'static) -> f64 {
    on_runtime(async move {
        let clock = Clock::new(count);
        let spawn = |_| {
            let clock = clock.clone();
            let spawned = builder.clone().spawn(move || body(&clock));
            spawned.expect("there is memory for the stack")
        };
        let fibers: Vec<_> = (0..count).map(spawn).collect();
        for fiber in fibers {
            fiber.await.expect("the fiber does not panic");
        }
        clock.nanos_per_yield()
    })
}

pub(crate) fn tokio_tasks(tasks: usize) -> f64 {
    on_runtime(async move {
        let clock = Clock::new(tasks);
        let spawn = |_| {
            let clock = clock.clone();
            tokio::task::spawn_local(async move {
                clock.arrive();
                let mut turns = clock.turns;
                while turns > 0 {
                    if clock.all_arrived() {
                        turns -= 1;
                    }
                    wake_self().await;
                }
                clock.leave();
                while !clock.all_left() {
                    wake_self().await;
                }
            })
        };
        let tasks: Vec<_> = (0..tasks).map(spawn).collect();
        for task in tasks {
            task.await.expect("the task does not panic");
        }
        clock.nanos_per_yield()
    })
}

fn may_coroutines(coroutines: usize) -> f64 {
    in_coroutine(move || {
        let clock = Clock::new(coroutines);
        let spawn = |_| {
            let clock = clock.clone();
            may::go!(move || clock.run(may::coroutine::yield_now))
        };
        let coroutines: Vec<_> = (0..coroutines).map(spawn).collect();
        for coroutine in coroutines {
            coroutine.join().expect("the coroutine does not panic");
        }
        clock.nanos_per_yield()
    })
}

fn bare_coroutines(coroutines: usize) -> f64 {
    let clock = Clock::new(coroutines);
    let make = |_| {
        let clock = clock.clone();
        Coroutine::new(move |yielder, ()| clock.run(|| yielder.suspend(())))
    };
    let mut coroutines: Vec<Coroutine<(), (), ()>> = (0..coroutines).map(make).collect();
    while !coroutines.is_empty() {
        coroutines
            .retain_mut(|coroutine| matches!(coroutine.resume(()), CoroutineResult::Yield(())));
    }
    clock.nanos_per_yield()
}
