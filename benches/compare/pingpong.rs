//! Rows `pingpong` and `pingpong-async`: a number goes back and forth over two
//! channels, between two fibers, and between a fiber and an async task.
//!
//! Tokio's channel is the bounded one, of capacity 1, whose `send` waits as its `recv`
//! does. The channels of `may` and std are those of the same name; they also never hold
//! more than one message.

use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Instant;

use may::sync::mpsc as may_mpsc;
use switchback::prelude::*;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{spawn_blocking, spawn_local};

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_coroutine, in_fiber, in_task, on_runtime};

/// Round trips per sample on a single thread.
const MANY: u64 = 100_000;
/// Round trips per sample between threads.
const FEW: u64 = 1_500;

pub(crate) fn rows() -> [Row; 2] {
    let unit = Unit::NanosPer("round trip");
    [
        Row::new("pingpong", unit)
            .column(Column::Switchback, fiber_and_fiber)
            .column(Column::TokioTasks, task_and_task)
            .column(Column::May, coroutine_and_coroutine)
            .column(Column::Threads, thread_and_thread),
        Row::new("pingpong-async", unit)
            .column(Column::Switchback, fiber_and_task)
            .column(Column::TokioTasks, task_and_task)
            .column(Column::SpawnBlocking, blocking_and_task),
    ]
}

fn fiber_and_fiber() -> f64 {
    let (to_pong, from_ping) = channel(1);
    let (to_ping, from_pong) = channel(1);
    in_fiber(move || {
        let mut pong = switchback::spawn(move || fiber_pong(from_ping, to_ping));
        let nanos = fiber_ping(to_pong, from_pong);
        pong.join().wait().expect("the fiber does not panic");
        nanos
    })
}

fn fiber_and_task() -> f64 {
    let (to_pong, from_ping) = channel(1);
    let (to_ping, from_pong) = channel(1);
    on_runtime(async {
        let pong = spawn_local(task_pong(from_ping, to_ping));
        let mut ping = switchback::spawn(move || fiber_ping(to_pong, from_pong));
        let nanos = ping.join().await.expect("the fiber does not panic");
        pong.await.expect("the task does not panic");
        nanos
    })
}

fn task_and_task() -> f64 {
    let (to_pong, from_ping) = channel(1);
    let (to_ping, from_pong) = channel(1);
    in_task(async {
        let pong = spawn_local(task_pong(from_ping, to_ping));
        let nanos = task_ping(to_pong, from_pong).await;
        pong.await.expect("the task does not panic");
        nanos
    })
}

fn blocking_and_task() -> f64 {
    let (to_pong, from_ping) = channel(1);
    let (to_ping, mut from_pong) = channel(1);
    on_runtime(async {
        let pong = spawn_local(task_pong(from_ping, to_ping));
        let ping = spawn_blocking(move || {
            nanos_per_trip(FEW, |n| {
                to_pong.blocking_send(n).expect("the other is there");
                from_pong.blocking_recv().expect("the other is there")
            })
        });
        let nanos = ping.await.expect("the closure does not panic");
        pong.await.expect("the task does not panic");
        nanos
    })
}

fn coroutine_and_coroutine() -> f64 {
    let (to_pong, from_ping) = may_mpsc::channel();
    let (to_ping, from_pong) = may_mpsc::channel();
    in_coroutine(move || {
        let pong = may::go!(move || {
            while let Ok(n) = from_ping.recv() {
                to_ping.send(n).expect("the other is there");
            }
        });
        let nanos = nanos_per_trip(MANY, |n| {
            to_pong.send(n).expect("the other is there");
            from_pong.recv().expect("the other is there")
        });
        drop(to_pong);
        pong.join().expect("the coroutine does not panic");
        nanos
    })
}

fn thread_and_thread() -> f64 {
    let (to_pong, from_ping) = std_mpsc::channel();
    let (to_ping, from_pong) = std_mpsc::channel();
    let pong = thread::spawn(move || {
        while let Ok(n) = from_ping.recv() {
            to_ping.send(n).expect("the other is there");
        }
    });
    let nanos = nanos_per_trip(FEW, |n| {
        to_pong.send(n).expect("the other is there");
        from_pong.recv().expect("the other is there")
    });
    drop(to_pong);
    pong.join().expect("the thread does not panic");
    nanos
}

fn fiber_ping(to_pong: Sender<u64>, mut from_pong: Receiver<u64>) -> f64 {
    nanos_per_trip(MANY, |n| {
        to_pong.send(n).wait().expect("the other is there");
        from_pong.recv().wait().expect("the other is there")
    })
}

fn fiber_pong(mut from_ping: Receiver<u64>, to_ping: Sender<u64>) {
    while let Some(n) = from_ping.recv().wait() {
        to_ping.send(n).wait().expect("the other is there");
    }
}

async fn task_ping(to_pong: Sender<u64>, mut from_pong: Receiver<u64>) -> f64 {
    let mut trips = async |trips| {
        for n in 0..trips {
            to_pong.send(n).await.expect("the other is there");
            let back = from_pong.recv().await.expect("the other is there");
            assert_eq!(back, n);
        }
    };
    trips(MANY / 10).await;
    let begin = Instant::now();
    trips(MANY).await;
    begin.elapsed().as_nanos() as f64 / MANY as f64
}

async fn task_pong(mut from_ping: Receiver<u64>, to_ping: Sender<u64>) {
    while let Some(n) = from_ping.recv().await {
        to_ping.send(n).await.expect("the other is there");
    }
}

fn nanos_per_trip(trips: u64, mut trip: impl FnMut(u64) -> u64) -> f64 {
    let mut run = |trips| {
        for n in 0..trips {
            assert_eq!(trip(n), n);
        }
    };
    run(trips / 10);
    let begin = Instant::now();
    run(trips);
    begin.elapsed().as_nanos() as f64 / trips as f64
}
