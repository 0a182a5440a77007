//! Pools whose hubs have a schedule.

use std::sync::mpsc;

use switchback::testing::Schedule;
use switchback::{Hub, prelude::*, spawn, yield_now};

use crate::support::Log;

/// What runs first on the only hub of a pool: fibers that are ready, or those in the pool's queue.
fn order(seed: u64) -> String {
    let hub = Hub::builder().schedule(Schedule::Random(seed));
    let pool = hub.start_pool(1).unwrap();
    let (sender, receiver) = mpsc::channel();
    let (go_on, keeps) = mpsc::channel::<()>();
    let ready = sender.clone();
    let blocker = pool.spawn(move || {
        for _ in 0..4 {
            let ready = ready.clone();
            drop(spawn(move || ready.send('r').unwrap()));
        }
        keeps.recv().unwrap(); // the queue fills meanwhile
    });
    let queued: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            pool.spawn(move || sender.send('q').unwrap()).unwrap()
        })
        .collect();
    go_on.send(()).unwrap();
    blocker.unwrap().wait().unwrap();
    queued.into_iter().for_each(|fiber| fiber.wait().unwrap());
    pool.close().wait();
    drop(sender);
    receiver.iter().collect()
}

#[test]
fn ready_fibers_and_those_in_the_queue_run_in_any_order() {
    for part in ["qqqq", "qr", "rq", "rqr"] {
        let mut orders = (0..2000).map(order);
        assert!(orders.any(|order| order.contains(part)), "{part}");
    }
}

#[test]
fn a_pool_ends_all_it_is_given_under_every_schedule() {
    for seed in 0..20 {
        let schedules = [Schedule::Random(seed), Schedule::Pct { seed, changes: 3 }];
        for schedule in schedules {
            let hub = Hub::builder().schedule(schedule).max_fibers(3);
            let pool = hub.start_pool(2).unwrap();
            let log = Log::new();
            let fibers: Vec<_> = (0..60)
                .map(|n| {
                    let yields = move || {
                        yield_now().wait();
                        n
                    };
                    pool.spawn(yields).unwrap()
                })
                .collect();
            for fiber in fibers {
                log.push(fiber.wait().unwrap());
            }
            assert_eq!(log.take(), Vec::from_iter(0..60));
            pool.close().wait();
        }
    }
}
