//! What a program keeps with a hub, and the numbers that a hub gives.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use switchback::{Builder, Fiber, Hub, HubMetrics, park, prelude::*, spawn, yield_now};

use crate::support::ending::settle;
use crate::support::{Drops, Token, in_async, in_root_fiber, runtime, watched};

// Data.

struct Name(&'static str);

#[test]
fn there_is_one_value_of_each_type() {
    in_root_fiber(|| {
        let hub = Hub::current();
        assert!(hub.data().get::<Name>().is_none());
        assert!(hub.data().insert(Name("ann")).is_none());
        hub.data().insert(5_u8);
        assert_eq!(hub.data().get::<Name>().unwrap().0, "ann");
        assert_eq!(*hub.data().get::<u8>().unwrap(), 5);
        assert!(hub.data().get::<u16>().is_none());
        assert_eq!(hub.data().insert(Name("bob")).unwrap().0, "ann");
        assert_eq!(hub.data().remove::<Name>().unwrap().0, "bob");
        assert!(hub.data().remove::<Name>().is_none());
        assert_eq!(*hub.data().get::<u8>().unwrap(), 5);
    });
}

#[test]
fn every_fiber_of_the_hub_and_its_async_code_share_it() {
    in_async(|| async {
        Hub::current().data().insert(Cell::new(1));
        let mut fiber = spawn(|| {
            let shared = Hub::current().data().get::<Cell<i32>>().unwrap();
            shared.set(shared.get() + 1);
        });
        fiber.join().await.unwrap();
        let shared = Hub::current().data().get::<Cell<i32>>().unwrap();
        assert_eq!(shared.get(), 2);
    });
}

#[test]
fn another_runtime_has_its_own() {
    watched(|| {
        let (one, other) = (runtime(), runtime());
        one.block_on(async { drop(Hub::current().data().insert(Name("one"))) });
        other.block_on(async { assert!(Hub::current().data().get::<Name>().is_none()) });
        one.block_on(async { assert!(Hub::current().data().get::<Name>().is_some()) });
    });
}

#[test]
fn a_value_that_was_got_outlives_its_removal_and_the_hub() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let value = runtime.block_on(async {
            let hub = Hub::current();
            hub.data().insert(drops.token());
            let value: Rc<Token> = hub.data().get().unwrap();
            hub.data().remove::<Token>().unwrap();
            hub.data().insert(value.clone());
            value
        });
        drop(runtime);
        assert_eq!(drops.count(), 0);
        drop(value);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn values_are_dropped_with_the_last_handle_to_the_hub() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let hub = runtime.block_on(async {
            Hub::current().data().insert(drops.token());
            Hub::current()
        });
        drop(runtime);
        assert_eq!(drops.count(), 0, "nothing is cleared by force");
        assert!(hub.data().get::<Token>().is_some());
        drop(hub);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn values_of_a_hub_whose_thread_ends_are_leaked() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        thread::spawn(move || {
            let runtime = std::mem::ManuallyDrop::new(runtime());
            runtime.block_on(async { drop(Hub::current().data().insert(token)) });
        })
        .join()
        .unwrap();
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn the_drop_of_a_value_may_use_the_data() {
    struct Last(Hub);
    impl Drop for Last {
        fn drop(&mut self) {
            assert!(self.0.data().insert(Name("left behind")).is_none());
        }
    }
    in_root_fiber(|| {
        let hub = Hub::current();
        hub.data().insert(Last(hub.clone()));
        drop(hub.data().remove::<Last>());
        assert_eq!(hub.data().get::<Name>().unwrap().0, "left behind");
    });
}

// Metrics.

fn metrics() -> HubMetrics {
    Hub::current().metrics()
}

#[test]
fn fibers_are_counted_from_when_they_are_made_until_they_have_ended() {
    in_async(|| async {
        assert_eq!(metrics().live_fibers(), 0);
        let not_started: Fiber<()> = Fiber::new(|| ());
        let mut parked = spawn(park);
        assert_eq!(metrics().live_fibers(), 2);
        assert_eq!(metrics().spawned(), 2);
        assert_eq!(metrics().ready(), 1);
        settle().await;
        assert_eq!(metrics().ready(), 0);
        assert_eq!(metrics().live_fibers(), 2);
        parked.handle().unpark();
        parked.join().await.unwrap();
        drop(not_started);
        settle().await;
        assert_eq!(metrics().live_fibers(), 0);
        assert_eq!(metrics().spawned(), 2);
    });
}

#[test]
fn each_time_that_a_fiber_is_resumed_is_counted() {
    in_async(|| async {
        let mut fiber = spawn(|| (0..9).for_each(|_| yield_now().wait()));
        fiber.join().await.unwrap();
        assert_eq!(metrics().switches(), 10);
    });
}

#[test]
fn callbacks_are_counted_when_they_have_run() {
    in_async(|| async {
        for _ in 0..3 {
            Hub::current().run_callback(|| ());
        }
        assert_eq!((metrics().callbacks(), metrics().ready()), (0, 3));
        settle().await;
        assert_eq!((metrics().callbacks(), metrics().ready()), (3, 0));
    });
}

#[test]
fn wakes_are_counted_those_of_other_threads_too() {
    in_async(|| async {
        let before = metrics();
        let mut parked = spawn(|| (0..3).for_each(|_| park()));
        settle().await;
        let handle = parked.handle();
        handle.unpark();
        settle().await;
        assert_eq!(
            metrics().wakes() - before.wakes(),
            2,
            "its start, and one wake"
        );
        assert_eq!(metrics().remote_wakes(), before.remote_wakes());
        for _ in 0..2 {
            let woken = metrics().wakes();
            let unparks = handle.clone();
            thread::spawn(move || unparks.unpark()).join().unwrap();
            while metrics().wakes() == woken {
                tokio::task::yield_now().await;
            }
        }
        parked.join().await.unwrap();
        assert_eq!(metrics().wakes() - before.wakes(), 4);
        assert_eq!(metrics().remote_wakes() - before.remote_wakes(), 2);
        assert!(metrics().turns() - before.turns() >= 4);
    });
}

#[test]
fn stacks_of_ended_fibers_are_kept_up_to_the_cap() {
    watched(|| {
        let hub = Hub::builder().max_cached_stacks(3);
        hub.run(|| {
            let before = metrics().cached_stacks();
            let mut fibers: Vec<_> = (0..5).map(|_| spawn(|| ())).collect();
            for fiber in &mut fibers {
                fiber.join().wait().unwrap();
            }
            yield_now().wait();
            assert_eq!((before, metrics().cached_stacks()), (0, 3));
        })
        .unwrap();
    });
}

#[test]
fn other_threads_see_the_numbers_of_the_last_turn() {
    in_root_fiber(|| {
        let hub = Hub::current().handle();
        let mut parked = Builder::new().spawn(park).unwrap();
        yield_now().wait();
        yield_now().wait();
        let there = hub.clone();
        let seen = tokio::task::spawn_blocking(move || {
            // The hub has nothing to do but to wait for this.
            loop {
                let seen = there.metrics();
                if seen.ready() == 0 && seen.live_fibers() == 2 {
                    break seen;
                }
                thread::yield_now();
            }
        })
        .wait()
        .unwrap();
        assert_eq!(seen.spawned(), 2);
        assert_eq!(hub.metrics(), metrics());
        parked.handle().unpark();
        parked.join().wait().unwrap();
    });
}

#[test]
fn a_hub_that_has_ended_has_no_live_fibers() {
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async {
            let hub = Hub::current();
            for _ in 0..3 {
                drop(spawn(|| {}));
            }
            hub
        });
        drop(rt);
        assert_eq!(hub.metrics().live_fibers(), 0);
        assert_eq!(hub.handle().metrics().live_fibers(), 0);
        assert_eq!(hub.metrics().ready(), 0);
    });
}
