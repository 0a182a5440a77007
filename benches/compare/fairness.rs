//! Rows `fairness-...-N`: how fast other work runs beside N fibers that yield in an endless
//! loop, and beside N tokio tasks that do.
//!
//! The other work is an ordinary tokio task on the same runtime: one that sleeps for a
//! millisecond repeatedly, one that wakes itself, or one that exchanges messages with a
//! thread over a socket. switchback promises that its fibers leave it at least half of
//! what tasks leave it: a factor of 0.5. Tokio's timers count in whole milliseconds, so
//! that a sleep of one takes up to two.
//!
//! The rows `fairness-load-N` show the price of this fairness: how often all fibers
//! together yield beside the task that wakes itself.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{on_runtime, wake_self};

/// How long a sample counts the other work.
const WINDOW: Duration = Duration::from_millis(80);
const SIZE: usize = 64;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for count in [10, 1_000] {
        for other in [Other::Timer, Other::Task, Other::Socket, Other::TaskAndLoad] {
            let (name, counted) = other.names();
            let row = Row::new(format!("fairness-{name}-{count}"), Unit::PerSecond(counted))
                .column(Column::Switchback, move || beside_fibers(count, other))
                .column(Column::TokioTasks, move || beside_tasks(count, other));
            rows.push(row);
        }
    }
    rows
}

#[derive(Clone, Copy, Debug)]
enum Other {
    Timer,
    Task,
    Socket,
    /// The self-waking task; the figure is how often the load runs.
    TaskAndLoad,
}

impl Other {
    /// Returns the part of the row's name, and the unit that is counted.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Other::Timer => ("timer", "sleeps of 1 ms"),
            Other::Task => ("task", "self-wakes"),
            Other::Socket => ("socket", "round trips"),
            Other::TaskAndLoad => ("load", "yields"),
        }
    }

    /// Returns how often per second the task, or the load, runs.
    async fn rate(self, load: Rc<Load>) -> f64 {
        match self {
            Other::Timer => {
                let sleep = async || tokio::time::sleep(Duration::from_millis(1)).await;
                per_second(1, sleep).await
            }
            Other::Task => per_second(16, wake_self).await,
            Other::Socket => round_trips_per_second().await,
            Other::TaskAndLoad => load.yields_per_second(wake_self).await,
        }
    }
}

/// The state that the fibers and tasks of the load share.
#[derive(Debug, Default)]
struct Load {
    stop: Cell<bool>,
    yields: Cell<u64>,
}

impl Load {
    /// Returns whether to yield once more.
    fn goes_on(&self) -> bool {
        self.yields.set(self.yields.get() + 1);
        !self.stop.get()
    }

    /// Counts how often the load yields, for the duration of a sample, beside a task that
    /// does `event` in an endless loop.
    async fn yields_per_second(&self, event: impl AsyncFnMut()) -> f64 {
        let begin = Instant::now();
        let before = self.yields.get();
        per_second(16, event).await;
        let yields = self.yields.get() - before;
        yields as f64 / begin.elapsed().as_secs_f64()
    }
}

fn beside_fibers(count: usize, other: Other) -> f64 {
    on_runtime(async move {
        let load = Rc::new(Load::default());
        let spawn = |_| {
            let load = load.clone();
            switchback::spawn(move || {
                while load.goes_on() {
                    switchback::yield_now().wait();
                }
            })
        };
        let fibers: Vec<_> = (0..count).map(spawn).collect();
        let rate = spawn_local(other.rate(load.clone())).await;
        load.stop.set(true);
        for fiber in fibers {
            fiber.await.expect("the fiber does not panic");
        }
        rate.expect("the task does not panic")
    })
}

fn beside_tasks(count: usize, other: Other) -> f64 {
    on_runtime(async move {
        let load = Rc::new(Load::default());
        let spawn = |_| {
            let load = load.clone();
            spawn_local(async move {
                while load.goes_on() {
                    wake_self().await;
                }
            })
        };
        let tasks: Vec<_> = (0..count).map(spawn).collect();
        let rate = spawn_local(other.rate(load.clone())).await;
        load.stop.set(true);
        for task in tasks {
            task.await.expect("the task does not panic");
        }
        rate.expect("the task does not panic")
    })
}

/// Counts how often `event` happens. Reads the clock once per `batch`.
async fn per_second(batch: u32, mut event: impl AsyncFnMut()) -> f64 {
    // Once this is done, all of the load has started.
    event().await;
    event().await;
    let begin = Instant::now();
    let mut events = 0;
    loop {
        for _ in 0..batch {
            event().await;
        }
        events += batch;
        let elapsed = begin.elapsed();
        if elapsed >= WINDOW {
            return f64::from(events) / elapsed.as_secs_f64();
        }
    }
}

async fn round_trips_per_second() -> f64 {
    let bound = std::net::TcpListener::bind("127.0.0.1:0");
    let listener = bound.expect("a port is free");
    let address = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the task connects");
        stream.set_nodelay(true).expect("the stream is open");
        let mut message = [0; SIZE];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message).expect("it can be written");
        }
    });
    let connected = tokio::net::TcpStream::connect(address).await;
    let mut stream = connected.expect("the peer accepts");
    stream.set_nodelay(true).expect("the stream is open");
    let rate = per_second(1, async || {
        let mut message = [7; SIZE];
        let written = stream.write_all(&message).await;
        written.expect("the peer reads");
        let read = stream.read_exact(&mut message).await;
        read.expect("the peer answers");
    });
    let rate = rate.await;
    // The peer sees the end of the stream and ends.
    drop(stream);
    peer.join().expect("the peer does not panic");
    rate
}
