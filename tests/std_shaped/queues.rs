//! What std has not: `Semaphore`, `Event`, `ReentrantLock` and the queues.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use switchback::sync::{Event, LifoQueue, PriorityQueue, Queue, ReentrantLock, Semaphore};
use switchback::{
    HubPool, assert_no_switchpoints, bridge, prelude::*, spawn, thread, with_timeout, yield_now,
};

use crate::support::{
    assert_panics, in_async, in_root_fiber, ms, multi_thread_runtime, panic_of, watched,
};

const LONG: std::time::Duration = ms(3_600_000);

#[test]
fn permits_go_first_in_first_out_also_to_those_who_want_many() {
    in_root_fiber(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        let log = Rc::new(RefCell::new(Vec::new()));
        let both = semaphore.acquire_many(2);
        let fibers = [("many", 2), ("one", 1), ("other", 1)].map(|(name, permits)| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            spawn(move || {
                let _permits = semaphore.acquire_many(permits);
                log.borrow_mut().push(name);
                yield_now().wait();
            })
        });
        yield_now().wait();
        assert!(semaphore.try_acquire().is_none());
        drop(both);
        assert!(
            semaphore.try_acquire().is_none(),
            "nobody passes those who wait"
        );
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        assert_eq!(*log.borrow(), ["many", "one", "other"]);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn one_who_ends_in_the_line_leaves_its_permits_to_the_next() {
    in_root_fiber(|| {
        for late in [false, true] {
            let semaphore = Rc::new(Semaphore::new(1));
            let held = semaphore.acquire();
            let of = |permits| {
                let semaphore = semaphore.clone();
                spawn(move || drop(semaphore.acquire_many(permits)))
            };
            let (first, second) = (of(1), of(1));
            yield_now().wait();
            if late {
                drop(held); // it has been given to the first one
                first.cancel();
            } else {
                first.cancel();
                assert!(first.is_alive());
                yield_now().wait();
                drop(held);
            }
            assert!(first.wait().unwrap_err().is_cancelled());
            second.wait().unwrap();
            assert_eq!(semaphore.available_permits(), 1);
        }
        // One who wants many and ends does not keep the others from what there is.
        let semaphore = Rc::new(Semaphore::new(1));
        let of = |permits| {
            let semaphore = semaphore.clone();
            spawn(move || drop(semaphore.acquire_many(permits)))
        };
        let (many, one) = (of(5), of(1));
        yield_now().wait();
        many.cancel();
        one.wait().unwrap();
        semaphore.acquire().forget();
        assert_eq!(semaphore.available_permits(), 0);
        semaphore.add_permits(3);
        assert_eq!(semaphore.available_permits(), 3);
        let text = "a `Semaphore` has no more than `usize::MAX` permits";
        assert_panics(text, || semaphore.add_permits(usize::MAX));
        drop(semaphore.acquire_many(3));
    });
}

#[test]
fn a_semaphore_is_shared_by_tasks_fibers_and_threads() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let pool = HubPool::new(2).unwrap();
            let semaphore = Arc::new(Semaphore::new(2));
            let most = Arc::new((Semaphore::new(0), std::sync::atomic::AtomicUsize::new(0)));
            let enter = {
                let most = most.clone();
                move || {
                    let inside = most.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    assert!(inside < 2, "{inside}");
                }
            };
            let leave = {
                let most = most.clone();
                move || {
                    most.1.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            };
            let mut ends = Vec::new();
            for n in 0..4_u32 {
                let (semaphore, enter, leave) = (semaphore.clone(), enter.clone(), leave.clone());
                let body = move || {
                    for _ in 0..100 {
                        let permit = semaphore.acquire();
                        enter();
                        thread::yield_now();
                        leave();
                        drop(permit);
                    }
                };
                ends.push(pool.spawn_by_key(n, body.clone()).unwrap());
                if n == 0 {
                    std::thread::spawn(body).join().unwrap();
                }
            }
            for _ in 0..100 {
                let permit = semaphore.acquire_async().await;
                enter();
                tokio::task::yield_now().await;
                leave();
                drop(permit);
            }
            for end in ends {
                end.await.unwrap();
            }
            assert_eq!(semaphore.available_permits(), 2);
            pool.close().await;
        });
    });
}

#[test]
fn an_event_that_is_set_and_cleared_wakes_all_who_waited() {
    in_root_fiber(|| {
        let event = Rc::new(Event::new());
        let waits = [(); 3].map(|()| {
            let event = event.clone();
            thread::spawn(move || event.wait())
        });
        let timed = {
            let event = event.clone();
            thread::spawn(move || event.wait_timeout(LONG))
        };
        yield_now().wait();
        event.set();
        event.clear();
        waits.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert!(timed.join().unwrap());
        assert!(!event.is_set());
        assert!(!event.wait_timeout(ms(1)));
        event.set();
        event.set();
        event.wait();
        assert!(event.wait_timeout(ms(0)));
    });
}

