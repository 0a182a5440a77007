//! Random products of everything that fibers can do and that can be done to them,
//! with every object counted.
//!
//! Each seed is a program for a hub on the virtual clock; the same seed gives the
//! same trace. The driver runs in a child process, so that an abort or a hang is
//! a failure with a seed, and so that the warnings about leaked stacks can be
//! counted against its books.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SWITCHBACK_STRESS_SEED` | the first seed | 1 |
//! | `SWITCHBACK_STRESS_SEEDS` | how many seeds | 24 |
//! | `SWITCHBACK_STRESS_OPS` | operations per seed | 5000 |
//!
//! The full size is `SWITCHBACK_STRESS_SEEDS=100 SWITCHBACK_STRESS_OPS=10000`.

mod ends;
mod floods;
mod forgotten;
mod helper;
// `tests/faults` uses more of it.
#[allow(dead_code)]
#[path = "../support/hostile.rs"]
mod hostile;
mod ledger;
mod program;
mod round;
#[allow(dead_code)]
#[path = "../support/runner.rs"]
mod runner;
mod runtimes;
mod show;
mod tally;
mod wakers;
mod world;

use std::cell::RefCell;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use helper::Helper;
use ledger::{Payload, lock};
use show::Shows;
use tally::Tally;
use wakers::Meant;
use world::splitmix;

/// Real time without a word from the child after which it counts as hung. Only
/// a busy loop or a thread that is blocked gets there: see `round::PATIENCE`.
const SILENCE: Duration = Duration::from_secs(60);

/// Operations of a round, about.
const ROUND: u32 = 120;

/// From this many operations on, everything must have been hit.
const FULL: u64 = 100_000;

fn variable(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    }
}

/// The test that the child process is started with.
const CHILD_TEST: &str = "random_products_leak_nothing_and_lose_no_wake";

