//! Rows `load-close-N` and `load-backlog-...`: the close of a hub that has much to end.
//!
//! `load-close-N`: of N fibers that wait for ever, each on a stack of 64 KiB, closed by the
//! root fiber. Otherwise: the root cancels and joins each. As tokio tasks: each is aborted
//! and awaited. (A fiber is ended by an unwind, a task is dropped.)
//!
//! `load-backlog-time` and `load-backlog-memory`: of fibers that another thread has sent and
//! that have not begun. As tokio tasks: the runtime is dropped. The memory is the heap
//! memory of what was sent, and what the process grows by from then on.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use switchback::prelude::*;
use switchback::{Hub, HubThread, spawn, yield_now};
use tokio::runtime::Builder;
use tokio::task::{self, spawn_local};

use crate::heap;
use crate::rounds::{Column, Row, Unit};
use crate::system::{forget_peak_memory, peak_memory};
use crate::worlds::{in_hub, in_task};

/// A small size, so that there is address space for a million stacks.
const STACK: usize = 64 * 1024;
/// Fibers or tasks that were sent and have not begun.
const BACKLOG: usize = 300_000;

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<_> = [(10_000, 5), (100_000, 3), (1_000_000, 0)]
        .into_iter()
        .map(|(count, rounds)| {
            let row = Row::new(format!("load-close-{count}"), Unit::NanosPer("fiber"));
            let row = match rounds {
                0 => row.once(),
                _ => row.rounds(rounds),
            };
            row.column(Column::Switchback, move || of_fibers(count, close))
                .column(Column::Otherwise, move || of_fibers(count, cancel))
                .column(Column::TokioTasks, move || of_tasks(count))
        })
        .collect();
    let backlog = |name, unit, figure: fn(Closed) -> f64| {
        Row::new(name, Unit::Less(unit))
            .rounds(3)
            .column(Column::Switchback, move || figure(backlog_of_hub()))
            .column(Column::TokioTasks, move || figure(backlog_of_runtime()))
    };
    rows.push(backlog("load-backlog-time", "ms to close", |closed| {
        closed.time.as_secs_f64() * 1e3
    }));
    rows.push(backlog("load-backlog-memory", "MB", |closed| {
        closed.bytes / 1e6
    }));
    rows
}

type Fibers = Vec<switchback::Fiber<()>>;

fn of_fibers(count: usize, end: fn(Fibers)) -> f64 {
    in_hub(Hub::builder().stack_size(STACK), move || {
        let fiber = |_| spawn(|| pending::<()>().wait());
        let fibers: Vec<_> = (0..count).map(fiber).collect();
        while Hub::current().metrics().ready() > 0 {
            yield_now().wait();
        }
        let begin = Instant::now();
        end(fibers);
        begin.elapsed().as_nanos() as f64 / count as f64
    })
}

fn close(fibers: Fibers) {
    drop(fibers);
    Hub::current().close().wait();
}

fn cancel(fibers: Fibers) {
    for fiber in &fibers {
        fiber.cancel();
    }
    for fiber in fibers {
        fiber.wait().expect_err("the fiber is cancelled");
    }
}

fn of_tasks(count: usize) -> f64 {
    in_task(async move {
        let tasks: Vec<_> = (0..count).map(|_| spawn_local(pending::<()>())).collect();
        task::yield_now().await;
        let begin = Instant::now();
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            task.await.expect_err("the task is aborted");
        }
        begin.elapsed().as_nanos() as f64 / count as f64
    })
}

/// What a close over a backlog took.
struct Closed {
    time: Duration,
    bytes: f64,
}

/// Sends a backlog, then ends what it was sent to.
fn backlog(send: impl Fn(), end: impl FnOnce()) -> Closed {
    heap::count();
    for _ in 0..BACKLOG {
        send();
    }
    let sent = heap::counted().bytes;
    let before = forget_peak_memory();
    let begin = Instant::now();
    end();
    let time = begin.elapsed();
    let grown = peak_memory().saturating_sub(before);
    let bytes = sent + grown as f64;
    Closed { time, bytes }
}

fn backlog_of_hub() -> Closed {
    let hub = HubThread::new().expect("a thread can be started");
    let (open, gate) = mpsc::channel::<()>();
    let busy = hub.spawn(move || {
        let _ = gate.recv();
    });
    drop(busy.expect("the hub is open"));
    let send = || drop(hub.spawn(|| ()).expect("the hub is open"));
    backlog(send, || {
        let close = hub.close();
        drop(open);
        close.wait();
    })
}

fn backlog_of_runtime() -> Closed {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let handle = runtime.handle().clone();
    let send = move || drop(handle.spawn(async {}));
    backlog(send, || {
        let dropped = thread::spawn(|| drop(runtime)).join();
        dropped.expect("the runtime does not panic");
    })
}
