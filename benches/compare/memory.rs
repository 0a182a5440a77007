//! Rows `memory-bytes` and `memory-allocations`: the heap memory of a waiting fiber,
//! without its stack, and of a waiting tokio task. Each has captured 16 bytes that it still
//! needs.
//!
//! The handles are not counted, because they are not on the heap. Growing tables of a new
//! runtime are counted; the number of fibers is chosen so that tables that double are full.

use std::future::pending;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use switchback::{prelude::*, spawn, yield_now};
use tokio::task::{self, spawn_local};

use crate::heap::{self, Allocated};
use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_fiber, in_task};

const COUNT: u64 = 1024;

/// The number of fibers or tasks that have begun to wait. It is not a captured variable,
/// which would add to the figure.
static WAITING: AtomicU64 = AtomicU64::new(0);

pub(crate) fn rows() -> [Row; 2] {
    let row = |name, unit, figure: fn(Allocated) -> f64| {
        Row::new(name, Unit::Less(unit))
            .rounds(3)
            .column(Column::Switchback, move || figure(fibers()) / COUNT as f64)
            .column(Column::TokioTasks, move || figure(tasks()) / COUNT as f64)
    };
    [
        row("memory-bytes", "heap bytes each", |a| a.bytes),
        row("memory-allocations", "allocations each", |a| a.allocations),
    ]
}

fn fibers() -> Allocated {
    in_fiber(|| {
        let wait = |n: u64| {
            let captured = [n, !n];
            move || {
                WAITING.fetch_add(1, Relaxed);
                pending::<()>().wait();
                black_box(captured);
            }
        };
        let mut fibers = Vec::with_capacity(COUNT as usize);
        WAITING.store(0, Relaxed);
        heap::count();
        fibers.extend((0..COUNT).map(|n| spawn(wait(n))));
        while WAITING.load(Relaxed) < COUNT {
            yield_now().wait();
        }
        let allocated = heap::counted();
        for mut fiber in fibers {
            fiber.cancel();
            let ended = fiber.join().wait();
            ended.expect_err("the fiber is cancelled");
        }
        allocated
    })
}

fn tasks() -> Allocated {
    in_task(async {
        let wait = |n: u64| {
            let captured = [n, !n];
            async move {
                WAITING.fetch_add(1, Relaxed);
                pending::<()>().await;
                black_box(captured);
            }
        };
        let mut tasks = Vec::with_capacity(COUNT as usize);
        WAITING.store(0, Relaxed);
        heap::count();
        tasks.extend((0..COUNT).map(|n| spawn_local(wait(n))));
        while WAITING.load(Relaxed) < COUNT {
            task::yield_now().await;
        }
        let allocated = heap::counted();
        for task in tasks {
            task.abort();
            task.await.expect_err("the task is aborted");
        }
        allocated
    })
}
