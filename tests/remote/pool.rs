//! Pools of hubs: which hub gets a fiber, and how all of them end.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::collections::HashSet;
use std::future::pending;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use switchback::{Fiber, Hub, HubPool, SpawnError, prelude::*, shield, sleep, yield_now};
use tokio::sync::{Barrier, Semaphore, oneshot};

use crate::late;
use crate::support::ending::Count;
use crate::support::{Drops, assert_panics, ms, multi_thread_runtime, panic_of, threads, watched};

/// The name of the hub that the caller is on.
fn here() -> String {
    Hub::current().name().to_owned()
}

fn join<T>(mut fiber: Fiber<T>) -> T {
    fiber.join().wait().unwrap()
}

/// Keeps a hub's thread busy until it is sent something.
pub(crate) fn block(hub: &switchback::HubHandle) -> mpsc::Sender<()> {
    let (begins, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    hub.run_callback(move || {
        begins.send(()).unwrap();
        released.recv().unwrap();
    })
    .unwrap();
    has_begun.recv().unwrap();
    release
}

// What a pool is.

#[test]
fn a_pool_of_no_hubs_is_an_error() {
    let error = HubPool::new(0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "a pool of hubs needs at least one hub");
}

#[test]
fn its_hubs_and_threads_have_the_name_and_a_number() {
    watched(|| {
        let pool = Hub::builder().name("member").start_pool(3).unwrap();
        assert_eq!(pool.len(), 3);
        let names = pool.run_on_all(|| (here(), thread::current().name().map(str::to_owned)));
        let names: Vec<_> = names.unwrap().into_iter().map(join).collect();
        let expected = ["member-0", "member-1", "member-2"];
        for ((hub, thread), expected) in names.into_iter().zip(expected) {
            assert_eq!(hub, expected);
            assert_eq!(thread.as_deref(), Some(expected));
        }
    });
}

#[test]
fn the_settings_are_those_of_each_hub() {
    watched(|| {
        let pool = Hub::builder().max_cached_stacks(0).start_pool(2).unwrap();
        pool.run_on_all(|| ()).unwrap().into_iter().for_each(join);
        let cached = pool.run_on_all(|| Hub::current().metrics().cached_stacks());
        for fiber in cached.unwrap() {
            assert_eq!(join(fiber), 0);
        }
    });
}

#[test]
fn a_name_that_no_thread_can_have_is_an_error() {
    let error = Hub::builder().name("\0").start_pool(2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn three_lines_give_a_pool_to_a_multi_thread_application() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let task = tokio::spawn(async {
                let pool = HubPool::new(2)?;
                let fiber = pool.spawn(|| {
                    sleep(ms(1)).wait();
                    42
                })?;
                io::Result::Ok(fiber.await?)
            });
            assert_eq!(task.await.unwrap().unwrap(), 42);
        });
    });
}

#[test]
fn many_tasks_share_a_pool() {
    watched(|| {
        let pool = Arc::new(HubPool::new(3).unwrap());
        multi_thread_runtime().block_on(async {
            let tasks: Vec<_> = (0..2000)
                .map(|i| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        let fiber = pool.spawn(move || {
                            sleep(ms(i % 3)).wait();
                            i
                        });
                        fiber.unwrap().await.unwrap()
                    })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), i as u64);
            }
            pool.close().await;
        });
    });
}

#[test]
fn fibers_of_a_pool_wait_for_each_other() {
    watched(|| {
        let pool = Arc::new(HubPool::new(2).unwrap());
        let there = pool.clone();
        // Nobody goes on before all are there.
        let all = Arc::new(Barrier::new(101));
        let sum = join(
            pool.spawn(move || {
                let children: Vec<_> = (0..100)
                    .map(|i| {
                        let all = all.clone();
                        let child = move || {
                            all.wait().wait();
                            i
                        };
                        there.spawn(child).unwrap()
                    })
                    .collect();
                all.wait().wait();
                children.into_iter().map(join).sum::<u32>()
            })
            .unwrap(),
        );
        assert_eq!(sum, 4950);
    });
}

#[test]
fn a_panic_of_a_fiber_reaches_whoever_awaits_it() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            let fiber = pool.spawn(|| -> () { resume_unwind(Box::new("over there")) });
            let error = fiber.unwrap().await.unwrap_err();
            assert!(error.to_string().contains("over there"), "{error}");
        });
    });
}

// By key.

#[test]
fn equal_keys_go_to_the_same_hub_and_keys_go_to_all_hubs() {
    watched(|| {
        let pool = HubPool::new(3).unwrap();
        let hub_of = |key: &str| join(pool.spawn_by_key(key, here).unwrap());
        let mut hubs = HashSet::new();
        for key in 0..200 {
            let key = key.to_string();
            let hub = hub_of(&key);
            assert_eq!(hub_of(&key), hub);
            // What borrows as the same is the same key.
            let owned = pool.spawn_by_key(key, here).unwrap();
            assert_eq!(join(owned), hub);
            hubs.insert(hub);
        }
        assert_eq!(hubs.len(), 3);
    });
}

