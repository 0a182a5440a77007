//! Rows `timer-beside-...`: how late a timer of a millisecond is while eight jobs
//! keep the processors busy on other threads.
//!
//! The timer is in a fiber or in a tokio task, on its own thread. That thread starts the
//! jobs with `blocking` or, in builds with that feature, `compute`; the rival starts them
//! with `spawn_blocking`. Tokio's timers count in whole milliseconds, so a timer is late by
//! up to a millisecond even in `timer-beside-nothing`, with nothing else to do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use switchback::{Offload, blocking, prelude::*, sleep};
use tokio::task::spawn_blocking;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_fiber, in_task};

const JOBS: usize = 8;
/// The number of rounds that each job computes: some tens of milliseconds.
const ROUNDS: u64 = 20_000_000;
const PAUSE: Duration = Duration::from_millis(1);
const SLEEPS: u32 = 40;

pub(crate) fn rows() -> Vec<Row> {
    let row = |name: &str, job: Option<fn() -> Offload<u64>>| {
        Row::new(format!("timer-beside-{name}"), Unit::Less("µs late"))
            .column(Column::Switchback, move || {
                in_fiber(move || in_fiber_beside(job))
            })
            .column(Column::TokioTasks, move || {
                in_task(in_task_beside(if job.is_some() { JOBS } else { 0 }))
            })
    };
    vec![
        row("nothing", None),
        row("blocking", Some(|| blocking(work))),
        #[cfg(feature = "compute")]
        row("compute", Some(|| switchback::compute(work))),
    ]
}

/// Returns the mean lateness, in microseconds.
fn in_fiber_beside(job: Option<fn() -> Offload<u64>>) -> f64 {
    let jobs: Vec<_> = job.map_or_else(Vec::new, |job| (0..JOBS).map(|_| job()).collect());
    let mut late = Duration::ZERO;
    for _ in 0..SLEEPS {
        let begin = Instant::now();
        sleep(PAUSE).wait();
        late += begin.elapsed() - PAUSE;
    }
    for job in jobs {
        black_box(job.wait());
    }
    late.as_secs_f64() * 1e6 / f64::from(SLEEPS)
}

async fn in_task_beside(jobs: usize) -> f64 {
    let jobs: Vec<_> = (0..jobs).map(|_| spawn_blocking(work)).collect();
    let mut late = Duration::ZERO;
    for _ in 0..SLEEPS {
        let begin = Instant::now();
        tokio::time::sleep(PAUSE).await;
        late += begin.elapsed() - PAUSE;
    }
    for job in jobs {
        black_box(job.await.expect("the job does not panic"));
    }
    late.as_secs_f64() * 1e6 / f64::from(SLEEPS)
}

/// A job that only computes.
fn work() -> u64 {
    let mut value = 1_u64;
    for round in 0..ROUNDS {
        value = black_box(value.wrapping_mul(6_364_136_223_846_793_005) ^ round);
    }
    value
}
