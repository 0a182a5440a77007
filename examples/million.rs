//! A million fibers on one thread, suspended at once, each on a stack with a guard. They
//! are then woken and joined. The same is done with as many tokio tasks.
//!
//! Run with: `cargo run --release --example million [FIBERS]`
//!
//! Each line is from a process of its own: fibers with the smallest stacks, a tenth as many
//! with 1 MiB each, and tasks. "each" is memory and "tables" is page tables, per fiber; the
//! mappings are those of the process. The program needs 5 GiB; with less, it creates fewer
//! fibers. (These figures exist only on Linux.)

use std::cell::Cell;
use std::env::{args, current_exe};
use std::fmt::Debug;
use std::fs::read_to_string;
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use switchback::{Builder, Fiber, prelude::*};
use tokio::runtime::LocalRuntime;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local, yield_now};

/// The event that all wait for, and the number of waiters.
#[derive(Default)]
struct Gate {
    arrived: Cell<usize>,
    open: Notify,
}

fn main() {
    let wanted = args().nth(1).map_or(1_000_000, |n| n.parse().unwrap());
    if let Some(what) = args().nth(2) {
        let runtime = LocalRuntime::new().unwrap();
        return match &*what {
            "64 KiB" => runtime.block_on(run(&what, wanted, |g, n| fiber(g, n, 64 << 10))),
            "1 MiB" => runtime.block_on(run(&what, wanted, |g, n| fiber(g, n, 1 << 20))),
            _ => runtime.block_on(run(&what, wanted, task)),
        };
    }
    let room = figure("/proc/meminfo", "MemAvailable:") / 6;
    let count = if room > 0 { wanted.min(room) } else { wanted };
    println!("what      count    create   each, KiB  tables, KiB  mappings    joined");
    for (what, count) in [("64 KiB", count), ("1 MiB", count / 10), ("tasks", count)] {
        let mut child = Command::new(current_exe().unwrap());
        let child = child.args([&count.to_string(), what]);
        assert!(child.status().unwrap().success());
    }
}

fn fiber(gate: Rc<Gate>, number: usize, stack_size: usize) -> Fiber<usize> {
    let fiber = Builder::new().stack_size(stack_size).spawn(move || {
        gate.arrived.set(gate.arrived.get() + 1);
        gate.open.notified().wait();
        number
    });
    fiber.unwrap()
}

fn task(gate: Rc<Gate>, number: usize) -> JoinHandle<usize> {
    spawn_local(async move {
        gate.arrived.set(gate.arrived.get() + 1);
        gate.open.notified().await;
        number
    })
}

async fn run<J, E: Debug>(what: &str, count: usize, spawn: impl Fn(Rc<Gate>, usize) -> J)
where
    J: Future<Output = Result<usize, E>>,
{
    let memory = || ["VmRSS:", "VmPTE:"].map(|name| figure("/proc/self/status", name));
    let (before, begin) = (memory(), Instant::now());
    let gate = Rc::new(Gate::default());
    let all: Vec<J> = (0..count).map(|n| spawn(gate.clone(), n)).collect();
    while gate.arrived.get() < count {
        yield_now().await;
    }
    let (created, now, begin) = (begin.elapsed(), memory(), Instant::now());
    let mappings = read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    let [each, tables] = [0, 1].map(|i| now[i].saturating_sub(before[i]) as f64 / count as f64);
    gate.open.notify_waiters();
    let mut sum = 0;
    for one in all {
        sum += one.await.unwrap();
    }
    assert_eq!(sum, (0..count).sum(), "each has run, once");
    let joined = begin.elapsed();
    print!("{what:<7}{count:>8}{created:>10.2?}{each:>12.2}");
    println!("{tables:>13.2}{mappings:>10}{joined:>10.2?}");
}

/// Returns a figure from a file of Linux, or 0 where there is none.
fn figure(path: &str, name: &str) -> usize {
    let text = read_to_string(path).unwrap_or_default();
    let mut words = text.split_whitespace().skip_while(|word| *word != name);
    words.nth(1).map_or(0, |number| number.parse().unwrap())
}
