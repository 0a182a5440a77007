//! The end of everything in every order: a pool, a handle to one of its hubs, the
//! fibers on it, and a multi-thread runtime that awaits some of them.
//!
//! Each case is a child process of its own, with a watchdog in it that says where
//! it hangs and aborts it. In the end nothing is left: every object that the
//! fibers had was dropped, and every thread is gone.
#![cfg(target_os = "linux")]

use std::fs;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchback::{
    Fiber, HubHandle, HubPool, blocking, catch_cancel, prelude::*, scope, shield, sleep, yield_now,
};
use tokio::runtime::Runtime;

use crate::support::ending::Count;
use crate::support::{
    Drops, OnDrop, Token, assert_panics, in_children, ms, multi_thread_runtime, threads,
};

/// What is ended, in one of 24 orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Pool,
    Handle,
    Fibers,
    Runtime,
}

const PARTS: [Part; 4] = [Part::Pool, Part::Handle, Part::Fibers, Part::Runtime];

/// How the pool is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Drop,
    CloseOnThread,
    CloseInTime,
    CloseInTask,
    CloseInOtherHub,
    /// A fiber of the pool has the last of it, may not wait for its close, and drops it.
    DropInFiber,
}

const WAYS: [Way; 6] = [
    Way::Drop,
    Way::CloseOnThread,
    Way::CloseInTime,
    Way::CloseInTask,
    Way::CloseInOtherHub,
    Way::DropInFiber,
];

#[derive(Clone, Copy, Debug)]
struct Case {
    order: [Part; 4],
    way: Way,
    /// Whether all fibers have begun before the end does.
    settled: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for order in orders() {
        for way in WAYS {
            for settled in [false, true] {
                cases.push(Case {
                    order,
                    way,
                    settled,
                });
            }
        }
    }
    cases
}

fn orders() -> Vec<[Part; 4]> {
    let mut orders = Vec::new();
    for a in PARTS {
        for b in PARTS {
            for c in PARTS {
                for d in PARTS {
                    let order = [a, b, c, d];
                    if PARTS.iter().all(|part| order.contains(part)) {
                        orders.push(order);
                    }
                }
            }
        }
    }
    orders
}

#[test]
fn nothing_hangs_or_leaks_in_whatever_order_it_ends() {
    let cases = cases();
    assert_eq!(cases.len(), 24 * 6 * 2);
    let Some(children) = in_children(cases.len(), |case| run(cases[case])) else {
        return;
    };
    let failed: Vec<_> = cases
        .iter()
        .zip(&children)
        .filter(|(_, child)| !child.status.success())
        .collect();
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
}

/// Says where the process is, and ends it if it stays there.
#[derive(Clone)]
struct Watchdog(Arc<Mutex<String>>);

impl Watchdog {
    /// Shorter than the patience of the parent process.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn new(case: Case) -> Watchdog {
        let place = Arc::new(Mutex::new(String::new()));
        let at = place.clone();
        let watch = move || {
            thread::sleep(Watchdog::PATIENCE);
            eprintln!("{case:?} hangs at: {}", at.lock().unwrap());
            for task in fs::read_dir("/proc/self/task").unwrap() {
                let read = |file| fs::read_to_string(task.as_ref().unwrap().path().join(file));
                let status = read("status").unwrap_or_default();
                let state = status.lines().find(|line| line.starts_with("State"));
                let name = read("comm").unwrap_or_default();
                let waits_in = read("wchan").unwrap_or_default();
                eprintln!("  {} {state:?} {waits_in}", name.trim_end());
            }
            std::process::abort();
        };
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(watch)
            .unwrap();
        Watchdog(place)
    }

    fn at(&self, place: impl Into<String>) {
        *self.0.lock().unwrap() = place.into();
    }
}

/// Counts what the fibers have.
#[derive(Clone, Default)]
struct Ledger {
    made: Count,
    drops: Drops,
    begun: Count,
}