#[test]
fn a_reentrant_lock_belongs_to_its_fiber() {
    in_root_fiber(|| {
        let lock = Rc::new(ReentrantLock::new(Cell::new(0)));
        let outer = lock.lock();
        let inner = lock.lock();
        let other = lock.clone();
        let fiber = thread::spawn(move || {
            let value = other.lock();
            value.set(value.get() + 1);
        });
        yield_now().wait();
        assert!(!fiber.is_finished());
        // In whatever order they are dropped.
        drop(outer);
        yield_now().wait();
        assert!(!fiber.is_finished(), "one level is left");
        inner.set(10);
        drop(inner);
        fiber.join().unwrap();
        assert_eq!(lock.lock().get(), 11);
    });
}

#[test]
fn a_time_limit_does_not_take_a_level_of_a_reentrant_lock() {
    in_root_fiber(|| {
        let lock = Rc::new(ReentrantLock::new(()));
        let outer = lock.lock();
        assert_eq!(with_timeout(LONG, || drop(lock.lock())), Ok(()));
        let other = lock.clone();
        let fiber = spawn(move || with_timeout(ms(1), || drop(other.lock())).is_err());
        assert!(fiber.wait().unwrap());
        drop(lock.lock());
        let other = lock.clone();
        let waits = thread::spawn(move || drop(other.lock()));
        yield_now().wait();
        assert!(!waits.is_finished(), "it is still held");
        drop(outer);
        waits.join().unwrap();
    });
}

#[test]
fn a_reentrant_lock_belongs_to_a_thread_or_a_bridge_but_not_to_a_task() {
    static LOCK: ReentrantLock<Cell<u32>> = ReentrantLock::new(Cell::new(0));
    watched(|| {
        let outer = LOCK.lock();
        let inner = LOCK.lock();
        inner.set(1);
        let other = std::thread::spawn(|| LOCK.lock().get());
        drop(inner);
        outer.set(2);
        drop(outer);
        assert_eq!(other.join().unwrap(), 2);
    });
    in_async(|| async {
        let text = "`ReentrantLock::lock` would block the runtime; await a `Mutex::lock_async`, or \
            move this code into `switchback::spawn` or `bridge`";
        assert_panics(text, || drop(LOCK.lock()));
        bridge(|| {
            let _outer = LOCK.lock();
            LOCK.lock().set(3);
        })
        .await;
    });
}

#[test]
fn every_joiner_of_a_queue_is_woken() {
    in_root_fiber(|| {
        let queue = Rc::new(Queue::new());
        queue.put(1);
        queue.put(2);
        let joiners = [(); 3].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || queue.join())
        });
        yield_now().wait();
        assert_eq!((queue.get(), queue.get(), queue.len()), (1, 2, 0));
        queue.task_done();
        yield_now().wait();
        assert!(
            joiners.iter().all(|joiner| !joiner.is_finished()),
            "one is not done"
        );
        queue.task_done();
        joiners
            .into_iter()
            .for_each(|joiner| joiner.join().unwrap());
        queue.join();
        let text = "`task_done` was called more often than items were put into the queue; call it once for each item";
        assert_panics(text, || queue.task_done());
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn queues_order_their_items() {
    let (fifo, lifo, least) = (Queue::new(), LifoQueue::new(), PriorityQueue::new());
    for item in [2, 3, 1] {
        fifo.try_put(item).unwrap();
        lifo.try_put(item).unwrap();
        least.try_put(item).unwrap();
    }
    let order = |get: &dyn Fn() -> Option<i32>| std::iter::from_fn(get).collect::<Vec<_>>();
    assert_eq!(order(&|| fifo.try_get()), [2, 3, 1]);
    assert_eq!(order(&|| lifo.try_get()), [1, 3, 2]);
    assert_eq!(order(&|| least.try_get()), [1, 2, 3]);
    assert!(fifo.is_empty() && lifo.is_empty() && least.is_empty());
}

#[test]
fn an_item_that_is_put_back_keeps_its_order() {
    in_root_fiber(|| {
        let queue = Rc::new(PriorityQueue::new());
        let other = queue.clone();
        let cancelled = spawn(move || other.get());
        yield_now().wait();
        queue.put(1); // it is on its way to the fiber
        queue.put(3);
        queue.put(2);
        cancelled.cancel();
        assert!(cancelled.wait().unwrap_err().is_cancelled());
        assert_eq!((queue.get(), queue.get(), queue.get()), (1, 2, 3));
        assert!(queue.get_timeout(ms(1)).is_err());
    });
}