#[test]
fn random_products_leak_nothing_and_lose_no_wake() {
    if env::var_os("SWITCHBACK_STRESS_CHILD").is_some() {
        return child();
    }
    let seed = variable("SWITCHBACK_STRESS_SEED", 1);
    let seeds = variable("SWITCHBACK_STRESS_SEEDS", 24);
    let operations = variable("SWITCHBACK_STRESS_OPS", 5000);
    let report = run_child(seed, seeds, operations);
    println!("{}", report.tally);
    println!("trace {}", report.trace);
    // With this feature, warnings go to whoever subscribes to them.
    if cfg!(not(feature = "tracing")) {
        assert_eq!(
            report.warnings, report.abandoned,
            "as many warnings about leaked stacks as stacks that were abandoned"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = run_child(7, 1, 2000);
    let second = run_child(7, 1, 2000);
    assert_eq!(first.trace, second.trace);
    let other = run_child(8, 1, 2000);
    assert_ne!(first.trace, other.trace);
}

/// What the child says of itself, and what its stderr says of it.
#[derive(Default)]
struct Report {
    tally: String,
    trace: String,
    abandoned: u64,
    warnings: u64,
}

fn run_child(seed: u64, seeds: u64, operations: u64) -> Report {
    let mut child = runner::this_program()
        .args(["--exact", CHILD_TEST, "--nocapture"])
        .env("SWITCHBACK_STRESS_CHILD", "1")
        .env("SWITCHBACK_STRESS_SEED", seed.to_string())
        .env("SWITCHBACK_STRESS_SEEDS", seeds.to_string())
        .env("SWITCHBACK_STRESS_OPS", operations.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let stderr = child.stderr.take().expect("it is piped");
    let complaints = thread::spawn(move || {
        let mut warnings = 0;
        let mut others = Vec::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.contains("its stack is leaked") {
                warnings += 1;
            } else if !line.contains("and nobody joins it") {
                others.push(line);
            }
        }
        (warnings, others)
    });
    let stdout = child.stdout.take().expect("it is piped");
    let (tell, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let mut report = Report::default();
    let mut at = seed;
    let mut hung = false;
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => match line.split_once(' ') {
                Some(("seed", n)) => at = n.parse().expect("a seed"),
                Some(("trace", trace)) => report.trace = trace.into(),
                Some(("abandoned", n)) => report.abandoned = n.parse().expect("a number"),
                Some(("tally", text)) => {
                    report.tally.push_str(text);
                    report.tally.push('\n');
                }
                _ => {}
            },
            Err(RecvTimeoutError::Timeout) => {
                hung = true;
                let _ = child.kill();
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().expect("the child ends");
    let (warnings, others) = complaints.join().expect("the reader ends");
    report.warnings = warnings;
    assert!(
        status.success() && !hung,
        "seed {at} failed ({}); again with\n    SWITCHBACK_STRESS_SEED={at} \
         SWITCHBACK_STRESS_SEEDS=1 SWITCHBACK_STRESS_OPS={operations} cargo test --test stress \
         random\n{}",
        if hung {
            "it hangs".into()
        } else {
            status.to_string()
        },
        others.join("\n"),
    );
    report
}

/// Panics that neither the driver nor the library meant.
static UNEXPECTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the library panics with by design in what the driver does.
const EXPECTED: &[&str] = &[
    "a scoped fiber panicked",
    "the hub is closed",
    "the body of a bridge cannot go on",
    // A bridge in a task that is dropped with its runtime.
    "this thread does not drive the runtime",
    "there is no tokio runtime here",
    // What is called in the destructor of a thread-local.
    "the thread is ending",
    "its thread is ending",
    "thread-local variable has been destroyed",
    "was called on a plain thread",
    // A waker that is called by tokio's scheduler and asks it something.
    "RefCell already borrowed",
    wakers::JOINS_ITSELF,
];

/// What the child process does.
fn child() {
    let first = variable("SWITCHBACK_STRESS_SEED", 1);
    let seeds = variable("SWITCHBACK_STRESS_SEEDS", 1);
    let operations = variable("SWITCHBACK_STRESS_OPS", 5000);
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        if payload.is::<Payload>() || payload.is::<Meant>() {
            return;
        }
        let text = info.to_string();
        let is_expected = EXPECTED.iter().any(|expected| text.contains(expected));
        if !is_expected && !runtimes::is_refusal(&text) {
            lock(&UNEXPECTED).push(text);
        }
    }));
    let mut total = Tally::new();
    let mut trace = 0_u64;
    for seed in first..first + seeds {
        println!("seed {seed}");
        let (tally, hash, mut faults) = run_seed(seed, operations);
        total.add(&tally);
        trace = trace.rotate_left(5) ^ hash;
        faults.append(&mut lock(&UNEXPECTED));
        if !faults.is_empty() {
            eprintln!("seed {seed}:");
            faults
                .iter()
                .take(20)
                .for_each(|fault| eprintln!("  {fault}"));
            std::process::exit(3);
        }
    }
    total
        .to_string()
        .lines()
        .for_each(|line| println!("tally {line}"));
    println!("trace {trace:016x}");
    println!("abandoned {}", total.abandoned);
    if total.operations >= FULL {
        let missed = total.missed(1);
        if !missed.is_empty() {
            eprintln!("never hit: {missed:?}");
            std::process::exit(4);
        }
    }
}

/// Plays rounds until the operations are used up. A thread with a stack that was
/// abandoned while it unwound counts as panicking for ever, which changes the
/// rules there: then another thread goes on.
fn run_seed(seed: u64, operations: u64) -> (Tally, u64, Vec<String>) {
    let mut state = seed;
    let mut total = Tally::new();
    let mut trace = 0_u64;
    while total.operations < operations {
        let left = operations - total.operations;
        let mut draw = splitmix(&mut state);
        let run = move || {
            let tally = Rc::new(RefCell::new(Tally::new()));
            let helper = Rc::new(Helper::start());
            let shows = Rc::new(Shows::default());
            let mut trace = 0_u64;
            loop {
                let outcome = round::play(splitmix(&mut draw), ROUND, &tally, &helper, &shows);
                trace = trace.rotate_left(5) ^ outcome.trace;
                let done = tally.borrow().operations >= left;
                if done || !outcome.faults.is_empty() || thread::panicking() {
                    helper.stop();
                    let mut tally = tally.borrow().clone();
                    let mut faults = outcome.faults;
                    faults.append(&mut shows.finish(&mut tally));
                    return (tally, trace, faults);
                }
            }
        };
        let thread = thread::Builder::new().name("stress".into()).spawn(run);
        let ended = thread.expect("a thread starts").join();
        let (tally, hash, faults) = match ended {
            Ok(ended) => ended,
            Err(payload) => {
                let what = match payload.is::<Meant>() {
                    true => "a hostile waker",
                    false => runtimes::text(&*payload),
                };
                let fault = format!("the thread of the hub panicked: {what}");
                return (total, trace, vec![fault]);
            }
        };
        total.add(&tally);
        total.threads += 1;
        trace = trace.rotate_left(5) ^ hash;
        if !faults.is_empty() {
            return (total, trace, faults);
        }
    }
    (total, trace, Vec::new())
}
