//! Who waits in a line of `sync`, on whatever it is, and what becomes of its place if it ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use switchback::sync::mpsc::{TryRecvError, channel};
use switchback::sync::{Barrier, Condvar, Event, Mutex, Queue, RwLock, Semaphore};
use switchback::{HubPool, prelude::*, spawn, thread, with_timeout, yield_now};

use crate::support::ending::poll_once;
use crate::support::{
    Drops, OnDrop, in_async, in_paused, in_root_fiber, ms, multi_thread_runtime, panic_of, runtime,
    watched,
};

/// One of each that has a line, such that everybody has to wait.
struct Lines {
    mutex: Mutex<()>,
    rwlock: RwLock<()>,
    condvar: Condvar,
    empty: Queue<u8>,
    full: Queue<u8>,
    semaphore: Semaphore,
    event: Event,
    barrier: Barrier,
}

const WAITS: [fn(&Lines); 9] = [
    |lines| drop(lines.mutex.lock()),
    |lines| drop(lines.rwlock.read()),
    |lines| drop(lines.rwlock.write()),
    |lines| drop(lines.condvar.wait(Mutex::new(()).lock().unwrap())),
    |lines| assert_eq!(lines.empty.get(), 1),
    |lines| lines.full.put(2),
    |lines| drop(lines.semaphore.acquire()),
    |lines| lines.event.wait(),
    |lines| assert!(!lines.barrier.wait().is_leader()),
];

impl Lines {
    fn new() -> Lines {
        let full = Queue::with_capacity(1);
        full.put(1);
        Lines {
            mutex: Mutex::new(()),
            rwlock: RwLock::new(()),
            condvar: Condvar::new(),
            empty: Queue::new(),
            full,
            semaphore: Semaphore::new(0),
            event: Event::new(),
            barrier: Barrier::new(usize::MAX),
        }
    }

    /// Has the first in each line told.
    fn serve(&self) {
        self.condvar.notify_all();
        self.empty.put(1);
        assert_eq!(self.full.try_get(), Some(1));
        self.semaphore.add_permits(1);
        self.event.set();
    }
}

/// Serves lines with fibers in them that `ends` has ended half way, from here and from a fiber.
fn serves_the_dead(ends: fn(Arc<Lines>)) {
    let lines = Arc::new(Lines::new());
    let guards = (lines.mutex.lock().unwrap(), lines.rwlock.write().unwrap());
    let dead = lines.clone();
    std::thread::spawn(move || ends(dead)).join().unwrap();
    // What other allocations have now.
    let others: Vec<_> = (1_u64..100).map(|n| Box::new([n; 40])).collect();
    lines.serve();
    drop(guards);
    drop(others);
    let runtime = multi_thread_runtime();
    let pool = HubPool::new(1).unwrap();
    let again = lines.clone();
    let served = pool.spawn(move || {
        again.semaphore.add_permits(1);
        again.event.set();
        again.condvar.notify_all();
    });
    runtime.block_on(served.unwrap()).unwrap();
    runtime.block_on(pool.close());
}

/// A place in a line is used under the line's lock only, and its fiber is there as long as the place is,
/// also if its stack was left for ever.
#[test]
fn a_fiber_that_is_abandoned_in_a_line_is_still_a_fiber() {
    watched(|| {
        serves_the_dead(|lines| {
            let runtime = runtime();
            runtime.block_on(async {
                for wait in WAITS {
                    let lines = lines.clone();
                    drop(spawn(move || {
                        // It cannot be unwound once more.
                        let _waits = OnDrop(|| wait(&lines));
                        std::panic::resume_unwind(Box::new("a panic"));
                    }));
                }
                switchback::sleep(ms(0)).await;
            });
            drop(runtime);
        });
    });
}

/// Abandons a fiber, on a thread of its own, that waits so. Calls `meanwhile` when it waits.
fn abandons(wait: impl Fn() + Send + 'static, meanwhile: impl FnOnce() + Send + 'static) {
    let abandons = move || {
        let runtime = runtime();
        runtime.block_on(async {
            drop(spawn(move || {
                let _waits = OnDrop(wait);
                std::panic::resume_unwind(Box::new("a panic"));
            }));
            switchback::sleep(ms(0)).await;
        });
        std::thread::spawn(meanwhile).join().unwrap();
        drop(runtime);
    };
    std::thread::spawn(abandons).join().unwrap();
}

