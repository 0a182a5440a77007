//! The processor time that `explore` takes for a schedule.
//!
//! Run with: `cargo bench --features test-util --bench schedules`. On Linux this is the time of the
//! thread; elsewhere it is the time that passes, for which the machine has to be idle.

use std::fs;
use std::time::{Duration, Instant};

use switchback::testing::Explorer;
use switchback::{prelude::*, sleep, spawn, yield_now};
use tokio::sync::mpsc;

/// Schedules in a round, and rounds.
const SCHEDULES: u64 = 1000;
const ROUNDS: usize = 9;

const PROGRAMS: [(&str, fn(), u64); 3] = [
    ("nothing", || (), 30),
    ("5 fibers, 20 yields each", yields, 50),
    ("5 fibers, channels and sleeps", channels, 100),
];

fn main() {
    println!("microseconds of processor time for each schedule, and what they should not exceed");
    for (name, program, most) in PROGRAMS {
        let mut rounds: Vec<_> = (0..ROUNDS).map(|round| measure(program, round)).collect();
        rounds.sort_unstable();
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0 / SCHEDULES as f64;
        println!(
            "{name:32} {:6.1} (least {:.1}, most {:.1})  {most}",
            micros(rounds[ROUNDS / 2]),
            micros(rounds[0]),
            micros(rounds[ROUNDS - 1]),
        );
    }
}

fn measure(program: fn(), round: usize) -> Duration {
    let explorer = Explorer::new()
        .schedules(SCHEDULES)
        .seed(round as u64 * SCHEDULES);
    let before = thread_time();
    explorer.run(program).assert_passed();
    thread_time() - before
}

fn yields() {
    let fibers = [(); 5].map(|()| spawn(|| (0..20).for_each(|_| yield_now().wait())));
    fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
}

/// Two fibers send, two pass on, and one receives.
fn channels() {
    let (sender, mut receiver) = mpsc::channel(1);
    for n in 0..2 {
        let (first, mut second) = mpsc::channel(1);
        let sender = sender.clone();
        spawn(move || {
            for i in 0..5 {
                sleep(Duration::from_millis(1 + n)).wait();
                first.send(i).wait().unwrap();
            }
        });
        spawn(move || {
            while let Some(i) = second.recv().wait() {
                sender.send(i).wait().unwrap();
            }
        });
    }
    drop(sender);
    let sum = spawn(move || std::iter::from_fn(|| receiver.recv().wait()).sum::<i32>());
    assert_eq!(sum.wait().unwrap(), 20);
}

/// The processor time that this thread has taken.
fn thread_time() -> Duration {
    thread_local! {
        static START: Instant = Instant::now();
    }
    let stat = fs::read_to_string("/proc/thread-self/schedstat");
    let nanos = stat
        .ok()
        .and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.with(Instant::elapsed), Duration::from_nanos)
}