impl Ledger {
    fn token(&self) -> Token {
        self.made.add();
        self.drops.token()
    }
}

/// A fiber that does one of the things that fibers do, until it is told to end.
fn occupation(kind: usize, ledger: &Ledger, other: HubHandle) -> impl FnOnce() + Send + 'static {
    let (token, inner) = (ledger.token(), ledger.token());
    let ledger = ledger.clone();
    move || {
        let _token = token;
        ledger.begun.add();
        match kind {
            0 => pending().wait(),
            1 => loop {
                yield_now().wait();
            },
            2 => {
                let _waits = OnDrop(|| sleep(ms(2)).wait());
                pending().wait()
            }
            3 => loop {
                let held = ledger.token();
                let job = blocking(move || {
                    thread::sleep(ms(1));
                    held
                });
                drop(job.wait());
            },
            4 => {
                let child = other.spawn(move || {
                    let _inner = inner;
                    pending::<()>().wait();
                });
                if let Ok(mut child) = child {
                    let _ = child.join().wait();
                }
            }
            5 => {
                for _ in 0..3 {
                    let caught = catch_cancel(|| pending::<()>().wait());
                    assert!(caught.is_err());
                }
            }
            6 => {
                shield(|| sleep(ms(2)).wait());
                pending().wait()
            }
            7 => {
                let task = tokio::task::spawn_local(async move {
                    let _inner = inner;
                    pending::<()>().await;
                });
                task.wait().unwrap();
            }
            8 => scope(|s| {
                s.spawn(|| {
                    let _inner = &inner;
                    pending::<()>().wait();
                });
            }),
            _ => {}
        }
    }
}

const KINDS: usize = 10;

struct World {
    watchdog: Watchdog,
    case: Case,
    ledger: Ledger,
    pool: Option<HubPool>,
    /// Whether the end of the pool has begun, and whether it was waited for.
    ended: Option<bool>,
    handle: Option<HubHandle>,
    fibers: Vec<Fiber<()>>,
    runtime: Option<Runtime>,
}

fn run(case: Case) {
    let watchdog = Watchdog::new(case);
    // The thread that keeps the time for plain threads stays.
    sleep(ms(1)).wait();
    let before = threads::names().len();

    watchdog.at("the start");
    let mut world = World::new(case, watchdog.clone());
    for part in case.order {
        watchdog.at(format!("the end of {part:?}"));
        match part {
            Part::Pool => world.end_pool(),
            Part::Handle => world.end_handle(),
            Part::Fibers => world.end_fibers(),
            Part::Runtime => world.end_runtime(),
        }
    }
    let Ledger { made, drops, .. } = &world.ledger;
    while made.get() != drops.count() {
        watchdog.at(format!("{} of {} drops", drops.count(), made.get()));
        thread::yield_now();
    }
    while threads::names().len() != before {
        watchdog.at(format!("threads: {:?}, {before} before", threads::names()));
        thread::yield_now();
    }
    // Nothing was made or dropped since.
    assert_eq!(made.get(), drops.count());
}

