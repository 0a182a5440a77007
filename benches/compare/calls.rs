//! Rows `calls-...`: ten thousand calls at once of blocking code that waits for a
//! millisecond three times, as an old client does for three answers.
//!
//! The calls run as fibers on a pool of two hubs, and on the 512 threads of tokio's
//! blocking pool. Each sample is a process of its own. Its memory and processor time are
//! read at the end, and include its start.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use switchback::{HubPool, prelude::*, sleep};
use tokio::task::spawn_blocking;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::in_multi_thread_task;

/// The number of calls at once.
const CALLS: u32 = 10_000;
/// How often a sample repeats them all, because the system counts processor time in ticks
/// of ten milliseconds.
const TIMES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(1);

/// The environment variable that makes the process a sample, and says which one.
const SAMPLE: &str = "SWITCHBACK_BENCH_LEGACY";
const FIBERS: &str = "fibers";
const THREADS: &str = "threads";

pub(crate) fn rows() -> [Row; 3] {
    let row = |name, unit, figure: fn(Sample) -> f64| {
        Row::new(name, unit)
            .column(Column::Switchback, move || figure(Sample::run(FIBERS)))
            .column(Column::SpawnBlocking, move || figure(Sample::run(THREADS)))
    };
    [
        row("calls-rate", Unit::PerSecond("calls"), |s| {
            s.calls_per_second
        }),
        row("calls-memory", Unit::Less("MiB at the peak"), |s| {
            s.peak_mib
        }),
        row("calls-cpu", Unit::Less("CPU µs per call"), |s| {
            s.cpu_micros
        }),
    ]
}

/// The figures of a process.
#[derive(Clone, Copy, Debug)]
struct Sample {
    calls_per_second: f64,
    peak_mib: f64,
    cpu_micros: f64,
}

impl Sample {
    fn run(which: &str) -> Sample {
        let program = env::current_exe().expect("this program has a file");
        let output = Command::new(program).env(SAMPLE, which).output();
        let output = output.expect("the sample can be started");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
        let [calls_per_second, peak_mib, cpu_micros] = figures[..] else {
            panic!("a sample prints three figures: {output:?}");
        };
        Sample {
            calls_per_second,
            peak_mib,
            cpu_micros,
        }
    }
}

/// Returns whether the process is a sample. If so, it has done its work now.
pub(crate) fn is_sample() -> bool {
    let Ok(which) = env::var(SAMPLE) else {
        return false;
    };
    let seconds = match which.as_str() {
        FIBERS => in_fibers(),
        _ => in_threads(),
    };
    let calls = f64::from(CALLS * TIMES);
    println!(
        "{} {} {}",
        calls / seconds,
        peak_kib() / 1024.0,
        cpu_seconds() * 1e6 / calls,
    );
    true
}

fn in_fibers() -> f64 {
    let pool = HubPool::new(2).expect("threads can be started");
    in_multi_thread_task(async move {
        let begin = Instant::now();
        for _ in 0..TIMES {
            let call = || (0..3).for_each(|_| sleep(PAUSE).wait());
            let calls = (0..CALLS).map(|_| pool.spawn(call).expect("the pool is open"));
            for call in calls.collect::<Vec<_>>() {
                call.await.expect("the call does not panic");
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        pool.close().await;
        seconds
    })
}

fn in_threads() -> f64 {
    in_multi_thread_task(async {
        let begin = Instant::now();
        for _ in 0..TIMES {
            let call = || (0..3).for_each(|_| thread::sleep(PAUSE));
            let calls = (0..CALLS).map(|_| spawn_blocking(call));
            for call in calls.collect::<Vec<_>>() {
                call.await.expect("the call does not panic");
            }
        }
        begin.elapsed().as_secs_f64()
    })
}

/// Returns the peak memory of the process, as reported by Linux. It counts resident pages,
/// but neither page tables nor the kernel's stacks of its threads.
fn peak_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(f64::NAN)
}

/// Returns the processor time of all threads so far, as reported by Linux.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may contain any character.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.flat_map(str::parse::<f64>).sum();
    ticks / TICKS_PER_SECOND
}
