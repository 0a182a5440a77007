//! What the locks, conditions and queues of `sync` promise, under many schedules, with fibers that are
//! cancelled and waits that time out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use switchback::sync::nonpoison::{Condvar, Mutex, RwLock};
use switchback::sync::{Barrier, Event, OnceLock, Queue, Semaphore, mpsc};
use switchback::{Fiber, prelude::*, spawn, yield_now};
use tokio::task::spawn_local;

use crate::own::{holds, yields};
use crate::support::ms;

fn join<const N: usize>(fibers: [Fiber<()>; N]) {
    fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
}

#[test]
fn one_at_a_time_holds_a_mutex_also_over_waits() {
    holds(|| {
        let mutex = Rc::new(Mutex::new(0));
        let inside = Rc::new(Cell::new(false));
        let add = |waits: usize| {
            let (mutex, inside) = (mutex.clone(), inside.clone());
            move || {
                for _ in 0..2 {
                    let mut sum = mutex.lock();
                    assert!(!inside.replace(true));
                    let before = *sum;
                    yields(waits);
                    *sum = before + 1;
                    inside.set(false);
                }
            }
        };
        let fibers = [0, 1, 3].map(|waits| spawn(add(waits)));
        let (of_task, inside) = (mutex.clone(), inside.clone());
        let task = spawn_local(async move {
            let mut sum = of_task.lock_async().await;
            assert!(!inside.replace(true));
            tokio::task::yield_now().await;
            *sum += 1;
            inside.set(false);
        });
        join(fibers);
        task.wait().unwrap();
        assert_eq!(*mutex.lock(), 7);
    });
}

#[test]
fn a_condition_loses_no_notification_to_a_fiber_that_ends() {
    holds(|| {
        let shared = Rc::new((Mutex::new(Vec::new()), Condvar::new()));
        let taken = Rc::new(RefCell::new(Vec::new()));
        let take = || {
            let (shared, taken) = (shared.clone(), taken.clone());
            move || {
                let (queue, filled) = &*shared;
                let mut queue = queue.lock();
                while queue.is_empty() {
                    queue = filled.wait(queue);
                }
                taken.borrow_mut().push(queue.pop().unwrap());
            }
        };
        let ends = spawn(take());
        let fibers = [spawn(take()), spawn(take())];
        let put = shared.clone();
        let puts = spawn(move || {
            for n in 0..3 {
                yield_now().wait();
                put.0.lock().push(n);
                put.1.notify_one();
            }
        });
        yields(2);
        ends.cancel();
        let has_taken = ends.wait().is_ok();
        join(fibers);
        puts.wait().unwrap();
        let taken = taken.borrow().len();
        assert_eq!(taken, 2 + usize::from(has_taken));
        assert_eq!(shared.0.lock().len(), 3 - taken);
    });
}

#[test]
fn readers_and_a_writer_exclude_each_other() {
    holds(|| {
        let lock = Rc::new(RwLock::new([0, 0]));
        let read = |waits: usize| {
            let lock = lock.clone();
            move || {
                for _ in 0..2 {
                    let pair = lock.read();
                    let [first, _] = *pair;
                    yields(waits);
                    assert_eq!(pair[1], first);
                }
            }
        };
        let readers = [0, 2].map(|waits| spawn(read(waits)));
        let write = || {
            let lock = lock.clone();
            move || {
                let mut pair = lock.write();
                pair[0] += 1;
                yields(2);
                pair[1] += 1;
            }
        };
        let ends = spawn(write());
        let writer = spawn(write());
        // One that has begun may not end half way.
        match lock.try_read() {
            Ok(_) => ends.cancel(),
            Err(_) => false,
        };
        let _ = ends.wait();
        join(readers);
        writer.wait().unwrap();
        let pair = *lock.read();
        assert_eq!(pair[0], pair[1]);
    });
}

#[test]
fn a_channel_gives_each_message_once_and_in_order() {
    holds(|| {
        let (sender, receiver) = mpsc::sync_channel(1);
        let receiver = Rc::new(receiver);
        let senders = [0, 10].map(|from| {
            let sender = sender.clone();
            spawn(move || (from..from + 3).for_each(|n| sender.send(n).unwrap()))
        });
        drop(sender);
        let got = Rc::new(RefCell::new(Vec::new()));
        let receivers = [1, 2].map(|patience| {
            let (receiver, got) = (receiver.clone(), got.clone());
            spawn(move || {
                loop {
                    match receiver.recv_timeout(ms(patience)) {
                        Ok(n) => got.borrow_mut().push(n),
                        Err(mpsc::RecvTimeoutError::Timeout) => yield_now().wait(),
                        Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    }
                }
            })
        });
        join(senders);
        join(receivers);
        let mut got = got.take();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 10, 11, 12]);
    });
}

