//! The queue of a pool: fibers that have not begun belong to no hub.
// A fiber is a future; here it is returned from closures to outlive them.
#![allow(clippy::async_yields_async)]

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use switchback::{
    Fiber, Hub, HubPool, SpawnError, blocking, current_fiber, park, prelude::*, spawn, yield_now,
};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::pool::block;
use crate::support::ending::Count;
use crate::support::{Drops, OnDrop, multi_thread_runtime, watched};

fn join<T>(mut fiber: Fiber<T>) -> T {
    fiber.join().wait().unwrap()
}

/// A fiber that has begun and blocks the thread of its hub until it is sent something.
fn blocks(pool: &HubPool) -> (Fiber<String>, mpsc::Sender<()>) {
    let (begins, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let fiber = pool.spawn(move || {
        begins.send(()).unwrap();
        released.recv().unwrap();
        Hub::current().name().to_owned()
    });
    has_begun.recv().unwrap();
    (fiber.unwrap(), release)
}

/// A fiber that has begun and waits until it is told to go on.
fn waits(pool: &HubPool) -> (Fiber<()>, oneshot::Sender<()>) {
    let (begins, has_begun) = mpsc::channel();
    let (go, gone) = oneshot::channel();
    let fiber = pool.spawn(move || {
        begins.send(()).unwrap();
        gone.wait().unwrap();
    });
    has_begun.recv().unwrap();
    (fiber.unwrap(), go)
}

// Hubs that are blocked.

#[test]
fn a_blocked_hub_holds_up_no_fiber_that_has_not_begun() {
    watched(|| {
        for count in 2..=3 {
            let pool = HubPool::new(count).unwrap();
            let blocked: Vec<_> = (1..count).map(|_| blocks(&pool)).collect();
            let fibers: Vec<_> = (0..1000)
                .map(|i| {
                    let yields = move || {
                        yield_now().wait();
                        i
                    };
                    pool.spawn(yields).unwrap()
                })
                .collect();
            for (i, fiber) in fibers.into_iter().enumerate() {
                assert_eq!(join(fiber), i);
            }
            for (fiber, release) in blocked {
                release.send(()).unwrap();
                join(fiber);
            }
        }
    });
}

#[test]
fn a_fiber_of_a_burst_that_blocks_its_hub_takes_no_other_with_it() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        // The whole burst is there before the first of it begins.
        let held: Vec<_> = pool.handles().map(block).collect();
        let (release, released) = mpsc::channel::<()>();
        let first = pool.spawn(move || released.recv().unwrap()).unwrap();
        let others: Vec<_> = (0..200).map(|_| pool.spawn(|| ()).unwrap()).collect();
        for hub in held {
            hub.send(()).unwrap();
        }
        others.into_iter().for_each(join);
        release.send(()).unwrap();
        join(first);
    });
}

/// A push wakes a hub whose thread then does something else first, which blocks it.
#[test]
fn woken_hub_blocks() {
    watched(|| {
        for blocked in [0, 1] {
            let pool = HubPool::new(2).unwrap();
            let hub = pool.handles().nth(blocked).unwrap();
            let notify = Arc::new(Notify::new());
            let notified = notify.clone();
            let (begins, has_begun) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let task = hub.spawn(move || {
                tokio::task::spawn_local(async move {
                    notified.notified().await;
                    begins.send(()).unwrap();
                    let _ = released.recv();
                });
                yield_now().wait();
            });
            join(task.unwrap());
            for _ in 0..100 {
                // Both hubs are idle, or about to be.
                join(pool.spawn(|| ()).unwrap());
            }
            notify.notify_one();
            let fibers: Vec<_> = (0..10).map(|_| pool.spawn(|| ()).unwrap()).collect();
            has_begun.recv().unwrap();
            let more: Vec<_> = (0..10).map(|_| pool.spawn(|| ()).unwrap()).collect();
            fibers.into_iter().chain(more).for_each(join);
            release.send(()).unwrap();
        }
    });
}

// Order.

#[test]
fn fibers_begin_in_the_order_in_which_they_were_sent() {
    watched(|| {
        for limit in [1, 1000] {
            let pool = Hub::builder().max_fibers(limit).start_pool(1).unwrap();
            let held = block(pool.handles().next().unwrap());
            let log = Arc::new(Mutex::new(Vec::new()));
            let fibers: Vec<_> = (0..300)
                .map(|i| {
                    let log = log.clone();
                    let logs = move || {
                        log.lock().unwrap().push(i);
                        yield_now().wait();
                    };
                    pool.spawn(logs).unwrap()
                })
                .collect();
            held.send(()).unwrap();
            fibers.into_iter().for_each(join);
            assert_eq!(*log.lock().unwrap(), Vec::from_iter(0..300));
        }
    });
}