// On all.

#[test]
fn what_runs_on_all_runs_once_on_each_hub_in_their_order() {
    watched(|| {
        let pool = HubPool::new(4).unwrap();
        let runs = Count::new();
        let seen = runs.clone();
        let fibers = pool.run_on_all(move || {
            seen.add();
            (here(), thread::current().id())
        });
        let results: Vec<_> = fibers.unwrap().into_iter().map(join).collect();
        assert_eq!(runs.get(), 4);
        for (number, (hub, _)) in results.iter().enumerate() {
            assert_eq!(*hub, format!("Hub-{number}"));
        }
        let threads: HashSet<_> = results.iter().map(|(_, thread)| *thread).collect();
        assert_eq!(threads.len(), 4);
    });
}

#[test]
fn what_runs_on_all_may_wait_and_is_dropped_in_the_end() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        let drops = Drops::new();
        let token = drops.token();
        let fibers = pool.run_on_all(move || {
            let _token = &token;
            sleep(ms(1)).wait();
        });
        fibers.unwrap().into_iter().for_each(join);
        pool.close().wait();
        assert_eq!(drops.count(), 1);
    });
}

// By hand.

#[test]
fn handles_reach_each_hub() {
    watched(|| {
        let pool = HubPool::new(3).unwrap();
        assert_eq!(pool.handles().len(), 3);
        for (number, hub) in pool.handles().enumerate() {
            let name = join(hub.spawn(here).unwrap());
            assert_eq!(name, format!("Hub-{number}"));
        }
    });
}

// The end of some hubs.

