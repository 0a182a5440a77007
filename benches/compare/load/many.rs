//! Rows `load-hubs-N`, `load-deadlines-N` and `load-callbacks-N`: the cost of each of N
//! things, which does not grow with N if it is as it should be.
//!
//! `load-hubs-N`: a hub is made on each of N runtimes of one thread, and all end. As tokio
//! tasks: each runtime gets one task.
//!
//! `load-deadlines-N`: a wait under N nested deadlines, for a future that wakes itself. As
//! tokio tasks: under as many timeouts, each of which is polled each time.
//!
//! `load-callbacks-N`: N callbacks for one descriptor are added, called once and removed. As
//! tokio tasks: N tasks wait for one descriptor.

use std::thread;
use std::time::{Duration, Instant};

use switchback::prelude::*;
use switchback::{Builder, Hub, with_timeout};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_fiber, in_task, wake_self};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for count in [1_000, 8_000] {
        let row = Row::new(format!("load-hubs-{count}"), Unit::NanosPer("hub"))
            .rounds(5)
            .column(Column::Switchback, move || {
                nanos_per_runtime(count, |runtime| {
                    runtime.block_on(async { drop(Hub::current()) });
                })
            })
            .column(Column::TokioTasks, move || {
                nanos_per_runtime(count, |runtime| {
                    drop(runtime.spawn(std::future::pending::<()>()));
                    runtime.block_on(async {});
                })
            });
        rows.push(row);
    }
    for depth in [1, 100, 10_000] {
        let row = Row::new(format!("load-deadlines-{depth}"), Unit::NanosPer("wait"))
            .rounds(5)
            .column(Column::Switchback, move || under_deadlines(depth))
            .column(Column::TokioTasks, move || under_timeouts(depth));
        rows.push(row);
    }
    #[cfg(unix)]
    for count in [100, 10_000] {
        let unit = Unit::NanosPer("callback");
        let row = Row::new(format!("load-callbacks-{count}"), unit)
            .rounds(5)
            .column(Column::Switchback, move || descriptor::callbacks(count))
            .column(Column::TokioTasks, move || descriptor::tasks(count));
        rows.push(row);
    }
    rows
}

fn nanos_per_runtime(count: usize, start: fn(&Runtime)) -> f64 {
    let begin = Instant::now();
    let runtimes: Vec<_> = (0..count)
        .map(|_| {
            let runtime = RuntimeBuilder::new_current_thread().build();
            let runtime = runtime.expect("a runtime can be made");
            start(&runtime);
            runtime
        })
        .collect();
    drop(runtimes);
    begin.elapsed().as_nanos() as f64 / count as f64
}

/// Later than anything here takes.
const LATE: Duration = Duration::from_secs(3_600);
/// What a level of nesting needs of a stack, at most.
const LEVEL: usize = 4 * 1024;
const LEAST_STACK: usize = 1024 * 1024;

/// Waits per sample.
fn waits(depth: usize) -> u32 {
    if depth > 1_000 { 100 } else { 10_000 }
}

fn under_deadlines(depth: usize) -> f64 {
    fn nested(depth: usize, body: &mut dyn FnMut()) {
        match depth {
            0 => body(),
            _ => with_timeout(LATE, || nested(depth - 1, body)).expect("it is not late"),
        }
    }
    in_fiber(move || {
        let builder = Builder::new().stack_size(LEAST_STACK + depth * LEVEL);
        let fiber = builder.spawn(move || {
            let mut nanos = 0.0;
            nested(depth, &mut || {
                let begin = Instant::now();
                for _ in 0..waits(depth) {
                    wake_self().wait();
                }
                nanos = begin.elapsed().as_nanos() as f64 / f64::from(waits(depth));
            });
            nanos
        });
        let fiber = fiber.expect("there is a stack");
        fiber.wait().expect("the fiber does not panic")
    })
}

fn under_timeouts(depth: usize) -> f64 {
    async fn nested(depth: usize, waits: u32) -> f64 {
        if depth > 0 {
            let inner = tokio::time::timeout(LATE, Box::pin(nested(depth - 1, waits)));
            return inner.await.expect("it is not late");
        }
        let begin = Instant::now();
        for _ in 0..waits {
            wake_self().await;
        }
        begin.elapsed().as_nanos() as f64 / f64::from(waits)
    }
    let in_task = move || in_task(nested(depth, waits(depth)));
    // Each level has a frame for its poll.
    let thread = thread::Builder::new().stack_size(LEAST_STACK + depth * LEVEL);
    let thread = thread.spawn(in_task).expect("a thread can be started");
    thread.join().expect("the task does not panic")
}

#[cfg(unix)]
mod descriptor {
    use std::cell::Cell;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::time::Instant;

    use switchback::{Events, Hub, yield_now};
    use tokio::task::{self, spawn_local};

    use crate::worlds::{in_fiber, in_task};

    /// A socket that can be written to, and its peer.
    fn writable() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a socket can be made");
        near.set_nonblocking(true).expect("it is a socket");
        (near, far)
    }

    pub(super) fn callbacks(count: usize) -> f64 {
        in_fiber(move || {
            let (near, _far) = writable();
            let hub = Hub::current();
            let called = Rc::new(Cell::new(0));
            let begin = Instant::now();
            let add = |_| {
                let called = called.clone();
                let callback = move |_, _| called.set(called.get() + 1);
                let added = hub.poll().add(near.as_raw_fd(), Events::WRITABLE, callback);
                added.expect("a socket can be polled")
            };
            let handles: Vec<_> = (0..count).map(add).collect();
            while called.get() < count {
                yield_now().wait();
            }
            for handle in &handles {
                assert!(hub.poll().remove(handle));
            }
            begin.elapsed().as_nanos() as f64 / count as f64
        })
    }

    pub(super) fn tasks(count: usize) -> f64 {
        in_task(async move {
            let (near, _far) = writable();
            let near = tokio::net::UnixStream::from_std(near);
            let near = Rc::new(near.expect("a socket can be polled"));
            let begin = Instant::now();
            let wait = |_| {
                let near = near.clone();
                spawn_local(async move {
                    let ready = near.writable().await;
                    ready.expect("the socket is open");
                })
            };
            let tasks: Vec<_> = (0..count).map(wait).collect();
            task::yield_now().await;
            for task in tasks {
                task.await.expect("the task does not panic");
            }
            begin.elapsed().as_nanos() as f64 / count as f64
        })
    }
}
