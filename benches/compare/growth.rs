//! Rows `growth-...-N`: the cost of a yield, and of a spawn with its join, with N fibers at
//! once, from ten to a million, on stacks of 64 KiB. [`plot`](crate::plot) draws them.
//!
//! `growth-yield-N` is `yield-N` with smaller stacks. In `growth-spawn-N` one fiber spawns
//! all others and then joins them; each gets a stack that was used before and that the hub
//! has kept. `growth-spawn-cold-N` is the same on a new hub with default settings, to which
//! the system has to give each stack and its memory; that takes too long for a million.

use std::hint::black_box;
use std::time::{Duration, Instant};

use switchback::{Builder, Hub, prelude::*};
use tokio::task::spawn_local;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_hub, in_task};
use crate::yields;

/// The numbers of fibers.
pub(crate) const COUNTS: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// A small size, so that there is address space for a million stacks.
const STACK: usize = 64 * 1024;

/// The minimum number of fibers that are spawned and joined per sample, if stacks are warm.
const LEAST: usize = 100_000;

/// Returns nanoseconds per fiber for a number of fibers.
type Cost = fn(usize) -> f64;

/// The operation that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Yield,
    Spawn,
    SpawnCold,
}

impl Thing {
    pub(crate) const ALL: [Thing; 3] = [Thing::Yield, Thing::Spawn, Thing::SpawnCold];

    /// Returns the name of the row.
    pub(crate) fn row_name(self, count: usize) -> String {
        let name = match self {
            Thing::Yield => "yield",
            Thing::Spawn => "spawn",
            Thing::SpawnCold => "spawn-cold",
        };
        format!("growth-{name}-{count}")
    }

    fn row(self, count: usize) -> Row {
        let (unit, fibers, tasks): (_, Cost, Cost) = match self {
            Thing::Yield => ("yield", yields_of_fibers, yields::tokio_tasks),
            Thing::Spawn => ("child", fibers_on_warm_stacks, tasks_again),
            Thing::SpawnCold => ("child", fibers_on_cold_stacks, tasks_at_first),
        };
        let row = Row::new(self.row_name(count), Unit::NanosPer(unit))
            .rounds(if count < 100_000 { 5 } else { 3 })
            .column(Column::Switchback, move || fibers(count))
            .column(Column::TokioTasks, move || tasks(count));
        let row = if count < 1_000_000 { row } else { row.once() };
        match self {
            Thing::Yield => yields::add_limit(row, count),
            _ => row,
        }
    }
}

pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let of_one = |thing: Thing| {
        let counts = COUNTS.into_iter().filter(move |count| {
            // Each new stack takes microseconds.
            thing != Thing::SpawnCold || *count < 1_000_000
        });
        counts.map(move |count| thing.row(count))
    };
    Thing::ALL.into_iter().flat_map(of_one)
}

fn yields_of_fibers(count: usize) -> f64 {
    yields::fibers(count, Builder::new().stack_size(STACK))
}

fn fibers_on_warm_stacks(count: usize) -> f64 {
    let hub = Hub::builder().stack_size(STACK).max_cached_stacks(count);
    in_hub(hub, move || {
        spawn_and_join(count);
        let times = LEAST.div_ceil(count);
        let begin = Instant::now();
        for _ in 0..times {
            spawn_and_join(count);
        }
        nanos_each(begin.elapsed(), count * times)
    })
}

fn fibers_on_cold_stacks(count: usize) -> f64 {
    in_hub(Hub::builder().stack_size(STACK), move || {
        let begin = Instant::now();
        spawn_and_join(count);
        nanos_each(begin.elapsed(), count)
    })
}

fn spawn_and_join(count: usize) {
    let spawn = |n| switchback::spawn(move || black_box(n));
    let children: Vec<_> = (0..count).map(spawn).collect();
    for (n, mut child) in children.into_iter().enumerate() {
        let joined = child.join().wait();
        assert_eq!(joined.expect("the child does not panic"), n);
    }
}

fn tasks_again(count: usize) -> f64 {
    in_task(async move {
        spawn_and_await(count).await;
        let times = LEAST.div_ceil(count);
        let begin = Instant::now();
        for _ in 0..times {
            spawn_and_await(count).await;
        }
        nanos_each(begin.elapsed(), count * times)
    })
}

fn tasks_at_first(count: usize) -> f64 {
    in_task(async move {
        let begin = Instant::now();
        spawn_and_await(count).await;
        nanos_each(begin.elapsed(), count)
    })
}

async fn spawn_and_await(count: usize) {
    let spawn = |n| spawn_local(async move { black_box(n) });
    let children: Vec<_> = (0..count).map(spawn).collect();
    for (n, child) in children.into_iter().enumerate() {
        assert_eq!(child.await.expect("the child does not panic"), n);
    }
}

fn nanos_each(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}