#[test]
fn a_burst_does_not_hold_up_fibers_that_have_begun() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let (seen, (tell, told)) = (begun.clone(), mpsc::channel());
        let (go, gone) = oneshot::channel::<()>();
        let early = pool.spawn(move || {
            tell.send(()).unwrap();
            gone.wait().unwrap();
            seen.load(Ordering::SeqCst)
        });
        told.recv().unwrap();
        let held = block(pool.handles().next().unwrap());
        let burst: Vec<_> = (0..5000)
            .map(|_| {
                let begun = begun.clone();
                let counts = move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                };
                pool.spawn(counts).unwrap()
            })
            .collect();
        go.send(()).unwrap();
        held.send(()).unwrap();
        assert!(join(early.unwrap()) < 200);
        burst.into_iter().for_each(join);
    });
}

// Limits.

#[test]
fn a_hub_runs_no_more_fibers_than_its_limit() {
    watched(|| {
        let pool = Hub::builder().max_fibers(3).start_pool(2).unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let fibers: Vec<_> = (0..200)
            .map(|i| {
                let (now, most) = (now.clone(), most.clone());
                let counts = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let _leaves = OnDrop(|| {
                        now.fetch_sub(1, Ordering::SeqCst);
                    });
                    for _ in 0..i % 5 {
                        yield_now().wait();
                    }
                    if i % 7 == 0 {
                        resume_unwind(Box::new("out of order"));
                    }
                };
                pool.spawn(counts).unwrap()
            })
            .collect();
        // However they end, they make room.
        for (i, mut fiber) in fibers.into_iter().enumerate() {
            if i % 11 == 0 {
                fiber.cancel();
            }
            let result = fiber.join().wait();
            assert!(result.is_ok() || i % 7 == 0 || i % 11 == 0);
        }
        assert!(most.load(Ordering::SeqCst) <= 6);
    });
}

#[test]
fn a_full_queue_refuses_and_drops_what_it_was_given() {
    watched(|| {
        let pool = Hub::builder().max_queued(3).start_pool(1).unwrap();
        let held = block(pool.handles().next().unwrap());
        let drops = Drops::new();
        let send = || {
            let token = drops.token();
            pool.spawn(move || drop(token))
        };
        let fibers: Vec<_> = (0..3).map(|_| send().unwrap()).collect();
        assert_eq!(send().unwrap_err(), SpawnError::Full);
        assert_eq!(drops.count(), 1);
        // A cancel makes room,
        assert!(fibers[0].cancel());
        let late = send().unwrap();
        assert_eq!(send().unwrap_err(), SpawnError::Full);
        // and a call, or a stream, is its own back-pressure.
        let call = pool.call(|| 1);
        assert_eq!(send().unwrap_err(), SpawnError::Full);
        held.send(()).unwrap();
        assert_eq!(call.wait().unwrap(), 1);
        join(late);
        // The room comes back.
        join(send().unwrap());
        drop(fibers);
        pool.close().wait();
        assert_eq!(drops.count(), 8);
    });
}

/// A limit of one, with fibers that send children and wait for them.
#[test]
fn pool_limit_from_inside() {
    fn nest(pool: Arc<HubPool>, depth: usize) -> usize {
        if depth == 0 {
            return 1;
        }
        let (one, two, three) = (pool.clone(), pool.clone(), pool.clone());
        let spawned = pool.spawn(move || nest(one, depth - 1)).unwrap();
        let called = pool.call(move || nest(two, depth - 1));
        // From a task of the hub's runtime, and from a blocking job.
        let task = tokio::task::spawn_local(async move {
            let there = three.clone();
            let call = three.call(move || nest(there, depth - 1));
            call.await.unwrap()
        });
        let there = pool.clone();
        let job = blocking(move || there.spawn(|| 1).unwrap().wait().unwrap());
        join(spawned) + called.wait().unwrap() + task.wait().unwrap() + job.wait()
    }
    watched(|| {
        for hubs in [1, 2] {
            let builder = Hub::builder().max_fibers(1).max_queued(1);
            let pool = Arc::new(builder.start_pool(hubs).unwrap());
            let calls: Vec<_> = (0..3)
                .map(|_| {
                    let there = pool.clone();
                    pool.call(move || nest(there, 3))
                })
                .collect();
            for call in calls {
                assert_eq!(call.wait().unwrap(), 40);
            }
        }
    });
}

