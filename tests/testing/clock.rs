//! The virtual clock beside fibers that only give way.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use switchback::testing::Explorer;
use switchback::{Hub, prelude::*, sleep, spawn, with_timeout, yield_now};
use tokio::time::Instant;

use crate::support::{in_paused, ms, watched};

/// One fiber sleeps, the other yields until that has ended.
fn sleeper_beside_loop(duration: Duration) {
    let begin = Instant::now();
    let is_over = Rc::new(Cell::new(false));
    let over = is_over.clone();
    let sleeper = spawn(move || {
        sleep(duration).wait();
        assert_eq!(begin.elapsed(), duration);
        over.set(true);
    });
    while !is_over.get() {
        yield_now().wait();
    }
    sleeper.wait().unwrap();
}

#[test]
fn it_advances_on_a_hub_of_our_own() {
    watched(|| {
        let hub = Hub::builder().start_paused(true);
        hub.run(|| {
            sleeper_beside_loop(ms(10));
            sleeper_beside_loop(Duration::from_secs(3600));
        })
        .unwrap();
    });
}

#[test]
fn it_advances_on_a_runtime_of_tokios() {
    in_paused(|| async {
        spawn(|| sleeper_beside_loop(ms(70))).await.unwrap();
    });
}

#[test]
fn it_advances_under_every_schedule() {
    let report = Explorer::new().schedules(8).run(|| {
        let is_over = Rc::new(Cell::new(false));
        let over = is_over.clone();
        let sleeper = spawn(move || {
            sleep(Duration::from_secs(60)).wait();
            over.set(true);
        });
        while !is_over.get() {
            yield_now().wait();
        }
        sleeper.wait().unwrap();
    });
    assert_eq!(report.failure(), None);
    assert!(report.is_replayable());
}

#[test]
fn it_stands_still_while_fibers_get_on() {
    watched(|| {
        let hub = Hub::builder().start_paused(true);
        hub.run(|| {
            let begin = Instant::now();
            for _ in 0..20_000 {
                spawn(|| ()).wait().unwrap();
                yield_now().wait();
            }
            assert_eq!(begin.elapsed(), Duration::ZERO);
            // A timeout ends a loop that only yields.
            let limit = Duration::from_secs(5);
            with_timeout(limit, || {
                loop {
                    yield_now().wait();
                }
            })
            .unwrap_err();
            assert_eq!(begin.elapsed(), limit);
        })
        .unwrap();
    });
}

#[test]
fn fibers_get_on_while_a_task_keeps_the_clock() {
    in_paused(|| async {
        let mut fiber = spawn(|| (0..100_000).for_each(|_| yield_now().wait()));
        while !fiber.is_alive() {
            tokio::task::yield_now().await;
        }
        let mut polls = 0_u64;
        while fiber.is_alive() {
            polls += 1;
            tokio::task::yield_now().await; // never lets the runtime be idle
        }
        assert!(polls > 0);
        fiber.join().await.unwrap();
    });
}