/// Otherwise nobody could have it any more.
#[test]
fn what_is_for_one_is_not_given_to_a_fiber_that_was_abandoned_in_the_line() {
    watched(|| {
        // Longer than a lock is free for others before it is handed to the first in the line.
        let patience = || std::thread::sleep(ms(1));
        let lines: &'static Lines = Box::leak(Box::new(Lines::new()));
        let (mutex, rwlock) = (&lines.mutex, &lines.rwlock);
        let (condvar, semaphore) = (&lines.condvar, &lines.semaphore);

        for _ in 0..3 {
            let guard = mutex.lock().unwrap();
            abandons(|| drop(mutex.lock()), || ());
            drop(guard);
            drop(mutex.lock());
            patience();
            drop(mutex.lock());
        }

        let ways: [fn(&Lines); 2] = [
            |lines| drop(lines.rwlock.write()),
            |lines| drop(lines.rwlock.read()),
        ];
        for wait in ways {
            let guard = rwlock.write().unwrap();
            abandons(move || wait(lines), || ());
            abandons(move || wait(lines), || ());
            drop(guard);
            drop(rwlock.read());
            patience();
            drop(rwlock.write());
            drop(rwlock.read());
        }

        // It is the first in the line of a lock that is free, so that nobody comes to give one back.
        let guard = rwlock.read().unwrap();
        abandons(|| drop(rwlock.write()), || drop(guard));
        drop(rwlock.read());

        abandons(|| assert_eq!(lines.empty.get(), 1), || ());
        lines.empty.put(1);
        assert_eq!(lines.empty.try_get(), Some(1));

        abandons(
            || drop(semaphore.acquire_many(2)),
            || semaphore.add_permits(1),
        );
        drop(semaphore.try_acquire().unwrap());
        abandons(|| drop(semaphore.acquire_many(2)), || ());
        drop(semaphore.acquire());

        abandons(|| drop(condvar.wait(Mutex::new(()).lock().unwrap())), || ());
        let runtime = runtime();
        let waits = async {
            let mutex = Mutex::new(());
            let mut waits = pin!(condvar.wait_async(mutex.lock_async().await.unwrap()));
            assert!(poll_once(waits.as_mut()).is_pending());
            condvar.notify_one();
            drop(waits.await);
        };
        runtime.block_on(waits);
    });
}

#[test]
fn a_fiber_whose_thread_has_ended_is_still_a_fiber() {
    watched(|| {
        serves_the_dead(|lines| {
            let runtime = runtime();
            runtime.block_on(async {
                for wait in WAITS {
                    let lines = lines.clone();
                    drop(spawn(move || wait(&lines)));
                }
                switchback::sleep(ms(0)).await;
            });
            mem::forget(runtime);
        });
    });
}

#[test]
fn a_fiber_whose_hub_ends_leaves_its_line() {
    watched(|| {
        let lines = Arc::new(Lines::new());
        let guards = (lines.mutex.lock().unwrap(), lines.rwlock.write().unwrap());
        let runtime = runtime();
        runtime.block_on(async {
            for wait in WAITS {
                let lines = lines.clone();
                drop(spawn(move || wait(&lines)));
            }
            switchback::sleep(ms(0)).await;
        });
        drop(runtime);
        lines.serve();
        drop(guards);
        assert_eq!(lines.empty.try_get(), Some(1), "nobody else has it");
        assert_eq!(lines.full.try_get(), None);
        assert_eq!(lines.semaphore.available_permits(), 1);
        assert!(lines.mutex.try_lock().is_ok() && lines.rwlock.try_write().is_ok());
    });
}

/// A message goes into the hand of a fiber of the same hub, without a second lock.
#[test]
fn what_was_put_into_the_hand_of_one_who_ends_is_put_back_in_order() {
    in_root_fiber(|| {
        for others in [0, 1] {
            let (send, receive) = channel();
            let receive = Rc::new(receive);
            let receiver = || {
                let receive = receive.clone();
                spawn(move || receive.recv().unwrap())
            };
            let first = receiver();
            yield_now().wait();
            let next: Vec<_> = (0..others).map(|_| receiver()).collect();
            yield_now().wait();
            send.send(1).unwrap();
            first.cancel();
            assert!(first.wait().is_err());
            send.send(2).unwrap();
            for fiber in next {
                assert_eq!(fiber.wait().unwrap(), 1);
            }
            let rest: Vec<_> = receive.try_iter().collect();
            assert_eq!(rest, [1, 2][others..]);
        }
    });
}