#[test]
fn fibers_that_are_sent_to_their_hub_need_no_room() {
    watched(|| {
        let builder = Hub::builder().max_fibers(1).max_queued(1);
        let pool = builder.start_pool(1).unwrap();
        let (waiting, go) = waits(&pool);
        let queued = pool.spawn(|| ()).unwrap();
        join(pool.spawn_by_key(1, || ()).unwrap());
        pool.run_on_all(|| ()).unwrap().into_iter().for_each(join);
        join(
            pool.handles()
                .next()
                .unwrap()
                .spawn(|| spawn(|| ()).wait().unwrap())
                .unwrap(),
        );
        assert!(queued.is_alive());
        go.send(()).unwrap();
        join(waiting);
        join(queued);
    });
}

// What ends before it begins.

#[test]
fn a_fiber_that_is_cancelled_before_it_begins_ends_without_a_hub() {
    watched(|| {
        let pool = Hub::builder()
            .name("without")
            .max_fibers(1)
            .start_pool(2)
            .unwrap();
        // One hub is blocked, and the other is full.
        let (blocked, release) = blocks(&pool);
        let (waiting, go) = waits(&pool);
        let drops = Drops::new();
        let mut dropped_on = Vec::new();
        for _ in 0..10 {
            let (tell, told) = mpsc::channel();
            let token = drops.token();
            let on_drop = OnDrop(move || {
                let _token = &token;
                tell.send(thread::current().name().map(str::to_owned))
                    .unwrap();
            });
            let mut fiber = pool
                .spawn(move || {
                    let _on_drop = on_drop;
                    unreachable!()
                })
                .unwrap();
            assert!(fiber.cancel_with("not needed"));
            let error = fiber.join().wait().unwrap_err();
            assert_eq!(error.cancelled().unwrap().message(), Some("not needed"));
            assert!(!fiber.cancel());
            dropped_on.push(told.recv().unwrap());
        }
        assert_eq!(drops.count(), 10);
        // The canceller runs no code of others'.
        let name = dropped_on[0].clone().unwrap();
        assert!(name.starts_with("without-"), "{name}");
        go.send(()).unwrap();
        join(waiting);
        release.send(()).unwrap();
        join(blocked);
    });
}

#[test]
fn an_unpark_before_the_beginning_is_not_lost() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        for held in [true, false] {
            for _ in 0..200 {
                let held = held.then(|| block(pool.handles().next().unwrap()));
                let fiber = pool.spawn(park).unwrap();
                fiber.handle().unpark();
                if let Some(held) = held {
                    held.send(()).unwrap();
                }
                join(fiber);
            }
        }
    });
}

#[test]
fn whoever_waits_before_the_beginning_is_told() {
    watched(|| {
        let pool = Arc::new(Hub::builder().max_fibers(1).start_pool(1).unwrap());
        let (waiting, go) = waits(&pool);
        let queued = pool.spawn(|| 1).unwrap();
        // A fiber of the same hub, which is not limited.
        let of_hub = pool
            .spawn_by_key((), move || queued.wait().unwrap() + 1)
            .unwrap();
        let task = multi_thread_runtime();
        let of_task = task.spawn(pool.call(|| 3));
        go.send(()).unwrap();
        join(waiting);
        assert_eq!(join(of_hub), 2);
        assert_eq!(task.block_on(of_task).unwrap().unwrap(), 3);
    });
}

#[test]
fn its_id_and_name_are_the_same_before_and_after_the_beginning() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let held = block(pool.handles().next().unwrap());
        let fiber = pool.spawn(|| current_fiber().unwrap()).unwrap();
        let (id, name) = (fiber.id(), fiber.name().to_owned());
        held.send(()).unwrap();
        let seen = join(fiber);
        assert_eq!((seen.id(), seen.name()), (id, &*name));
    });
}

// Ends of pools.