#[test]
fn a_receiver_that_is_cancelled_takes_nothing_with_it() {
    holds(|| {
        let (sender, receiver) = mpsc::channel();
        let receiver = Rc::new(receiver);
        let got = Rc::new(Cell::new(0));
        let receive = || {
            let (receiver, got) = (receiver.clone(), got.clone());
            move || {
                if receiver.recv().is_ok() {
                    got.set(got.get() + 1);
                }
            }
        };
        let ends = spawn(receive());
        let stays = spawn(receive());
        let sends = spawn(move || {
            yields(2);
            sender.send(()).unwrap();
            yields(2);
            ends.cancel();
            let _ = ends.wait();
            sender.send(()).unwrap();
        });
        sends.wait().unwrap();
        stays.wait().unwrap();
        let left = receiver.try_iter().count();
        assert_eq!(got.get() + left, 2);
    });
}

#[test]
fn permits_come_back_from_fibers_that_are_cancelled() {
    holds(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        let using = Rc::new(Cell::new(0));
        let work = || {
            let (semaphore, using) = (semaphore.clone(), using.clone());
            move || {
                let _permit = semaphore.acquire();
                let _using = Using::begin(&using);
                yields(2);
            }
        };
        let fibers = [spawn(work()), spawn(work()), spawn(work())];
        let ends = spawn(work());
        yields(1);
        ends.cancel();
        let _ = ends.wait();
        join(fibers);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

/// Counts those that use something, of whom there may be two.
struct Using(Rc<Cell<u32>>);

impl Using {
    fn begin(using: &Rc<Cell<u32>>) -> Using {
        using.set(using.get() + 1);
        assert!(using.get() <= 2);
        Using(using.clone())
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn a_barrier_takes_back_the_arrival_of_a_fiber_that_is_cancelled() {
    holds(|| {
        let barrier = Rc::new(Barrier::new(2));
        let passed = Rc::new(Cell::new(0));
        let pass = || {
            let (barrier, passed) = (barrier.clone(), passed.clone());
            move || {
                barrier.wait();
                passed.set(passed.get() + 1);
            }
        };
        let ends = spawn(pass());
        yields(1);
        ends.cancel();
        assert!(ends.wait().is_err(), "it has nobody to pass with");
        assert_eq!(passed.get(), 0);
        join([spawn(pass()), spawn(pass())]);
        assert_eq!(passed.get(), 2);
    });
}

#[test]
fn a_cell_is_initialised_once() {
    holds(|| {
        let cell = Rc::new(OnceLock::new());
        let made = Rc::new(Cell::new(0));
        let get = |n: usize| {
            let (cell, made) = (cell.clone(), made.clone());
            move || {
                let value = *cell.get_or_init(|| {
                    yields(n);
                    made.set(made.get() + 1);
                    n
                });
                assert_eq!(Some(&value), cell.get());
            }
        };
        let ends = spawn(get(3));
        let fibers = [spawn(get(1)), spawn(get(2))];
        yields(2);
        ends.cancel();
        let _ = ends.wait();
        join(fibers);
        assert_eq!(made.get(), 1);
    });
}

#[test]
fn a_queue_is_joined_when_all_that_was_put_is_done() {
    holds(|| {
        let queue = Rc::new(Queue::new());
        let begun = Rc::new(Event::new());
        let done = Rc::new(Cell::new(0));
        (0..2).for_each(|n| queue.put(n));
        let workers = [0, 2].map(|waits| {
            let (queue, begun, done) = (queue.clone(), begun.clone(), done.clone());
            spawn(move || {
                begun.wait();
                for _ in 0..2 {
                    queue.get();
                    yields(waits);
                    done.set(done.get() + 1);
                    queue.task_done();
                }
            })
        });
        let joiners = [0, 1].map(|waits| {
            let (queue, done) = (queue.clone(), done.clone());
            spawn(move || {
                yields(waits);
                queue.join();
                assert_eq!(done.get(), 4);
            })
        });
        (2..4).for_each(|n| queue.put(n));
        yields(1);
        begun.set();
        join(workers);
        join(joiners);
    });
}
