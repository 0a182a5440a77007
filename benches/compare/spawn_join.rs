//! Rows `spawn-join` and `spawn-join-async`: blocking-style code or async code spawns and
//! joins one child after the other.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use switchback::prelude::*;
use tokio::task::{spawn_blocking, spawn_local};

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_blocking, in_coroutine, in_fiber, in_task};

/// Children per sample in columns that take about a microsecond for each.
const MANY: u64 = 30_000;
/// Children per sample in columns that start or wake a thread for each.
const FEW: u64 = 1_000;

pub(crate) fn rows() -> [Row; 2] {
    let unit = Unit::NanosPer("child");
    [
        Row::new("spawn-join", unit)
            .column(Column::Switchback, fiber_in_fiber)
            .column(Column::TokioTasks, task_in_task)
            .column(Column::May, coroutine_in_coroutine)
            .column(Column::SpawnBlocking, blocking_in_blocking)
            .column(Column::Threads, thread_in_thread),
        Row::new("spawn-join-async", unit)
            .column(Column::Switchback, fiber_in_task)
            .column(Column::TokioTasks, task_in_task)
            .column(Column::SpawnBlocking, blocking_in_task),
    ]
}

fn fiber_in_fiber() -> f64 {
    in_fiber(|| {
        nanos_per_child(MANY, |n| {
            let mut child = switchback::spawn(move || black_box(n));
            child.join().wait().expect("the child does not panic")
        })
    })
}

fn fiber_in_task() -> f64 {
    in_task(nanos_per_child_async(MANY, async |n| {
        let mut child = switchback::spawn(move || black_box(n));
        child.join().await.expect("the child does not panic")
    }))
}

fn task_in_task() -> f64 {
    in_task(nanos_per_child_async(MANY, async |n| {
        let child = spawn_local(async move { black_box(n) });
        child.await.expect("the child does not panic")
    }))
}

fn coroutine_in_coroutine() -> f64 {
    in_coroutine(|| {
        nanos_per_child(MANY, |n| {
            let child = may::go!(move || black_box(n));
            child.join().expect("the child does not panic")
        })
    })
}

fn blocking_in_blocking() -> f64 {
    in_blocking(|runtime| {
        nanos_per_child(FEW, |n| {
            let child = runtime.spawn_blocking(move || black_box(n));
            let joined = runtime.block_on(child);
            joined.expect("the child does not panic")
        })
    })
}

fn blocking_in_task() -> f64 {
    in_task(nanos_per_child_async(FEW, async |n| {
        let child = spawn_blocking(move || black_box(n));
        child.await.expect("the child does not panic")
    }))
}

fn thread_in_thread() -> f64 {
    nanos_per_child(FEW, |n| {
        let child = thread::spawn(move || black_box(n));
        child.join().expect("the child does not panic")
    })
}

fn nanos_per_child(children: u64, spawn_join: impl Fn(u64) -> u64) -> f64 {
    let run = |children| {
        for n in 0..children {
            assert_eq!(spawn_join(n), n);
        }
    };
    run(children / 10);
    let begin = Instant::now();
    run(children);
    begin.elapsed().as_nanos() as f64 / children as f64
}

async fn nanos_per_child_async(children: u64, spawn_join: impl AsyncFn(u64) -> u64) -> f64 {
    let run = async |children| {
        for n in 0..children {
            assert_eq!(spawn_join(n).await, n);
        }
    };
    run(children / 10).await;
    let begin = Instant::now();
    run(children).await;
    begin.elapsed().as_nanos() as f64 / children as f64
}