#[test]
fn what_has_not_begun_ends_with_its_pool_whatever_closes_it() {
    type Way = (&'static str, fn(HubPool));
    let ways: [Way; 4] = [
        ("a drop", |pool| drop(pool)),
        ("a close", |pool| pool.close().wait()),
        ("closes of its hubs", |pool| {
            let closes: Vec<_> = pool.handles().map(|hub| hub.close()).collect();
            closes.into_iter().for_each(|close| close.wait());
        }),
        ("closes of its hubs by fibers", |pool| {
            for hub in pool.handles() {
                let closes = hub.spawn(close_from_callback);
                let _ = closes.unwrap().wait();
                hub.close().wait();
            }
        }),
    ];
    fn close_from_callback() {
        Hub::current().run_callback(|| {
            let mut close = Box::pin(Hub::current().close());
            let _ = crate::support::ending::poll_once(close.as_mut());
        });
    }
    watched(move || {
        for (what, close) in ways {
            let pool = Hub::builder().max_fibers(1).start_pool(2).unwrap();
            let begun: Vec<_> = (0..2)
                .map(|_| {
                    let (begins, has_begun) = mpsc::channel();
                    let fiber = pool.spawn(move || {
                        begins.send(()).unwrap();
                        pending::<()>().wait();
                    });
                    has_begun.recv().unwrap();
                    fiber.unwrap()
                })
                .collect();
            let drops = Drops::new();
            let queued: Vec<_> = (0..100)
                .map(|_| {
                    let token = drops.token();
                    pool.spawn(move || drop(token)).unwrap()
                })
                .collect();
            close(pool);
            for mut fiber in queued {
                let ended = fiber.join().wait();
                // A hub that closes first makes no room, but one that ends its fiber first may.
                if let Err(error) = ended {
                    assert!(error.is_cancelled(), "{what}: {error}");
                }
            }
            assert_eq!(drops.count(), 100, "{what}");
            for mut fiber in begun {
                assert!(fiber.join().wait().unwrap_err().is_cancelled());
            }
        }
    });
}

#[test]
fn a_pool_that_is_dropped_by_what_it_refuses_ends() {
    watched(|| {
        let pool = Arc::new(HubPool::new(1).unwrap());
        let held = block(pool.handles().next().unwrap());
        let there = pool.clone();
        let mut queued = pool
            .spawn(move || {
                let _there = there;
            })
            .unwrap();
        let there = pool.clone();
        let mut other = pool.spawn(move || drop(there)).unwrap();
        queued.cancel();
        drop(pool);
        held.send(()).unwrap();
        assert!(queued.join().wait().unwrap_err().is_cancelled());
        let _ = other.join().wait();
    });
}

/// Cancels, closes and hubs that take, all at once: each fiber ends once, and says how.
#[test]
fn every_fiber_ends_once_whoever_gets_it_first() {
    watched(|| {
        for round in 0..200 {
            let builder = Hub::builder().max_fibers(1 + round % 3);
            let pool = Arc::new(builder.start_pool(1 + round % 2).unwrap());
            let (drops, runs) = (Drops::new(), Count::new());
            let senders: Vec<_> = (0..3)
                .map(|sender| {
                    let (pool, drops, runs) = (pool.clone(), drops.clone(), runs.clone());
                    thread::spawn(move || {
                        let mut ended = (0, 0);
                        for i in 0..40 {
                            let (token, runs) = (drops.token(), runs.clone());
                            let sent = pool.spawn(move || {
                                let _token = token;
                                runs.add();
                                yield_now().wait();
                            });
                            let Ok(mut fiber) = sent else { break };
                            if (i + sender) % 2 == 0 {
                                fiber.cancel();
                            }
                            match fiber.join().wait() {
                                Ok(()) => ended.0 += 1,
                                Err(error) => {
                                    assert!(error.is_cancelled());
                                    ended.1 += 1;
                                }
                            }
                        }
                        ended
                    })
                })
                .collect();
            if round % 4 == 0 {
                pool.close().wait();
            }
            for sender in senders {
                let (well, cancelled) = sender.join().unwrap();
                assert!(round % 4 == 0 || well + cancelled == 40);
            }
            pool.close().wait();
            assert!(runs.get() <= drops.count());
        }
    });
}

#[test]
fn the_room_of_a_semaphore_of_calls_is_never_lost() {
    watched(|| {
        let pool = Arc::new(Hub::builder().max_fibers(2).start_pool(2).unwrap());
        let done = Arc::new(Semaphore::new(0));
        multi_thread_runtime().block_on(async {
            let tasks: Vec<_> = (0..500)
                .map(|i| {
                    let (pool, done) = (pool.clone(), done.clone());
                    tokio::spawn(async move {
                        let call = pool.call(move || {
                            for _ in 0..i % 4 {
                                yield_now().wait();
                            }
                        });
                        if i % 3 == 0 {
                            tokio::task::yield_now().await;
                            drop(call);
                        } else {
                            call.await.unwrap();
                        }
                        done.add_permits(1);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            pool.call(|| ()).await.unwrap();
        });
        assert_eq!(done.available_permits(), 500);
    });
}
