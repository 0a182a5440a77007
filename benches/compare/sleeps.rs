//! Rows `sleep-...`: fibers or tasks sleep at once. The figure is the processor time for each
//! sleep, from before the first of them is spawned until the last is joined.
//!
//! In `sleep-1000`, a thousand sleep a hundred times each, between 1 and 10 ms, so that spawns and
//! joins do not count for much. In `sleep-warm` and `sleep-cold`, a hundred thousand sleep once,
//! between 1 and 100 ms.
//!
//! In the first two, all of them have slept once before, on a hub that keeps their stacks. In
//! `sleep-cold` they are the first on a hub with default settings, which has to get their
//! stacks from the system and gives most of them back.

use std::time::Duration;

use switchback::{Hub, prelude::*};
use tokio::task::spawn_local;

use crate::rounds::{Column, Row, Unit};
use crate::system::thread_cpu_time;
use crate::worlds::{in_hub, in_task};

pub(crate) fn rows() -> [Row; 3] {
    let again = Load {
        sleepers: 1_000,
        times: 100,
        most: 10,
        is_warm: true,
    };
    let once = Load {
        sleepers: 100_000,
        times: 1,
        most: 100,
        is_warm: true,
    };
    let cold = Load {
        is_warm: false,
        ..once
    };
    let row = |name, load: Load| {
        Row::new(name, Unit::Less("CPU µs per sleep"))
            .column(Column::Switchback, move || fibers(load))
            .column(Column::TokioTasks, move || tasks(load))
    };
    [
        row("sleep-1000", again),
        row("sleep-warm", once).rounds(5),
        row("sleep-cold", cold).rounds(5),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Load {
    sleepers: u64,
    /// How often each of them sleeps.
    times: u64,
    /// How long they sleep, at most, in milliseconds.
    most: u64,
    /// Whether as many have slept once before.
    is_warm: bool,
}

impl Load {
    /// Returns how long number `n` sleeps the next time: random, but the same for all columns.
    fn pause(self, n: u64, time: u64) -> Duration {
        // The output function of SplitMix64, by Steele, Lea and Flood.
        let n = (n + time * self.sleepers).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((n ^ (n >> 31)) % self.most + 1)
    }

    fn micros_per_sleep(self, begin: Duration) -> f64 {
        let sleeps = self.sleepers * self.times;
        (thread_cpu_time() - begin).as_secs_f64() * 1e6 / sleeps as f64
    }
}

fn fibers(load: Load) -> f64 {
    let all_sleep = move |times| {
        let sleep = |n| {
            switchback::spawn(move || {
                for time in 0..times {
                    switchback::sleep(load.pause(n, time)).wait();
                }
            })
        };
        let sleepers: Vec<_> = (0..load.sleepers).map(sleep).collect();
        for mut sleeper in sleepers {
            sleeper.join().wait().expect("the fiber does not panic");
        }
    };
    let mut hub = Hub::builder();
    if load.is_warm {
        hub = hub.max_cached_stacks(load.sleepers as usize);
    }
    in_hub(hub, move || {
        if load.is_warm {
            all_sleep(1);
        }
        let begin = thread_cpu_time();
        all_sleep(load.times);
        load.micros_per_sleep(begin)
    })
}

fn tasks(load: Load) -> f64 {
    let all_sleep = async move |times| {
        let sleep = |n| {
            spawn_local(async move {
                for time in 0..times {
                    tokio::time::sleep(load.pause(n, time)).await;
                }
            })
        };
        let sleepers: Vec<_> = (0..load.sleepers).map(sleep).collect();
        for sleeper in sleepers {
            sleeper.await.expect("the task does not panic");
        }
    };
    in_task(async move {
        if load.is_warm {
            all_sleep(1).await;
        }
        let begin = thread_cpu_time();
        all_sleep(load.times).await;
        load.micros_per_sleep(begin)
    })
}
