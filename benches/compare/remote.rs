//! Rows `remote-spawn-join`, `remote-burst` and `remote-wake`: how long it takes to spawn and join
//! work on another thread, and to wake a receiver there.
//!
//! `remote-spawn-join`: a task of the multi-thread runtime spawns a child on another thread
//! and awaits it, one after the other. Tokio's own tasks go to a thread of the same
//! runtime, if they leave the current one. `remote-burst`: it spawns a thousand, and then awaits
//! them.
//!
//! `remote-wake`: a thread that has slept for a while sends a message to a receiver that
//! has nothing else to do, and so sleeps in the I/O driver. The figure is the time until
//! the receiver has the message.

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use switchback::prelude::*;
use switchback::{HubPool, HubThread};
use tokio::sync::mpsc as channel;
use tokio::task::spawn_blocking;
use tokio_util::task::LocalPoolHandle;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_multi_thread_task, on_runtime};

/// Children per sample.
const CHILDREN: u64 = 3_000;
/// How many of them are spawned before the first is awaited, in `remote-burst`.
const BURST: u64 = 1_000;
/// Messages per sample.
const MESSAGES: usize = 200;
/// How long the receiver idles before each message.
const PAUSE: Duration = Duration::from_micros(300);

pub(crate) fn rows() -> [Row; 3] {
    let spawn_join = |name, at_once| {
        Row::new(name, Unit::NanosPer("child"))
            .column(Column::Switchback, move || fiber_on_pool(at_once))
            .column(Column::TokioTasks, move || task(at_once))
            .column(Column::SpawnBlocking, move || blocking(at_once))
            .column(Column::LocalPool, move || task_on_pool(at_once))
    };
    [
        spawn_join("remote-spawn-join", 1),
        spawn_join("remote-burst", BURST),
        Row::new("remote-wake", Unit::NanosPer("wake"))
            .column(Column::Switchback, wake_of_hub)
            .column(Column::TokioTasks, wake_of_task)
            .column(Column::Threads, wake_of_thread),
    ]
}

fn fiber_on_pool(at_once: u64) -> f64 {
    let pool = HubPool::new(1).expect("a thread can be started");
    in_multi_thread_task(async move {
        let spawn_join = |n| {
            let fiber = pool.spawn(move || black_box(n)).expect("the pool is open");
            async { fiber.await.expect("the child does not panic") }
        };
        let nanos = nanos_per_child(at_once, spawn_join).await;
        pool.close().await;
        nanos
    })
}

fn task(at_once: u64) -> f64 {
    in_multi_thread_task(nanos_per_child(at_once, |n| {
        let task = tokio::spawn(async move { black_box(n) });
        async { task.await.expect("the child does not panic") }
    }))
}

fn blocking(at_once: u64) -> f64 {
    in_multi_thread_task(nanos_per_child(at_once, |n| {
        let job = spawn_blocking(move || black_box(n));
        async { job.await.expect("the child does not panic") }
    }))
}

fn task_on_pool(at_once: u64) -> f64 {
    let pool = LocalPoolHandle::new(1);
    in_multi_thread_task(nanos_per_child(at_once, move |n| {
        let task = pool.spawn_pinned(move || async move { black_box(n) });
        async { task.await.expect("the child does not panic") }
    }))
}

/// Spawns this many children at once, by calls of `spawn_join`, and then awaits them.
async fn nanos_per_child<C>(at_once: u64, spawn_join: impl Fn(u64) -> C) -> f64
where
    C: Future<Output = u64>,
{
    let run = async |children| {
        for first in (0..children).step_by(at_once as usize) {
            let numbers = first..first + at_once;
            let spawned: Vec<_> = numbers.clone().map(&spawn_join).collect();
            for (n, child) in numbers.zip(spawned) {
                assert_eq!(child.await, n);
            }
        }
    };
    run(at_once.max(CHILDREN / 10)).await;
    let begin = Instant::now();
    run(CHILDREN).await;
    begin.elapsed().as_nanos() as f64 / CHILDREN as f64
}

fn wake_of_hub() -> f64 {
    let hub = HubThread::new().expect("a thread can be started");
    let (sender, mut receiver) = channel::unbounded_channel();
    let receive = move || {
        let mut nanos = Nanos::default();
        while let Some(sent) = receiver.recv().wait() {
            nanos.add(sent);
        }
        nanos.median()
    };
    let mut fiber = hub.spawn(receive).expect("the hub is open");
    send(|sent| sender.send(sent).is_ok());
    drop(sender);
    let median = fiber.join().wait().expect("the fiber does not panic");
    hub.close().wait();
    median
}

fn wake_of_task() -> f64 {
    let (sender, mut receiver) = channel::unbounded_channel();
    let receive = async move {
        let mut nanos = Nanos::default();
        while let Some(sent) = receiver.recv().await {
            nanos.add(sent);
        }
        nanos.median()
    };
    let thread = thread::spawn(|| {
        on_runtime(async {
            let task = tokio::task::spawn_local(receive);
            task.await.expect("the task does not panic")
        })
    });
    send(|sent| sender.send(sent).is_ok());
    drop(sender);
    thread.join().expect("the thread does not panic")
}

fn wake_of_thread() -> f64 {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut nanos = Nanos::default();
        while let Ok(sent) = receiver.recv() {
            nanos.add(sent);
        }
        nanos.median()
    });
    send(|sent| sender.send(sent).is_ok());
    drop(sender);
    thread.join().expect("the thread does not panic")
}

/// Sends the time of sending, repeatedly, to a receiver that sleeps.
fn send(mut send: impl FnMut(Instant) -> bool) {
    for _ in 0..MESSAGES {
        thread::sleep(PAUSE);
        assert!(send(Instant::now()));
    }
}

/// The time that each message took.
#[derive(Default)]
struct Nanos(Vec<u128>);

impl Nanos {
    fn add(&mut self, sent: Instant) {
        self.0.push(sent.elapsed().as_nanos());
    }

    fn median(mut self) -> f64 {
        self.0.sort_unstable();
        self.0[self.0.len() / 2] as f64
    }
}