#[test]
fn a_hub_that_was_closed_gets_no_more_fibers() {
    watched(|| {
        let pool = HubPool::new(3).unwrap();
        pool.handles().nth(1).unwrap().close().wait();
        for _ in 0..30 {
            assert_ne!(join(pool.spawn(here).unwrap()), "Hub-1");
        }
        let on: Vec<_> = pool
            .run_on_all(here)
            .unwrap()
            .into_iter()
            .map(join)
            .collect();
        assert_eq!(on, ["Hub-0", "Hub-2"]);
        let mut refused = 0;
        for key in 0..100 {
            match pool.spawn_by_key(key, here) {
                Ok(fiber) => assert_ne!(join(fiber), "Hub-1"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0);
        pool.close().wait();
    });
}

#[test]
fn no_fiber_is_refused_while_one_hub_is_open() {
    watched(|| {
        for _ in 0..50 {
            let pool = Arc::new(HubPool::new(3).unwrap());
            let closed = Arc::new(AtomicBool::new(false));
            let spawners: Vec<_> = (0..2)
                .map(|_| {
                    let (pool, closed) = (pool.clone(), closed.clone());
                    thread::spawn(move || {
                        while !closed.load(Ordering::SeqCst) {
                            let mut fiber = pool.spawn(|| ()).unwrap();
                            // Cancelled if its hub is closed under it.
                            let _ = fiber.join().wait();
                        }
                    })
                })
                .collect();
            for hub in pool.handles().take(2) {
                hub.close().wait();
            }
            closed.store(true, Ordering::SeqCst);
            spawners.into_iter().for_each(|s| s.join().unwrap());
            assert_eq!(join(pool.spawn(here).unwrap()), "Hub-2");
        }
    });
}

#[test]
fn a_pool_whose_hubs_are_all_closed_refuses_and_drops_what_it_was_given() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        pool.handles().for_each(|hub| hub.close().wait());
        let drops = Drops::new();
        let tokens = [drops.token(), drops.token(), drops.token()];
        let [one, two, three] = tokens;
        let refused = pool.spawn(move || drop(one)).unwrap_err();
        assert_eq!(refused, SpawnError::Closed);
        assert_eq!(drops.count(), 1);
        let refused = pool.spawn_by_key(1, move || drop(two)).unwrap_err();
        assert_eq!(drops.count(), 2);
        let unused = AtomicUsize::new(0);
        let on_all = pool.run_on_all(move || {
            let _three = &three;
            unused.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(on_all.unwrap_err(), refused);
        assert_eq!(drops.count(), 3);
    });
}

// The end of all.

#[test]
fn a_close_ends_all_hubs_at_once_and_is_ready_when_their_threads_are_gone() {
    watched(|| {
        let pool = Hub::builder().name("ends").start_pool(3).unwrap();
        // Each ends only when the others have been told too.
        let barrier = Arc::new(Barrier::new(3));
        let has_begun = Arc::new(Semaphore::new(0));
        let begins = has_begun.clone();
        let fibers = pool.run_on_all(move || {
            begins.add_permits(1);
            let cancelled = pending::<()>().wait_or_cancelled().unwrap_err();
            assert_eq!(cancelled.message(), Some("the hub is closing"));
            shield(|| barrier.wait().wait());
        });
        has_begun.acquire_many(3).wait().unwrap().forget();
        pool.close().wait();
        fibers.unwrap().into_iter().for_each(join);
        for number in 0..3 {
            threads::assert_gone(&format!("ends-{number}"));
        }
    });
}

#[test]
fn dropping_a_pool_begins_the_close_of_all_and_does_not_wait() {
    watched(|| {
        let pool = Hub::builder().name("drops").start_pool(3).unwrap();
        let release = Arc::new(Semaphore::new(0));
        let (held, begun) = (release.clone(), Arc::new(Semaphore::new(0)));
        let begins = begun.clone();
        let fibers = pool.run_on_all(move || {
            shield(|| {
                begins.add_permits(1);
                held.acquire().wait().unwrap().forget();
            });
        });
        begun.acquire_many(3).wait().unwrap().forget();
        let handles: Vec<_> = pool.handles().cloned().collect();
        drop(pool);
        for hub in &handles {
            while !hub.is_closed() {
                thread::yield_now();
            }
        }
        release.add_permits(3);
        fibers.unwrap().into_iter().for_each(join);
        for number in 0..3 {
            threads::assert_gone(&format!("drops-{number}"));
        }
    });
}

#[test]
fn a_fiber_of_a_pool_that_drops_the_last_of_it_is_cancelled() {
    watched(|| {
        let pool = Arc::new(Hub::builder().name("last").start_pool(2).unwrap());
        let there = pool.clone();
        let (go, gone) = oneshot::channel::<()>();
        let mut fiber = pool
            .spawn(move || {
                gone.wait().unwrap();
                drop(there);
                yield_now().wait();
            })
            .unwrap();
        drop(pool);
        go.send(()).unwrap();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        threads::assert_gone("last-0");
        threads::assert_gone("last-1");
    });
}

#[test]
fn a_fiber_of_any_of_its_hubs_cannot_wait_for_the_end_of_a_pool() {
    const MESSAGE: &str = "a fiber cannot wait for the end of its own hub's thread: it would wait \
                           for itself; close it from outside, or begin the close by dropping the \
                           `HubThread` or `HubPool`";
    watched(|| {
        let pool = Arc::new(HubPool::new(3).unwrap());
        let there = pool.clone();
        let refused = pool.run_on_all(move || {
            assert_panics(MESSAGE, || there.close());
            assert_panics(MESSAGE, || there.close_within(Duration::ZERO));
            let polled = panic_of(|| async { there.close().await }.wait());
            assert_eq!(polled.message, MESSAGE);
        });
        refused.unwrap().into_iter().for_each(join);
        assert!(pool.handles().all(|hub| !hub.is_closed()));
        pool.close().wait();
    });
}

#[test]
fn a_fiber_of_another_pool_closes_a_pool() {
    watched(|| {
        let (one, other) = (HubPool::new(2).unwrap(), HubPool::new(2).unwrap());
        let mut waits = one.spawn(|| pending::<()>().wait()).unwrap();
        join(other.spawn(move || one.close().wait()).unwrap());
        assert!(waits.join().wait().unwrap_err().is_cancelled());
        other.close().wait();
    });
}

#[test]
fn a_close_that_is_late_names_the_fibers_of_all_hubs() {
    watched(|| {
        let pool = Hub::builder().name("late").start_pool(3).unwrap();
        let release = Arc::new(Semaphore::new(0));
        let (held, begun) = (release.clone(), Arc::new(Semaphore::new(0)));
        let begins = begun.clone();
        let fibers = pool
            .run_on_all(move || {
                shield(|| {
                    begins.add_permits(1);
                    if here() != "late-1" {
                        held.acquire().wait().unwrap().forget();
                    }
                });
            })
            .unwrap();
        begun.acquire_many(3).wait().unwrap().forget();
        let busy = block(pool.handles().nth(1).unwrap());
        let names = [fibers[0].name(), fibers[2].name()];
        let late = late(|| pool.close_within(ms(20)), &names, &["late-1"]);
        let text = late.to_string();
        let begins = "the hub did not close within 20ms; still alive: ";
        assert!(text.starts_with(begins), "{text}");
        assert!(text.ends_with("; busy threads: late-1"), "{text}");
        for name in names {
            assert!(
                text.contains(&format!("{name} (spawned at tests/")),
                "{text}"
            );
        }
        release.add_permits(2);
        busy.send(()).unwrap();
        pool.close_within(Duration::from_secs(3600)).wait().unwrap();
        fibers.into_iter().for_each(join);
    });
}
