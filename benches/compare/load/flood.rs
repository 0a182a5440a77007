//! Rows `load-flood-...`: threads that send callbacks to a hub as fast as they can, each
//! until [`OUTSTANDING`] of its own have not run, and then spin until there are fewer.
//!
//! `load-flood-timer-N` counts how often a task on the hub's runtime wakes from a sleep of
//! 5 ms, and does not measure how fast callbacks run. Otherwise: beside as many threads that
//! spin and send nothing. As tokio tasks: the threads send tasks to a current-thread
//! runtime.
//!
//! `load-flood-close-N` is the time of a close that begins under it, and
//! `load-flood-bytes` the heap memory of a callback, or task, that was sent and has not run.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use switchback::HubThread;
use switchback::prelude::*;
use tokio::runtime::Handle;
use tokio::task::spawn_local;

use crate::heap;
use crate::rounds::{Column, Row, Unit};
use crate::worlds::on_runtime;

/// How many callbacks of one thread are outstanding, at most.
const OUTSTANDING: usize = 100_000;
const TICK: Duration = Duration::from_millis(5);
/// How long the flood lasts before a sample looks at it, and how long it counts.
const BEFORE: Duration = Duration::from_millis(50);
const WINDOW: Duration = Duration::from_millis(250);

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for threads in 1..=4 {
        let unit = Unit::PerSecond("sleeps of 5 ms");
        let row = Row::new(format!("load-flood-timer-{threads}"), unit)
            .rounds(5)
            .column(Column::Switchback, move || hub_rate(threads, true))
            .column(Column::Otherwise, move || hub_rate(threads, false))
            .column(Column::TokioTasks, move || runtime_rate(threads));
        rows.push(row);
    }
    for threads in [1, 4] {
        let unit = Unit::Less("ms to close");
        let row = Row::new(format!("load-flood-close-{threads}"), unit)
            .rounds(5)
            .column(Column::Switchback, move || millis_to_close(threads));
        rows.push(row);
    }
    let bytes = Row::new("load-flood-bytes", Unit::Less("heap bytes each"))
        .rounds(3)
        .column(Column::Switchback, bytes_of_callbacks)
        .column(Column::TokioTasks, bytes_of_tasks);
    rows.push(bytes);
    rows
}

/// The threads, which end when this is dropped.
struct Flood {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Flood {
    /// Starts `count` threads that call `send` again and again, with what counts those of
    /// one thread that are outstanding. `send` says whether there is still a receiver.
    fn start<S>(count: usize, send: S) -> Flood
    where
        S: Fn(&Arc<AtomicUsize>) -> bool + Clone + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |_| {
            let (stop, send) = (stop.clone(), send.clone());
            thread::spawn(move || {
                let outstanding = Arc::new(AtomicUsize::new(0));
                while !stop.load(Relaxed) {
                    if outstanding.load(Relaxed) >= OUTSTANDING {
                        spin_loop();
                        continue;
                    }
                    outstanding.fetch_add(1, Relaxed);
                    if !send(&outstanding) {
                        break;
                    }
                }
            })
        };
        let threads = (0..count).map(thread).collect();
        Flood { stop, threads }
    }

    /// Threads that send to the hub.
    fn of_callbacks(count: usize, hub: &HubThread) -> Flood {
        let hub = hub.handle();
        Flood::start(count, move |outstanding| {
            let outstanding = outstanding.clone();
            let sent = hub.run_callback(move || {
                outstanding.fetch_sub(1, Relaxed);
            });
            sent.is_ok()
        })
    }

    /// Threads that spin.
    fn of_nothing(count: usize) -> Flood {
        Flood::start(count, |outstanding| {
            outstanding.fetch_sub(1, Relaxed);
            true
        })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the thread does not panic");
        }
    }
}

/// Sleeps repeatedly, and counts it.
async fn tick(ticks: Arc<AtomicU64>) {
    loop {
        tokio::time::sleep(TICK).await;
        ticks.fetch_add(1, Relaxed);
    }
}

/// How often per second `ticks` counts, after a while.
fn rate(ticks: &AtomicU64) -> f64 {
    thread::sleep(BEFORE);
    let (begin, before) = (Instant::now(), ticks.load(Relaxed));
    thread::sleep(WINDOW);
    (ticks.load(Relaxed) - before) as f64 / begin.elapsed().as_secs_f64()
}

fn hub_rate(threads: usize, sends: bool) -> f64 {
    let hub = HubThread::new().expect("a thread can be started");
    let ticks = Arc::new(AtomicU64::new(0));
    let ticking = tick(ticks.clone());
    let began = hub.spawn(move || drop(spawn_local(ticking)));
    let began = began.expect("the hub is open");
    began.wait().expect("the fiber does not panic");
    let flood = match sends {
        true => Flood::of_callbacks(threads, &hub),
        false => Flood::of_nothing(threads),
    };
    let rate = rate(&ticks);
    drop(flood);
    hub.close().wait();
    rate
}

fn runtime_rate(threads: usize) -> f64 {
    let ticks = Arc::new(AtomicU64::new(0));
    let ticking = tick(ticks.clone());
    let (started, has_started) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let runtime = thread::spawn(move || {
        on_runtime(async {
            spawn_local(ticking);
            let _ = started.send(Handle::current());
            let _ = stopped.await;
        });
    });
    let handle = has_started.recv().expect("the runtime starts");
    let flood = Flood::start(threads, move |outstanding| {
        let outstanding = outstanding.clone();
        handle.spawn(async move { outstanding.fetch_sub(1, Relaxed) });
        true
    });
    let rate = rate(&ticks);
    drop((flood, stop));
    runtime.join().expect("the runtime does not panic");
    rate
}

fn millis_to_close(threads: usize) -> f64 {
    let hub = HubThread::new().expect("a thread can be started");
    let flood = Flood::of_callbacks(threads, &hub);
    thread::sleep(BEFORE);
    let begin = Instant::now();
    hub.close().wait();
    let time = begin.elapsed();
    drop(flood);
    time.as_secs_f64() * 1e3
}

/// Threads and outstanding callbacks of [`bytes_of_callbacks`], all told.
const SENT: usize = 4 * OUTSTANDING;

fn bytes_of_callbacks() -> f64 {
    let hub = HubThread::new().expect("a thread can be started");
    let handle = hub.handle();
    let (open, gate) = mpsc::channel::<()>();
    let fiber = hub.spawn(move || {
        let _ = gate.recv();
    });
    let bytes = bytes_each(|counter| {
        let sent = handle.run_callback(move || {
            counter.fetch_sub(1, Relaxed);
        });
        sent.expect("the hub is open");
    });
    drop(open);
    fiber.expect("the hub is open").wait().unwrap();
    hub.close().wait();
    bytes
}

fn bytes_of_tasks() -> f64 {
    let (started, has_started) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let runtime = thread::spawn(move || {
        on_runtime(async {
            let _ = started.send(Handle::current());
            {
                let _ = gate.recv();
            };
        });
    });
    let handle = has_started.recv().expect("the runtime starts");
    let bytes = bytes_each(|counter| {
        handle.spawn(async move { counter.fetch_sub(1, Relaxed) });
    });
    drop(open);
    runtime.join().expect("the runtime does not panic");
    bytes
}

fn bytes_each(send: impl Fn(Arc<AtomicUsize>)) -> f64 {
    let counter = Arc::new(AtomicUsize::new(SENT));
    heap::count();
    for _ in 0..SENT {
        send(counter.clone());
    }
    heap::counted().bytes / SENT as f64
}