impl World {
    fn new(case: Case, watchdog: Watchdog) -> World {
        let ledger = Ledger::default();
        let pool = HubPool::new(2).unwrap();
        let runtime = multi_thread_runtime();
        let mut fibers = Vec::new();
        for kind in 0..KINDS {
            for (hub, other) in [(0, 1), (1, 0)] {
                let handle = |number| pool.handles().nth(number).unwrap().clone();
                let spawn = || {
                    let f = occupation(kind, &ledger, handle(other));
                    handle(hub).spawn(f).unwrap()
                };
                fibers.push(spawn());
                let (fiber, token) = (spawn(), ledger.token());
                runtime.spawn(async move {
                    let _token = token;
                    let _ = fiber.await;
                });
            }
        }
        // More than a hub starts in one turn.
        for _ in 0..200 {
            let token = ledger.token();
            drop(pool.spawn(move || {
                let _token = token;
                pending::<()>().wait();
            }));
        }
        // It spawns as long as it may.
        let first = pool.handles().next().unwrap().clone();
        let (handle, token) = (first.clone(), ledger.token());
        let spawned = ledger.clone();
        runtime.spawn(async move {
            let _token = token;
            loop {
                let token = spawned.token();
                match handle.spawn(move || drop(token)) {
                    Ok(fiber) => drop(fiber.await),
                    Err(_) => break,
                }
            }
        });
        if case.settled {
            while ledger.begun.get() < 4 * KINDS {
                thread::yield_now();
            }
        }
        World {
            watchdog,
            case,
            ledger,
            handle: Some(first),
            pool: Some(pool),
            ended: None,
            fibers,
            runtime: Some(runtime),
        }
    }

    fn end_pool(&mut self) {
        let pool = self.pool.take().unwrap();
        match self.case.way {
            Way::Drop => drop(pool),
            Way::CloseOnThread => pool.close().wait(),
            Way::CloseInTime => pool.close_within(Duration::from_secs(3600)).wait().unwrap(),
            Way::CloseInTask => match &self.runtime {
                Some(runtime) => {
                    let task = runtime.spawn(async move { pool.close().await });
                    runtime.block_on(task).unwrap();
                }
                None => multi_thread_runtime().block_on(pool.close()),
            },
            Way::CloseInOtherHub => {
                let other = HubPool::new(1).unwrap();
                let fiber = other.spawn(move || pool.close().wait());
                fiber.unwrap().join().wait().unwrap();
                other.close().wait();
            }
            Way::DropInFiber => {
                let hub = pool.handles().nth(1).unwrap().clone();
                let fiber = hub.spawn(move || {
                    assert_panics(WAITS_FOR_ITSELF, || pool.close());
                    drop(pool);
                    pending::<()>().wait();
                });
                let ended = fiber.unwrap().join().wait();
                assert!(ended.unwrap_err().is_cancelled());
            }
        }
        self.ended = Some(!matches!(self.case.way, Way::Drop | Way::DropInFiber));
    }

    /// The handle is used once more before it goes.
    fn end_handle(&mut self) {
        let handle = self.handle.take().unwrap();
        let token = self.ledger.token();
        let spawned = handle.spawn(move || {
            let _token = token;
            yield_now().wait();
        });
        match (spawned, self.ended) {
            (Ok(mut fiber), ended) => {
                assert_ne!(ended, Some(true), "a hub that has ended takes fibers");
                let joined = fiber.join().wait();
                assert!(ended.is_some() || joined.is_ok());
            }
            (Err(_), ended) => assert!(ended.is_some(), "an open hub takes no fibers"),
        }
        handle.close().wait();
        assert!(handle.is_closed());
    }

    /// Fibers that nobody has told to end are cancelled, or detached.
    fn end_fibers(&mut self) {
        for (number, mut fiber) in self.fibers.drain(..).enumerate() {
            self.watchdog.at(format!("fiber {number}: {fiber:?}"));
            // As often as it catches.
            let mut cancels = 0;
            // The handle is that of the first hub.
            let told = self.ended.is_some() || (self.handle.is_none() && number % 2 == 0);
            if !told && number % 3 == 0 {
                continue;
            }
            while !told && fiber.cancel() && cancels < 4 {
                cancels += 1;
                let _ = fiber.join().wait_timeout(ms(20));
            }
            if told {
                let _ = fiber.join().wait();
                assert!(!fiber.is_alive());
            }
        }
    }

    fn end_runtime(&mut self) {
        drop(self.runtime.take());
    }
}

const WAITS_FOR_ITSELF: &str = "a fiber cannot wait for the end of its own hub's thread: it would \
                                wait for itself; close it from outside, or begin the close by \
                                dropping the `HubThread` or `HubPool`";
