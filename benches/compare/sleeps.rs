//! Rows `sleep-warm` and `sleep-cold`: a hundred thousand fibers or tasks sleep at once,
//! each for some time between 1 and 100 ms. The figure is the processor time, from before
//! the first is spawned until the last is joined.
//!
//! In `sleep-warm` all of them have slept once before, on a hub that keeps their stacks. In
//! `sleep-cold` they are the first on a hub with default settings, which has to get their
//! stacks from the system and gives most of them back.

use std::time::Duration;

use switchback::{Hub, prelude::*};
use tokio::task::spawn_local;

use crate::rounds::{Column, Row, Unit};
use crate::system::thread_cpu_time;
use crate::worlds::{in_hub, in_task};

const SLEEPERS: u64 = 100_000;

pub(crate) fn rows() -> [Row; 2] {
    [("sleep-warm", true), ("sleep-cold", false)].map(|(name, warm)| {
        Row::new(name, Unit::Less("CPU µs per sleep"))
            .rounds(5)
            .column(Column::Switchback, move || fibers(warm))
            .column(Column::TokioTasks, move || tasks(warm))
    })
}

/// Returns how long number `n` sleeps: random, but the same for all columns.
fn pause(n: u64) -> Duration {
    // The output function of SplitMix64, by Steele, Lea and Flood.
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_millis((n ^ (n >> 31)) % 100 + 1)
}

fn fibers(warm: bool) -> f64 {
    let all_sleep = || {
        let sleep = |n| switchback::spawn(move || switchback::sleep(pause(n)).wait());
        let sleepers: Vec<_> = (0..SLEEPERS).map(sleep).collect();
        for mut sleeper in sleepers {
            sleeper.join().wait().expect("the fiber does not panic");
        }
    };
    let mut hub = Hub::builder();
    if warm {
        hub = hub.max_cached_stacks(SLEEPERS as usize);
    }
    in_hub(hub, move || {
        if warm {
            all_sleep();
        }
        let begin = thread_cpu_time();
        all_sleep();
        micros_per_sleep(begin)
    })
}

fn tasks(warm: bool) -> f64 {
    let all_sleep = async || {
        let sleep = |n| spawn_local(tokio::time::sleep(pause(n)));
        let sleepers: Vec<_> = (0..SLEEPERS).map(sleep).collect();
        for sleeper in sleepers {
            sleeper.await.expect("the task does not panic");
        }
    };
    in_task(async move {
        if warm {
            all_sleep().await;
        }
        let begin = thread_cpu_time();
        all_sleep().await;
        micros_per_sleep(begin)
    })
}

fn micros_per_sleep(begin: Duration) -> f64 {
    (thread_cpu_time() - begin).as_secs_f64() * 1e6 / SLEEPERS as f64
}
