//! A million fibers on one thread, all suspended at once, each on a stack of its own
//! with a guard below it; then woken and joined. And a million tokio tasks.
//!
//! Run with: `cargo run --release --example million [FIBERS]`
//!
//! It prints memory and page tables per fiber, the memory mappings of the whole
//! process, and the times: for fibers with the smallest stacks, for a tenth as many
//! with stacks of 1 MiB, the default, and for tasks. Each line comes from a process of
//! its own. The first needs about 5 GiB: where there is less, it makes fewer fibers.
//! (The figures are there on Linux only.)

use std::cell::Cell;
use std::env::{args, current_exe};
use std::fmt::Debug;
use std::fs::read_to_string;
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use switchback::{Builder, prelude::*};
use tokio::runtime::LocalRuntime;
use tokio::sync::Notify;

/// What they wait for, and what they come to.
#[derive(Default)]
struct Gate {
    arrived: Cell<usize>,
    open: Notify,
}

fn main() {
    let arguments: Vec<String> = args().collect();
    let count = arguments
        .get(1)
        .map_or(1_000_000, |n| n.parse().expect("a number"));
    let Some(row) = arguments.get(2) else {
        let room = figure("/proc/meminfo", "MemAvailable:") as usize / 6;
        let count = if room > 0 { count.min(room) } else { count };
        println!(
            "what             count   create   memory each  page tables each  mappings     wake"
        );
        for (row, count) in [("64K", count), ("1M", count / 10), ("tasks", count)] {
            let mut child = Command::new(current_exe().expect("this program has a path"));
            let ended = child.args([&count.to_string(), row]).status();
            assert!(ended.expect("it can be run").success());
        }
        return;
    };
    let runtime = LocalRuntime::new().expect("a runtime can be made");
    match row.as_str() {
        "64K" => runtime.block_on(measure("fibers, 64 KiB", count, |g, n| {
            fiber(g, n, 64 << 10)
        })),
        "1M" => runtime.block_on(measure("fibers, 1 MiB", count, |g, n| fiber(g, n, 1 << 20))),
        _ => runtime.block_on(measure("tasks", count, task)),
    }
}

fn fiber(gate: Rc<Gate>, number: usize, stack_size: usize) -> switchback::Fiber<usize> {
    let fiber = Builder::new().stack_size(stack_size).spawn(move || {
        gate.arrived.set(gate.arrived.get() + 1);
        gate.open.notified().wait();
        number
    });
    fiber.expect("there is room for one more stack")
}

fn task(gate: Rc<Gate>, number: usize) -> tokio::task::JoinHandle<usize> {
    tokio::task::spawn_local(async move {
        gate.arrived.set(gate.arrived.get() + 1);
        gate.open.notified().await;
        number
    })
}

async fn measure<J, E: Debug>(what: &str, count: usize, spawn: impl Fn(Rc<Gate>, usize) -> J)
where
    J: Future<Output = Result<usize, E>>,
{
    let memory = || ["VmRSS:", "VmPTE:"].map(|name| figure("/proc/self/status", name));
    let (before, begin) = (memory(), Instant::now());
    let gate = Rc::new(Gate::default());
    let all: Vec<J> = (0..count)
        .map(|number| spawn(gate.clone(), number))
        .collect();
    while gate.arrived.get() < count {
        tokio::task::yield_now().await;
    }
    let (created, now) = (begin.elapsed(), memory());
    let mappings = read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    let [resident, tables] = [0, 1].map(|i| (now[i] - before[i]) / count as f64);
    let begin = Instant::now();
    gate.open.notify_waiters();
    let mut sum = 0;
    for one in all {
        sum += one.await.expect("it is neither cancelled nor panics");
    }
    let woken = begin.elapsed();
    assert_eq!(sum, count * (count - 1) / 2, "each has run, once");
    println!(
        "{what:<14} {count:>7} {created:>8.2?} {resident:>9.2} KiB {tables:>13.2} KiB \
         {mappings:>9} {woken:>8.2?}"
    );
}

/// A line of a file of Linux's, in KiB; 0 elsewhere.
fn figure(path: &str, name: &str) -> f64 {
    let text = read_to_string(path).unwrap_or_default();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    value
        .split_whitespace()
        .next()
        .map_or(0.0, |n| n.parse().unwrap_or(0.0))
}