/// Its `cmp` waits if it is told to.
#[derive(Debug, PartialEq, Eq)]
struct WaitsInCmp(u32);

thread_local! {
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

impl PartialOrd for WaitsInCmp {
    fn partial_cmp(&self, other: &WaitsInCmp) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WaitsInCmp {
    fn cmp(&self, other: &WaitsInCmp) -> Ordering {
        if WAITS.get() {
            yield_now().wait();
        }
        self.0.cmp(&other.0)
    }
}

/// Otherwise the next fiber that used the queue would block the thread for ever.
#[test]
fn a_wait_where_items_are_compared_is_refused() {
    in_root_fiber(|| {
        let queue = Rc::new(PriorityQueue::new());
        queue.put(WaitsInCmp(2));
        WAITS.set(true);
        let text = "`.wait()` in a waker, or where the items of a `PriorityQueue` are compared, would suspend the code that calls it half way; let the waker wake something that waits, and compare without waiting";
        assert_eq!(panic_of(|| queue.put(WaitsInCmp(1))).message, text);
        WAITS.set(false);
        let other = queue.clone();
        let fiber = spawn(move || other.try_get());
        assert!(fiber.wait().unwrap().is_some());
        queue.put(WaitsInCmp(0));
        assert_eq!(queue.get(), WaitsInCmp(0));
    });
}

#[test]
fn a_full_queue_makes_those_who_put_wait() {
    in_root_fiber(|| {
        let queue = Rc::new(Queue::with_capacity(1));
        queue.put(1);
        assert_eq!(queue.try_put(2), Err(2));
        assert_eq!(queue.unfinished(), 1, "what was refused does not count");
        let put = |n| {
            let queue = queue.clone();
            spawn(move || queue.put(n))
        };
        let (second, third) = (put(2), put(3));
        yield_now().wait();
        second.cancel();
        assert!(second.wait().unwrap_err().is_cancelled());
        assert_eq!(queue.get(), 1);
        third.wait().unwrap();
        assert_eq!(queue.get(), 3);
        (0..2).for_each(|_| queue.task_done());
        queue.join();
    });
}

#[test]
fn tasks_fibers_and_threads_share_a_queue() {
    static QUEUE: Queue<u64> = Queue::with_capacity(3);
    watched(|| {
        multi_thread_runtime().block_on(async {
            let pool = HubPool::new(2).unwrap();
            let workers: Vec<_> = (0..4_u32)
                .map(|n| {
                    let body = || {
                        let mut sum = 0;
                        loop {
                            match QUEUE.get() {
                                0 => break,
                                item => sum += item,
                            }
                            QUEUE.task_done();
                        }
                        QUEUE.task_done();
                        sum
                    };
                    pool.spawn_by_key(n, body).unwrap()
                })
                .collect();
            let thread = std::thread::spawn(|| (1..=300).for_each(|n| QUEUE.put(n)));
            for n in 1..=300 {
                QUEUE.put_async(n).await;
            }
            tokio::task::block_in_place(|| thread.join().unwrap());
            QUEUE.join_async().await;
            for _ in 0..4 {
                QUEUE.put_async(0).await;
            }
            let mut sum = 0;
            for worker in workers {
                sum += worker.await.unwrap();
            }
            assert_eq!(sum, 300 * 301);
            pool.close().await;
        });
    });
}

#[test]
fn what_waits_is_a_switchpoint_even_if_it_would_not_wait() {
    in_root_fiber(|| {
        let (semaphore, event, queue) = (Semaphore::new(1), Event::new(), Queue::new());
        let lock = ReentrantLock::new(());
        event.set();
        queue.put(1);
        for panic in [
            panic_of(|| assert_no_switchpoints(|| drop(semaphore.acquire()))),
            panic_of(|| assert_no_switchpoints(|| event.wait())),
            panic_of(|| assert_no_switchpoints(|| event.wait_timeout(LONG))),
            panic_of(|| assert_no_switchpoints(|| queue.put(2))),
            panic_of(|| assert_no_switchpoints(|| queue.get())),
            panic_of(|| assert_no_switchpoints(|| queue.get_timeout(LONG))),
            panic_of(|| assert_no_switchpoints(|| queue.join())),
            panic_of(|| assert_no_switchpoints(|| drop(lock.lock()))),
        ] {
            assert!(panic.message.contains("is a switchpoint"), "{panic:?}");
            assert!(panic.file.ends_with("std_shaped/queues.rs"), "{panic:?}");
        }
        assert_no_switchpoints(|| {
            drop(semaphore.try_acquire().unwrap());
            semaphore.add_permits(1);
            event.clear();
            event.set();
            assert_eq!(queue.try_get(), Some(1));
            queue.try_put(1).unwrap();
            queue.task_done();
        });
    });
}