#[test]
fn what_is_in_a_hand_outlives_the_senders_and_is_dropped_once() {
    in_root_fiber(|| {
        for cancels in [false, true] {
            let drops = Drops::new();
            let (send, receive) = channel();
            let fiber = spawn(move || drop(receive.recv().unwrap()));
            yield_now().wait();
            send.send(drops.token()).unwrap();
            drop(send);
            if cancels {
                fiber.cancel();
            }
            assert_eq!(fiber.wait().is_err(), cancels);
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_deadline_that_has_passed_comes_before_what_is_in_the_hand() {
    in_paused(|| async {
        let (send, receive) = channel();
        let receive = Rc::new(receive);
        let waits = receive.clone();
        let fiber = spawn(move || with_timeout(ms(5), || waits.recv()).is_err());
        let timed = receive.clone();
        let other = spawn(move || timed.recv_timeout(ms(5)).is_err());
        switchback::sleep(ms(10)).await;
        assert!(fiber.await.unwrap() && other.await.unwrap());
        send.send(1).unwrap();
        assert_eq!(receive.try_recv(), Ok(1), "no one is in the line any more");
        assert_eq!(receive.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_wake_that_is_not_for_the_line_ends_no_wait() {
    in_root_fiber(|| {
        let (send, receive) = channel();
        let own: Rc<Cell<Option<Waker>>> = Rc::default();
        let leaves = own.clone();
        let fiber = spawn(move || {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).wait();
            leaves.set(Some(waker));
            receive.recv().unwrap()
        });
        yield_now().wait();
        let waker = own.take().unwrap();
        for _ in 0..3 {
            waker.wake_by_ref();
            yield_now().wait();
            assert!(fiber.is_alive());
        }
        waker.wake_by_ref();
        send.send(7).unwrap();
        assert_eq!(fiber.wait().unwrap(), 7);
    });
}

#[test]
fn fibers_tasks_and_threads_wake_a_fiber_in_a_line() {
    in_async(|| async {
        let (send, receive) = channel();
        let fiber = spawn(move || receive.iter().sum::<u32>());
        let pool = HubPool::new(1).unwrap();
        for round in 0..20 {
            switchback::sleep(ms(0)).await;
            let send = send.clone();
            let sends = move || send.send(1).unwrap();
            match round % 4 {
                0 => sends(),
                1 => spawn(sends).await.unwrap(),
                2 => pool.spawn(sends).unwrap().await.unwrap(),
                _ => std::thread::spawn(sends).join().unwrap(),
            }
        }
        drop(send);
        assert_eq!(fiber.await.unwrap(), 20);
        pool.close().await;
    });
}

#[test]
fn a_call_that_waits_while_another_runtime_is_current_is_refused() {
    in_root_fiber(|| {
        let other = multi_thread_runtime();
        let (send, receive) = channel();
        let entered = other.enter();
        let panic = panic_of(|| receive.recv());
        assert!(panic.message.contains("entered on this stack"), "{panic:?}");
        assert!(panic.file.ends_with("std_shaped/lines.rs"), "{panic:?}");
        drop(entered);
        send.send(1).unwrap();
        assert_eq!(receive.recv(), Ok(1), "nobody is in the line");
        other.shutdown_background();
    });
}

#[test]
fn a_fiber_that_is_unwinding_waits_in_a_line() {
    in_root_fiber(|| {
        let (send, receive) = channel();
        let (tell, told) = channel();
        let fails = thread::spawn(move || {
            let _receives = OnDrop(|| tell.send(receive.recv().unwrap()).unwrap());
            std::panic::resume_unwind(Box::new("a panic"));
        });
        yield_now().wait();
        send.send(3).unwrap();
        assert_eq!(told.recv(), Ok(3));
        assert!(fails.join().is_err());
    });
}
